"""A training run can be broken off anywhere and ends in the same bits."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from encoder_cases import gradient_source

from nvrc_decoder.errors import InputError, OutputError
from nvrc_encoder import EncodeOptions, encode, encoding
from nvrc_encoder.checkpoint import fingerprint, load_checkpoint, save_checkpoint, train
from nvrc_encoder.encoding import make_trainer
from nvrc_encoder.goal import Goal
from nvrc_encoder.run import Run


def options(**changes: Any) -> EncodeOptions:
    return EncodeOptions(**{"preset": "draft", "device": "cpu", "trials": False, **changes})


class _KilledError(Exception):
    """Stands for the kill."""


def _fresh(iterations: int = 24, goal: Goal | None = None) -> Run:
    source = gradient_source(32, 24, 5)
    chosen = options(iterations=iterations, gop=3)
    trainer, _, _ = make_trainer(source, list(source), chosen)
    plan = dataclasses.replace(chosen.plan(), search=0.8, extra=0.3)
    return Run(trainer, plan, goal)


def _finish(run: Run) -> int:
    """Train to the end; how many steps it took."""
    steps = 0
    while not run.done:
        run.advance()
        steps += 1
    return steps


GOALS = {"lambda": None, "size": Goal("size", 700), "quality": Goal("psnr", 60.0)}


@pytest.fixture(scope="module", params=GOALS)
def unbroken(request: pytest.FixtureRequest) -> tuple[Run, int, Goal | None]:
    """A run of 24 iterations (exact from 19 on), what rate control adds to it, and the search; and its steps."""
    goal = GOALS[request.param]
    run = _fresh(goal=goal)
    return run, _finish(run), goal


# First step, the float phase's middle and end, around the start of the exact phase, the last iteration; rate control's
# iterations; two steps of the search; the last step.
@pytest.mark.parametrize("kill_after", [1, 5, 8, 18, 19, 20, 23, 24, 25, -4, -3, -1])
def test_restored_run_ends_in_the_same_bits(
    unbroken: tuple[Run, int, Goal | None], tmp_path: Path, kill_after: int
) -> None:
    whole, steps, goal = unbroken
    broken = _fresh(goal=goal)
    for _ in range(kill_after % steps):
        broken.advance()
    save_checkpoint(tmp_path / "state", broken, "key")
    resumed = _fresh(goal=goal)
    resumed.restore(load_checkpoint(tmp_path / "state", "key"))
    assert kill_after % steps + _finish(resumed) == steps
    assert resumed.summary() == whole.summary()
    for name in ("raw", "log_step", "bias_log_step"):
        assert torch.equal(getattr(resumed.trainer.bank, name), getattr(whole.trainer.bank, name))
    for a, b in zip(resumed.trainer.grids, whole.trainer.grids, strict=True):
        for x, y in zip(a, b, strict=True):
            assert (x is None) == (y is None)
            if x is not None and y is not None:
                assert torch.equal(x, y)


def test_what_the_resumed_runs_go_through(unbroken: tuple[Run, int, Goal | None]) -> None:
    """Otherwise the test above would prove less than it says."""
    run, steps, goal = unbroken
    summary = run.summary()
    assert summary.evaluations > 0
    assert steps > summary.iterations
    assert (summary.iterations > 24) == (goal is not None)
    assert (summary.lagrangian != 5e-3) == (goal is not None)


def test_encode_resumed_gives_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = gradient_source(32, 24, 4)
    chosen = options(iterations=20)
    whole, again = io.BytesIO(), io.BytesIO()
    encode(source, whole, chosen)
    path = tmp_path / "state"
    honest = Run.advance

    def killed(self: Run) -> object:
        if self.iteration == 13:
            save_checkpoint(path, self, fingerprint(source.picture, list(source), chosen))
            raise _KilledError
        return honest(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", killed)
        with pytest.raises(_KilledError):
            encode(source, io.BytesIO(), chosen, checkpoint=path)
    encode(source, again, chosen, checkpoint=path, resume=True)
    assert whole.getvalue() == again.getvalue()


def test_broken_off_in_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the pilot, at its end and in the training: each time the next start goes on from there."""
    source = gradient_source(32, 24, 3)
    chosen = options(iterations=12, trials=True, target_psnr=24.0)
    whole, again = io.BytesIO(), io.BytesIO()
    path = tmp_path / "state"
    honest, stages, steps, patience = Run.advance, set(), 0, 0
    monkeypatch.setattr(encoding, "train", lambda run, report, **more: train(run, report, every=0.0, **more))

    def killed(self: Run) -> object:
        nonlocal steps
        if steps == patience:
            raise _KilledError
        steps += 1
        stages.add(self.memo["stage"])
        return honest(self)

    monkeypatch.setattr(Run, "advance", killed)
    patience = -1
    encode(source, whole, chosen)
    total, steps, patience, kills = steps, 0, 9, 0
    assert stages == {"pilot", "training"}
    stages.clear()
    while not again.getvalue():
        try:
            encode(source, again, chosen, checkpoint=path, resume=True)
        except _KilledError:
            kills += 1
            patience += 9
    # Nothing was trained twice.
    assert (steps, kills) == (total, (total - 1) // 9)
    assert whole.getvalue() == again.getvalue()


def test_checkpoint_of_another_encode_is_refused(tmp_path: Path) -> None:
    source = gradient_source(32, 24, 4)
    path = tmp_path / "state"
    chosen = options(iterations=10)
    encode(source, io.BytesIO(), chosen, checkpoint=path)
    assert path.exists()
    with pytest.raises(InputError) as caught:
        encode(source, io.BytesIO(), options(iterations=10, seed=7), checkpoint=path, resume=True)
    assert caught.value.code == "E_CHECKPOINT"
    faster = gradient_source(32, 24, 4, rate=Fraction(50))
    with pytest.raises(InputError) as caught:
        encode(faster, io.BytesIO(), chosen, checkpoint=path, resume=True)
    assert caught.value.code == "E_CHECKPOINT"


@pytest.mark.parametrize("damage", ["empty", "garbage", "cut"])
def test_damaged_checkpoint_is_a_typed_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state"
    run = _fresh(10)
    save_checkpoint(path, run, "key")
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "garbage": b"garbage" * 50, "cut": data[: len(data) // 2]}[damage])
    with pytest.raises(InputError) as caught:
        load_checkpoint(path, "key")
    assert caught.value.code == "E_CHECKPOINT"


def test_checkpoint_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "no" / "state", _fresh(10), "key")


_SCRIPT = """
import sys
from pathlib import Path
from encoder_cases import gradient_source
from nvrc_encoder import EncodeOptions, checkpoint, encode
train = checkpoint.train
import nvrc_encoder.encoding as encoding
encoding.train = lambda run, report=None, **more: train(run, report, every=0.0, **more)
with open(sys.argv[1], "wb") as file:
    options = EncodeOptions(iterations=40, trials=False)
    encode(gradient_source(32, 24, 4), file, options, checkpoint=Path(sys.argv[2]), resume=True)
"""


def test_killed_process_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle of training and writing of checkpoints, several times, then to the end."""
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    state = tmp_path / "state"

    def start(name: str, checkpoint: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _SCRIPT, str(tmp_path / name), str(checkpoint)]
        return subprocess.Popen(command, env=environment)

    assert start("whole", tmp_path / "other").wait() == 0
    for delay in (0.05, 0.2):
        process = start("broken", state)
        before = state.stat().st_mtime_ns if state.exists() else 0
        while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.01)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start("broken", state).wait() == 0
    assert (tmp_path / "broken").read_bytes() == (tmp_path / "whole").read_bytes()
