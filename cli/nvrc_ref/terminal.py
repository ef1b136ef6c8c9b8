"""The terminal behind the standard error: whether a bar can be drawn there, and writing that survives its closing."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TextIO

__all__ = ["Terminal", "is_smart"]


class Terminal(io.TextIOBase):
    """A text stream to a terminal. What cannot be written is lost without an error, as when its window was closed.

    Args:
        descriptor: the terminal's file descriptor.
        encoding: its encoding.
    """

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        self._descriptor = descriptor
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(self._descriptor, text.encode(self._encoding, "replace"))
        return len(text)


def is_smart(stream: TextIO | None) -> bool:
    """Whether lines on `stream` can be overwritten: it is a terminal, and not ``TERM=dumb``."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")
