"""A file object that cannot seek, as a pipe is."""

from __future__ import annotations

import io


class Pipe(io.RawIOBase):
    """Gives bytes once, from the first on."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(size)
