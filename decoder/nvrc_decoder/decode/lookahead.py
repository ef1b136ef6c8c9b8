"""One item ahead: an iterator that works in a thread of its own while its last item is being used.

The thread starts on the next item when the last one has been taken, so there are never more than two. Errors come
out where the item would have come, with their type.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, Self, TypeVar

__all__ = ["Cancelled", "Inline", "Lookahead", "Pace"]

Item = TypeVar("Item")


class Cancelled(BaseException):
    """Raised in the thread where it is to end; no error, so nothing that handles errors may catch it."""


class Pace(Protocol):
    """What the working side may ask of the side that uses its items."""

    def check(self) -> None:
        """Returns when the side that uses the items lets this one go on; raises `Cancelled` if it wants no more."""

    def wait_idle(self) -> None:
        """Returns when the last item is done with, and the next one is being waited for."""


class Inline:
    """The pace of an iterator without a thread: whoever asks for an item waits for it."""

    def check(self) -> None:
        """Somebody wants the item."""

    def wait_idle(self) -> None:
        """The last item is done with."""


class Lookahead(Generic[Item]):
    """Iterates over `produce(self)` one item ahead.

    The thread begins at once. `stop` ends it, and so does its iterator; it holds no reference to whoever uses it.

    Args:
        produce: makes the iterator; it should call `check` often, and may call `wait_idle` before it takes much memory.
    """

    def __init__(self, produce: Callable[[Pace], Iterator[Item]]) -> None:
        self._condition = threading.Condition()
        self._slot: list[Item] = []
        self._error: BaseException | None = None
        self._process = os.getpid()
        self._finished = self._waiting = self._stopping = self._resting = False
        self._thread = threading.Thread(target=self._work, args=(produce,), name="nvrc-lookahead", daemon=True)
        self._thread.start()
        _working.add(self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        """The next item; asking for it says that the last one is done with.

        Raises:
            StopIteration: there is none, or `stop` was called.
            BaseException: what the iterator raised, once.
        """
        with self._condition:
            self._waiting = True
            self._condition.notify_all()
            while not (self._slot or self._finished or self._stopping):
                self._condition.wait()
            self._waiting = False
            if self._slot:
                item = self._slot.pop()
                self._condition.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def take(self) -> Item | None:
        """The next item if it is there, while the last one is still being used; None if not, or where that is an error.

        The thread starts on the item after it, so that there may be three.
        """
        with self._condition:
            if not self._slot:
                return None
            self._condition.notify_all()
            return self._slot.pop()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """The thread stands still while the body runs, from its next `check` on.

        Two threads of small NumPy calls take as long together as one after the other, and each longer than alone: a
        call of some microseconds lets go of the interpreter's lock just long enough to wake the other thread for
        nothing. So they had better take turns.
        """
        self._resting = True
        try:
            yield
        finally:
            with self._condition:
                self._resting = False
                self._condition.notify_all()

    def check(self) -> None:
        """See `Pace`."""
        if self._resting:
            with self._condition:
                while self._resting and not self._stopping:
                    self._condition.wait()
        if self._stopping:
            raise Cancelled

    def wait_idle(self) -> None:
        """See `Pace`."""
        with self._condition:
            while not (self._waiting or self._stopping):
                self._condition.wait()
        self.check()

    def stop(self, patience: float | None = None) -> None:
        """End the thread at its next `check` and wait for that, at most `patience` seconds; may be called again."""
        if self._process != os.getpid():  # a fork has left the thread behind, perhaps with the lock in its hand
            return
        with self._condition:
            self._stopping = True
            self._slot.clear()
            self._condition.notify_all()
        # At the end of the interpreter threads stand still, and a garbage collection may run in the thread itself.
        if self._thread is not threading.current_thread() and not sys.is_finalizing():
            self._thread.join(patience)

    def _work(self, produce: Callable[[Pace], Iterator[Item]]) -> None:
        error: BaseException | None = None
        try:
            for item in produce(self):
                self._offer(item)
                del item
        except Cancelled:
            pass
        except BaseException as caught:  # whatever it is, it is the user's to see
            error = caught
        with self._condition:
            self._error = error
            self._finished = True
            self._condition.notify_all()

    def _offer(self, item: Item) -> None:
        """Hand over an item and wait until it was taken."""
        with self._condition:
            self._slot.append(item)
            self._condition.notify_all()
            while self._slot and not self._stopping:
                self._condition.wait()
        self.check()


_working: weakref.WeakSet[Lookahead[Any]] = weakref.WeakSet()


def _stop_all() -> None:
    """Threads that are never stopped would be waited for by whatever is collected after they have been frozen."""
    for lookahead in list(_working):
        lookahead.stop(patience=1.0)


atexit.register(_stop_all)
