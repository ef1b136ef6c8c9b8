"""Motion of spec 7.6 in Python integers, one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Plane = list[list[int]]


def clip(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def positions(flow: np.ndarray, multipliers: Sequence[int], tau: int, axis: int) -> Plane:
    """P(tau) of one axis on the flow lattice."""

    def node(j: int, y: int, x: int) -> int:
        return clip(int(flow[min(j, flow.shape[0] - 1), axis, y, x]) * multipliers[axis], -2048, 2047)

    _, _, rows, columns = flow.shape
    j = tau // 2
    if tau % 2 == 0:
        return [[node(j, y, x) for x in range(columns)] for y in range(rows)]
    return [[(node(j, y, x) + node(j + 1, y, x) + 1) // 2 for x in range(columns)] for y in range(rows)]


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
    d = [[a - b for a, b in zip(p, q, strict=True)] for p, q in zip(there, here, strict=True)]
    d = up(d, -(-height // 8), -(-width // 8))
    return up(d, -(-height // 4), -(-width // 4))


def fetch(plane: Callable[[int, int], int], rows: int, columns: int, y: int, x: int, dy: int, dx: int) -> int:
    """64 times the plane at (8 * y + dy, 8 * x + dx) eighths of its samples."""
    big_y, big_x = 8 * y + dy, 8 * x + dx
    iy, fy, ix, fx = big_y // 8, big_y % 8, big_x // 8, big_x % 8
    total = 0
    for i, wy in ((iy, 8 - fy), (iy + 1, fy)):
        for j, wx in ((ix, 8 - fx), (ix + 1, fx)):
            total += wy * wx * plane(clip(i, 0, rows - 1), clip(j, 0, columns - 1))
    return total


def warped(
    grid: np.ndarray,
    multipliers: Sequence[int],
    flow: np.ndarray,
    flow_multipliers: Sequence[int],
    t: int,
    size: tuple[int, int],
    mix: Callable[[list[int], int], int] | None,
) -> np.ndarray:
    """A grid [N, C, H, W] moved to frame t: [C, H, W].

    `mix(values, row)` makes output `row` of the mix layer from its four inputs; None for a grid that is not mixed.
    """
    nodes, channels, rows, columns = grid.shape
    height, width = size
    n0, f = t // 8, t % 8
    n1 = min(n0 + 1, nodes - 1)
    d = [[displacement(flow, flow_multipliers, 8 * n, t, axis, height, width) for axis in (0, 1)] for n in (n0, n1)]

    def value(n: int, c: int, y: int, x: int) -> int:
        def coded(k: int) -> int:
            return clip(int(grid[n, k, y, x]) * multipliers[k], -2048, 2047)

        if mix is None:
            return coded(c)
        return mix([coded(4 * (c // 4) + i) for i in range(4)], c)

    result = np.zeros((channels, rows, columns), dtype=int)
    for c in range(channels):
        for y in range(rows):
            for x in range(columns):
                sums = []
                for n, (dy, dx) in zip((n0, n1), d, strict=True):
                    if mix is None:
                        vertical, horizontal = (dy[y][x] + 2) // 4, (dx[y][x] + 2) // 4
                        sums.append(
                            fetch(lambda i, j, n=n, c=c: value(n, c, i, j), rows, columns, y, x, vertical, horizontal)
                        )
                    else:
                        at_y, at_x = 2 * y + (c % 4) // 2, 2 * x + c % 2

                        def plane(i: int, j: int, n: int = n, group: int = c // 4) -> int:
                            return value(n, 4 * group + 2 * (i % 2) + j % 2, i // 2, j // 2)

                        vertical, horizontal = dy[at_y // 4][at_x // 4], dx[at_y // 4][at_x // 4]
                        sums.append(fetch(plane, 2 * rows, 2 * columns, at_y, at_x, vertical, horizontal))
                result[c, y, x] = (sums[0] * (8 - f) + sums[1] * f + 256) // 512
    return result
