"""The format of a video's frames: size, rate, sample format and colour, as SEQUENCE carries them (spec 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from nvrc_decoder.picture.planes import plane_shapes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444

__all__ = ["CHROMA_NAMES", "RATE_MAX", "UNSPECIFIED", "Colour", "VideoFormat", "pixel_format"]

RATE_MAX = (1 << 31) - 1
"""Largest numerator and denominator of a frame rate (R3.4)."""
UNSPECIFIED = 2
CHROMA_NAMES = {CHROMA_400: "4:0:0", CHROMA_420: "4:2:0", CHROMA_444: "4:4:4"}
_PIXELS = {CHROMA_400: "gray", CHROMA_420: "yuv420p", CHROMA_444: "yuv444p"}


def pixel_format(chroma_format: int, bit_depth: int) -> str:
    """FFmpeg's name of raw planar frames: such as ``yuv420p``, or ``yuv420p10le`` for 10 bits."""
    return _PIXELS[chroma_format] + ("10le" if bit_depth == 10 else "")


@dataclass(frozen=True)
class Colour:
    """Colour description by CICP code points (ITU-T H.273); 2 is unspecified.

    Attributes:
        primaries, transfer, matrix: code points, 0..255.
        full_range: True where samples use the full range, False for the video range.
        sample_position: where chroma samples lie: 0 unknown, 1 left, 2 centre, 3 top left.
    """

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    full_range: bool = False
    sample_position: int = 0


@dataclass(frozen=True)
class VideoFormat:
    """The format of every frame of a video.

    Attributes:
        width, height: luma samples, 1..65535.
        rate: frames per second.
        chroma_format: `CHROMA_400`, `CHROMA_420` or `CHROMA_444`.
        bit_depth: 8 or 10.
        colour: colour description.
    """

    width: int
    height: int
    rate: Fraction
    chroma_format: int = CHROMA_420
    bit_depth: int = 8
    colour: Colour = field(default_factory=Colour)

    @property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each plane that exists."""
        return plane_shapes(self.width, self.height, self.chroma_format)

    @property
    def dtype(self) -> np.dtype[np.uint8] | np.dtype[np.uint16]:
        """Type of a stored sample: one byte, or two in little-endian order for 10 bits."""
        return np.dtype(np.uint8) if self.bit_depth == 8 else np.dtype("<u2")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame's planes."""
        return sum(rows * columns for rows, columns in self.plane_shapes) * self.dtype.itemsize

    def describe(self) -> str:
        """One line for people, such as ``352x200 4:2:0 8 bits 25 fps``."""
        rate = f"{self.rate.numerator}" if self.rate.denominator == 1 else f"{float(self.rate):.3f}"
        return f"{self.width}x{self.height} {CHROMA_NAMES[self.chroma_format]} {self.bit_depth} bits {rate} fps"
