"""The source laid out as the head emits its rows: 2x2 phases at half resolution (spec 8.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.picture.planes import Planes, plane_shapes
from nvrc_decoder.profiles import CHROMA_420

__all__ = ["PLANE_WEIGHTS", "SourceRows", "make_source_rows", "planes_from_rows"]

PLANE_WEIGHTS = (6 / 8, 1 / 8, 1 / 8)
"""Share of Y, Cb and Cr in the distortion."""


@dataclass(frozen=True)
class SourceRows:
    """The source of one GOP, laid out as the head emits its rows.

    Attributes:
        rows: float32 [T, rows, h2, w2] in pixel levels.
        weights: float32 [rows, h2, w2], distortion weight of each sample: sums to 1 over a frame, 0 in padding.
    """

    rows: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> SourceRows:
        """The same on a device, in memory as the model's rows are."""
        return SourceRows(
            self.rows.to(device, memory_format=torch.channels_last),
            self.weights.to(device)[None].contiguous(memory_format=torch.channels_last)[0],
        )


def _phases(plane: Tensor) -> Tensor:
    """[T, H, W] -> [T, 4, ceil(H/2), ceil(W/2)], edge-repeated to even sizes."""
    height, width = plane.shape[-2:]
    padded = functional.pad(plane[:, None], (0, width % 2, 0, height % 2), mode="replicate")
    return functional.pixel_unshuffle(padded, 2)


def make_source_rows(frames: Sequence[Planes], chroma_format: int) -> SourceRows:
    """The rows of one GOP.

    Args:
        frames: its frames.
        chroma_format: 0 (4:0:0), 1 (4:2:0) or 2 (4:4:4).
    """
    rows: list[Tensor] = []
    weights: list[Tensor] = []
    planes = [torch.from_numpy(np.stack(p).astype(np.float32)) for p in zip(*(f.planes() for f in frames), strict=True)]
    shares = PLANE_WEIGHTS if len(planes) == 3 else (1.0,)
    for index, (plane, share) in enumerate(zip(planes, shares, strict=True)):
        height, width = plane.shape[-2:]
        one = torch.full((1, height, width), share / (height * width))
        if index and chroma_format == CHROMA_420:
            rows.append(plane[:, None])
            weights.append(one)
        else:
            rows.append(_phases(plane))
            padded = functional.pad(one[:, None], (0, width % 2, 0, height % 2))
            weights.append(functional.pixel_unshuffle(padded, 2)[0])
    return SourceRows(torch.cat(rows, 1), torch.cat(weights, 0))


def planes_from_rows(rows: Tensor, size: tuple[int, int], chroma_format: int, bit_depth: int) -> list[Planes]:
    """Frames from the head's integer rows.

    Args:
        rows: [T, rows, h2, w2], integers in any floating type.
        size: (height, width) of the luma plane.
        chroma_format: 0 (4:0:0), 1 (4:2:0) or 2 (4:4:4).
        bit_depth: 8 or 10.
    """
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    planes = []
    at = 0
    for index, (height, width) in enumerate(plane_shapes(size[1], size[0], chroma_format)):
        count = 1 if index and chroma_format == CHROMA_420 else 4
        part = rows[:, at : at + count]
        at += count
        full = part if count == 1 else functional.pixel_shuffle(part, 2)
        planes.append(full[:, 0, :height, :width].cpu().numpy().astype(dtype))
    return [Planes(*(plane[t] for plane in planes)) for t in range(rows.shape[0])]
