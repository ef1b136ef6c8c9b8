"""A request to end an encode, deferred until the current step is done and saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interruption"]


class Interruption:
    """A request that a signal handler makes, and that a training checks between its steps.

    Attributes:
        kept: position of the encode in the last checkpoint that it wrote or resumed from; None without one.
        failed: whether a checkpoint could not be written.
    """

    def __init__(self) -> None:
        self.kept: str | None = None
        self.failed = False
        self._deferring = False
        self._error: BaseException | None = None

    @property
    def asked(self) -> bool:
        """Whether an end has been requested."""
        return self._error is not None

    def ask(self, error: BaseException) -> None:
        """End the encode with `error`: during a training after its step and a checkpoint, otherwise immediately.

        Raises:
            BaseException: `error`, if no training defers it or this is the second request.
        """
        if not self._deferring or self.asked:
            raise error
        self._error = error

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer a request until the end of this context, and raise its error there."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self._error is not None:
            raise self._error
