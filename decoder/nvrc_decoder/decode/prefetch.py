"""`Prefetch`: an iterator that works one item ahead, in a thread of its own."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

__all__ = ["Cancelled", "Check", "Prefetch"]

Item = TypeVar("Item")
Check = Callable[[], None]


class Cancelled(BaseException):
    """Ends the prefetching thread. It is not an error, so no error handler may catch it."""


class Prefetch(Generic[Item]):
    """Iterates over items that a thread makes one ahead: the next one while the last one is in use.

    `stop` ends the thread. An error in the thread is raised in place of the item.

    Args:
        make: returns the items. It is given `check`, and has to call that every few milliseconds of work.
        ahead: False to make items when they are asked for, without a thread.
        on_stop: called by `stop`, to wake `make` where it waits for something else.

    Attributes:
        turn: while the caller holds this lock, the thread waits at its next `check`. Two threads of small NumPy calls
            take as long together as one after the other, since they share the interpreter lock.
    """

    def __init__(
        self,
        make: Callable[[Check], Iterator[Item]],
        *,
        ahead: bool = True,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self.turn = threading.Lock()
        self._condition = threading.Condition()
        self._ready: list[Item] = []  # one at most
        self._end: BaseException | None = None
        self._stopping = False
        self._on_stop = on_stop
        self._process = os.getpid()
        self._items = make(self._check)
        self._thread = threading.Thread(target=self._work, name="nvrc-prefetch", daemon=True) if ahead else None
        try:
            if self._thread is not None:
                self._thread.start()
                _running.add(self)
        except RuntimeError:  # this system allows no more threads
            self._thread = None
        except BaseException:  # an interrupt: nobody will have this object to stop it
            self._stopping = True
            raise

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        """Wait for the next item.

        Raises:
            StopIteration: there is none, or `stop` was called.
            BaseException: what making the item raised, once.
        """
        if self._thread is None:
            if self._stopping:
                raise StopIteration
            return next(self._items)
        with self._condition:
            self._condition.wait_for(lambda: self._ready or self._end is not None or self._stopping)
            if self._ready:
                self._condition.notify_all()
                return self._ready.pop()
            end, self._end = self._end, StopIteration()
        try:
            raise end or StopIteration
        finally:
            del end  # or its traceback would keep this object alive

    def stop(self, patience: float | None = None) -> None:
        """End the thread at its next `check`; wait for that, at most `patience` seconds. May be called again."""
        if self._process != os.getpid():  # the thread stayed in the parent process, perhaps with the lock held
            return
        with self._condition:
            self._stopping = True
            self._ready.clear()
            self._condition.notify_all()
        if self._on_stop is not None:
            self._on_stop()
        if self._thread is None:
            _close(self._items)
        # At interpreter exit, daemon threads are frozen. A garbage collection may call this in the thread itself.
        elif self._thread is not threading.current_thread() and not sys.is_finalizing():
            self._thread.join(patience)

    def _check(self) -> None:
        with self.turn:
            pass
        if self._stopping:
            raise Cancelled

    def _work(self) -> None:
        end: BaseException = StopIteration()
        try:
            for item in self._items:
                with self._condition:
                    if not self._stopping:
                        self._ready.append(item)
                    del item
                    self._condition.notify_all()
                    self._condition.wait_for(lambda: not self._ready or self._stopping)
                self._check()
        except Cancelled:
            pass
        except BaseException as error:  # `__next__` raises it in the caller's thread
            end = error
        finally:
            _close(self._items)
        with self._condition:
            self._end = end
            del end
            self._condition.notify_all()


def _close(items: Iterator[Any]) -> None:
    close = getattr(items, "close", None)
    if close is not None:
        close()


_running: weakref.WeakSet[Prefetch[Any]] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    """Stop threads that nobody stopped: once frozen, they may hold a lock that `stop` needs."""
    for prefetch in list(_running):
        prefetch.stop(patience=1.0)
