"""Motion of spec 7.6 in Python integers, one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Plane = list[list[int]]


def clip(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def positions(flow: np.ndarray, multipliers: Sequence[int], tau: int, axis: int) -> Plane:
    """P(tau) of one axis on the flow lattice."""

    def node(j: int, y: int, x: int) -> int:
        return clip(int(flow[min(j, flow.shape[0] - 1), axis, y, x]) * multipliers[axis], -2048, 2047)

    _, _, rows, columns = flow.shape
    return [[node(tau, y, x) for x in range(columns)] for y in range(rows)]


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


def displacement(
    flow: np.ndarray, multipliers: Sequence[int], tau: int, t: int, axis: int, height: int, width: int
) -> Plane:
    """D towards the node at frame `tau`, for each cell of 4x4 luma samples."""
    there, here = positions(flow, multipliers, tau, axis), positions(flow, multipliers, t, axis)
    d = [[4 * (a - b) for a, b in zip(p, q, strict=True)] for p, q in zip(there, here, strict=True)]
    d = up(d, -(-height // 8), -(-width // 8))
    return up(d, -(-height // 4), -(-width // 4))


def fetch(plane: Plane, step: int, d: tuple[Plane, Plane], y: int, x: int) -> int:
    """1024 times the plane where its sample (y, x) is displaced to; `step` luma samples a sample."""
    vertical, horizontal = (axis[y * step // 4][x * step // 4] for axis in d)
    if step == 4:
        vertical, horizontal = (vertical + 2) // 4, (horizontal + 2) // 4
    big_y, big_x = 32 * y + vertical, 32 * x + horizontal
    iy, fy, ix, fx = big_y // 32, big_y % 32, big_x // 32, big_x % 32
    total = 0
    for i, wy in ((iy, 32 - fy), (iy + 1, fy)):
        for j, wx in ((ix, 32 - fx), (ix + 1, fx)):
            total += wy * wx * plane[clip(i, 0, len(plane) - 1)][clip(j, 0, len(plane[0]) - 1)]
    return total


@dataclass
class Moved:
    """A warped grid with all that moves it.

    Attributes:
        grid, multipliers: of the slot.
        flow, flow_multipliers: of the flow slot.
        size: rows and columns of the picture.
        base, base_multiplier: channel 0 of the base slot [N, H, W] where there is a base channel.
        mix: output `row` of the mix layer from its four inputs; None for the grid of stride 4.
    """

    grid: np.ndarray
    multipliers: Sequence[int]
    flow: np.ndarray
    flow_multipliers: Sequence[int]
    size: tuple[int, int]
    base: np.ndarray | None
    base_multiplier: int
    mix: Callable[[list[int], int], int] | None

    @property
    def step(self) -> int:
        """Luma samples a sample of the planes."""
        return 4 if self.mix is None else 1

    def displacements(self, n: int, t: int) -> tuple[Plane, Plane]:
        """From frame t to node n."""
        arguments = self.flow, self.flow_multipliers, 8 * n, t
        return displacement(*arguments, 0, *self.size), displacement(*arguments, 1, *self.size)

    def channel(self, n: int, c: int) -> Plane:
        """An activation channel of a node, the base channel added where there is one."""
        values = [[clip(int(q) * self.multipliers[c], -2048, 2047) for q in row] for row in self.grid[n, c]]
        if self.mix is None or self.base is None or c:
            return values
        rows, columns = len(values), len(values[0])
        low = [[clip(int(q) * self.base_multiplier, -2048, 2047) for q in row] for row in self.base[n]]
        added = up(low, rows, columns)
        return [[clip(values[y][x] + added[y][x], -2048, 2047) for x in range(columns)] for y in range(rows)]

    def residuals(self, n: int) -> list[Plane]:
        """R[n]."""
        channels = [self.channel(n, c) for c in range(self.grid.shape[1])]
        if self.mix is None:
            return channels[0 if self.base is None else 1 :]
        _, _, rows, columns = self.grid.shape
        planes = []
        for g in range(len(channels) // 4):
            plane = [[0] * (2 * columns) for _ in range(2 * rows)]
            for y, x in np.ndindex(2 * rows, 2 * columns):
                inputs = [channels[4 * g + i][y // 2][x // 2] for i in range(4)]
                plane[y][x] = self.mix(inputs, 4 * g + 2 * (y % 2) + x % 2)
            planes.append(plane)
        return planes

    def planes(self, n: int) -> list[Plane]:
        """A[n]."""
        residuals = self.residuals(n)
        if n == 0:
            return residuals
        d, made = self.displacements(n - 1, 8 * n), []
        for plane, before in zip(residuals, self.planes(n - 1), strict=True):
            made.append(
                [
                    [
                        clip(value + (fetch(before, self.step, d, y, x) + 512) // 1024, -2048, 2047)
                        for x, value in enumerate(row)
                    ]
                    for y, row in enumerate(plane)
                ]
            )
        return made

    def at(self, t: int) -> np.ndarray:
        """The grid at frame t: [C, H, W], without the base channel."""
        _, _, rows, columns = self.grid.shape
        n0, f = t // 8, t % 8
        n1 = min(n0 + 1, self.grid.shape[0] - 1)
        pairs = [(self.planes(n), self.displacements(n, t)) for n in (n0, n1)]
        out = []
        for p in range(len(pairs[0][0])):
            height, width = len(pairs[0][0][p]), len(pairs[0][0][p][0])
            plane = np.zeros((height, width), dtype=int)
            for y, x in np.ndindex(height, width):
                v0, v1 = (fetch(planes[p], self.step, d, y, x) for planes, d in pairs)
                plane[y, x] = (v0 * (8 - f) + v1 * f + 4096) // 8192
            out += [plane] if self.mix is None else [plane[i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return np.array(out).reshape(-1, rows, columns)
