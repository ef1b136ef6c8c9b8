"""One piece of work for each of some items, in a few threads that end with it.

There is no pool: its threads would have to be ended, and Python's own takes no work any more once the main thread has
returned, when other threads may still decode. Starting a thread takes a twentieth of a millisecond; where none can be
started, this one does the work.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Generic, Self, TypeVar

__all__ = ["InOrder", "cores", "each"]

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


class InOrder(Generic[Item, Result]):
    """Iterates over what `work` returns for each item, in their order, with up to `at_once` items in hand.

    The items are asked for in the caller's thread, one of them before there is a thread for it. Where `at_once` is 1
    that thread does all the work itself, when it asks for the result. What `work` raises, or asking for an item, comes
    in the place of the result. After an error, and when it has been closed, all threads have ended.

    Attributes:
        asking: makes what is entered while an item is asked for.
    """

    asking: Callable[[], AbstractContextManager[None]]

    def __init__(self, work: Callable[[Item], Result], items: Iterable[Item], at_once: int) -> None:
        self.asking = nullcontext
        self._work = work
        self._source = iter(items)
        self._at_once = at_once
        self._ready: list[Item] = []  # one at most
        self._begun: deque[_Task[Item, Result]] = deque()
        self._ended: Exception | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Result:
        try:
            if self._at_once == 1 and self._ended is None:
                return self._work(self._ask())
            self.begin(self._at_once)
            if self._begun:
                result = self._begun.popleft().result()
                self._begin_ready()
                return result
            raise StopIteration if self._ended is None else self._ended
        except BaseException:
            self.close()
            raise

    def begin(self, most: int) -> None:
        """Begin items before results are asked for, until `most` are in hand, and have the next one ready; not where
        `at_once` is 1.
        """
        if self._at_once == 1:
            return
        while self._prepare() and len(self._begun) < min(most, self._at_once):
            self._begin_ready()

    def _prepare(self) -> bool:
        """Ask for an item, unless one is ready; whether one is."""
        if not self._ready and self._ended is None:
            try:
                self._ready.append(self._ask())
            except Exception as error:  # StopIteration among them
                self._ended = error
        return bool(self._ready)

    def _ask(self) -> Item:
        with self.asking():
            return next(self._source)

    def _begin_ready(self) -> None:
        if self._ready:
            self._begun.append(_Task(self._work, self._ready.pop()))

    def close(self) -> None:
        """Wait for what was begun, whose results are lost; there are no others."""
        self._ended, self._source = StopIteration(), iter(())
        self._ready.clear()
        while self._begun:
            self._begun.popleft().wait()


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
