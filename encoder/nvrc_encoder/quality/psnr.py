"""PSNR of decoded frames, with NumPy alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nvrc_decoder.picture.planes import Plane, Planes

__all__ = ["EXACT", "Quality", "mean_quality", "measure", "psnr"]

EXACT = 100.0
"""PSNR in dB that stands for equal planes, and that no other pair exceeds."""


@dataclass(frozen=True)
class Quality:
    """Means of the frames' PSNRs in dB; `u` and `v` are None for 4:0:0; `yuv` weighs Y, U, V 6:1:1."""

    y: float
    u: float | None
    v: float | None
    yuv: float


def psnr(a: Plane, b: Plane, peak: int) -> float:
    """PSNR of two planes of one size in dB, at most `EXACT`; `peak` is the largest level."""
    mse = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return min(EXACT, 10 * math.log10(peak * peak / mse)) if mse else EXACT


def mean_quality(rows: Sequence[Sequence[float]]) -> Quality:
    """Means over frames of their PSNRs; each row is (y,) or (y, u, v) of a frame, in dB."""
    means = [float(mean) for mean in np.mean(rows, axis=0)]
    if len(means) == 1:
        return Quality(means[0], None, None, means[0])
    y, u, v = means
    return Quality(y, u, v, (6 * y + u + v) / 8)


def measure(source: Sequence[Planes], decoded: Sequence[Planes], bit_depth: int) -> Quality:
    """PSNR of decoded frames against their source, as many of each."""
    peak = (1 << bit_depth) - 1
    pairs = zip(source, decoded, strict=True)
    return mean_quality([[psnr(x, y, peak) for x, y in zip(a.planes(), b.planes(), strict=True)] for a, b in pairs])
