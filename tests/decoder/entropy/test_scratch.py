"""Arrays that are used again."""

from __future__ import annotations

import tracemalloc

import numpy as np

from nvrc_decoder.entropy.scratch import Scratch


def test_an_array_is_used_again_where_it_is_large_enough() -> None:
    scratch = Scratch()
    first = scratch.array("a", (4, 6), np.int16)
    first[...] = 7
    second = scratch.array("a", (5,), np.int16)
    assert second.shape == (5,)
    assert np.shares_memory(first, second)
    assert not np.shares_memory(first, scratch.array("b", (5,), np.int16))
    assert not np.shares_memory(first, scratch.array("a", (5,), np.uint16))
    assert not np.shares_memory(first, scratch.array("a", (25,), np.int16))


def test_the_smaller_array_is_let_go_before_there_is_a_larger_one() -> None:
    tracemalloc.start()
    try:
        scratch = Scratch()
        scratch.array("a", (10_000_000,), np.int8)
        tracemalloc.reset_peak()
        scratch.array("a", (12_000_000,), np.int8)
        assert tracemalloc.get_traced_memory()[1] < 12_100_000
    finally:
        tracemalloc.stop()
