"""The memory budget of a decoder: bytes that the GOPs in flight may take (docs/memory.md)."""

from __future__ import annotations

import os
import threading

from nvrc_decoder.decode.prefetch import Cancelled

__all__ = ["Budget", "Reservation"]


class Reservation:
    """The bytes of one GOP in flight.

    Args:
        budget: where they are reserved.
        shared: bytes of the process and of synthesis, which GOPs in flight use one after another.
        own: bytes of this GOP alone.
    """

    def __init__(self, budget: Budget, shared: int, own: int) -> None:
        self._budget = budget
        self.shared, self.own = shared, own

    def change(self, own: int) -> None:
        """The GOP takes `own` bytes from now on; this never waits."""
        if self._budget.is_forked():
            return
        with self._budget.changed:
            self.own = own
            self._budget.changed.notify_all()

    def release(self) -> None:
        """The GOP is done. May be called again."""
        if self._budget.is_forked():
            return
        with self._budget.changed:
            self._budget.in_flight.discard(self)
            self._budget.changed.notify_all()


class Budget:
    """Admits a GOP when its bytes fit beside those of the GOPs in flight, or when none is in flight.

    So a GOP is never refused here: one that is over the limit alone was refused when it was planned.

    Args:
        limit: bytes in all.

    Attributes:
        in_flight: the reservations that are not released.
        changed: the condition that guards them.
    """

    def __init__(self, limit: int) -> None:
        self.in_flight: set[Reservation] = set()
        self.changed = threading.Condition()
        self._limit = limit
        self._process = os.getpid()
        self._last = 0
        self._closed = False

    def reserve(self, shared: int, own: int) -> tuple[Reservation, bool]:
        """Wait until there are bytes for a GOP.

        Returns:
            The reservation, and whether it fits beside what synthesis retains from the GOP before.

        Raises:
            Cancelled: the budget was closed.
        """
        with self.changed:
            self.changed.wait_for(lambda: self._closed or not self.in_flight or self._fits(shared, own))
            if self._closed:
                raise Cancelled
            beside = not self._last or max(shared, self._last) + own <= self._limit
            self._last = shared
            reservation = Reservation(self, shared, own)
            self.in_flight.add(reservation)
            return reservation, beside

    def is_forked(self) -> bool:
        """Whether this is a forked process, where a thread of the parent may hold the lock for ever."""
        return self._process != os.getpid()

    def close(self) -> None:
        """End all waiting."""
        if self.is_forked():
            return
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def _fits(self, shared: int, own: int) -> bool:
        largest = max(shared, *(item.shared for item in self.in_flight))
        return largest + sum(item.own for item in self.in_flight) + own <= self._limit
