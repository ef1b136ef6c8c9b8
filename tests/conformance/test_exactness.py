"""Random networks and grids: the NumPy reference and ONNX Runtime make the same frames, however they are called."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthesis_cases import PYRAMIDS

from nvrc_conformance.drafts import NetworkDraft, random_network
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.gop import Grid, Network, grid_shape, load_network
from nvrc_decoder.profiles import FLOW_CHANNELS, PROFILES, Q_MAX, SPLIT_CHANNELS
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer


@st.composite
def cases(draw: st.DrawFn) -> tuple[SequenceHeader, NetworkDraft, int, int, int]:
    """Format, network, frames of the GOP, seed, largest grid value."""
    profile = draw(st.sampled_from(PROFILES))
    sequence = SequenceHeader(
        draw(st.integers(1, 75)),
        draw(st.integers(1, 75)),
        25,
        1,
        chroma_format=draw(st.integers(0, 2)),
        bit_depth=draw(st.sampled_from((8, 10))),
        profile=profile.id,
        level=6,
    )
    slots = draw(st.sets(st.integers(0, profile.plane_slot)))
    channels = {slot: draw(st.integers(1, profile.slots[slot].max_channels)) for slot in sorted(slots)}
    if not channels or draw(st.booleans()):
        channels.update((slot, profile.slots[slot].max_channels) for slot in profile.band_slots)
    if not channels.keys().isdisjoint(profile.node_slots) and draw(st.booleans()):
        channels[profile.flow_slot] = FLOW_CHANNELS
        if draw(st.booleans()):
            channels[profile.split_slot] = SPLIT_CHANNELS
    draft = NetworkDraft(
        tuple(draw(st.integers(1, most)) for most in profile.max_channels),
        tuple(draw(st.integers(0, most)) for most in profile.blocks),
        channels,
        draw(st.sampled_from(PYRAMIDS)),
        flow_multipliers=draw(st.sampled_from(((1, 6), (1, 2049)))),
        blend_multipliers=draw(st.sampled_from(((1, 9), (1, 2049)))),
        context_widths=(1, 1),
        bound=draw(st.booleans()),
        wild=draw(st.sampled_from((0, 0, 9))),
    )
    return sequence, draft, draw(st.integers(1, 18)), draw(st.integers(0, 1 << 31)), draw(st.sampled_from((3, Q_MAX)))


def random_grids(
    rng: np.random.RandomState, sequence: SequenceHeader, network: Network, frame_count: int, largest: int
) -> list[Grid | None]:
    grids: list[Grid | None] = [None] * len(network.profile.slots)
    for header in network.header.grids:
        shape = grid_shape(sequence, network.header, header, frame_count)
        grid = rng.randint(-largest, largest + 1, size=shape).astype(np.int16)
        if network.profile.slots[header.slot].mapped:
            grid[rng.randint(0, 4, size=shape[0]) == 0] = 0
        grids[header.slot] = grid
    return grids


@pytest.mark.full
@settings(max_examples=60, deadline=None)
@given(cases(), st.data())
def test_engines_agree(case: tuple[SequenceHeader, NetworkDraft, int, int, int], data: st.DataObject) -> None:
    sequence, draft, frame_count, seed, largest = case
    rng = np.random.RandomState(seed)
    network = load_network(sequence, random_network(rng, sequence, draft, frame_count))
    grids = random_grids(rng, sequence, network, frame_count, largest)
    arguments: Any = (
        network.profile,
        sequence,
        network.header.stage_channels,
        network.header.stage_blocks,
        network.layers,
        network.multipliers,
        network.header.pyramid,
    )
    first = data.draw(st.integers(0, frame_count - 1), label="first")
    frames = range(first, min(frame_count, first + 4))
    wanted = ReferenceSynthesizer(*arguments).synthesise(grids, frame_count, frames)
    runtime = OrtSynthesizer(
        *arguments,
        threads=data.draw(st.integers(1, 2), label="threads"),
        optimization=data.draw(st.booleans(), label="optimization"),
        layout=data.draw(st.booleans(), label="layout"),
        batch=data.draw(st.sampled_from((1, 2, 64)), label="batch"),
        workers=data.draw(st.integers(1, 3), label="workers"),
    )
    for ours, theirs in zip(wanted, runtime.synthesise(grids, frame_count, frames), strict=True):
        for plane, other in zip(ours.planes(), theirs.planes(), strict=True):
            assert plane.dtype == other.dtype
            np.testing.assert_array_equal(plane, other)
