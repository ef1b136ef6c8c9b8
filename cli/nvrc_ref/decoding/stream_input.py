"""The stream that a command reads: a file, or the standard input."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from nvrc_decoder.errors import InputError

__all__ = ["open_stream"]


def open_stream(path: str) -> BinaryIO:
    """Open a stream for reading; ``-`` is the standard input.

    Raises:
        InputError: E_NO_INPUT, there is no such file, or it cannot be read.
    """
    if path == "-":
        if sys.stdin is None:
            raise InputError("E_NO_INPUT", "the standard input is closed")
        return sys.stdin.buffer
    if os.path.isdir(path):
        raise InputError("E_NO_INPUT", f"{path} is a directory, not a stream")
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot open {path}: {error.strerror}") from None
