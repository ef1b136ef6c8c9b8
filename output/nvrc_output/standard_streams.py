"""Standard streams that were closed, or that go away: a terminal's window, a pipe's reader."""

from __future__ import annotations

import io
import os
import sys
from typing import BinaryIO

from nvrc_decoder.errors import OutputError

__all__ = ["guard_standard_streams", "require_stdout", "silence_stdout"]


class _Forgiving(io.FileIO):
    """Loses what cannot be written: nothing said on the standard error is worth the work that it tells of."""

    def write(self, data: object) -> int:
        try:
            return super().write(data) or 0  # type: ignore[arg-type]
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


def guard_standard_streams() -> None:
    """Make the standard streams safe to have, once, when the process begins.

    The numbers of closed ones are taken, or the next file would get them, with all that libraries say in it. Writing to
    the standard error cannot fail from then on.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number
    if sys.stderr is not None:
        sys.stderr.flush()
        raw = _Forgiving(sys.stderr.fileno(), "w", closefd=False)
        encoding, errors = sys.stderr.encoding, sys.stderr.errors
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=True, write_through=True)


def require_stdout() -> BinaryIO:
    """The standard output, for what has nowhere else to go.

    Raises:
        OutputError: E_IO, it is closed.
    """
    if sys.stdout is None:
        raise OutputError("E_IO", "the standard output is closed")
    return sys.stdout.buffer


def silence_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail a second time."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
