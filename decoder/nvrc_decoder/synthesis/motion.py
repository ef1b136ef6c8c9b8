"""Motion in NumPy integers: displacements from the flow grid and the warp of other grids (spec 7.6).

Part of the slow, obvious reference; one function a step of the section. int32 is wide enough for all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nvrc_decoder.profiles import MIX_GROUP, WARPED_TEMPORAL_STRIDE
from nvrc_decoder.synthesis.activations import Feature, Grid, dequantise, double, finish
from nvrc_decoder.synthesis.arithmetic import IntegerLayer

__all__ = [
    "FLOW_TEMPORAL_STRIDE",
    "deinterleave",
    "displacements",
    "interleave",
    "mix",
    "position",
    "warp",
]

FLOW_TEMPORAL_STRIDE = 2


def position(flow: Grid, multipliers: Sequence[int], tau: int) -> Feature:
    """P(tau), the trajectory's position at frame `tau`, in eighths of a luma sample: [2, rows, columns] (7.6.1).

    `tau` may lie beyond the GOP: the last node is repeated.
    """

    def node(j: int) -> Feature:
        return dequantise(flow[min(j, len(flow) - 1)], multipliers)

    j, odd = divmod(tau, FLOW_TEMPORAL_STRIDE)
    return (node(j) + node(j + 1) + 1) >> 1 if odd else node(j)


def displacements(
    flow: Grid, multipliers: Sequence[int], nodes: int, t: int, size: tuple[int, int]
) -> tuple[Feature, Feature]:
    """Where the samples of frame `t` lie in the two nodes around it, for each cell of 4x4 luma samples (7.6.1).

    Args:
        flow: the flow grid.
        multipliers: of its channels.
        nodes: nodes of the grids to warp.
        t: the frame.
        size: rows and columns of the picture in luma samples.

    Returns:
        Displacements to the node before and to the one after: int32 [2, ceil(rows / 4), ceil(columns / 4)], vertical
        first, in eighths of a luma sample, |d| <= 4095.
    """
    n0 = t // WARPED_TEMPORAL_STRIDE
    n1 = min(n0 + 1, nodes - 1)
    here = position(flow, multipliers, t)
    found = []
    for n in (n0, n1):
        d = position(flow, multipliers, WARPED_TEMPORAL_STRIDE * n) - here
        for stride in (8, 4):
            rows, columns = (-(-extent // stride) for extent in size)
            d = (double(double(d, 1), 2) + 8) >> 4
            d = d[:, :rows, :columns]
        found.append(d)
    return found[0], found[1]


def _fetch(plane: Feature, displacement: Feature, stride: int) -> Feature:
    """Bilinear samples of a plane at displaced places, times 64 (7.6.2)."""
    rows, columns = plane.shape
    y, x = np.arange(rows)[:, None], np.arange(columns)[None, :]
    cell = 4 // stride
    dy, dx = displacement[:, y // cell, x // cell]
    if stride == 4:
        dy, dx = (dy + 2) >> 2, (dx + 2) >> 2
    moved_y, moved_x = 8 * y + dy, 8 * x + dx
    above, left = moved_y >> 3, moved_x >> 3
    fy, fx = moved_y & 7, moved_x & 7

    def at(i: npt.NDArray[np.integer], j: npt.NDArray[np.integer]) -> Feature:
        taken: Feature = plane[np.clip(i, 0, rows - 1), np.clip(j, 0, columns - 1)]
        return taken

    upper = (8 - fx) * at(above, left) + fx * at(above, left + 1)
    lower = (8 - fx) * at(above + 1, left) + fx * at(above + 1, left + 1)
    samples: Feature = ((8 - fy) * upper + fy * lower).astype(np.int32)
    return samples


def warp(before: Feature, after: Feature, d0: Feature, d1: Feature, stride: int, t: int) -> Feature:
    """Planes of two nodes, moved to frame `t` and blended (7.6.2).

    Args:
        before, after: int32 [planes, rows, columns], activations.
        d0, d1: as `displacements` gives them.
        stride: luma samples per sample of the planes, 1 or 4.
        t: the frame.

    Returns:
        int32 [planes, rows, columns], activations.
    """
    fraction = t % WARPED_TEMPORAL_STRIDE
    result = np.empty_like(before)
    for p in range(len(before)):
        v0, v1 = _fetch(before[p], d0, stride), _fetch(after[p], d1, stride)
        result[p] = (v0 * (8 - fraction) + v1 * fraction + 256) >> 9
    return result


def mix(x: Feature, layer: IntegerLayer) -> Feature:
    """1x1 layer within groups of four channels: [C, rows, columns] (7.6.3)."""
    accumulator = np.zeros(x.shape, dtype=np.int32)
    for row in range(len(x)):
        group = row // MIX_GROUP * MIX_GROUP
        for i in range(MIX_GROUP):
            accumulator[row] += np.int32(layer.weight[row, i]) * x[group + i]
    return finish(accumulator, layer)


def interleave(x: Feature) -> Feature:
    """Each four channels [4 g + p, rows, columns] as a plane of twice the size: [C / 4, 2 rows, 2 columns] (7.6.3)."""
    channels, rows, columns = x.shape
    planes = np.empty((channels // MIX_GROUP, 2 * rows, 2 * columns), dtype=np.int32)
    for p in range(MIX_GROUP):
        planes[:, p >> 1 :: 2, p & 1 :: 2] = x[p::MIX_GROUP]
    return planes


def deinterleave(planes: Feature) -> Feature:
    """The inverse of `interleave`."""
    count, rows, columns = planes.shape
    x = np.empty((count * MIX_GROUP, rows // 2, columns // 2), dtype=np.int32)
    for p in range(MIX_GROUP):
        x[p::MIX_GROUP] = planes[:, p >> 1 :: 2, p & 1 :: 2]
    return x
