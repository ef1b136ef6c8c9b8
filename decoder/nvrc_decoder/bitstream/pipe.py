"""Reading a pipe so that a reader that is no longer wanted can stop, though no byte comes."""

from __future__ import annotations

import io
import select
from collections.abc import Callable
from typing import BinaryIO

__all__ = ["PipeInput"]

_POLL_MILLISECONDS = 50
_CHUNK = 1 << 18


class PipeInput:
    """A file object that cannot seek, read with an eye on `check`.

    Args:
        file: the pipe; objects without a file descriptor are read as they are, and block for as long as they do.

    Attributes:
        check: called now and then while no byte comes; it raises to give up.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = b""
        self._poll: select.poll | None = None
        self.check: Callable[[], None] = _go_on

    def read(self, count: int) -> bytes | None:
        """At most `count` bytes, as soon as there are any; none at the end, None where the pipe does not block."""
        if not self._pending:
            data = self._next(count)
            if data is None:
                return None
            self._pending = data
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken

    def _next(self, count: int) -> bytes | None:
        while self._poll is not None and not self._poll.poll(_POLL_MILLISECONDS):
            self.check()
        if not isinstance(self._file, io.BufferedReader):
            data = self._file.read(count if self._poll is None else _CHUNK)
        else:
            # All that is buffered, or else what one read gives; in both cases the buffer is empty afterwards, so that
            # from now on the descriptor tells whether there is more.
            data = self._file.read1(_CHUNK)
        if self._poll is None:
            self._poll = _poller(self._file)
        return data


def _poller(file: BinaryIO) -> select.poll | None:
    """What waits for the file's descriptor; None where there is none, or no `poll`."""
    if not hasattr(select, "poll") or not isinstance(file, io.BufferedReader | io.FileIO):
        return None
    poll = select.poll()
    poll.register(file.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return poll


def _go_on() -> None:
    """Nobody has said to stop."""
