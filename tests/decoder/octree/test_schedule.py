"""Schedules: every position once, in the order of the specification."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracles import context

from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.octree.schedule import (
    LEVEL_KINDS,
    STEP_ORDERS,
    expand_schedule,
    octree_schedule,
    parse_split,
    temporal_first_schedule,
)

VALID_SPLITS = [halve | phase << 4 for halve, phase in itertools.product(range(1, 8), range(8)) if not halve & phase]
shapes = st.tuples(st.integers(1, 9), st.integers(1, 7), st.integers(1, 7))
schedules = st.lists(st.sampled_from(VALID_SPLITS), max_size=6)


@given(shapes, schedules)
@example((1, 1, 1), [])
@example((1, 1, 1), [0x07] * 32)
@example((9, 1, 1), [0x34] * 32)
@example((1, 1, 7), [0x03, 0x42, 0x61])
def test_every_position_is_coded_exactly_once(shape: tuple[int, int, int], splits: list[int]) -> None:
    visits = np.zeros(shape, dtype=int)
    for step in expand_schedule(shape, splits):
        visits[step.slices] += 1
        assert visits[step.slices].shape == step.count
        assert min(step.count) >= 1
        assert 0 <= step.level_index < LEVEL_KINDS
        assert 0 <= step.step_index < STEP_ORDERS
    assert (visits == 1).all()


@settings(deadline=None, max_examples=60)
@given(shapes, schedules)
def test_steps_equal_those_found_by_remainders(shape: tuple[int, int, int], splits: list[int]) -> None:
    expected = list(context.steps(shape, splits))
    steps = expand_schedule(shape, splits)
    assert len(steps) == len(expected)
    for step, other in zip(steps, expected, strict=True):
        axes = (range(n)[cut] for n, cut in zip(shape, step.slices, strict=True))
        assert list(itertools.product(*axes)) == other.positions
        assert (step.spacing, step.level_index, step.step_index) == (other.spacing, other.kind, other.ordinal)


def test_default_schedules() -> None:
    assert temporal_first_schedule(32, 25, 44) == (0x03,) * 6 + (0x34,) * 5
    assert octree_schedule(32, 25, 44) == (0x07,) * 6
    assert temporal_first_schedule(1, 1, 1) == octree_schedule(1, 1, 1) == ()
    assert temporal_first_schedule(33, 64, 65) == (0x03,) * 7 + (0x34,) * 6


@pytest.mark.parametrize("shape", [(32, 25, 44), (1, 200, 352), (5, 1, 3)])
def test_default_schedules_start_with_one_position(shape: tuple[int, int, int]) -> None:
    for splits in (temporal_first_schedule(*shape), octree_schedule(*shape)):
        assert expand_schedule(shape, splits)[0].count == (1, 1, 1)


def test_temporal_first_has_3_or_4_steps_per_split() -> None:
    steps = expand_schedule((32, 25, 44), temporal_first_schedule(32, 25, 44))
    # The first split of 25 rows at spacing 64 finds rows 0 only: one of its three cosets has a position.
    assert len(steps) == 1 + 1 + 5 * 3 + 5 * 4


@pytest.mark.parametrize("value", [v for v in range(256) if v not in VALID_SPLITS] + [-1, 256])
def test_an_invalid_split_is_refused(value: int) -> None:
    reserved = value < 0 or value > 255 or value & 0x88
    with pytest.raises(InvalidStreamError, match="E_RESERVED" if reserved else "E_SCHEDULE"):
        parse_split(value)


def test_splits_are_parsed_in_the_order_t_y_x() -> None:
    assert parse_split(0x34).halve == (1, 0, 0)
    assert parse_split(0x34).phase == (0, 1, 1)
    assert parse_split(0x41).halve == (0, 0, 1)
    assert parse_split(0x41).phase == (1, 0, 0)


def test_too_many_splits_are_refused() -> None:
    with pytest.raises(InvalidStreamError, match="E_SCHEDULE"):
        expand_schedule((4, 4, 4), [0x07] * 33)
