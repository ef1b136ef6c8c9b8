"""The chooser of test cases leaves no pair out and takes few rows."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from case_choice import pairwise

AXES = [
    ([1, 2, 3], "ab"),
    ([1, 2], [1, 2], [1, 2]),
    ("abcdef", (1, 2, 3), (None, True)),
    (range(55), [1, 2], ["off", "rewritten", "full"], [1, 65536]),
    ([0], [1, 2], "x", "pqr"),
]


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "x".join(str(len(axis)) for axis in axes))
def test_every_pair_is_in_a_row(axes: tuple[list[object], ...]) -> None:
    rows = pairwise(*axes)
    for a, b in combinations(range(len(axes)), 2):
        assert {(row[a], row[b]) for row in rows} == set(product(axes[a], axes[b]))
    largest = sorted((len(axis) for axis in axes), reverse=True)
    assert len(rows) <= 1.5 * largest[0] * largest[1]
    assert len(rows) == len(set(rows))
    assert pairwise(*axes) == rows


def test_two_axes_are_the_full_product() -> None:
    assert pairwise([1, 2], "ab") == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
