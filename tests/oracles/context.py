"""Schedules, contexts and the context network of spec chapter 5, position by position."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

NEIGHBOUR_LIST = [
    (-1, -1, 0), (-1, 0, -1), (-1, 0, 0), (-1, 0, 1), (-1, 1, 0),
    (0, -1, -1), (0, -1, 0), (0, -1, 1), (0, 0, -1), (0, 0, 1), (0, 1, -1), (0, 1, 0), (0, 1, 1),
    (1, -1, 0), (1, 0, -1), (1, 0, 0), (1, 0, 1), (1, 1, 0),
]  # fmt: skip


@dataclass
class OracleStep:
    """A step as a list of positions (n, y, x) in raster order."""

    positions: list[tuple[int, int, int]]
    spacing: tuple[int, int, int]
    kind: int
    ordinal: int


def steps(shape: tuple[int, int, int], splits: Sequence[int]) -> Iterator[OracleStep]:
    """Spec 5.2: membership is decided by remainders, position by position."""
    everywhere = list(itertools.product(*(range(n) for n in shape)))

    def bits(value: int) -> tuple[int, int, int]:
        return value >> 2 & 1, value >> 1 & 1, value & 1

    spacing = [2 ** sum(bits(split)[a] for split in splits) for a in range(3)]
    first = [p for p in everywhere if all(p[a] % spacing[a] == 0 for a in range(3))]
    yield OracleStep(first, (spacing[0], spacing[1], spacing[2]), 12, 0)
    for split in splits:
        halve, phase = bits(split), bits(split >> 4)
        old = list(spacing)
        spacing = [old[a] // 2 if halve[a] else old[a] for a in range(3)]
        largest = max(spacing[a] for a in range(3) if halve[a])
        kind = (0 if halve == (1, 0, 0) else 1 if not halve[0] else 2) * 4 + min(3, int(np.log2(largest)))
        ordinal = 0
        for e in itertools.product((0, 1), repeat=3):
            if not any(e) or any(e[a] > halve[a] for a in range(3)):
                continue
            for q in itertools.product((0, 1), repeat=3):
                if any(q[a] > phase[a] for a in range(3)):
                    continue
                members = [
                    p
                    for p in everywhere
                    if all(
                        p[a] % old[a] == e[a] * spacing[a] and (not phase[a] or p[a] // old[a] % 2 == q[a])
                        for a in range(3)
                    )
                ]
                if members:
                    yield OracleStep(members, (spacing[0], spacing[1], spacing[2]), kind, min(7, ordinal))
                ordinal += 1


def inputs(
    grid: np.ndarray,
    decoded: np.ndarray,
    step: OracleStep,
    position: tuple[int, int, int],
    channel: int,
    slot_index: int,
    coarse: int,
    flow: bool = False,
) -> tuple[list[int], int]:
    """The 51 context inputs of one symbol and its centre (spec 5.3, 5.4). `decoded` [N,H,W] marks the earlier steps."""

    def look(offset: tuple[int, int, int]) -> int | None:
        place = tuple(p + d * s for p, d, s in zip(position, offset, step.spacing, strict=True))
        inside = all(0 <= p < n for p, n in zip(place, decoded.shape, strict=True))
        if not inside or not decoded[place]:
            return None
        return int(grid[place[0], channel, place[1], place[2]])

    def neighbour(dt: int, dy: int, dx: int) -> int | None:
        value = look((dt, dy, dx))
        return look((-dt, dy, dx)) if value is None and dt != 0 else value

    centre = 0
    if flow:
        faces = [neighbour(*offset) for offset in NEIGHBOUR_LIST if sum(map(abs, offset)) == 1]
        known = [value for value in faces if value is not None]
        centre = int(np.floor(sum(known) / len(known))) if known else 0
    result = []
    for offset in NEIGHBOUR_LIST:
        value = neighbour(*offset)
        result.append(0 if value is None else max(-15, min(15, value - centre)))
    one_hots = [0] * 32
    one_hots[step.kind] = one_hots[13 + step.ordinal] = one_hots[21 + slot_index] = 1
    return [*result, coarse, *one_hots], centre


def coarse_value(
    position: tuple[int, int, int], own: tuple[int, int], other: tuple[int, int], values: np.ndarray
) -> int:
    """Spec 5.3; `own` and `other` are (stride, frames from one node to the next)."""
    scale = (own[1], own[0], own[0])
    theirs = (other[1], other[0], other[0])
    extent = (values.shape[0], values.shape[2], values.shape[3])
    n, y, x = (min(p * a // b, e - 1) for p, a, b, e in zip(position, scale, theirs, extent, strict=True))
    return min(15, sum(abs(int(v)) for v in values[n, :, y, x]))


def network(layers: Sequence, context: Sequence[int]) -> tuple[int, int]:
    """Spec 5.5: (table index, mean), in Python integers."""
    x = list(context)
    for layer in layers:
        rounding = 2 ** (layer.shift - 1) if layer.shift else 0
        sums = [sum(int(w) * v for w, v in zip(row, x, strict=True)) for row in layer.weight]
        x = [
            max(layer.low, min(layer.high, (total + int(b) + rounding) >> layer.shift))
            for total, b in zip(sums, layer.bias, strict=True)
        ]
    return 8 * max(0, min(39, x[1])) + (x[0] & 7), x[0] >> 3


def walk(
    code: Callable[[list[int], list[int], list[tuple[int, int, int, int]]], list[int]],
    splits: Sequence[int],
    layers: Sequence,
    shape: tuple[int, int, int, int],
    slot_index: int,
    coarse: Callable[[tuple[int, int, int]], int],
    flow: bool = False,
    empty: Collection[int] = (),
) -> np.ndarray:
    """Spec 5.6: a whole grid; `code(tables, means, places)` returns the values of one step.

    The nodes in `empty` have no symbols; their values are 0, and decoded when they would have been coded.
    """
    nodes, channels, rows, columns = shape
    grid = np.zeros(shape, dtype=int)
    decoded = np.zeros((nodes, rows, columns), dtype=bool)
    for step in steps((nodes, rows, columns), splits):
        # Raster order over (n, c, y, x).
        places = sorted((n, c, y, x) for n, y, x in step.positions for c in range(channels) if n not in empty)
        predicted = []
        for n, c, y, x in places:
            seen, centre = inputs(grid, decoded, step, (n, y, x), c, slot_index, coarse((n, y, x)), flow)
            table, mean = network(layers, seen)
            predicted.append((table, mean + centre))
        values = code([p[0] for p in predicted], [p[1] for p in predicted], places)
        for place, value in zip(places, values, strict=True):
            grid[place] = value
        for n, y, x in step.positions:
            decoded[n, y, x] = True
    return grid
