"""Context inputs: what a position sees of the values that are already decoded (spec 5.3, 5.4)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nvrc_decoder.entropy.coder import IntArray
from nvrc_decoder.octree.network import Float32Array
from nvrc_decoder.octree.schedule import LEVEL_KINDS, STEP_ORDERS, Axes, Step
from nvrc_decoder.profiles import CONTEXT_INPUT_MAX, Q_MAX, GridSlot

__all__ = [
    "COARSE_INPUT",
    "NEIGHBOURS",
    "Lattice",
    "available_neighbours",
    "coarse_magnitude",
    "constant_inputs",
]

_Value = TypeVar("_Value", bound=np.generic)

# Offsets (dt, dy, dx) in units of the spacing; the place in this list is the index of the network's input.
NEIGHBOURS: tuple[Axes, ...] = tuple(
    (dt, dy, dx) for dt, dy, dx in itertools.product((-1, 0, 1), repeat=3) if 1 <= abs(dt) + abs(dy) + abs(dx) <= 2
)
# Those that share a face with the position: one offset is not 0.
_FACES = frozenset(index for index, offset in enumerate(NEIGHBOURS) if sum(map(abs, offset)) == 1)
COARSE_INPUT = len(NEIGHBOURS)
_LEVEL_INPUT = COARSE_INPUT + 1
_ORDER_INPUT = _LEVEL_INPUT + LEVEL_KINDS
_SLOT_INPUT = _ORDER_INPUT + STEP_ORDERS
_SLOT_MAX = 7

# Symbols whose contexts are made at once: large enough to hide call overhead, small enough to stay in the cache.
_BLOCK_SYMBOLS = 8192


def constant_inputs(step: Step, slot_index: int) -> tuple[int, int, int]:
    """Indices of the three one-hot inputs that are 1 in a step (spec 5.4)."""
    return _LEVEL_INPUT + step.level_index, _ORDER_INPUT + step.step_index, _SLOT_INPUT + min(_SLOT_MAX, slot_index)


@functools.lru_cache(maxsize=4096)
def available_neighbours(step: Step) -> tuple[int, ...]:
    """Indices into `NEIGHBOURS` of the offsets that lead to values decoded in earlier steps.

    All positions of a step agree on this, apart from the grid's borders.
    """
    split = step.split
    if split is None:
        return ()
    # Cosets and parities are coded in the order of their vectors, t first; the old lattice, coset 0, comes before all.
    here = step.coset, step.parity
    found = []
    for index, offset in enumerate(NEIGHBOURS):
        coset = _fold(step.coset, offset, split.halve)
        parity = _fold(step.parity, offset, split.phase)
        if (coset, parity) < here:
            found.append(index)
    return tuple(found)


def _fold(vector: Axes, offset: Axes, mask: Axes) -> Axes:
    t, y, x = ((v + d) % 2 if m else 0 for v, d, m in zip(vector, offset, mask, strict=True))
    return t, y, x


def coarse_magnitude(
    shape: tuple[int, int, int], slot: GridSlot, coarser: tuple[GridSlot, IntArray] | None
) -> npt.NDArray[np.uint8] | None:
    """Magnitude of the previous present slot's grid at each position, 0..15 (spec 5.3).

    Args:
        shape: nodes, rows and columns of the grid to code.
        slot: its slot.
        coarser: slot and values [N2, C2, H2, W2] of the previous present slot; None for the first.

    Returns:
        uint8 [N, H, W], or None where there is no coarser grid and the input is 0.
    """
    if coarser is None:
        return None
    other, values = coarser
    nodes, _, rows, columns = values.shape
    magnitude = np.empty((nodes, rows, columns), dtype=np.uint8)
    # Node by node: the sums of a whole grid would take more memory than the grid.
    for node, total in zip(values, magnitude, strict=True):
        total[...] = np.minimum(np.abs(node).sum(axis=0, dtype=np.int32), CONTEXT_INPUT_MAX)
    scales = (
        (slot.temporal_stride, other.temporal_stride),
        (slot.stride, other.stride),
        (slot.stride, other.stride),
    )
    t, y, x = (
        np.minimum(np.arange(count) * own // theirs, extent - 1)
        for count, (own, theirs), extent in zip(shape, scales, magnitude.shape, strict=True)
    )
    spread: npt.NDArray[np.uint8] = magnitude[np.ix_(t, y, x)]
    return spread


class Lattice:
    """The values of one split's lattice, padded by one on each side of t, y and x; clipped, unless it is centred.

    Positions that are not decoded yet hold 0, and so does the padding, save that before the first node lies a copy of
    the second and after the last one a copy of the last but one: that is the rule for a missing temporal neighbour,
    since inside the grid +dt and -dt are either both decoded or both not.

    Args:
        grid: int16 [N, C, H, W], 0 where not decoded.
        spacing: of the lattice.
        centred: the grid is a flow grid, whose contexts are relative to the mean of their face neighbours.
    """

    def __init__(self, grid: npt.NDArray[np.int16], spacing: Axes, *, centred: bool = False) -> None:
        self._spacing = spacing
        self._limit = Q_MAX if centred else CONTEXT_INPUT_MAX
        known = grid[:: spacing[0], :, :: spacing[1], :: spacing[2]]
        nodes, channels, rows, columns = known.shape
        shape = nodes + 2, channels, rows + 2, columns + 2
        self._padded: npt.NDArray[np.signedinteger[Any]] = np.zeros(shape, dtype=np.int16 if centred else np.int8)
        self._inner = self._padded[1:-1, :, 1:-1, 1:-1]
        np.clip(known, -self._limit, self._limit, out=self._inner, casting="unsafe")
        _mirror(self._padded)
        # 1 where there is a value, for all channels; a neighbour outside does not count towards a mean.
        self._inside: npt.NDArray[np.int8] | None = None
        if centred:
            self._inside = np.zeros((nodes + 2, 1, rows + 2, columns + 2), dtype=np.int8)
            self._inside[1:-1, :, 1:-1, 1:-1] = 1
            _mirror(self._inside)

    def update(self, step: Step, values: npt.NDArray[np.int16]) -> None:
        """Enter the values [n, C, h, w] of a step."""
        t, y, x = (slice(a // g, None, s // g) for a, g, s in zip(step.start, self._spacing, step.stride, strict=True))
        np.clip(values, -self._limit, self._limit, out=self._inner[t, :, y, x], casting="unsafe")
        _mirror(self._padded)

    def blocks(
        self, step: Step, neighbours: tuple[int, ...], coarse: npt.NDArray[np.uint8] | None
    ) -> Iterator[tuple[slice, Float32Array, IntArray | None]]:
        """The inputs of a step, block by block.

        Args:
            step: a step of this lattice.
            neighbours: as `available_neighbours` gives them.
            coarse: as `coarse_magnitude` gives it.

        Yields:
            The block's symbols as a slice; float32 [k + 1, n]: a row for each neighbour, one for the coarser grid's
            magnitude if there is one, and a row of ones; and what the symbols are relative to, int32 [n], None for 0.
            The float32 array is reused by the next block.
        """
        sources = [_view(self._padded, self._spacing, step, NEIGHBOURS[index]) for index in neighbours]
        inside = (
            None
            if self._inside is None
            else [_view(self._inside, self._spacing, step, NEIGHBOURS[index]) for index in neighbours]
        )
        channels = self._padded.shape[1]
        full = step.count[0], channels, step.count[1], step.count[2]
        if coarse is not None:
            t, y, x = step.slices
            sources.append(np.broadcast_to(coarse[t, None, y, x], full))
        buffer: Float32Array | None = None
        start = 0
        for cut in _cuts(full):
            sizes = tuple(part.stop - part.start for part in cut)
            size = math.prod(sizes) * full[3]
            if buffer is None:  # the first block is the largest
                buffer = np.ones((len(sources) + 1, size), dtype=np.float32)
            block = buffer[:, :size]
            for row, source in zip(block, sources, strict=False):
                np.copyto(row.reshape(*sizes, full[3]), source[cut])
            centre = None
            if inside is not None:
                present = [np.broadcast_to(view, full)[cut].reshape(-1) for view in inside]
                centre = _centre(block[: len(neighbours)], present, neighbours)
            yield slice(start, start + size), block, centre
            start += size


def _mirror(padded: npt.NDArray[np.signedinteger[Any]]) -> None:
    if len(padded) > 3:
        padded[0] = padded[2]
        padded[-1] = padded[-3]


def _view(padded: npt.NDArray[_Value], spacing: Axes, step: Step, offset: Axes) -> npt.NDArray[_Value]:
    """What lies at `offset` from each position of a step."""
    places = []
    for a, g, s, n, d in zip(step.start, spacing, step.stride, step.count, offset, strict=True):
        first, stride = a // g + 1 + d, s // g
        places.append(slice(first, first + stride * (n - 1) + 1, stride))
    return padded[places[0], :, places[1], places[2]]


def _centre(
    rows: Float32Array, present: list[npt.NDArray[np.int8]], neighbours: tuple[int, ...]
) -> npt.NDArray[np.int32]:
    """Make neighbours relative to the mean of those on faces, in place (spec 5.3).

    Args:
        rows: float32 [k, n], values of the neighbours, 0 where there is none.
        present: for each of them int8 [n], 1 where there is one.
        neighbours: indices into `NEIGHBOURS`.

    Returns:
        The mean, rounded down; int32 [n].
    """
    total = np.zeros(rows.shape[1], dtype=np.int32)
    count = np.zeros(rows.shape[1], dtype=np.int32)
    for index, row, there in zip(neighbours, rows, present, strict=True):
        if index in _FACES:
            total += row.astype(np.int32)
            count += there
    centre: npt.NDArray[np.int32] = total // np.maximum(count, 1)
    for row, there in zip(rows, present, strict=True):
        row -= centre
        np.clip(row, -CONTEXT_INPUT_MAX, CONTEXT_INPUT_MAX, out=row)
        row *= there
    return centre


def _cuts(shape: tuple[int, int, int, int]) -> Iterator[tuple[slice, slice, slice]]:
    """Cuts [n, c, h, w] into blocks of about `_BLOCK_SYMBOLS`, each contiguous in raster order, in that order."""
    room = max(1, _BLOCK_SYMBOLS // shape[3])
    lengths = []
    for extent in shape[2::-1]:
        lengths.append(min(extent, room))
        room = max(1, room // extent)
    parts = [
        [slice(start, min(start + length, extent)) for start in range(0, extent, length)]
        for extent, length in zip(shape[:3], reversed(lengths), strict=True)
    ]
    yield from itertools.product(*parts)
