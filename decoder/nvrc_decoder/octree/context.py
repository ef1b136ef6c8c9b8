"""Context inputs: the decoded values around a position, and what is known of its step (spec 5.3, 5.4)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nvrc_decoder.entropy.coder import IntArray
from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.octree.network import Float32Array
from nvrc_decoder.octree.schedule import LEVEL_KINDS, STEP_ORDERS, Axes, Step, axes
from nvrc_decoder.profiles import CONTEXT_INPUT_MAX, Q_MAX, GridSlot
from nvrc_decoder.pyramid import Pyramid

__all__ = [
    "COARSE_INPUT",
    "NEIGHBOURS",
    "Block",
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

# Symbols of a block: enough to hide the overhead of calls, few enough to stay in the cache.
_BLOCK_SYMBOLS = 16384

# Symbols are handled in runs of four: their values of one neighbour are a word of 32 bits, and their 16-bit results one
# of 64. Leaving out the runs that see only zeros costs as much as the context network for a quarter of a block, so it
# must save that much, and small blocks do not try.
_RUN = 4
_MOST_SEEING = 0.75
_LEAST_SYMBOLS = 1024


def constant_inputs(step: Step, slot_index: int) -> tuple[int, int, int]:
    """Indices of the three one-hot inputs that are 1 in a step (spec 5.4)."""
    return _LEVEL_INPUT + step.level_index, _ORDER_INPUT + step.step_index, _SLOT_INPUT + slot_index


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
    shape: tuple[int, int, int], slot: GridSlot, coarser: tuple[GridSlot, IntArray] | None, pyramid: Pyramid
) -> npt.NDArray[np.uint8] | None:
    """Magnitude of the previous present slot's grid at each position, 0..15 (spec 5.3).

    Args:
        shape: nodes, rows and columns of the grid to code.
        slot: its slot.
        coarser: slot and values [N2, C2, H2, W2] of the previous present slot; None for the first.
        pyramid: says which frames the nodes of both belong to.

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
        (pyramid.spacing(slot.at_nodes), pyramid.spacing(other.at_nodes)),
        (slot.stride, other.stride),
        (slot.stride, other.stride),
    )
    t, y, x = (
        np.minimum(np.arange(count) * own // theirs, extent - 1)
        for count, (own, theirs), extent in zip(shape, scales, magnitude.shape, strict=True)
    )
    spread: npt.NDArray[np.uint8] = magnitude[np.ix_(t, y, x)]
    return spread


@dataclass(frozen=True, eq=False)
class Block:
    """Context inputs of consecutive symbols of a step.

    Attributes:
        part: the symbols, as a slice of the step's.
        inputs: float32 [k + 1, n]: a row for each neighbour, one for the coarser grid's magnitude if there is one, and
            a row of ones. The next block overwrites it.
        centre: Centre of the symbols (spec 5.3), int32 [n]; None for 0.
        runs: None if each symbol has a column. Otherwise the runs of four symbols that have columns, intp; the last one
            is four columns of zeros after the block, which stand for all symbols without columns.
    """

    part: slice
    inputs: Float32Array
    centre: npt.NDArray[np.int32] | None
    runs: npt.NDArray[np.intp] | None

    def spread(self, found: npt.NDArray[_Value]) -> npt.NDArray[_Value]:
        """Results for symbols, from results for columns.

        Args:
            found: 16-bit values [n], contiguous, one for each column of the inputs.

        Returns:
            Values of the same dtype, one for each symbol of `part`.
        """
        if self.runs is None:
            return found
        words = found.view(np.uint64)
        spread = np.full(self.runs[-1] + 1, words[-1])
        spread[self.runs] = words
        return spread.view(found.dtype)[: self.part.stop - self.part.start]


class Lattice:
    """The values of one split's lattice, clipped, unless it is centred, and sorted by parity.

    On an axis with steps of two spacings a neighbour at an odd offset has the other parity. Values of one parity lie
    together, so that what lies at one offset from all positions of a step is a plain part of an array.

    Each array is padded by one on each side of t, y and x. Positions that are not decoded yet hold 0, and so does the
    padding, save that before the first node lies a copy of the second and after the last one a copy of the last but
    one: that is the rule for a missing temporal neighbour, since inside the grid +dt and -dt are either both decoded or
    both not.

    Args:
        grid: int16 [N, C, H, W], 0 where not decoded.
        first: the split's first step.
        centred: the grid is a flow grid, whose contexts are relative to the mean of their face neighbours.
        scratch: memory for the lattice; None to allocate it. A second lattice there overwrites the first.
    """

    def __init__(
        self, grid: npt.NDArray[np.int16], first: Step, *, centred: bool = False, scratch: Scratch | None = None
    ) -> None:
        self._scratch = scratch or Scratch()
        self._limit = Q_MAX if centred else CONTEXT_INPUT_MAX
        spacing = self._spacing = first.spacing
        self._periods = axes(s // g for s, g in zip(first.stride, spacing, strict=True))
        self._several_nodes = len(grid) > spacing[0]
        self._padded: dict[Axes, npt.NDArray[np.signedinteger[Any]]] = {}
        # 1 where there is a value, for all channels; a neighbour outside does not count towards a mean.
        self._inside: dict[Axes, npt.NDArray[np.int8]] = {}
        values: dict[Axes, npt.NDArray[np.int16]] = {}
        for parity in map(axes, itertools.product(*map(range, self._periods))):
            t, y, x = (slice(p * g, None, n * g) for p, g, n in zip(parity, spacing, self._periods, strict=True))
            values[parity] = grid[t, :, y, x]
        margins = np.array((2, 0, 2, 2))
        shapes = {parity: tuple((known.shape + margins).tolist()) for parity, known in values.items()}
        # All in one array, so that the reused memory is that of the largest lattice and no more.
        sizes = list(map(math.prod, shapes.values()))
        memory = self._scratch.array("lattice", (sum(sizes),), np.int16 if centred else np.int8)
        memory.fill(0)
        places = np.split(memory, np.cumsum(sizes)[:-1])
        for (parity, shape), place in zip(shapes.items(), places, strict=True):
            padded = self._padded[parity] = place.reshape(shape)
            if not _is_new(parity, first):
                self._enter(padded, values[parity])
            if centred:
                inside = self._inside[parity] = np.zeros((shape[0], 1, *shape[2:]), dtype=np.int8)
                inside[1:-1, :, 1:-1, 1:-1] = 1
                self._mirror(inside)

    def update(self, step: Step, values: npt.NDArray[np.signedinteger[Any]]) -> None:
        """Enter the values [n, C, h, w] of a step."""
        self._enter(self._padded[self._parity(step)], values)

    def _enter(self, padded: npt.NDArray[np.signedinteger[Any]], values: npt.NDArray[np.signedinteger[Any]]) -> None:
        np.clip(values, -self._limit, self._limit, out=padded[1:-1, :, 1:-1, 1:-1], casting="unsafe")
        self._mirror(padded)

    def _mirror(self, padded: npt.NDArray[np.signedinteger[Any]]) -> None:
        """Nodes before the first and after the last, two spacings from the node that they copy."""
        if self._several_nodes:
            nodes = 3 - self._periods[0]
            padded[0] = padded[nodes]
            padded[-1] = padded[-1 - nodes]

    def _parity(self, step: Step) -> Axes:
        """The parity of a step's positions, under which its values are stored."""
        return axes(a // g for a, g in zip(step.start, self._spacing, strict=True))

    def blocks(
        self,
        step: Step,
        neighbours: tuple[int, ...],
        coarse: npt.NDArray[np.uint8] | None,
        kept: npt.NDArray[np.bool_] | None = None,
    ) -> Iterator[Block]:
        """The inputs of a step, block by block.

        Args:
            step: a step of this lattice.
            neighbours: as `available_neighbours` gives them.
            coarse: as `coarse_magnitude` gives it.
            kept: bool, which of the step's nodes have symbols; None for all.
        """
        which = slice(None) if kept is None else kept
        sources: list[npt.NDArray[Any]] = [
            self._view(self._padded, step, NEIGHBOURS[index])[which] for index in neighbours
        ]
        channels = self._padded[0, 0, 0].shape[1]
        nodes = step.count[0] if kept is None else int(np.count_nonzero(kept))
        full = nodes, channels, step.count[1], step.count[2]
        inside = None
        if self._inside:
            views = (self._view(self._inside, step, NEIGHBOURS[index])[which] for index in neighbours)
            inside = [np.broadcast_to(view, full) for view in views]
        if coarse is not None:
            t, y, x = step.slices
            sources.append(np.broadcast_to(np.ascontiguousarray(coarse[t, None, y, x][which]), full))
        start = 0
        for cut in _cuts(full):
            shape = (*(part.stop - part.start for part in cut), full[3])
            part = slice(start, start := start + math.prod(shape))
            seen = [source[cut] for source in sources]
            if inside is None:
                inputs, runs = self._seen(seen, shape)
                yield Block(part, inputs, None, runs)
                continue
            inputs = self._rows(len(seen), math.prod(shape))
            present = self._scratch.array("present", (len(inside), inputs.shape[1]), np.float32)
            for row, view in zip((*inputs[:-1], *present), (*seen, *(view[cut] for view in inside)), strict=True):
                np.copyto(row.reshape(shape), view)
            centre = _centre(inputs[: len(neighbours)], present, neighbours)
            yield Block(part, inputs, centre, None)

    def _rows(self, count: int, columns: int) -> Float32Array:
        """An array for `count` rows of inputs, with the row of ones."""
        rows = self._scratch.array("inputs", (count + 1, columns), np.float32)
        rows[-1] = 1
        return rows

    def _seen(
        self, views: list[npt.NDArray[Any]], shape: tuple[int, ...]
    ) -> tuple[Float32Array, npt.NDArray[np.intp] | None]:
        """`Block.inputs` and `Block.runs` of a block whose inputs are bytes."""
        size = math.prod(shape)
        columns = -(-size // _RUN) * _RUN + _RUN
        values = self._scratch.array("values", (len(views), columns), np.int8)
        values[:, size:] = 0
        for row, view in zip(values, views, strict=True):
            np.copyto(row[:size].reshape(shape), view, casting="same_kind")
        runs = None
        if size >= _LEAST_SYMBOLS:
            words = values.view(np.uint32)
            seeing = np.flatnonzero(np.bitwise_or.reduce(words, axis=0) != 0)
            if len(seeing) <= _MOST_SEEING * words.shape[1]:
                runs = np.append(seeing, words.shape[1] - 1)
                memory = self._scratch.array("seen", (len(views), len(runs)), np.uint32)
                values = np.take(words, runs, axis=1, out=memory, mode="clip").view(np.int8)
                size = values.shape[1]
        inputs = self._rows(len(views), size)
        inputs[:-1] = values[:, :size]
        return inputs, runs

    def _view(self, arrays: dict[Axes, npt.NDArray[_Value]], step: Step, offset: Axes) -> npt.NDArray[_Value]:
        """What lies at `offset` from each position of a step."""
        parity, places = _place(self._parity(step), offset, self._periods, step.count)
        return arrays[parity][places]


@functools.lru_cache(maxsize=4096)
def _place(parity: Axes, offset: Axes, periods: Axes, count: Axes) -> tuple[Axes, tuple[slice, slice, slice, slice]]:
    """The parity of what lies at `offset` from `count` positions of `parity`, and where it is in its padded array."""
    places, found = [], []
    for p, d, period, n in zip(parity, offset, periods, count, strict=True):
        steps, other = divmod(p + d, period)
        found.append(other)
        places.append(slice(1 + steps, 1 + steps + n))
    return axes(found), (places[0], slice(None), places[1], places[2])


def _is_new(parity: Axes, step: Step) -> bool:
    """Whether a parity has no values before the step's split."""
    return step.split is not None and any(p and h for p, h in zip(parity, step.split.halve, strict=True))


def _centre(rows: Float32Array, present: Float32Array, neighbours: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Make neighbours relative to the mean of those on faces, in place (spec 5.3).

    Args:
        rows: float32 [k, n], values of the neighbours, 0 where there is none.
        present: float32 [k, n], 1 where there is one.
        neighbours: indices into `NEIGHBOURS`.

    Returns:
        The mean, rounded down; int32 [n].
    """
    faces = [place for place, index in enumerate(neighbours) if index in _FACES]
    total, count = (
        sum((values[place] for place in faces), np.zeros(rows.shape[1], np.float32)) for values in (rows, present)
    )
    # A quotient of such small integers that is not one itself is not rounded to one.
    centre = np.floor(total / np.maximum(count, 1))
    rows -= centre
    rows.clip(-CONTEXT_INPUT_MAX, CONTEXT_INPUT_MAX, out=rows)
    rows *= present
    return centre.astype(np.int32)


def _cuts(shape: tuple[int, int, int, int]) -> Iterator[tuple[slice, slice, slice]]:
    """Cuts [n, c, h, w] into blocks of about `_BLOCK_SYMBOLS`, each contiguous in raster order, in that order."""
    budget = max(1, _BLOCK_SYMBOLS // shape[3])
    lengths = []
    for extent in shape[2::-1]:
        lengths.append(min(extent, budget))
        budget = max(1, budget // extent)
    parts = [
        [slice(start, min(start + length, extent)) for start in range(0, extent, length)]
        for extent, length in zip(shape[:3], reversed(lengths), strict=True)
    ]
    yield from itertools.product(*parts)
