"""Motion in NumPy integers: displacements from the flow grid, the chain of a grid's nodes, the warp (spec 7.6).

Part of the slow, obvious reference; one function or class a step of the section. int32 is wide enough for all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from nvrc_decoder.profiles import MIX_GROUP, WARPED_TEMPORAL_STRIDE
from nvrc_decoder.synthesis.activations import Feature, Grid, Warped, clip_activation, dequantise, double, finish
from nvrc_decoder.synthesis.arithmetic import IntegerLayer

__all__ = [
    "Chain",
    "add_base",
    "deinterleave",
    "displacement",
    "interleave",
    "mix",
    "position",
    "predict",
    "warp",
]

# Rows of a plane that are warped at once; the places of their samples take memory.
_BAND = 64


def position(flow: Grid, multipliers: Sequence[int], tau: int) -> Feature:
    """P(tau), the trajectory's position at frame `tau`, in eighths of a luma sample: [2, rows, columns] (7.6.1).

    `tau` may lie beyond the GOP: the last node is repeated.
    """
    return dequantise(flow[min(tau, len(flow) - 1)], multipliers)


def displacement(flow: Grid, multipliers: Sequence[int], n: int, t: int, size: tuple[int, int]) -> Feature:
    """Where the samples of frame `t` lie in node `n` of a warped grid, for each cell of 4x4 luma samples (7.6.1).

    Args:
        flow: the flow grid.
        multipliers: of its channels.
        n: the node.
        t: the frame, which may lie beyond the GOP.
        size: rows and columns of the picture in luma samples.

    Returns:
        int32 [2, ceil(rows / 4), ceil(columns / 4)], vertical first, in thirty-seconds of a luma sample, |d| <= 16380.
    """
    d = 4 * (position(flow, multipliers, WARPED_TEMPORAL_STRIDE * n) - position(flow, multipliers, t))
    for stride in (8, 4):
        rows, columns = (-(-extent // stride) for extent in size)
        d = ((double(double(d, 1), 2) + 8) >> 4)[:, :rows, :columns]
    return d


def _bands(rows: int) -> list[range]:
    return [range(first, min(first + _BAND, rows)) for first in range(0, rows, _BAND)]


def _fetch(plane: Warped, displacement: Feature, stride: int, band: range) -> Feature:
    """Bilinear samples of the rows `band` of a plane at displaced places, times 1024 (7.6.2)."""
    rows, columns = plane.shape
    y, x = np.array(band)[:, None], np.arange(columns)[None, :]
    cell = 4 // stride
    dy, dx = displacement[:, y // cell, x // cell]
    if stride == 4:
        dy, dx = (dy + 2) >> 2, (dx + 2) >> 2
    moved_y, moved_x = 32 * y + dy, 32 * x + dx
    above, left = moved_y >> 5, moved_x >> 5
    fy, fx = moved_y & 31, moved_x & 31

    def at(i: npt.NDArray[np.integer], j: npt.NDArray[np.integer]) -> Feature:
        taken: Feature = plane[np.clip(i, 0, rows - 1), np.clip(j, 0, columns - 1)]
        return taken

    upper = (32 - fx) * at(above, left) + fx * at(above, left + 1)
    lower = (32 - fx) * at(above + 1, left) + fx * at(above + 1, left + 1)
    samples: Feature = ((32 - fy) * upper + fy * lower).astype(np.int32)
    return samples


def warp(before: Warped, after: Warped, d0: Feature, d1: Feature, stride: int, t: int) -> Warped:
    """Planes of two nodes, moved to frame `t` and blended (7.6.2).

    Args:
        before, after: int16 [planes, rows, columns], activations.
        d0, d1: to the two nodes, as `displacement` gives them.
        stride: luma samples per sample of the planes, 1 or 4.
        t: the frame.

    Returns:
        int16 [planes, rows, columns], activations.
    """
    fraction = t % WARPED_TEMPORAL_STRIDE
    result = np.empty_like(before)
    for p, band in product(range(len(before)), _bands(before.shape[1])):
        v0, v1 = _fetch(before[p], d0, stride, band), _fetch(after[p], d1, stride, band)
        result[p, band.start : band.stop] = (v0 * (8 - fraction) + v1 * fraction + 4096) >> 13
    return result


def add_base(x: Feature, base: Feature) -> Feature:
    """A channel [1, rows, columns] of half resolution and, upsampled, a base channel of a quarter (7.6.4)."""
    _, rows, columns = x.shape
    up = (double(double(base, 1), 2) + 8) >> 4
    return clip_activation(x + up[:, :rows, :columns])


def mix(x: Feature, layer: IntegerLayer, group: int) -> Feature:
    """1x1 layer within one group of four channels, [4, rows, columns]: the outputs 4 group .. 4 group + 3 (7.6.3)."""
    rows = slice(MIX_GROUP * group, MIX_GROUP * (group + 1))
    accumulator = np.einsum("oc,chw->ohw", layer.weight[rows].astype(np.int32), x)
    return finish(accumulator, replace(layer, weight=layer.weight[rows], bias=layer.bias[rows]))


def interleave(x: Feature) -> Feature:
    """Four channels [4, rows, columns] as a plane of twice the size: [1, 2 rows, 2 columns] (7.6.3)."""
    _, rows, columns = x.shape
    plane = np.empty((1, 2 * rows, 2 * columns), dtype=np.int32)
    for p in range(MIX_GROUP):
        plane[0, p >> 1 :: 2, p & 1 :: 2] = x[p]
    return plane


def deinterleave(plane: Feature) -> Feature:
    """The inverse of `interleave`."""
    return np.stack([plane[0, p >> 1 :: 2, p & 1 :: 2] for p in range(MIX_GROUP)])


def predict(residual: Feature, before: Warped, d: Feature, stride: int) -> Feature:
    """Planes of a node from their residuals and the planes of the node before (7.6.3).

    Args:
        residual: int32 [planes, rows, columns], activations.
        before: int16, likewise.
        d: displacement to the node before, see `displacement`.
        stride: luma samples per sample of the planes, 1 or 4.

    Returns:
        int32 [planes, rows, columns], activations.
    """
    result = np.empty_like(residual)
    for p, band in product(range(len(residual)), _bands(residual.shape[1])):
        rows = slice(band.start, band.stop)
        result[p, rows] = residual[p, rows] + ((_fetch(before[p], d, stride, band) + 512) >> 10)
    return clip_activation(result)


class Chain:
    """The planes of the nodes of a grid, each made with the help of the one before (7.6.3).

    Two nodes are kept, and they are made in order: asking for an earlier one begins anew with the first.
    """

    def __init__(self) -> None:
        self._last = -1
        self._kept: list[Warped] = []

    def node(self, n: int, make: Callable[[int, Warped | None], Warped]) -> Warped:
        """The planes of node `n`; ``make(n, before)`` makes them, `before` being None for the first."""
        if n <= self._last - len(self._kept):
            self._last, self._kept = -1, []
        while self._last < n:
            self._kept = self._kept[-1:]
            self._kept.append(make(self._last + 1, self._kept[0] if self._kept else None))
            self._last += 1
        return self._kept[n - self._last - 1]
