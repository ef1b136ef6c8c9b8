"""Decoded frames: planes, their digest and their MD5 (spec chapter 8)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nvrc_decoder.profiles import CHROMA_400, CHROMA_420

__all__ = ["DIGEST_BYTES", "GopDigest", "PictureFormat", "Plane", "Planes", "plane_shapes"]

Plane = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

DIGEST_BYTES = 16


class PictureFormat(Protocol):
    """The fields of SEQUENCE that synthesis and reconstruction need; `SequenceHeader` satisfies it."""

    @property
    def width(self) -> int:
        """Luma columns, 1..65535."""

    @property
    def height(self) -> int:
        """Luma rows, 1..65535."""

    @property
    def chroma_format(self) -> int:
        """`CHROMA_400`, `CHROMA_420` or `CHROMA_444`."""

    @property
    def bit_depth(self) -> int:
        """8 or 10."""


def plane_shapes(width: int, height: int, chroma_format: int) -> tuple[tuple[int, int], ...]:
    """(rows, columns) of each plane of a frame: one plane for 4:0:0, otherwise Y, Cb, Cr (spec 8.2)."""
    luma = (height, width)
    if chroma_format == CHROMA_400:
        return (luma,)
    chroma = (-(-height // 2), -(-width // 2)) if chroma_format == CHROMA_420 else luma
    return (luma, chroma, chroma)


@dataclass(frozen=True, eq=False)
class Planes:
    """One decoded frame, cropped.

    Attributes:
        y: luma, uint8 (8 bits) or uint16 (10 bits) [height, width].
        u, v: Cb and Cr of the same dtype, at the chroma format's size; None for 4:0:0.
    """

    y: Plane
    u: Plane | None = None
    v: Plane | None = None

    def planes(self) -> tuple[Plane, ...]:
        """The planes that exist, in the order Y, Cb, Cr."""
        return tuple(plane for plane in (self.y, self.u, self.v) if plane is not None)

    def chunks(self) -> Iterable[memoryview]:
        """The planes as raw bytes, row by row; 10-bit samples as 16-bit little-endian words (spec 8.3).

        They are views of the planes where those have this layout in memory.
        """
        for plane in self.planes():
            little = plane.astype("<u2", copy=False) if plane.dtype.itemsize == 2 else plane
            yield np.ascontiguousarray(little).view(np.uint8).reshape(-1).data

    def md5(self) -> str:
        """MD5 of the frame's raw bytes in hexadecimal, as the conformance manifest lists it."""
        md5 = hashlib.md5(usedforsecurity=False)
        for chunk in self.chunks():
            md5.update(chunk)
        return md5.hexdigest()


class GopDigest:
    """The DIGEST of a GOP, fed frame by frame (spec 8.3)."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def update(self, frame: Planes) -> None:
        """Add the next frame in display order."""
        for chunk in frame.chunks():
            self._hash.update(chunk)

    def digest(self) -> bytes:
        """First 16 bytes of the SHA-256 of all frames so far."""
        return self._hash.digest()[:DIGEST_BYTES]
