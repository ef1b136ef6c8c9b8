"""Where jobs run: in this process, or in several of this machine; `ray_pool.py` has those of a cluster."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Any, Protocol

from nvrc_decoder.errors import LimitError
from nvrc_decoder.system.allocator import keep_large_arrays
from nvrc_encoder.segments.job import Job, run_apart, run_job
from nvrc_encoder.training.interruption import Interruption
from nvrc_encoder.training.outlook import Outlook
from nvrc_encoder.training.run import Progress

__all__ = ["BREAKS", "Here", "Pool", "Processes", "Shown"]

log = logging.getLogger("nvrc_encoder")

Shown = Callable[[Job], AbstractContextManager[tuple[Callable[[Progress], None] | None, Outlook | None]]]
"""What shows the progress of one job: `progress` and `outlook` of `encode`."""

_STOP, _END = 1.0, 2.0
"""Orders to the workers: end with a checkpoint, end at once."""
BREAKS = 3
"""Times in a row that workers may be killed before the encode gives up."""
_WATCHED_EVERY = 0.2
"""Seconds between two looks at the parent and its orders."""


class Pool(Protocol):
    """Runs jobs.

    Attributes:
        size: number of jobs that run concurrently, at least 1; no more are to be submitted. It may change.
        elsewhere: whether jobs run in other processes, so that this one can wait for signals meanwhile.
    """

    @property
    def size(self) -> int: ...

    @property
    def elsewhere(self) -> bool: ...

    def submit(self, job: Job) -> None:
        """Begin a job, or continue it from its checkpoint."""

    def next_done(self, seconds: float) -> Job | None:
        """A job that is done; None if there was none within that time. Raises what the job raised."""

    def shares(self) -> dict[int, float]:
        """Number of each running segment -> share of its time that has passed, 0..1."""

    def stop(self) -> None:
        """End all jobs, each with a checkpoint, and wait for that."""

    def close(self) -> None:
        """End all jobs at once."""


class Here:
    """Runs one job at a time in this process.

    Args:
        shown: shows the progress of a job.
        interruption: as in `encode`.
    """

    size = 1
    elsewhere = False

    def __init__(self, shown: Shown, interruption: Interruption) -> None:
        self._shown, self._interruption = shown, interruption
        self._jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def next_done(self, seconds: float) -> Job | None:
        job = self._jobs.pop()
        self._interruption.kept = None
        with self._shown(job) as (progress, outlook):
            run_job(job, progress, self._interruption, outlook)
        self._interruption.kept = None
        return job

    def shares(self) -> dict[int, float]:
        return {job.number: 0.0 for job in self._jobs}

    def stop(self) -> None:
        self._jobs.clear()

    def close(self) -> None:
        self._jobs.clear()


class Processes:
    """Runs jobs in processes of this machine, each of which ends with this one.

    Args:
        size: number of processes.
    """

    elsewhere = True

    def __init__(self, size: int) -> None:
        self.size = size
        self._running: dict[Future[list[str]], tuple[Job, int]] = {}
        self._breaks = 0
        self._begin()

    def _begin(self) -> None:
        context = get_context("spawn")
        # Without a lock, which a killed process might hold: the share of each slot's job, then an order.
        self._shared = context.RawArray("d", self.size + 1)
        self._executor = ProcessPoolExecutor(self.size, context, _enter, (self._shared,))

    def submit(self, job: Job) -> None:
        slot = min(set(range(self.size)) - {slot for _, slot in self._running.values()})
        self._shared[slot] = 0.0
        try:
            with _signals_held():
                future = self._executor.submit(_work, job, slot)
        except BrokenProcessPool:
            self._restart()
            self.submit(job)
            return
        self._running[future] = job, slot

    def next_done(self, seconds: float) -> Job | None:
        done, _ = wait(self._running, seconds, FIRST_COMPLETED)
        for future in done:
            try:
                warnings = future.result()
            except BrokenProcessPool:
                self._restart()
                return None
            job, _ = self._running.pop(future)
            self._breaks = 0
            for line in warnings:
                log.warning("segment %d: %s", job.number + 1, line)
            return job
        return None

    def _restart(self) -> None:
        """Begin again with what ran when a process was killed.

        Raises:
            LimitError: E_WORKER, that has happened too often.
        """
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._breaks += 1
        if self._breaks > BREAKS:
            raise LimitError(
                "E_WORKER",
                f"processes that encode were killed {self._breaks} times in a row, as the system does where memory "
                "runs out: continue with --resume and fewer --jobs, or start again with a shorter --segment",
            )
        log.warning("a process that encodes was killed; its segment goes on from its checkpoint")
        broken = [future for future in self._running if not _has_ended(future)]
        jobs = [self._running.pop(future)[0] for future in broken]
        self._begin()
        for job in jobs:
            self.submit(job)

    def shares(self) -> dict[int, float]:
        return {job.number: self._shared[slot] for job, slot in self._running.values()}

    def stop(self) -> None:
        self._shared[-1] = _STOP
        self._executor.shutdown(wait=True, cancel_futures=True)

    def close(self) -> None:
        self._shared[-1] = _END
        self._executor.shutdown(wait=True, cancel_futures=True)


def _has_ended(future: Future[list[str]]) -> bool:
    """Whether a job has ended by itself, before the pool broke."""
    return future.done() and not future.cancelled() and not isinstance(future.exception(), BrokenProcessPool)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let processes that start here never see Ctrl-C or a closed terminal, which the parent handles."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


_shared: Any = None


def _enter(shared: Any) -> None:
    """The start of a worker process."""
    global _shared
    _shared = shared
    keep_large_arrays()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = parent_process()
    alive = [] if parent is None else [parent.sentinel]
    while not connection.wait(alive, _WATCHED_EVERY) and _shared[-1] != _END:
        pass
    os._exit(1)


def _work(job: Job, slot: int) -> list[str]:
    """Run a job in a worker process; its warnings."""

    def told(share: float) -> bool:
        _shared[slot] = share
        return bool(_shared[-1] == _STOP)

    return run_apart(job, told)
