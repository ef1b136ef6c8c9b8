"""Standard streams that are closed at the start, or later: by a closed terminal, or by the reader of a pipe."""

from __future__ import annotations

import io
import os
import sys
from typing import BinaryIO

from nvrc_decoder.errors import OutputError

__all__ = ["guard_standard_streams", "require_stdout", "silence_stdout"]


class _Forgiving(io.FileIO):
    """Drops what cannot be written: a message on stderr must not end the work that it reports."""

    def write(self, data: object) -> int:
        try:
            return super().write(data) or 0  # type: ignore[arg-type]
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


def guard_standard_streams() -> None:
    """Make the standard streams safe; called once, when the process starts.

    Closed ones are opened to the null device: otherwise the next file would get their descriptor, and messages of
    libraries in it. From then on, writing to the standard error cannot fail.
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
    """The standard output, where a result has no other place to go.

    Raises:
        OutputError: E_IO, it is closed.
    """
    if sys.stdout is None:
        raise OutputError("E_IO", "the standard output is closed")
    return sys.stdout.buffer


def silence_stdout() -> None:
    """Redirect stdout to the null device, so that the interpreter's last flush cannot fail again."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
