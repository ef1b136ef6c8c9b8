"""One piece of work for each of some items, in a few threads that end with it.

There is no pool: its threads would have to be ended, and Python's own takes no work any more once the main thread has
returned, when other threads may still decode. Starting a thread takes a twentieth of a millisecond; where none can be
started, this one does the work.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["cores", "each", "in_order"]

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


def in_order(work: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> Iterator[Result]:
    """What `work` returns for each item, in their order, with up to `at_once` items in hand.

    The items are asked for in the caller's thread, which does all the work itself where `at_once` is 1. When the
    iterator is closed, all threads have ended.

    Raises:
        BaseException: what `work` raised, or asking for an item, in the place of the result.
    """
    if at_once == 1:
        yield from map(work, items)
        return
    begun: deque[_Task[Item, Result]] = deque()
    source = iter(items)
    ended: Exception | None = None
    try:
        while ended is None:
            try:
                begun.append(_Task(work, next(source)))
            except Exception as error:  # StopIteration among them
                ended = error
            if len(begun) == at_once:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
        if not isinstance(ended, StopIteration):
            raise ended
    finally:
        for task in begun:
            task.wait()


class _Task(Generic[Item, Result]):
    """One item, in a thread of its own. Begun by the main thread, it ends before the program does."""

    def __init__(self, work: Callable[[Item], Result], item: Item) -> None:
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = threading.Thread(target=self._do, args=(work, item), name="nvrc-frame")
        try:
            self._thread.start()
        except RuntimeError:  # no more threads here, or none any more
            self._thread = None
            self._do(work, item)

    def _do(self, work: Callable[[Item], Result], item: Item) -> None:
        try:
            self._results.append(work(item))
        except BaseException as error:
            self._error = error

    def wait(self) -> None:
        """Until it has ended; where this thread is its own, since garbage is collected in any, there is no waiting."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def result(self) -> Result:
        """What `work` returned, or raise what it raised; can be asked for once."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._results.pop()
