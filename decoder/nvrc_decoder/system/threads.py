"""Work in a few threads: `each` for the parts of one result, `run_in_order` for a stream of results.

There is no pool. Python's own takes no work once the main thread has returned, when other threads may still decode;
and starting a thread takes a twentieth of a millisecond. Where none can be started, the caller does the work.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["cores", "each", "run_in_order"]

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def run_in_order(jobs: Iterator[Callable[[], Result]], workers: int) -> Iterator[Result]:
    """The results of jobs, in the order of the jobs; up to `workers` of them run concurrently.

    Jobs are taken in the caller's thread, one of them before a worker is free for it. With one worker, the caller runs
    the jobs. When the iterator ends or is closed, no job runs any more.

    Raises:
        BaseException: what a job raised, or taking one.
    """
    if workers == 1:
        for job in jobs:
            yield job()
        return
    running: deque[_Task[Result]] = deque()
    try:
        for job in jobs:
            if len(running) == workers:
                result = running[0].result()  # it stays in the queue while it is waited for: see below
                running.popleft()
                running.append(_Task(job))
                yield result
            else:
                running.append(_Task(job))
        while running:
            result = running[0].result()
            running.popleft()
            yield result
    finally:
        for task in running:
            task.wait()


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
