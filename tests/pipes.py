"""A file object that cannot seek, like a pipe."""

from __future__ import annotations

import io


class Pipe(io.RawIOBase):
    """Reads bytes once, in order."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)
