"""Test cases that cover every pair of values, where the full product would take too long."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

__all__ = ["pairwise"]

Choice = tuple[int, int]


def pairwise(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows with one value of each axis; any two values of two axes stand together in a row at least once.

    The rows are always the same for the same axes.
    """
    missing: dict[tuple[Choice, Choice], None] = {}
    for a, b in combinations(range(len(axes)), 2):
        for i, j in product(range(len(axes[a])), range(len(axes[b]))):
            missing[(a, i), (b, j)] = None
    rows = []
    while missing:
        row = dict(next(iter(missing)))
        # Larger axes first: most pairs are theirs.
        for axis in sorted(set(range(len(axes))) - set(row), key=lambda axis: -len(axes[axis])):
            gains = [sum(_pair((axis, i), choice) in missing for choice in row.items()) for i in range(len(axes[axis]))]
            row[axis] = gains.index(max(gains))
        for one, other in combinations(sorted(row.items()), 2):
            missing.pop((one, other), None)
        rows.append(tuple(axes[axis][row[axis]] for axis in range(len(axes))))
    return rows


def _pair(one: Choice, other: Choice) -> tuple[Choice, Choice]:
    return (one, other) if one < other else (other, one)
