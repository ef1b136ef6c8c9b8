"""Work in a few threads: `each` for the parts of one result, `OrderedMap` for a stream of results.

There is no pool. Python's own takes no work once the main thread has returned, when other threads may still decode;
and starting a thread takes a twentieth of a millisecond. Where none can be started, the caller does the work.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, Self, TypeVar

__all__ = ["Jobs", "OrderedMap", "cores", "each"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


def cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(work: Callable[[Item], None], items: Sequence[Item], threads: int) -> None:
    """Call `work` for every item, in this thread and up to `threads` - 1 others.

    Returns when all threads have ended.

    Raises:
        BaseException: the first that `work` raised; items that nobody had begun by then are left out.
    """
    waiting = list(reversed(items))
    errors: list[BaseException] = []

    def take() -> None:
        try:
            while not errors:
                try:
                    item = waiting.pop()
                except IndexError:
                    return
                work(item)
        except BaseException as error:
            errors.append(error)

    helpers = [threading.Thread(target=take, name="nvrc-motion", daemon=True) for _ in range(threads - 1)]
    started = []
    for helper in helpers[: len(items) - 1]:
        try:
            helper.start()
        except RuntimeError:  # no more threads here
            break
        started.append(helper)
    take()
    for helper in started:
        helper.join()
    if errors:
        raise errors[0]


class Jobs(Protocol[Result_co]):
    """Where an `OrderedMap` takes its jobs from."""

    @property
    def workers(self) -> int:
        """How many jobs like the last one may run concurrently."""

    def take(self, wait: bool) -> Callable[[], Result_co] | None:
        """The next job, in order. None if there is none yet; with `wait`, only if there are no more."""


class OrderedMap(Generic[Result]):
    """Runs jobs concurrently, each in a thread of its own, and gives their results in the order of the jobs.

    Jobs are taken in the caller's thread, one of them before a worker is free for it. A job is waited for only while
    no other runs: results that are there are never held back. With one worker, the caller runs the jobs itself.

    Args:
        jobs: the jobs.
    """

    def __init__(self, jobs: Jobs[Result]) -> None:
        self._jobs = jobs
        self._running: deque[_Task[Result]] = deque()
        self._taken: list[Callable[[], Result]] = []  # one at most
        self._closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        """Raises what a job raised, or taking one; after that there are no more."""
        try:
            if self._closed:
                raise StopIteration
            return self._next()
        except BaseException:
            self.close()
            raise

    def _next(self) -> Result:
        if not self._running:
            job = self._taken.pop() if self._taken else self._jobs.take(wait=True)
            if job is None:
                raise StopIteration
            if self._jobs.workers == 1:
                return job()
            self._running.append(_Task(job))
        while self._taken or self._take():
            if len(self._running) >= self._jobs.workers:
                break
            self._start()
        result = self._running.popleft().result()
        self._start()
        return result

    def _take(self) -> bool:
        job = self._jobs.take(wait=False)
        if job is not None:
            self._taken.append(job)
        return job is not None

    def _start(self) -> None:
        if self._taken:
            self._running.append(_Task(self._taken.pop()))

    def close(self) -> None:
        """Wait for the jobs that run, and discard their results."""
        self._closed = True
        self._taken.clear()
        while self._running:
            self._running.popleft().wait()


class _Task(Generic[Result]):
    """A job in a thread. It is no daemon: started by the main thread, it ends before the program does."""

    def __init__(self, job: Callable[[], Result]) -> None:
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = threading.Thread(target=self._run, args=(job,), name="nvrc-frame")
        try:
            self._thread.start()
        except RuntimeError:  # this system allows no more threads, or the interpreter ends
            self._thread = None
            self._run(job)

    def _run(self, job: Callable[[], Result]) -> None:
        try:
            self._results.append(job())
        except BaseException as error:
            self._error = error

    def wait(self) -> None:
        """Until the job is done; not in its own thread, where a garbage collection may call this."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def result(self) -> Result:
        """What the job returned; raises what it raised. Can be asked for once."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._results.pop()
