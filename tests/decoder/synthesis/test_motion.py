"""Planes of the NumPy reference and of both fast paths against the sample-by-sample oracle."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import motion as oracle
from synthesis_cases import PYRAMIDS, Case, Picture, random_case

from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_decoder.pyramid import Pyramid
from nvrc_decoder.synthesis import motion
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

STEPS = {3: 4, 4: 1}


def oracle_of(case: Case, stage: int) -> oracle.Gop:
    """What enters a stage; made of the grids and of nothing that the decoder makes of them."""
    profile, pyramid = case.profile, case.pyramid
    slots = profile.band_slots if stage == 4 else (profile.plane_slot,)
    flow, split = case.grids[profile.flow_slot], case.grids[profile.split_slot]
    return oracle.Gop(
        [(case.grids[i], case.multipliers[i]) for i in slots],
        None if flow is None else (flow, case.multipliers[profile.flow_slot]),
        None if split is None else (split, case.multipliers[profile.split_slot]),
        (case.picture.height, case.picture.width),
        STEPS[stage],
        pyramid.key_spacing,
        pyramid.node_spacing,
        pyramid.factors,
    )


ENGINES = {
    "reference": ReferenceSynthesizer,
    "host": functools.partial(OrtSynthesizer, threads=1),
    "graphs": functools.partial(OrtSynthesizer, threads=1, motion_graphs=True),
}


@pytest.mark.parametrize("engine", ENGINES)
@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    st.integers(0, 2**31),
    st.sampled_from(PROFILES),
    st.integers(1, 17),
    st.integers(1, 17),
    st.integers(1, 20),
    st.sampled_from(["lively", "bound", "aligned"]),
    st.sampled_from(PYRAMIDS),
    st.booleans(),
)
def test_planes_equal_the_oracles(
    engine: str,
    seed: int,
    profile: Profile,
    width: int,
    height: int,
    frame_count: int,
    style: str,
    pyramid: Pyramid,
    moving: bool,
):
    case = random_case(seed, profile, Picture(width, height), frame_count, style=style, motion=True, pyramid=pyramid)
    if not moving:
        for slot in (profile.flow_slot, profile.split_slot):
            case.grids[slot], case.multipliers[slot] = None, []
    start = seed % frame_count
    frames = range(start, min(start + 2, frame_count))
    found = ENGINES[engine](*case.network).predicted(case.grids, frame_count, frames)
    counts = [len(factors) for factors in case.multipliers]
    assert set(found) == {
        stage for stage, there in ((3, counts[profile.plane_slot]), (4, profile.has_luma(counts))) if there
    }
    for stage, values in found.items():
        expected = oracle_of(case, stage)
        for b, t in enumerate(frames):
            wanted = expected.at(t)
            np.testing.assert_array_equal(values[b, : len(wanted)], wanted)
            assert not values[b, len(wanted) :].any()


def flow_of(*nodes: tuple[int, int, int]) -> np.ndarray:
    """A flow grid of one place, from (dy, dx, blend) of each node."""
    return np.array(nodes, np.int16).reshape(len(nodes), 3, 1, 1)


def test_positions_after_the_last_frame_are_its_own():
    flow = flow_of((0, 5, 0), (4, -8, 0), (-7, 2000, 0))
    for t, wanted in ((0, [0, 10]), (1, [12, -16]), (2, [-21, 2047]), (3, [-21, 2047]), (80, [-21, 2047])):
        assert motion.position(flow, [3, 2, 1], t).ravel().tolist() == wanted


def test_displacements_point_to_the_reference():
    flow = flow_of(*((5 * n, 0, 0) for n in range(8)), (40, -8, 0))
    before, after = (motion.displacement(flow, [1, 1, 1], 3, n, (9, 5)) for n in (0, 8))
    assert before.shape == after.shape == (2, 3, 2)
    assert set(before[0].ravel()) == {-60}
    assert set(after[0].ravel()) == {100}
    for n in (8, 16):
        assert not motion.displacement(flow, [1, 1, 1], 11, n, (9, 5)).any()


def test_displacements_reach_their_largest():
    flow = flow_of(*[(2047, -2047, 0)] * 8, (-2047, 2047, 0))
    assert not motion.displacement(flow, [1, 2048, 1], 7, 0, (4, 4)).any()
    assert motion.displacement(flow, [1, 2048, 1], 7, 8, (4, 4)).ravel().tolist() == [-16376, 16380]
    assert motion.displacement(flow, [1, 2048, 1], 8, 0, (4, 4)).ravel().tolist() == [16376, -16380]


def test_blocks_move_the_other_way_to_later_frames():
    flow = flow_of((0, 0, 0), (3, 1, 0), (5, 2, 0))
    split = np.zeros((3, 3, 2, 2), np.int16)
    split[1, :, 0, 1] = 7, -2, 3
    added = motion.split_cells(split, [10, 10, 4], 1, (12, 13))
    assert added.shape == (3, 3, 4)
    assert added[0].tolist() == [[0, 0, 70, 70], [0, 0, 70, 70], [0, 0, 0, 0]]
    for reference, sign in ((0, 1), (2, -1)):
        smooth = motion.displacement(flow, [1, 1, 1], 1, reference, (12, 13))
        moved = motion.displacement(flow, [1, 1, 1], 1, reference, (12, 13), added)
        np.testing.assert_array_equal(moved - smooth, sign * added[:2])
    assert motion.blend_weight(flow, [1, 1, 1], 1, 16, (12, 13), added)[0].tolist() == [16, 16, 28, 28]


@pytest.mark.parametrize("frame_count", [1, 2, 8, 9, 17])
def test_planes_stay_activations(frame_count: int):
    case = random_case(9, PROFILES[2], Picture(11, 9), frame_count, style="aligned", full=True)
    for values in ReferenceSynthesizer(*case.network).predicted(case.grids, frame_count, range(frame_count)).values():
        assert -2048 <= values.min() <= values.max() <= 2047
