"""A wish to end an encode, which waits until the step at hand is done and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interruption"]


class Interruption:
    """What a signal handler asks, and a training looks at between its steps.

    Attributes:
        kept: where the encode stood in the last checkpoint that it wrote or took up; None without one.
        failed: whether a checkpoint could not be written.
    """

    def __init__(self) -> None:
        self.kept: str | None = None
        self.failed = False
        self._deferring = False
        self._error: BaseException | None = None

    @property
    def asked(self) -> bool:
        """Whether somebody waits for the end."""
        return self._error is not None

    def ask(self, error: BaseException) -> None:
        """End with `error`: while a training defers it, after its step and a checkpoint; otherwise at once.

        Raises:
            BaseException: `error`, if no training defers it or this is the second time.
        """
        if not self._deferring or self.asked:
            raise error
        self._error = error

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Keep what is asked until the end of this context, and raise it there."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self._error is not None:
            raise self._error
