"""The tables of a video's graph: what each frame is made of, and the values of the grids.

Values are collected GOP by GOP in temporary files, so that memory does not grow with the video.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from nvrc_decoder.decode.gop import Network
from nvrc_decoder.pyramid import BLEND_UNIT, SPACING_LOG2_MAX, Pyramid
from nvrc_decoder.synthesis.synthesizer import Grid

__all__ = ["FRAME_COLUMNS", "NODE_ALONE", "GridRows", "Table", "frame_rows", "node_scales", "scale_rows"]

Table = npt.NDArray[np.int64]
"""Numbers of frames, nodes and such, by row."""

FRAME_COLUMNS = (
    *("gop", "network", "t", "key", "key_spacing", "node_spacing", "halvings", "share"),
    *("first", "last", "first_node"),
)
"""Columns of the table `frames`: the number of the frame's GOP and of its NETWORK; the frame's number in its GOP; the
first key that is not before it, and the pyramid; how often the frames between two keys are halved until the frame is
beside a node, or is one; the share of the later node, or `NODE_ALONE`; where the GOP begins in the tables of frames,
its last frame, and where it begins in those of nodes."""

NODE_ALONE = 4096
"""As a share it makes the later node count alone, and negative the earlier one: with any blend added, it is outside of
0..`BLEND_UNIT`, and is clipped."""

_LEVELS = SPACING_LOG2_MAX + 1
_CHUNK = 1 << 22


def frame_rows(
    pyramid: Pyramid, frames: int, *, gop: int = 0, network: int = 0, first: int = 0, first_node: int = 0
) -> Table:
    """The rows of a GOP's frames in the table `frames`, [frames, columns]; arguments are its columns."""
    rows = []
    for t in range(frames):
        key, halvings, share = _place(pyramid, t)
        spacings = pyramid.key_spacing, pyramid.node_spacing
        rows.append([gop, network, t, key, *spacings, halvings, share, first, frames - 1, first_node])
    return np.array(rows, np.int64)


def _place(pyramid: Pyramid, t: int) -> tuple[int, int, int]:
    """The columns `key`, `halvings` and `share` of a frame."""
    key = -(-t // pyramid.key_spacing) * pyramid.key_spacing
    if t == key:
        return key, 0, NODE_ALONE
    before, after, halvings = key - pyramid.key_spacing, key, 0
    while after - before > pyramid.node_spacing and t != before:
        middle = (before + after) // 2
        before, after = (before, middle) if t < middle else (middle, after)
        halvings += 1
    return key, halvings, -NODE_ALONE if t == before else BLEND_UNIT * (t - before) // (after - before)


def node_scales(pyramid: Pyramid, network: int, nodes: int) -> Table:
    """For each node of a GOP its row in `scale_rows`, [nodes]."""
    rows = []
    for n in range(nodes):
        t = n * pyramid.node_spacing
        level = 0 if t % pyramid.key_spacing == 0 else (pyramid.key_spacing // (t & -t)).bit_length() - 1
        rows.append(network * _LEVELS + level)
    return np.array(rows, np.int64)


def scale_rows(networks: Sequence[Network], slot: int, channels: int) -> npt.NDArray[np.float32]:
    """The multipliers of a node slot for the nodes of each level under each NETWORK: [rows, channels, 1, 1]."""
    rows = np.zeros((len(networks), _LEVELS, channels, 1, 1), np.float32)
    for k, network in enumerate(networks):
        pyramid = network.header.pyramid
        for level in range(pyramid.levels + 1):
            t = pyramid.key_spacing >> level
            factors = [pyramid.node_multiplier(t, factor) for factor in network.multipliers[slot]]
            rows[k, level, : len(factors), 0, 0] = factors
    return rows.reshape(-1, channels, 1, 1)


class GridRows:
    """The values of one slot at all nodes of a video, those that are all 0 left out.

    Args:
        file: a temporary file, for them as int16.

    Attributes:
        channels: most channels of a node.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.channels = 0
        self._file = file
        self._rows: list[Table] = []
        self._runs: list[tuple[int, int]] = []
        self._shape = (0, 0)
        self._stored = self._most = 0
        self._has_zeros = False

    def add(self, grid: Grid | None, nodes: int) -> None:
        """Add the nodes of a GOP.

        Args:
            grid: int16 [nodes, channels, rows, columns]; None where the GOP's NETWORK lacks the slot.
            nodes: their number.

        Raises:
            OSError: the temporary file cannot be written.
        """
        rows = np.full(nodes, -1, np.int64)
        if grid is not None:
            self._shape, self.channels = grid.shape[2:], max(self.channels, grid.shape[1])
            present = grid.any((1, 2, 3))
            values = grid[present]
            rows[present] = np.arange(self._stored, self._stored + len(values))
            self._stored += len(values)
            self._most = max(self._most, int(np.abs(values).max(initial=0)))
            self._file.write(values.tobytes())
            self._runs.append(values.shape[:2])
        self._rows.append(rows)
        self._has_zeros |= bool((rows < 0).any())

    @property
    def rows(self) -> Table:
        """For each node its place among those that are stored, [nodes]; -1, the last one, for zeros."""
        return np.concatenate(self._rows)

    @property
    def dtype(self) -> npt.DTypeLike:
        """int8 where all values fit, else int16."""
        return np.int8 if self._most < 128 else np.int16

    @property
    def size(self) -> int:
        """Bytes of the stored values."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(stored nodes, channels, rows, columns)."""
        return self._stored + self._has_zeros, self.channels, *self._shape

    def chunks(self) -> Iterator[bytes]:
        """The stored values in `shape`, little-endian of `dtype`; channels that a node lacks are zeros."""
        rows, columns = self._shape
        dtype = np.dtype(self.dtype).newbyteorder("<")
        self._file.seek(0)
        for count, channels in self._runs:
            most = max(1, _CHUNK // (channels * rows * columns))
            for first in range(0, count, most):
                some = min(most, count - first)
                data = self._file.read(2 * some * channels * rows * columns)
                values = np.zeros((some, self.channels, rows, columns), dtype)
                values[:, :channels] = np.frombuffer(data, np.int16).reshape(some, channels, rows, columns)
                yield values.tobytes()
        if self._has_zeros:
            yield bytes(self.channels * rows * columns * dtype.itemsize)
