"""Encodes with a time limit: planned to end in time, at any pace of the machine."""

from __future__ import annotations

import io
import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
from encoder_cases import gradient_source, options

import nvrc_decoder
from nvrc_decoder.picture.format import VideoFormat
from nvrc_encoder import Deadline, EncodeOptions, encode
from nvrc_encoder.options import PRESETS
from nvrc_encoder.plan import Plan
from nvrc_encoder.training.interruption import Interruption
from nvrc_encoder.training.pacing import Pacer
from nvrc_encoder.training.run import Progress, Run
from nvrc_encoder.training.workload import Speed, expected_work, iterations_ahead

PICTURE = VideoFormat(176, 144, Fraction(25))
FRAMES = 32


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class FakeRun:
    """The course of a `Run`: counts iterations and lets the clock advance as its pace says."""

    def __init__(self, clock: Clock, plan: Plan, begun: int = 0) -> None:
        self.clock, self.plan = clock, plan
        self.iteration, self.end = begun, plan.iterations
        self.searched: float | None = None
        self.hard = 0
        self.hurried = False

    def replan(self, iterations: int) -> None:
        Run.replan(self, iterations)  # type: ignore[arg-type]
        self.end = iterations

    def hurry(self) -> None:
        self.hurried = True
        self.end = min(self.end, self.iteration + 1)

    def train(self, pacer: Pacer, pace: float, factor: float = 1.0, slow_from: int = 1 << 30, hard: int = 0) -> None:
        """Iterate to the end; from iteration `slow_from` on, and `hard` ones of the exact phase, `factor` slower."""
        while self.iteration < self.end:
            exact = self.iteration >= self.plan.hard_from
            slow = self.iteration >= slow_from and self.hard >= hard
            self.hard += exact
            self.clock.now += pace * (1.4 if exact else 1.0) * (factor if slow else 1.0)
            self.iteration += 1
            pacer.follow(self)  # type: ignore[arg-type]


def begun(seconds: float, made: EncodeOptions | None = None, speed: float = 1.0) -> tuple[Clock, Deadline, Pacer]:
    clock = Clock()
    deadline = Deadline(seconds, clock=clock)
    made = made or EncodeOptions(preset="placebo")
    return clock, deadline, Pacer(deadline, made, PICTURE, FRAMES, False, Speed(speed, speed, speed, speed))


@pytest.mark.parametrize(
    ("seconds", "pace"), [(40.0, 0.01), (120.0, 0.08), (120.0, 0.4)], ids=["faster", "as expected", "slower"]
)
def test_a_training_ends_in_time_at_any_pace(seconds: float, pace: float) -> None:
    clock, deadline, pacer = begun(seconds)
    run = FakeRun(clock, pacer.plan())
    run.train(pacer, pace)
    expected = expected_work(PICTURE, FRAMES, run.plan, False, False, False)
    slower = pace * iterations_ahead(run.plan, 0, run.iteration, False) / expected["training"]
    later = slower * (expected["search"] + expected["writing"])
    assert later <= deadline.left <= 1.1 * later + 3 * pace
    assert run.hard >= 0.8 * (run.plan.iterations - run.plan.hard_from)


def test_a_machine_that_slows_down_still_ends_in_time() -> None:
    clock, deadline, pacer = begun(200.0)
    run = FakeRun(clock, pacer.plan())
    planned = run.plan.iterations
    run.train(pacer, 0.08, 3.0, slow_from=planned // 2)
    assert 0 < deadline.left < 60
    assert run.iteration < planned
    assert run.hard > 20


def test_load_in_the_exact_phase_ends_it_early() -> None:
    clock, deadline, pacer = begun(200.0)
    run = FakeRun(clock, pacer.plan())
    run.train(pacer, 0.08, 40.0, slow_from=0, hard=5)
    assert run.hurried
    assert run.iteration < run.plan.iterations
    assert deadline.left > -10


def test_a_limit_that_is_too_short_leaves_one_iteration() -> None:
    _, _, pacer = begun(0.5, speed=10.0)
    assert pacer.plan().iterations == 1
    assert not pacer.may_try(0.0)


def test_a_generous_limit_changes_nothing() -> None:
    made = EncodeOptions(preset="fast")
    clock, _, pacer = begun(1e6, made)
    run = FakeRun(clock, pacer.plan())
    assert run.plan == made.plan(FRAMES)
    run.train(pacer, 0.08)
    assert run.iteration == made.plan(FRAMES).iterations
    assert not run.hurried


def test_rates_are_those_of_a_preset_that_fits() -> None:
    made = EncodeOptions(preset="placebo")
    for iterations, name in ((1, "draft"), (74, "draft"), (75, "draft"), (500, "fast"), (1501, "medium")):
        assert made.plan_within(32, iterations) == Plan(**{**vars(PRESETS[name]), "iterations": iterations})
    assert EncodeOptions(preset="fast").plan_within(32, 9000).weight_rate == PRESETS["fast"].weight_rate
    given = EncodeOptions(preset="slow", iterations=100).plan_within(32, 50)
    assert given == Plan(**{**vars(PRESETS["slow"]), "iterations": 50})


def test_trials_have_a_share_of_the_time() -> None:
    _, _, pacer = begun(100.0)
    assert pacer.may_try(0.0)
    assert pacer.may_try(10.0, 5.0)
    assert not pacer.may_try(11.0, 5.0)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_limit_is_a_positive_number(seconds: float) -> None:
    with pytest.raises(ValueError, match="time limit"):
        Deadline(seconds)


def ticking(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that advances by a second with each step of a training, and not else."""
    clock, honest = Clock(), Run.advance

    def advance(self: Run) -> Progress | None:
        clock.now += 1.0
        return honest(self)

    monkeypatch.setattr(Run, "advance", advance)
    return clock


def test_an_encode_ends_in_time_with_all_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ticking(monkeypatch)
    phases: list[str] = []
    output = io.BytesIO()
    report = encode(
        gradient_source(16, 16, 3),
        output,
        options(iterations=None, preset="placebo"),
        lambda state: phases.append(state.phase),
        deadline=Deadline(40.0, clock=clock),
    )
    assert 15 <= report.training.iterations <= 40
    assert clock.now <= 41
    # The first progress is that of the tenth iteration, after the float weights.
    assert list(dict.fromkeys(phases)) == ["quantised", "exact", "search"]
    with nvrc_decoder.open(io.BytesIO(output.getvalue())) as video:
        assert [frame.md5() for frame in video] == list(report.frame_md5)


@pytest.mark.parametrize("trials", [True, False])
def test_a_limit_passed_is_told_and_the_stream_written(
    trials: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ticking(monkeypatch)
    caplog.set_level(logging.INFO, "nvrc_encoder")
    report = encode(
        gradient_source(16, 16, 3),
        io.BytesIO(),
        options(trials=trials, iterations=None),
        deadline=Deadline(1e-3, clock=clock),
    )
    assert report.training.iterations == 1
    assert report.trials == ()
    assert ("there is no time for trials" in caplog.text) == trials
    assert "the time limit of 0 s was passed by 2 s" in caplog.text


@pytest.mark.parametrize("phase", ["quantised", "search"])
def test_a_resumed_encode_has_a_limit_of_its_own(tmp_path: Path, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, interruption = ticking(monkeypatch), Interruption()
    made: dict[str, Any] = {"options": options(iterations=None, preset="slow"), "checkpoint": tmp_path / "state"}
    stopped: list[int] = []

    def progress(state: Progress) -> None:
        if state.phase == phase and not interruption.asked:
            stopped.append(state.iteration)
            interruption.ask(KeyboardInterrupt())

    source = gradient_source(16, 16, 3)
    with pytest.raises(KeyboardInterrupt):
        encode(
            source,
            io.BytesIO(),
            progress=progress,
            interruption=interruption,
            deadline=Deadline(40, clock=clock),
            **made,
        )
    before = clock.now
    report = encode(source, io.BytesIO(), resume=True, deadline=Deadline(20, clock=clock), **made)
    assert clock.now - before <= 21
    # A training that was over is not taken up again.
    assert (report.training.iterations == stopped[0]) == (phase == "search")
    assert stopped[0] <= report.training.iterations <= stopped[0] + 20
