"""Processes that encode segments: the same bytes, whoever is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from pathlib import Path

import pytest
from waiting import wait_until

pytest.importorskip("torch")
from encoder_cases import options
from segment_cases import encoded

from nvrc_decoder.errors import LimitError, UnsupportedError
from nvrc_decoder.picture.format import VideoFormat
from nvrc_encoder.segments import pool
from nvrc_encoder.segments.coordinator import Overall
from nvrc_encoder.segments.job import Job
from nvrc_encoder.segments.pool import Processes
from nvrc_encoder.training.interruption import Interruption

FORMAT = VideoFormat(16, 16, Fraction(25))


def job(number: int) -> Job:
    here = Path()
    return Job(number, "a job", FORMAT, 1, here, here, here, {}, options(), 1)


class FakeExecutor:
    """An executor whose jobs end as `outcomes` say, in the order in which they are submitted."""

    outcomes: list[BaseException | list[str]]
    made = 0

    def __init__(self, *arguments: object) -> None:
        type(self).made += 1

    def submit(self, function: object, one: Job, slot: int) -> Future[list[str]]:
        future: Future[list[str]] = Future()
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        return future

    def shutdown(self, **options: object) -> None:
        pass


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., type[FakeExecutor]]:
    def use(*values: BaseException | list[str]) -> type[FakeExecutor]:
        fake = type("Fake", (FakeExecutor,), {"outcomes": list(values), "made": 0})
        monkeypatch.setattr(pool, "ProcessPoolExecutor", fake)
        return fake

    return use


def test_a_job_is_begun_again_in_a_fresh_pool(
    outcomes: Callable[..., type[FakeExecutor]], caplog: pytest.LogCaptureFixture
) -> None:
    fake = outcomes(BrokenProcessPool(), ["a line"])
    processes = Processes(1)
    processes.submit(job(3))
    assert processes.next_done(0.1) is None
    done = processes.next_done(0.1)
    assert done is not None
    assert done.number == 3
    assert fake.made == 2
    assert "its segment goes on from its checkpoint" in caplog.text
    assert "segment 4: a line" in caplog.text


def test_processes_that_are_always_killed_end_the_encode(outcomes: Callable[..., type[FakeExecutor]]) -> None:
    outcomes(*(BrokenProcessPool() for _ in range(9)))
    processes = Processes(1)
    processes.submit(job(0))
    assert [processes.next_done(0.1) for _ in range(3)] == [None] * 3
    with pytest.raises(LimitError, match=r"killed 4 times in a row.*--resume and fewer --jobs") as caught:
        processes.next_done(0.1)
    assert caught.value.code == "E_WORKER"


def test_a_finished_job_resets_the_count_of_kills(outcomes: Callable[..., type[FakeExecutor]]) -> None:
    outcomes(*(entry for _ in range(4) for entry in (BrokenProcessPool(), BrokenProcessPool(), [])))
    processes = Processes(1)
    for number in range(4):
        processes.submit(job(number))
        assert processes.next_done(0.1) is None
        assert processes.next_done(0.1) is None
        assert processes.next_done(0.1) is not None


def test_a_job_done_before_a_kill_is_not_repeated(outcomes: Callable[..., type[FakeExecutor]]) -> None:
    fake = outcomes(BrokenProcessPool(), ["done"], ["again"])
    processes = Processes(2)
    for number in range(2):
        processes.submit(job(number))
    found = [done.number for done in (processes.next_done(0.1) for _ in range(3)) if done is not None]
    assert sorted(found) == [0, 1]
    assert fake.outcomes == []


def test_an_error_of_a_job_is_raised(outcomes: Callable[..., type[FakeExecutor]]) -> None:
    outcomes(UnsupportedError("E_LEVEL", "too large"))
    processes = Processes(1)
    processes.submit(job(0))
    with pytest.raises(UnsupportedError, match="too large"):
        processes.next_done(0.1)


@pytest.mark.full
def test_several_processes_write_the_same_bytes(tmp_path: Path, whole: bytes) -> None:
    waiting = []

    def told(state: Overall) -> None:
        waiting.append(len(list(tmp_path.glob("*.yuv"))))

    assert encoded(tmp_path, jobs=2, told=told) == whole
    assert max(waiting) == 2


@pytest.mark.full
def test_a_killed_process_costs_no_byte(tmp_path: Path, whole: bytes, caplog: pytest.LogCaptureFixture) -> None:
    killed = []

    def told(state: Overall) -> None:
        # A fast machine may finish a segment between two looks; then another one is under way.
        if not killed and (state.segments or any(share > 0.3 for share in state.running.values())):
            killed.extend(multiprocessing.active_children()[:1])
            os.kill(killed[0].pid or 0, signal.SIGKILL)

    assert encoded(tmp_path, jobs=2, told=told) == whole
    assert caplog.text.count("a process that encodes was killed") == 1


@pytest.mark.full
def test_an_interrupt_lets_processes_save(tmp_path: Path, whole: bytes) -> None:
    interruption = Interruption()

    def told(state: Overall) -> None:
        if not interruption.asked and (state.segments or any(share > 0.3 for share in state.running.values())):
            interruption.ask(KeyboardInterrupt())

    with pytest.raises(KeyboardInterrupt):
        encoded(tmp_path, jobs=2, told=told, interruption=interruption)
    # How far each job was depends on the machine; what is said is what the folder holds.
    finished, half_done = len(list(tmp_path.glob("*.json"))), len(list(tmp_path.glob("*.checkpoint")))
    assert finished + half_done >= 1
    words = [f"{finished} finished"] * bool(finished) + [f"{half_done} half-done"] * bool(half_done)
    assert interruption.kept == f"{' and '.join(words)} segment{'s' * (finished + half_done > 1)}"
    assert multiprocessing.active_children() == []
    assert encoded(tmp_path, jobs=2, resume=True) == whole


@pytest.mark.full
def test_processes_end_with_a_killed_parent(tmp_path: Path, whole: bytes) -> None:
    # The parent waits from the first finished segment on, so that it does not end before it is killed.
    code = (
        "from pathlib import Path\n"
        "import time\n"
        "import segment_cases\n"
        "def told(state):\n"
        "    while state.segments: time.sleep(0.1)\n"
        f"if __name__ == '__main__': segment_cases.encoded(Path({str(tmp_path)!r}), jobs=2, told=told)\n"
    )
    script = tmp_path.parent / "parent.py"
    script.write_text(code)
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": folders}) as parent:
        try:
            wait_until(lambda: any(tmp_path.glob("*.json")))
            children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        finally:
            parent.kill()
    assert len(children) >= 2
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert encoded(tmp_path, resume=True) == whole
