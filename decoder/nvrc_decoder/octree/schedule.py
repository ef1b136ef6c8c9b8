"""Schedules: the order in which the positions of a grid are coded (spec 5.1, 5.2).

A schedule is a list of split bytes. It expands, for a grid of N nodes, H rows and W columns, into steps: sets of
positions that are coded together. Axes are always in the order t, y, x.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nvrc_decoder.errors import InvalidStreamError

__all__ = [
    "LEVEL_KINDS",
    "SPLITS_MAX",
    "STEP_ORDERS",
    "Axes",
    "Split",
    "Step",
    "axes",
    "expand_schedule",
    "largest_step",
    "octree_schedule",
    "parse_split",
    "temporal_first_schedule",
]

SPLITS_MAX = 32
LEVEL_KINDS = 13
STEP_ORDERS = 8
_FIRST_STEP_KIND = 12
_LEVEL_MAX = 3

Axes = tuple[int, int, int]

# Bits of a split byte: x, y, t from bit 0 for halve, from bit 4 for phase. Bits 3 and 7 are reserved.
_RESERVED = 0x88
_HALVE_YX = 0x03
_HALVE_T_PHASE_YX = 0x34
_HALVE_TYX = 0x07


@dataclass(frozen=True)
class Split:
    """A parsed split byte.

    Attributes:
        halve: per axis (t, y, x), 1 where the spacing is halved.
        phase: per axis, 1 where the coset is coded by parity; never both for one axis.
    """

    halve: Axes
    phase: Axes


@dataclass(frozen=True)
class Step:
    """One step: the positions `start[a] + stride[a] * i`, for i < `count[a]`, on each axis a of (t, y, x).

    A step codes all channels; its symbols are in C order of ``grid[t, :, y, x]`` with `slices`.

    Attributes:
        start, stride, count: the positions, in grid coordinates; counts are at least 1.
        spacing: the spacing of the neighbours, which is that after the split's halving.
        coset: per axis, 1 where the position is new on a halved axis; zeros in the first step.
        parity: per axis, the parity along the phase axes, 0 elsewhere.
        split: the split that the step belongs to; None for the first step.
        split_index: its place in the schedule; -1 for the first step.
        level_index: index of the first group of one-hot inputs, 0..12.
        step_index: index of the second group, 0..7.
    """

    start: Axes
    stride: Axes
    count: Axes
    spacing: Axes
    coset: Axes
    parity: Axes
    split: Split | None
    split_index: int
    level_index: int
    step_index: int

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The positions on each axis, for indexing an array [N, H, W]."""
        t, y, x = (slice(a, None, s) for a, s in zip(self.start, self.stride, strict=True))
        return t, y, x


def parse_split(value: int) -> Split:
    """Take a split byte apart.

    Raises:
        InvalidStreamError: E_SCHEDULE for an empty halve or an axis in both sets, E_RESERVED for a reserved bit.
    """
    if not 0 <= value <= 0xFF or value & _RESERVED:
        raise InvalidStreamError("E_RESERVED", f"split {value:#x} has a reserved bit set", section="3.3, R3.20")
    halve = value >> 2 & 1, value >> 1 & 1, value & 1
    phase = value >> 6 & 1, value >> 5 & 1, value >> 4 & 1
    if not any(halve):
        raise InvalidStreamError("E_SCHEDULE", f"split {value:#x} halves no axis", section="3.3, R3.18")
    if any(h and p for h, p in zip(halve, phase, strict=True)):
        raise InvalidStreamError(
            "E_SCHEDULE", f"split {value:#x} has an axis in both halve and phase", section="3.3, R3.19"
        )
    return Split(halve, phase)


def temporal_first_schedule(nodes: int, rows: int, columns: int) -> tuple[int, ...]:
    """The default: a quadtree in the nodes at multiples of the largest power of two, then a temporal pyramid."""
    return (_HALVE_YX,) * _levels(max(rows, columns)) + (_HALVE_T_PHASE_YX,) * _levels(nodes)


def octree_schedule(nodes: int, rows: int, columns: int) -> tuple[int, ...]:
    """All three axes halved together, as often as the longest needs."""
    return (_HALVE_TYX,) * _levels(max(nodes, rows, columns))


def _levels(length: int) -> int:
    """ceil(log2(length))."""
    return (length - 1).bit_length()


@functools.lru_cache(maxsize=64)
def _expand(shape: Axes, splits: tuple[int, ...]) -> tuple[Step, ...]:
    return tuple(_steps(shape, [parse_split(value) for value in splits]))


def expand_schedule(shape: Sequence[int], splits: Iterable[int]) -> tuple[Step, ...]:
    """The steps of a grid, in coding order; each position is in exactly one.

    Args:
        shape: nodes, rows and columns of the grid, each at least 1.
        splits: the split bytes, at most 32.

    Raises:
        InvalidStreamError: E_SCHEDULE or E_RESERVED, for a bad split byte or too many of them.
    """
    nodes, rows, columns = shape
    listed = tuple(splits)
    if len(listed) > SPLITS_MAX:
        raise InvalidStreamError(
            "E_SCHEDULE", f"a schedule has {len(listed)} splits, the limit is {SPLITS_MAX}", section="3.3, R3.22"
        )
    return _expand((nodes, rows, columns), listed)


def largest_step(shape: Sequence[int], splits: Iterable[int]) -> int:
    """Positions of the largest step of a grid; arguments and errors as in `expand_schedule`.

    The memory for decoding a grid, beyond the grid itself, is proportional to this: the schedule without splits makes
    one step of the whole grid.
    """
    return max(math.prod(step.count) for step in expand_schedule(shape, splits))


def _steps(shape: Axes, splits: list[Split]) -> Iterator[Step]:
    halvings = [sum(split.halve[axis] for split in splits) for axis in range(3)]
    spacing: Axes = (1 << halvings[0], 1 << halvings[1], 1 << halvings[2])
    zero: Axes = (0, 0, 0)
    yield Step(zero, spacing, _counts(shape, zero, spacing), spacing, zero, zero, None, -1, _FIRST_STEP_KIND, 0)
    for index, split in enumerate(splits):
        old = spacing
        spacing = axes(s >> h for s, h in zip(old, split.halve, strict=True))
        kind = 2 if split.halve[0] and any(split.halve[1:]) else int(not split.halve[0])
        largest = max(s for s, h in zip(spacing, split.halve, strict=True) if h)
        level_index = 4 * kind + min(_LEVEL_MAX, largest.bit_length() - 1)
        stride = axes(s << p for s, p in zip(old, split.phase, strict=True))
        cosets = list(_corners(split.halve))[1:]
        places = itertools.product(cosets, _corners(split.phase))
        for ordinal, (coset, parity) in enumerate(places):
            start = axes((e + p) * s for e, p, s in zip(coset, parity, spacing, strict=True))
            if any(a >= n for a, n in zip(start, shape, strict=True)):
                continue
            count = _counts(shape, start, stride)
            step_index = min(STEP_ORDERS - 1, ordinal)
            yield Step(start, stride, count, spacing, coset, parity, split, index, level_index, step_index)


def _corners(mask: Axes) -> Iterator[Axes]:
    """All 0/1 vectors inside `mask`, ascending by 4 t + 2 y + x."""
    yield from itertools.product(*(range(m + 1) for m in mask))


def _counts(shape: Axes, start: Axes, stride: Axes) -> Axes:
    return axes(-(-(n - a) // s) for n, a, s in zip(shape, start, stride, strict=True))


def axes(values: Iterable[int]) -> Axes:
    """Three values as a tuple."""
    t, y, x = values
    return t, y, x
