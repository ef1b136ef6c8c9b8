"""How near decoded frames are to the source: PSNR and MS-SSIM."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.quality.similarity import Similarity
from nvrc_encoder.source.video import Source

__all__ = ["Quality", "mean_similarity", "measure"]


@dataclass(frozen=True)
class Quality:
    """Means of the frames' PSNRs in dB; `u` and `v` are None for 4:0:0; `yuv` weighs Y, U, V 6:1:1."""

    y: float
    u: float | None
    v: float | None
    yuv: float


def measure(source: Sequence[Planes], decoded: Sequence[Planes], bit_depth: int) -> Quality:
    """PSNR of decoded frames; 100 dB stands for an exact frame."""
    peak = (1 << bit_depth) - 1
    per_plane: list[list[float]] = []
    for a, b in zip(source, decoded, strict=True):
        values = []
        for x, y in zip(a.planes(), b.planes(), strict=True):
            mse = float(np.mean((x.astype(np.float64) - y.astype(np.float64)) ** 2))
            values.append(min(100.0, 10 * math.log10(peak * peak / mse)) if mse else 100.0)
        per_plane.append(values)
    means = [float(m) for m in np.mean(per_plane, axis=0)]
    if len(means) == 1:
        return Quality(means[0], None, None, means[0])
    return Quality(means[0], means[1], means[2], (6 * means[0] + means[1] + means[2]) / 8)


def mean_similarity(source: Source, frames: Sequence[Planes], decoded: Sequence[Planes]) -> float:
    """Mean of the frames' MS-SSIM of luma."""
    similarity = Similarity((source.height, source.width), source.bit_depth)
    luma = (
        [torch.from_numpy(frame.y.astype(np.float32))[None, None] for frame in pair]
        for pair in zip(frames, decoded, strict=True)
    )
    with torch.no_grad():
        return float(np.mean([float(similarity.of_planes(a, b)) for a, b in luma]))
