"""The planes of spec 7.6 in Python integers, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

Plane = list[list[int]]


def clip(value: int, low: int = -2048, high: int = 2047) -> int:
    return max(low, min(high, value))


def up(a: Plane, rows: int, columns: int) -> Plane:
    """x2 as spec 7.10 writes it, sample by sample."""

    def near_and_far(v: int, size: int) -> tuple[int, int]:
        return (v // 2, max(v // 2 - 1, 0)) if v % 2 == 0 else (v // 2, min(v // 2 + 1, size - 1))

    out = [[0] * columns for _ in range(rows)]
    for y in range(rows):
        y0, y1 = near_and_far(y, len(a))
        for x in range(columns):
            x0, x1 = near_and_far(x, len(a[0]))
            out[y][x] = (9 * a[y0][x0] + 3 * a[y0][x1] + 3 * a[y1][x0] + a[y1][x1] + 8) // 16
    return out


def transposed(a: Plane) -> Plane:
    return [list(row) for row in zip(*a, strict=True)]


def inverse(low: Sequence[int], high: Sequence[int]) -> list[int]:
    """One level of the wavelet along a line, in quarters (7.6.5)."""
    last = len(low) - 1
    s, d = [(315 * value + 128) // 256 for value in low], list(high)
    for i in range(last + 1):
        s[i] -= (7 * (d[max(i - 1, 0)] + d[i]) + 8) // 16
    for i in range(last + 1):
        d[i] -= (113 * (s[i] + s[min(i + 1, last)]) + 64) // 128
    for i in range(last + 1):
        s[i] += (217 * (d[max(i - 1, 0)] + d[i]) + 2048) // 4096
    for i in range(last + 1):
        d[i] += (203 * (s[i] + s[min(i + 1, last)]) + 64) // 128
    return [clip(value, -8192, 8188) for pair in zip(s, d, strict=True) for value in pair]


def level(low: Plane, hl: Plane, lh: Plane, hh: Plane) -> Plane:
    """One level of the wavelet; `low` may have a row or a column more than the details."""
    left = [inverse(a[: len(b)], b) for a, b in zip(transposed(low), transposed(lh), strict=False)]
    right = [inverse(a, b) for a, b in zip(transposed(hl), transposed(hh), strict=True)]
    return [inverse(a, b) for a, b in zip(transposed(left), transposed(right), strict=True)]


def luma(bands: Sequence[Sequence[Plane]]) -> Plane:
    """The luma plane of dequantised bands, coarse to fine."""
    fine = [[[[4 * value for value in row] for row in band] for band in slot] for slot in bands]
    low, *first = fine[0]
    for details in (first, *fine[1:]):
        low = level(low, *details)
    return [[(value + 2) // 4 for value in row] for row in low]


def half_samples(plane: Plane) -> Plane:
    """The plane with a sample between each two (7.6.2)."""

    def line(a: Sequence[int]) -> list[int]:
        out = []
        for i, value in enumerate(a):
            taps = [a[clip(i + k, 0, len(a) - 1)] for k in (-1, 0, 1, 2)]
            between = sum(factor * tap for factor, tap in zip((-3, 19, 19, -3), taps, strict=True))
            out += [value, clip((between + 16) // 32)]
        return out[:-1]

    return transposed([line(column) for column in transposed([line(row) for row in plane])])


def fetch(refined: Plane, step: int, d: tuple[int, int], y: int, x: int) -> int:
    """256 times the plane where its sample (y, x) is displaced to; `step` luma samples a sample (7.6.3)."""
    vertical, horizontal = ((axis + 2) // 4 for axis in d) if step == 4 else d
    big_y, big_x = 32 * y + vertical, 32 * x + horizontal
    i, fy, j, fx = big_y // 16, big_y % 16, big_x // 16, big_x % 16

    def at(row: int, column: int) -> int:
        return refined[clip(row, 0, len(refined) - 1)][clip(column, 0, len(refined[0]) - 1)]

    return (
        (16 - fy) * (16 - fx) * at(i, j)
        + (16 - fy) * fx * at(i, j + 1)
        + fy * (16 - fx) * at(i + 1, j)
        + fy * fx * at(i + 1, j + 1)
    )


@dataclass
class Gop:
    """What planes of a GOP are made of, of the plane slot or of luma.

    Attributes:
        slots: of the plane slot, or of the four band slots, the grid and the multipliers.
        flow, split: likewise of the flow slot and of the split slot; None where it is absent.
        size: rows and columns of the picture.
        step: luma samples a sample of the planes, 1 or 4.
        key_spacing, node_spacing, factors: the pyramid.
        nodes: those made so far, by frame, with half samples.
    """

    slots: Sequence[tuple[np.ndarray, Sequence[int]]]
    flow: tuple[np.ndarray, Sequence[int]] | None
    split: tuple[np.ndarray, Sequence[int]] | None
    size: tuple[int, int]
    step: int
    key_spacing: int
    node_spacing: int
    factors: Sequence[int]
    nodes: dict[int, list[tuple[Plane, Plane]]] = field(default_factory=dict)

    def references(self, t: int) -> tuple[int, int, int] | None:
        """The two frames that frame t is predicted from, and the share of the later one."""
        if t == 0:
            return None
        if t % self.key_spacing == 0:
            return t - self.key_spacing, t - self.key_spacing, 0
        distance = self.key_spacing // 2
        while distance >= self.node_spacing:
            if t % distance == 0:
                return t - distance, t + distance, 16
            distance //= 2
        node = t // self.node_spacing * self.node_spacing
        return node, node + self.node_spacing, 32 * (t - node) // self.node_spacing

    def multiplier(self, t: int, own: int) -> int:
        """Of the node at frame t."""
        level, distance = 0, self.key_spacing
        while t % distance:
            level, distance = level + 1, distance // 2
        factor = 16 if level == 0 else self.factors[level - 1]
        return clip((own * factor + 8) // 16, 1, 2048)

    def cells(self, values: Plane) -> Plane:
        """Values of the flow lattice for each cell of 4x4 luma samples."""
        rows, columns = self.size
        return up(up(values, -(-rows // 8), -(-columns // 8)), -(-rows // 4), -(-columns // 4))

    def flow_channel(self, t: int, c: int) -> Plane:
        rows, columns = (-(-extent // 16) for extent in self.size)
        if self.flow is None:
            return [[0] * columns for _ in range(rows)]
        grid, multipliers = self.flow
        node = grid[min(t, len(grid) - 1), c]
        return [[clip(int(q) * multipliers[c]) for q in row] for row in node]

    def displacement(self, reference: int, t: int, axis: int) -> Plane:
        """D from frame t to a frame that it is predicted from (7.6.1)."""
        there, here = self.flow_channel(reference, axis), self.flow_channel(t, axis)
        smooth = self.cells(
            [[4 * (a - b) for a, b in zip(p, q, strict=True)] for p, q in zip(there, here, strict=True)]
        )
        sign = 1 if reference < t else -1
        return [[d + sign * self.added(t, axis, y, x) for x, d in enumerate(row)] for y, row in enumerate(smooth)]

    def added(self, t: int, c: int, y: int, x: int) -> int:
        """What the split grid adds in a cell of frame t."""
        if self.split is None:
            return 0
        grid, multipliers = self.split
        return clip(int(grid[min(t, len(grid) - 1), c, y // 2, x // 2]) * multipliers[c])

    def residual(self, t: int) -> list[Plane]:
        """What the grids hold of the node at frame t."""
        bands = []
        for grid, multipliers in self.slots:
            factors = [self.multiplier(t, own) for own in multipliers]
            channels = zip(grid[t // self.node_spacing], factors, strict=True)
            bands.append([[[clip(int(q) * factor) for q in row] for row in channel] for channel, factor in channels])
        return bands[0] if self.step == 4 else [luma(bands)]

    def predicted(self, t: int, references: tuple[int, int, int]) -> list[Plane]:
        before, after, share = references
        d = [[self.displacement(r, t, axis) for axis in range(2)] for r in (before, after)]
        blend = self.cells(self.flow_channel(t, 2))
        made = []
        for (plane, a), (_, b) in zip(self.node(before), self.node(after), strict=True):
            out = [[0] * len(plane[0]) for _ in plane]
            for y, x in np.ndindex(len(plane), len(plane[0])):
                v, h = y * self.step // 4, x * self.step // 4
                first, second = (
                    fetch(s, self.step, (m[0][v][h], m[1][v][h]), y, x) for s, m in zip((a, b), d, strict=True)
                )
                w = clip(share + blend[v][h] + self.added(t, 2, v, h), 0, 32)
                out[y][x] = (first * (32 - w) + second * w + 4096) // 8192
            made.append(out)
        return made

    def node(self, t: int) -> list[tuple[Plane, Plane]]:
        """The planes of a node, each without and with half samples."""
        if t not in self.nodes:
            planes, references = self.residual(t), self.references(t)
            if references is not None:
                planes = [
                    [[clip(a + b) for a, b in zip(p, q, strict=True)] for p, q in zip(plane, other, strict=True)]
                    for plane, other in zip(planes, self.predicted(t, references), strict=True)
                ]
            self.nodes[t] = [(plane, half_samples(plane)) for plane in planes]
        return self.nodes[t]

    def at(self, t: int) -> np.ndarray:
        """What enters the stage at frame t: [planes, rows, columns], or the four phases of luma (7.6.6)."""
        if t % self.node_spacing == 0:
            planes = np.array([plane for plane, _ in self.node(t)])
        else:
            references = self.references(t)
            assert references is not None
            planes = np.array(self.predicted(t, references))
        if self.step == 4:
            return planes
        return np.array([planes[0, y::2, x::2] for y in (0, 1) for x in (0, 1)])
