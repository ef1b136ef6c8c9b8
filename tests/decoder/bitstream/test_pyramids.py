"""The pyramid of a NETWORK, what each frame is predicted from, and the node maps of a GOP."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_builders import SEQUENCE, make_network, make_node_network, make_node_stream, read_all

from nvrc_decoder.bitstream.units import (
    Gop,
    coded_nodes,
    gop_symbols,
    node_map,
    parse_gop,
    parse_network,
    serialise_gop,
    serialise_network,
)
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.pyramid import Pyramid, References

PROFILE = SEQUENCE.profile_spec
# In the payload of `make_node_network`.
SPACINGS, STEP_FACTOR = 12, 13


@st.composite
def pyramids(draw: st.DrawFn) -> Pyramid:
    key = draw(st.integers(0, 4))
    node = draw(st.integers(0, key))
    return Pyramid(1 << key, 1 << node, tuple(draw(st.integers(1, 255)) for _ in range(key - node)))


@pytest.mark.parametrize(
    "allowed",
    [Pyramid(1, 1), Pyramid(16, 16), Pyramid(8, 4, (1,)), Pyramid(2, 1, (255,)), Pyramid(16, 1, (1, 255, 16, 17))],
    ids=lambda value: f"{value.key_spacing}-{value.node_spacing}",
)
def test_pyramids_at_the_limits_are_valid(allowed: Pyramid) -> None:
    header = make_node_network(allowed)
    payload = serialise_network(header, SEQUENCE)
    assert parse_network(payload, SEQUENCE) == header
    assert payload[SPACINGS] == (allowed.node_spacing.bit_length() - 1) | (allowed.key_spacing.bit_length() - 1) << 4
    # The layout of the first grid, of two channels, follows one factor for each level.
    assert tuple(payload[STEP_FACTOR : STEP_FACTOR + allowed.levels + 1]) == (*allowed.factors, 2)


def test_without_nodes_there_is_no_pyramid() -> None:
    payload = serialise_network(make_network(), SEQUENCE)
    assert payload[SPACINGS] == 0x81  # the layout of the first grid
    assert parse_network(payload, SEQUENCE).pyramid == Pyramid()


def test_references_by_hand() -> None:
    pyramid = Pyramid(8, 2, (20, 24))
    assert pyramid.references(0) is None
    assert [pyramid.references(t) for t in (8, 16)] == [References(0, 0, 0), References(8, 8, 0)]
    assert [pyramid.references(t) for t in (4, 12)] == [References(0, 8, 16), References(8, 16, 16)]
    assert [pyramid.references(t) for t in (2, 6, 10)] == [
        References(0, 4, 16),
        References(4, 8, 16),
        References(8, 12, 16),
    ]
    assert [pyramid.references(t) for t in (1, 7)] == [References(0, 2, 16), References(6, 8, 16)]
    assert [Pyramid(8, 8).references(t) for t in (1, 7, 10)] == [
        References(0, 8, 4),
        References(0, 8, 28),
        References(8, 16, 8),
    ]
    assert [pyramid.factor(t) for t in (0, 2, 4, 6, 8)] == [16, 24, 20, 24, 16]
    assert [pyramid.node_multiplier(2, m) for m in (1, 3, 5, 2048)] == [2, 5, 8, 2048]
    assert Pyramid(2, 1, (1,)).node_multiplier(1, 7) == 1


@given(pyramids(), st.integers(1, 200))
def test_references_are_nodes_made_before(pyramid: Pyramid, frames: int) -> None:
    nodes = pyramid.node_count(frames)
    last = (nodes - 1) * pyramid.node_spacing
    assert last % pyramid.key_spacing == 0
    assert last - pyramid.key_spacing < frames - 1 <= last
    order = {0: 0}

    def rank(t: int) -> int:
        """How many predictions lie between a frame and frame 0; recursion that does not end fails the test."""
        if t not in order:
            references = pyramid.references(t)
            assert references is not None
            for frame in (references.before, references.after):
                assert pyramid.is_node(frame)
                assert 0 <= frame <= last
            assert references.before < t
            assert 0 <= references.share < 32
            order[t] = 1 + max(rank(references.before), rank(references.after))
        return order[t]

    for t in (*range(frames), *range(0, last + 1, pyramid.node_spacing)):
        keys = -(-t // pyramid.key_spacing)
        assert rank(t) <= keys + pyramid.levels + 1


@given(pyramids(), st.integers(1, 60))
def test_shares_grow_from_node_to_node(pyramid: Pyramid, t: int) -> None:
    shares = {}
    for frame in range(t * pyramid.node_spacing + 1, (t + 1) * pyramid.node_spacing):
        references = pyramid.references(frame)
        assert references is not None
        assert (references.before, references.after) == (t * pyramid.node_spacing, (t + 1) * pyramid.node_spacing)
        shares[frame] = references.share
    assert all(a < b for a, b in pairwise(shares.values()))


@pytest.mark.parametrize(("frames", "nodes"), [(1, 1), (2, 3), (9, 3), (10, 5), (25, 7), (33, 9), (57, 15), (65, 17)])
def test_a_node_map_has_a_bit_a_node(frames: int, nodes: int) -> None:
    network = make_node_network()
    assert network.pyramid.node_count(frames) == nodes
    full = ((1 << nodes) - 1).to_bytes(-(-nodes // 8), "little")
    for data in (full, bytes(len(full))):
        gop = Gop(frames, (b"", b"abcd"), (data,))
        assert parse_gop(serialise_gop(gop, network, PROFILE), network, PROFILE) == gop
    assert len(read_all(make_node_stream(frames, full))) == 5
    if nodes % 8:
        with pytest.raises(InvalidStreamError, match="node_map"):
            read_all(make_node_stream(frames, (1 << nodes).to_bytes(len(full), "little")))


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_node_maps_round_trip(coded: list[bool]) -> None:
    data = node_map(coded)
    assert int.from_bytes(data, "little") == sum(1 << n for n, kept in enumerate(coded) if kept)
    assert len(data) == -(-len(coded) // 8)
    assert coded_nodes(data, len(coded)).tolist() == coded
    assert node_map(np.array(coded)) == data


def test_wrong_node_maps_are_the_callers_fault() -> None:
    for maps in ((), (b"\x01", b"\x01")):
        with pytest.raises(InternalError, match="node maps"):
            serialise_gop(Gop(1, (b"", b""), maps), make_node_network(), PROFILE)
    with pytest.raises(InternalError, match="node_map has 2 bytes"):
        serialise_gop(Gop(1, (b"", b""), (bytes(2),)), make_node_network(), PROFILE)


def test_symbols_are_counted_by_nodes() -> None:
    # Planes of 12x8 in 2 channels, flow of 3x2 in 3.
    assert gop_symbols(SEQUENCE, make_node_network(Pyramid(8, 4, (1,))), 10) == 5 * 12 * 8 * 2 + 10 * 3 * 2 * 3
    assert gop_symbols(SEQUENCE, make_node_network(Pyramid(16, 16)), 10) == 2 * 12 * 8 * 2 + 10 * 3 * 2 * 3
