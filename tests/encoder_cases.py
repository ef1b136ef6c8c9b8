"""Tiny videos for the tests of the encoder."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nvrc_decoder.frames import Planes, plane_shapes
from nvrc_decoder.profiles import CHROMA_420
from nvrc_decoder.video_format import VideoFormat
from nvrc_encoder.source import Source

__all__ = ["gradient_source", "moving_gradient"]


def moving_gradient(
    width: int, height: int, frames: int, chroma_format: int = CHROMA_420, bit_depth: int = 8
) -> list[Planes]:
    """A gradient with a disc on it, both moving, another one in each plane; a little noise that no seed changes."""
    rng = np.random.default_rng(1)
    peak = (1 << bit_depth) - 1
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    out = []
    for t in range(frames):
        planes = []
        for index, (rows, columns) in enumerate(plane_shapes(width, height, chroma_format)):
            y, x = np.mgrid[:rows, :columns] / max(rows, columns, 2)
            value = 0.3 + 0.4 * ((1 - index / 2) * x + (0.2 + index / 3) * y) + 0.02 * t
            value = value + 0.2 * (np.hypot(x - 0.3 - 0.05 * t, y - 0.4) < 0.2)
            value = value * peak + rng.normal(0, peak / 200, (rows, columns))
            planes.append(np.clip(np.round(value), 0, peak).astype(dtype))
        out.append(Planes(*planes))
    return out


def gradient_source(
    width: int = 48,
    height: int = 32,
    frames: int = 6,
    chroma_format: int = CHROMA_420,
    bit_depth: int = 8,
    rate: Fraction = Fraction(25),
) -> Source:
    """`moving_gradient` as the encoder takes its input."""
    clip = moving_gradient(width, height, frames, chroma_format, bit_depth)
    picture = VideoFormat(width, height, rate, chroma_format, bit_depth)
    return Source("gradient", picture, frames, lambda: iter(clip))
