"""Which cases of a parametrised test run: every pair of values instead of the full product, and few in the fast run."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product
from typing import Any

import pytest

__all__ = ["full_except", "pairwise"]

Choice = tuple[int, int]


def pairwise(*values: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Rows with one of the values of each axis; any two of two axes stand together in a row at least once.

    The rows are always the same for the same axes.
    """
    axes = [list(axis) for axis in values]
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


def full_except(cases: Iterable[Any], *fast: Any) -> list[Any]:
    """The cases of a parametrisation, where all but `fast` are left to the full run."""
    listed = list(cases)
    assert all(case in listed for case in fast)
    return [
        case if case in fast else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.full)
        for case in listed
    ]
