"""Signals that end the process: each is raised as an exception, so that unfinished output is removed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from nvrc_decoder.system.signals import ENDING, signals_to

if TYPE_CHECKING:
    from nvrc_encoder.training.interruption import Interruption

__all__ = ["TerminatedError", "behind", "forget_signals", "signals_deferred", "terminable", "undisturbed"]


class TerminatedError(BaseException):
    """SIGTERM, which batch systems and `timeout` send, or SIGHUP, which comes when a terminal closes.

    Args:
        signum: number of the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it."""
        return 128 + self.signum


_received: list[int] = []


def _terminate(signum: int, frame: object) -> NoReturn:
    _received.append(signum)
    raise TerminatedError(signum)


def forget_signals() -> None:
    """Forget the signals received so far, so that they do not count as the cause of later errors."""
    _received.clear()


def behind(error: BaseException) -> BaseException | None:
    """The signal behind an error, where a library turned it into another error, as an import in C may; None if none."""
    if _received:
        return TerminatedError(_received[-1])
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, KeyboardInterrupt):
            return cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return None


def terminable() -> None:
    """Let SIGTERM and SIGHUP raise `TerminatedError`; one that the parent ignores, as `nohup` does, stays ignored."""
    for number in ENDING:
        if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore signals during the final cleanup; afterwards they end the process at once."""
    heeded = [n for n in ENDING if signal.getsignal(n) is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, signal.SIG_IGN)
    yield
    for number in heeded:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def signals_deferred(interruption: Interruption) -> Iterator[None]:
    """Hand Ctrl-C, SIGTERM and SIGHUP to `interruption` while a training defers it; a second signal ends at once."""

    def heed(signum: int, frame: object) -> None:
        interruption.ask(KeyboardInterrupt() if signum == signal.SIGINT else TerminatedError(signum))
        with suppress(OSError):  # Python's stream may be in the middle of a write
            os.write(2, b"\nfinishing this step to save a checkpoint; another signal ends at once\n")

    with signals_to(heed, lambda own: own in (signal.default_int_handler, _terminate)):
        yield
