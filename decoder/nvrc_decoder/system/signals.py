"""Signals that end the process, while something else is to take them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ENDING", "signals_to"]

ENDING = tuple(
    number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None
)
"""Ctrl-C; what batch systems and `timeout` send; what comes when a terminal closes. Windows lacks the last."""


@contextmanager
def signals_to(handler: Callable[[int, FrameType | None], None], replaced: Callable[[object], bool]) -> Iterator[None]:
    """Let a function take the signals of `ENDING` in the body; afterwards their handlers are as before.

    Outside of the main thread, which alone gets signals, this does nothing.

    Args:
        handler: takes the number of a signal, and the frame in which it came.
        replaced: whether a handler, or `SIG_DFL` or `SIG_IGN`, is to be replaced.
    """
    earlier = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in ENDING}
        earlier = {number: own for number, own in handlers.items() if replaced(own)}
    try:
        for number in earlier:
            signal.signal(number, handler)
        yield
    finally:
        for number, own in earlier.items():
            signal.signal(number, own)
