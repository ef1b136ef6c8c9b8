"""Signals that end a run: they wait until the threads of the run can be stopped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from nvrc_decoder.system.signals import signals_to

__all__ = ["signals_held"]


@contextmanager
def signals_held(on_signal: Callable[[], None]) -> Iterator[None]:
    """Hold back the signals whose handlers raise, until the context ends; the first one is raised again then.

    An exception in the middle of `Thread.start` or of `Event.wait` leaves a lock that the other thread waits for, and
    the run would hang. Outside of the main thread, which alone gets signals, this does nothing.

    Args:
        on_signal: is called at each signal; it must be safe in the middle of anything, as `SimpleQueue.put` is.
    """
    received: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        received.append(number)
        on_signal()

    try:
        with signals_to(hold, callable):
            yield
    finally:
        if received:
            signal.raise_signal(received[0])
