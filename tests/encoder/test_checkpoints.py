"""A training run can be interrupted after any step, and ends in the same bits."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from case_choice import full_except
from encoder_cases import gradient_source
from waiting import wait_until

from nvrc_decoder.errors import InputError, OutputError
from nvrc_encoder import EncodeOptions, encode, encoding
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.rate_goal import RateGoal
from nvrc_encoder.training import loop, trainer
from nvrc_encoder.training.checkpoint import fingerprint, read_checkpoint, save_checkpoint
from nvrc_encoder.training.loop import train
from nvrc_encoder.training.run import Run

KEY = {"version": "7", "samples": "abc"}


def options(**changes: Any) -> EncodeOptions:
    return EncodeOptions(**{"preset": "draft", "device": "cpu", "trials": False, **changes})


class _KilledError(Exception):
    """Stands for a kill of the process."""


def _fresh(iterations: int = 24, goal: RateGoal | None = None) -> Run:
    source = gradient_source(32, 24, 5)
    chosen = options(iterations=iterations, gop=3)
    trainer, _, _ = make_trainer(source, list(source), chosen)
    plan = dataclasses.replace(chosen.plan(), search=0.8, extra=0.3)
    return Run(trainer, plan, goal)


def _state(path: Path) -> dict[str, Any]:
    """The state in a checkpoint whose key is `KEY`."""
    found = read_checkpoint(path)
    found.check(KEY)
    return found.state


def _finish(run: Run) -> int:
    """Train to the end; the number of steps."""
    steps = 0
    while not run.done:
        run.advance()
        steps += 1
    return steps


GOALS = {"lambda": None, "size": RateGoal("size", 700), "quality": RateGoal("psnr", 60.0)}


@pytest.fixture(scope="module", params=full_except(GOALS, "lambda"))
def uninterrupted(request: pytest.FixtureRequest) -> tuple[Run, int, RateGoal | None]:
    """A finished run and its steps: 24 iterations (exact from 19 on), those of rate control, and the search."""
    goal = GOALS[request.param]
    run = _fresh(goal=goal)
    return run, _finish(run), goal


@pytest.fixture(scope="module")
def unbegun(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint of a run before its first step, with `KEY`."""
    path = tmp_path_factory.mktemp("unbegun") / "state"
    save_checkpoint(path, _fresh(10), KEY)
    return path.read_bytes()


@pytest.fixture
def left(short_encode: bytes, tmp_path: Path) -> Path:
    """The checkpoint that an encode of `gradient_source(32, 24, 4)` with 2 iterations leaves."""
    (tmp_path / "state").write_bytes(short_encode)
    return tmp_path / "state"


@pytest.fixture(scope="module")
def short_encode(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("left") / "state"
    encode(gradient_source(32, 24, 4), io.BytesIO(), options(iterations=2), checkpoint=path)
    return path.read_bytes()


# First step, the float phase's middle and end, around the start of the exact phase, the last iteration; rate control's
# iterations; two steps of the search; the last step.
@pytest.mark.parametrize("kill_after", full_except([1, 5, 8, 18, 19, 20, 23, 24, 25, -4, -3, -1], 18))
def test_restored_run_ends_in_the_same_bits(
    uninterrupted: tuple[Run, int, RateGoal | None], tmp_path: Path, kill_after: int
) -> None:
    whole, steps, goal = uninterrupted
    broken = _fresh(goal=goal)
    for _ in range(kill_after % steps):
        broken.advance()
    save_checkpoint(tmp_path / "state", broken, KEY)
    resumed = _fresh(goal=goal)
    resumed.restore(_state(tmp_path / "state"))
    assert kill_after % steps + _finish(resumed) == steps
    assert resumed.summary() == whole.summary()
    for name in ("raw", "log_step", "bias_log_step"):
        assert torch.equal(getattr(resumed.trainer.bank, name), getattr(whole.trainer.bank, name))
    for a, b in zip(resumed.trainer.grids, whole.trainer.grids, strict=True):
        for x, y in zip(a, b, strict=True):
            assert (x is None) == (y is None)
            if x is not None and y is not None:
                assert torch.equal(x, y)


def test_resumed_runs_cover_all_phases(uninterrupted: tuple[Run, int, RateGoal | None]) -> None:
    """The test above interrupts every phase of a run."""
    run, steps, goal = uninterrupted
    summary = run.summary()
    assert summary.evaluations > 0
    assert steps > summary.iterations
    assert (summary.iterations > 24) == (goal is not None)
    assert (summary.lagrangian != 5e-3) == (goal is not None)


def test_encode_resumed_gives_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = gradient_source(32, 24, 4)
    chosen = options(iterations=10)
    whole, again = io.BytesIO(), io.BytesIO()
    encode(source, whole, chosen)
    path = tmp_path / "state"
    honest = Run.advance

    def killed(self: Run) -> object:
        if self.iteration == 6:
            save_checkpoint(path, self, fingerprint(source.picture, list(source), chosen))
            raise _KilledError
        return honest(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "advance", killed)
        with pytest.raises(_KilledError):
            encode(source, io.BytesIO(), chosen, checkpoint=path)
    encode(source, again, chosen, checkpoint=path, resume=True)
    assert whole.getvalue() == again.getvalue()


@pytest.mark.full
def test_encode_resumes_in_every_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encode that is killed in the pilot, at its end or in the training resumes from there."""
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


def test_a_resumed_training_does_not_start_again(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, source = options(iterations=2), gradient_source(32, 24, 4)
    whole, resumed = io.BytesIO(), io.BytesIO()
    first = encode(source, whole, made)
    monkeypatch.setattr(trainer, "initial_grids", lambda *arguments: pytest.fail("the start is repeated"))
    second = encode(source, resumed, made, checkpoint=left, resume=True)
    assert resumed.getvalue() == whole.getvalue()
    assert first.start is not None
    assert second.start is not None
    assert second.start.cost == first.start.cost


def test_checkpoint_of_another_encode_is_refused(left: Path) -> None:
    source = gradient_source(32, 24, 4)
    with pytest.raises(InputError) as caught:
        encode(source, io.BytesIO(), options(iterations=2, seed=7), checkpoint=left, resume=True)
    assert caught.value.code == "E_CHECKPOINT"
    faster = gradient_source(32, 24, 4, rate=Fraction(50))
    with pytest.raises(InputError) as caught:
        encode(faster, io.BytesIO(), options(iterations=2), checkpoint=left, resume=True)
    assert caught.value.code == "E_CHECKPOINT"


@pytest.mark.parametrize("damage", ["empty", "junk", "garbage", "digits", "cut", "short", "flipped", "folder"])
def test_damaged_checkpoint_is_a_typed_error(unbegun: bytes, tmp_path: Path, damage: str) -> None:
    path, data = tmp_path / "state", unbegun
    middle = len(data) // 2
    made = {
        "empty": b"",
        "junk": b"junk",
        "garbage": b"garbage" * 50,
        "digits": b"1234.",
        "cut": data[:middle],
        "short": data[:-1],
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
    }
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(made[damage])
    with pytest.raises(InputError) as caught:
        _state(path)
    assert caught.value.code == "E_CHECKPOINT"
    assert caught.value.message.startswith((f"{path} is ", f"cannot read the checkpoint {path}: Is a directory"))
    assert "torch" not in caught.value.message.lower()


@pytest.mark.parametrize("content", [{"a": torch.zeros(3)}, [1, 2], {"key": 3, "state": {}}, {"key": {}, "state": 3}])
def test_files_of_others_are_no_checkpoints(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "state")
    with pytest.raises(InputError, match="is no checkpoint of nvrc-ref"):
        _state(tmp_path / "state")


def test_states_that_do_not_fit_are_refused(unbegun: bytes, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(unbegun)
    found = read_checkpoint(tmp_path / "state")
    found.state["trainer"]["raw"] = torch.zeros(3)
    with pytest.raises(InputError, match="does not fit"):
        found.restore(_fresh(10))


def test_differences_of_another_encode_are_named(left: Path) -> None:
    source, chosen = gradient_source(32, 24, 4), options(iterations=2)

    def refusal(**changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            encode(source, io.BytesIO(), dataclasses.replace(chosen, **changes), checkpoint=left, resume=True)
        return caught.value.message

    assert "(seed 0, now 7; lambda 0.005, now 0.01)" in refusal(seed=7, lagrangian=0.01)
    assert "(iterations 2, now 12; other plan)" in refusal(iterations=12)
    source = gradient_source(32, 24, 3)
    assert "(frames 4, now 3; other samples)" in refusal()
    torch.save({"key": "abc", "state": read_checkpoint(left).state}, left)
    assert "(another version of nvrc-ref wrote it)" in refusal()


def test_failed_write_is_a_typed_error(tmp_path: Path) -> None:
    run, before = _fresh(3), set(tmp_path.iterdir())
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "no" / "state", run, KEY)
    train(run, path=tmp_path / "no" / "state")
    assert run.done
    assert set(tmp_path.iterdir()) == before


def test_checkpoints_take_a_fiftieth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, saved = 0.0, []

    class Clocked:
        done, place = False, ""

        def advance(self) -> None:
            nonlocal now
            now += 1
            self.done = now >= 5000

    def slowly(*arguments: object) -> None:
        nonlocal now
        saved.append(now)
        now += 3

    monkeypatch.setattr(loop.time, "monotonic", lambda: now)
    monkeypatch.setattr(loop, "save_checkpoint", slowly)
    train(Clocked(), path=tmp_path / "state")  # type: ignore[arg-type]
    assert saved[0] == 1
    gaps = [after - before for before, after in pairwise(saved)]
    assert set(gaps[:-1]) == {153.0}
    assert saved[-1] >= 5000


def _bytes(state: object) -> int:
    """Size of all tensors in a state."""
    if isinstance(state, torch.Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    return sum(map(_bytes, state)) if isinstance(state, list) else 0


def test_state_omits_what_can_be_recomputed() -> None:
    """A grid value takes 20 bytes: 4 itself, 8 for Adam and 8 for the forecast; in the best state and the search 2."""
    run, sizes = _fresh(), {}
    values = sum(grid.numel() for grids in run.trainer.grids for grid in grids if grid is not None)
    weights = run.trainer.bank.raw.numel()
    while not run.done:
        run.advance()
        sizes[run.iteration] = _bytes(run.state())
    assert sizes[5] <= 20 * values + 16 * weights + 11_000
    assert sizes[24] <= 2 * values + 8 * weights + 11_000
    assert run.best is not None
    assert {g.dtype for grids in run.best.state["grids"] for g in grids if g is not None} == {torch.int16}


_SCRIPT = """
import sys
from pathlib import Path
from encoder_cases import gradient_source
from nvrc_encoder import EncodeOptions, encode
from nvrc_encoder.training import loop
train = loop.train
import nvrc_encoder.encoding as encoding
encoding.train = lambda run, report=None, **more: train(run, report, every=0.0, **more)
with open(sys.argv[1], "wb") as file:
    options = EncodeOptions(iterations=40, trials=False)
    encode(gradient_source(32, 24, 4), file, options, checkpoint=Path(sys.argv[2]), resume=True)
"""


@pytest.mark.full
def test_killed_process_resumes(tmp_path: Path) -> None:
    """SIGKILL several times, during training and while checkpoints are written; then the encode runs to its end."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    state = tmp_path / "state"

    def start(name: str, checkpoint: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _SCRIPT, str(tmp_path / name), str(checkpoint)]
        return subprocess.Popen(command, env=environment)

    assert start("whole", tmp_path / "other").wait() == 0

    def age() -> int:
        return state.stat().st_mtime_ns if state.exists() else 0

    def kill_after(changes: int, process: subprocess.Popen[bytes]) -> None:
        """Kill the process when it has written that many checkpoints."""
        for _ in range(changes):
            before = age()
            wait_until(lambda before=before: process.poll() is not None or age() != before)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"

    for changes in (1, 2):
        kill_after(changes, start("broken", state))
    assert start("broken", state).wait() == 0
    assert (tmp_path / "broken").read_bytes() == (tmp_path / "whole").read_bytes()
