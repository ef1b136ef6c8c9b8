"""Goals, the lambda that follows them, and which of the evaluated states wins."""

from __future__ import annotations

import io
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from encoder_cases import ONE_GRID, gradient_source

from nvrc_encoder import EncodeOptions, encode
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.rate_goal import LAMBDA_MAX, LAMBDA_MIN, RateGoal, guess_lambda
from nvrc_encoder.training.run import Run
from nvrc_encoder.training.snapshot import Snapshot
from nvrc_output.writers import OutputKind, open_writer
from nvrc_ref.main import run as command_line


@pytest.mark.parametrize(
    ("changes", "goal"),
    [
        ({}, None),
        ({"target_size": 5000}, RateGoal("size", 5000)),
        ({"target_bpp": 0.1}, RateGoal("size", 0.1 * 100 * 50 * 30 / 8)),
        ({"target_bitrate": 80.0}, RateGoal("size", 80_000 / 8 * 30 / (30000 / 1001))),
        ({"target_psnr": 34.5}, RateGoal("psnr", 34.5)),
    ],
    ids=str,
)
def test_goal_of_the_options(changes: dict[str, Any], goal: RateGoal | None) -> None:
    found = EncodeOptions(**changes).goal(100, 50, 30, Fraction(30000, 1001))
    assert (found is None) == (goal is None)
    if found is not None and goal is not None:
        assert found.kind == goal.kind
        assert found.value == pytest.approx(goal.value)


def test_two_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="target_bpp and target_psnr"):
        EncodeOptions(target_bpp=0.1, target_psnr=30)


def test_error_is_positive_where_lambda_must_grow() -> None:
    size, psnr = RateGoal("size", 1000), RateGoal("psnr", 30.0)
    assert size.error(1100, 0) == pytest.approx(math.log(1.1))
    assert size.error(900, 99) < 0
    assert psnr.error(5, 30.5) == pytest.approx(0.5)
    assert size.step(size.error(1100, 0)) > 0 > psnr.step(psnr.error(0, 29))
    assert size.met(1014, 0)
    assert not size.met(1030, 0)
    assert psnr.met(0, 29.96)
    assert not psnr.met(0, 30.09)
    assert abs(size.step(99.0)) < 1, "one step must not run away"


def test_first_guess_is_monotone_and_within_range() -> None:
    by_size = [guess_lambda(RateGoal("size", value), 100_000) for value in (1, 100, 1000, 10_000, 10**9)]
    assert by_size == sorted(by_size, reverse=True)
    by_psnr = [guess_lambda(RateGoal("psnr", value), 1) for value in (1.0, 25.0, 30.0, 40.0, 99.0)]
    assert by_psnr == sorted(by_psnr, reverse=True)
    for found in by_size, by_psnr:
        assert found[0] == LAMBDA_MAX
        assert found[-1] == LAMBDA_MIN


def _run(goal: RateGoal | None, **changes: Any) -> Run:
    source = gradient_source(32, 24, 5)
    options = EncodeOptions(preset="draft", device="cpu", trials=False, **changes)
    trainer, _, _ = make_trainer(source, list(source), options)
    return Run(trainer, options.plan(), goal)


@pytest.mark.parametrize(("factor", "sign"), [(0.5, 1), (2.0, -1)])
def test_lambda_moves_towards_the_goal(factor: float, sign: int) -> None:
    changes = {"iterations": 20, "prior": False, **ONE_GRID}
    run = _run(None, **changes)
    bits = run.trainer.estimate().bits
    run = _run(RateGoal("size", factor * bits / 8), **changes)
    before = run.trainer.lagrangian
    while run.iteration < 12:
        run.advance()
    assert sign * (run.trainer.lagrangian - before) > 0


def test_nearer_to_the_goal_wins_then_the_lower_cost() -> None:
    run = _run(RateGoal("size", 1000), iterations=20, **ONE_GRID)

    def snapshot(size: int, distortion: float) -> Snapshot:
        return Snapshot(0, 1e-3, distortion, 8.0 * size, 30.0, size, {})

    for found, wins in (
        (snapshot(1200, 0.1), True),
        (snapshot(1300, 0.01), False),
        (snapshot(1100, 0.3), True),
        (snapshot(1012, 0.2), True),
        (snapshot(1001, 0.21), False),
        (snapshot(1014, 0.19), True),
        (snapshot(1040, 0.01), False),
    ):
        run._offer(found)
        assert (run.best is found) == wins


@pytest.mark.full
def test_best_state_is_the_one_that_is_written() -> None:
    """A run whose last iterations raise J ends in a state from before them."""
    run = _run(None, iterations=160)
    run.plan = run.plan.__class__(**{**run.plan.__dict__, "search": 0.0})
    while run.iteration < 159:
        run.advance()
    assert run.best is not None
    best = run.best
    for grids in run.trainer.grids:
        for grid in grids:
            if grid is not None:
                grid.data += 20
    while not run.done:
        run.advance()
    assert run.best is best
    estimate = run.trainer.estimate()
    assert estimate.bits == pytest.approx(best.bits)
    assert estimate.distortion == pytest.approx(best.distortion)
    assert run.summary().best_iteration == best.iteration < 160


@pytest.mark.full
def test_goal_and_outcome_are_reported(tmp_path: Path) -> None:
    source = gradient_source(32, 24, 4)
    report = encode(
        source,
        io.BytesIO(),
        EncodeOptions(preset="draft", iterations=30, device="cpu", trials=False, target_size=900),
    )
    assert report.goal == RateGoal("size", 900)
    assert report.lagrangian == report.training.lagrangian
    with open_writer(str(tmp_path / "a.y4m"), OutputKind.Y4M, source.picture, pytest.fail) as writer:
        for frame in source:
            writer(frame)
    words = ["--preset", "draft", "--no-trials", "--quiet", "--target-psnr", "25", "--report", str(tmp_path / "r")]
    assert command_line(["encode", str(tmp_path / "a.y4m"), "-o", str(tmp_path / "a"), *words]) == 0
    document = json.loads((tmp_path / "r").read_text())
    assert document["rate_control"]["target_psnr_y"] == 25
    assert document["rate_control"]["reached_psnr_y"] == document["psnr"]["y"]
    assert document["lambda"] == document["training"]["lagrangian"]
    assert document["structure"]["profile"] == "nano"
