"""Reference: displacements and blend weights, half samples, prediction of a plane (spec 7.6.1 to 7.6.3).

NumPy integers, one function for each section. int32 is wide enough for all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvrc_decoder.profiles import Profile
from nvrc_decoder.pyramid import BLEND_UNIT
from nvrc_decoder.synthesis.activations import Feature, Grid, PlaneArray, clip_activation, dequantise, double

__all__ = ["GopMotion", "blend_weight", "displacement", "half_samples", "position", "predict", "split_cells"]

# Rows of a plane that are predicted at once, which bounds the memory for the positions of their samples.
_BAND = 64


def position(flow: Grid, multipliers: Sequence[int], t: int) -> Feature:
    """Positions at frame `t`, in eighths of a luma sample: [2, rows, columns], vertical first (7.6.1).

    After the last frame of the GOP, the positions of that frame are repeated.
    """
    return dequantise(flow[min(t, len(flow) - 1)], multipliers)[:2]


def _cells(x: Feature, size: tuple[int, int]) -> Feature:
    """Values of the flow grid for each cell of 4x4 luma samples: upsampled x2 twice and cropped (7.6.1)."""
    for stride in (8, 4):
        rows, columns = (-(-extent // stride) for extent in size)
        x = ((double(double(x, 1), 2) + 8) >> 4)[:, :rows, :columns]
    return x


def split_cells(split: Grid, multipliers: Sequence[int], t: int, size: tuple[int, int]) -> Feature:
    """What the split grid adds at frame `t` in each cell of 4x4 luma samples (7.6.1).

    Args:
        split: the split grid.
        multipliers: its multipliers, one for each channel.
        t: the frame; after the last frame of the GOP, the values of that frame are repeated.
        size: rows and columns of the picture in luma samples.

    Returns:
        int32 [3, ceil(rows / 4), ceil(columns / 4)]: additions to vertical and horizontal displacement, and to the
        blend weight.
    """
    values = dequantise(split[min(t, len(split) - 1)], multipliers)
    y, x = (np.arange(-(-extent // 4)) // 2 for extent in size)
    return values[:, y[:, None], x[None, :]]


def displacement(
    flow: Grid,
    multipliers: Sequence[int],
    t: int,
    reference: int,
    size: tuple[int, int],
    split: Feature | None = None,
) -> Feature:
    """Displacements from frame `t` to frame `reference`, one for each cell of 4x4 luma samples (7.6.1).

    Args:
        flow: the flow grid.
        multipliers: its multipliers, one for each channel.
        t, reference: the frames, which may lie after the GOP.
        size: rows and columns of the picture in luma samples.
        split: `split_cells` at frame `t`; None where there is no split grid.

    Returns:
        int32 [2, ceil(rows / 4), ceil(columns / 4)], vertical first, in 1/32 of a luma sample, |d| <= 18428.
    """
    smooth = _cells(4 * (position(flow, multipliers, reference) - position(flow, multipliers, t)), size)
    if split is None:
        return smooth
    moved: Feature = smooth + split[:2] if reference < t else smooth - split[:2]
    return moved


def blend_weight(
    flow: Grid,
    multipliers: Sequence[int],
    t: int,
    share: int,
    size: tuple[int, int],
    split: Feature | None = None,
) -> Feature:
    """Blend weights of the later reference of frame `t`, in 1/32, one for each cell of 4x4 luma samples (7.6.1).

    Args:
        flow, multipliers, size, split: as in `displacement`.
        t: the frame, which may lie after the GOP.
        share: the frame's `References.share`.

    Returns:
        int32 [ceil(rows / 4), ceil(columns / 4)], 0..32.
    """
    blend = _cells(dequantise(flow[min(t, len(flow) - 1)], multipliers)[2:], size)[0]
    if split is not None:
        blend = blend + split[2]
    weight: Feature = np.clip(share + blend, 0, BLEND_UNIT)
    return weight


class GopMotion:
    """The displacements and blend weights of one GOP; without a flow grid, displacements are 0 (7.6.1).

    Args:
        profile: the stream's profile.
        grids: per slot int16 [nodes, channels, rows, columns] of the whole GOP, None where the slot is absent.
        multipliers: per slot the multiplier of each active channel.
        size: rows and columns of the picture in luma samples.
    """

    def __init__(
        self,
        profile: Profile,
        grids: Sequence[Grid | None],
        multipliers: Sequence[Sequence[int]],
        size: tuple[int, int],
    ) -> None:
        self._flow, self._split = grids[profile.flow_slot], grids[profile.split_slot]
        self._multipliers, self._split_multipliers = multipliers[profile.flow_slot], multipliers[profile.split_slot]
        self._size = size

    def displacement(self, t: int, reference: int) -> Feature:
        """As the function `displacement`."""
        if self._flow is None:
            return np.zeros((2, *self._cells), np.int32)
        return displacement(self._flow, self._multipliers, t, reference, self._size, self._added(t))

    def weight(self, t: int, share: int) -> Feature:
        """As the function `blend_weight`."""
        if self._flow is None:
            return np.full(self._cells, share, np.int32)
        return blend_weight(self._flow, self._multipliers, t, share, self._size, self._added(t))

    @property
    def _cells(self) -> tuple[int, int]:
        return -(-self._size[0] // 4), -(-self._size[1] // 4)

    def _added(self, t: int) -> Feature | None:
        return None if self._split is None else split_cells(self._split, self._split_multipliers, t, self._size)


def half_samples(plane: PlaneArray) -> Feature:
    """A plane [H, W] with the samples halfway between its own: int32 [2H - 1, 2W - 1] (7.6.2)."""
    refined: Feature = _between(_between(plane.astype(np.int32).T).T)
    return refined


def _between(x: Feature) -> Feature:
    """The rows with samples halfway between them: [2n - 1, ...]."""
    count = len(x)

    def at(first: int) -> Feature:
        rows: Feature = x[np.clip(np.arange(first, first + count - 1), 0, count - 1)]
        return rows

    result = np.empty((2 * count - 1, *x.shape[1:]), np.int32)
    result[::2] = x
    result[1::2] = clip_activation((-3 * at(-1) + 19 * at(0) + 19 * at(1) - 3 * at(2) + 16) >> 5)
    return result


def _fetch(refined: Feature, displacement: Feature, stride: int, band: range, columns: int) -> Feature:
    """Samples for the rows `band` of a plane, fetched at displaced positions, times 256 (7.6.3)."""
    y, x = np.array(band)[:, None], np.arange(columns)[None, :]
    cell = 4 // stride
    dy, dx = displacement[:, y // cell, x // cell]
    if stride == 4:
        dy, dx = (dy + 2) >> 2, (dx + 2) >> 2
    moved_y, moved_x = 32 * y + dy, 32 * x + dx
    above, left = moved_y >> 4, moved_x >> 4
    fy, fx = moved_y & 15, moved_x & 15
    bottom, right = refined.shape[0] - 1, refined.shape[1] - 1

    def at(i: Feature, j: Feature) -> Feature:
        taken: Feature = refined[np.clip(i, 0, bottom), np.clip(j, 0, right)]
        return taken

    upper = (16 - fx) * at(above, left) + fx * at(above, left + 1)
    lower = (16 - fx) * at(above + 1, left) + fx * at(above + 1, left + 1)
    samples: Feature = (16 - fy) * upper + fy * lower
    return samples


def predict(
    before: Feature, after: Feature, d0: Feature, d1: Feature, weight: Feature, size: tuple[int, int], stride: int
) -> Feature:
    """A plane from two reference planes (7.6.3).

    Args:
        before, after: `half_samples` of the reference planes.
        d0, d1: displacements to them, from `displacement`.
        weight: blend weights, from `blend_weight`.
        size: rows and columns of the plane.
        stride: luma samples per sample of the plane, 1 or 4.

    Returns:
        int32 [rows, columns], activations.
    """
    rows, columns = size
    cell = 4 // stride
    result = np.empty(size, np.int32)
    for first in range(0, rows, _BAND):
        band = range(first, min(first + _BAND, rows))
        f0, f1 = (_fetch(s, d, stride, band, columns) for s, d in ((before, d0), (after, d1)))
        w = weight[np.array(band)[:, None] // cell, np.arange(columns)[None, :] // cell]
        result[band.start : band.stop] = (f0 * (BLEND_UNIT - w) + f1 * w + 4096) >> 13
    return result
