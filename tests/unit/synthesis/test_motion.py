"""Displacements and the warp against the sample-by-sample oracle, and against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import motion as oracle
from synthesis_cases import Picture, random_case

from nvrc_decoder.profiles import PROFILES, WARPED_TEMPORAL_STRIDE, node_shape
from nvrc_decoder.synthesis import motion
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer


def flow_of(*nodes: tuple[int, int]) -> np.ndarray:
    """A flow grid of one place, from (dy, dx) of each node."""
    return np.array(nodes, dtype=np.int16).reshape(len(nodes), 2, 1, 1)


def test_positions_by_hand():
    flow = flow_of((0, 5), (4, -8), (-7, 2000))
    for tau, wanted in ((0, [0, 10]), (1, [12, -16]), (2, [-21, 2047]), (3, [-21, 2047]), (80, [-21, 2047])):
        assert motion.position(flow, [3, 2], tau).ravel().tolist() == wanted
    assert motion.position(flow_of((-2047, 1)), [2048, 1], 0).ravel().tolist() == [-2048, 1]


def test_displacements_point_from_the_frame_to_its_nodes():
    # Positions at frames 0 to 8; frame 16 lies after the last flow node.
    flow = flow_of(*((5 * n, 0) for n in range(8)), (40, -8))
    before, after = (motion.displacement(flow, [1, 1], n, 3, (9, 5)) for n in (0, 1))
    assert before.shape == after.shape == (2, 3, 2)
    assert set(before[0].ravel()) == {-60}
    assert set(after[0].ravel()) == {100}
    for n in (1, 2):
        assert not motion.displacement(flow, [1, 1], n, 11, (9, 5)).any()
    # The chain: from node 1, at frame 8, to node 0.
    assert motion.displacement(flow, [1, 1], 0, 8, (4, 4)).ravel().tolist() == [-160, 32]


def test_displacements_reach_their_largest_and_stay_exact():
    flow = flow_of(*[(2047, -2047)] * 8, (-2047, 2047))
    assert not motion.displacement(flow, [1, 2048], 0, 7, (4, 4)).any()
    assert motion.displacement(flow, [1, 2048], 1, 7, (4, 4)).ravel().tolist() == [-16376, 16380]
    assert motion.displacement(flow, [1, 2048], 0, 8, (4, 4)).ravel().tolist() == [16376, -16380]


def test_the_warp_by_hand():
    plane = np.array([[[0, 64, 128, 64]]], dtype=np.int16)
    still = np.zeros((2, 1, 1), dtype=np.int32)
    right = still.copy()
    right[1] = 16
    # At frame 0 only the node before counts; half a sample to the right.
    assert motion.warp(plane, -plane, right, still, 1, 0).ravel().tolist() == [32, 96, 96, 64]
    # At frame 2 a quarter of the other node: (64 * 6 - 64 * 2 + 4) >> 3 for the second sample.
    assert motion.warp(plane, -plane, still, still, 1, 2).ravel().tolist() == [0, 32, 64, 32]
    # In units of four luma samples 16/32 is 4/32, 17/32 likewise, and -7/32 is -2/32 (-7 + 2 >> 2).
    assert motion.warp(plane[..., :1], plane[..., :1] * 0, right, still, 4, 0).ravel().tolist() == [0]
    wide = np.tile(still, (1, 1, 4))
    wide[1] = [[16, 17, -7, -8186]]
    assert motion.warp(plane, plane, wide, wide, 4, 0).ravel().tolist() == [8, 72, 124, 0]


def test_no_displacement_changes_nothing_at_a_node():
    rng = np.random.default_rng(1)
    plane = rng.integers(-2048, 2048, (3, 6, 7)).astype(np.int16)
    still = np.zeros((2, 2, 2), dtype=np.int32)
    assert (motion.warp(plane, rng.permutation(plane), still, still, 1, 16) == plane).all()


def test_displacements_far_outside_repeat_the_edge():
    plane = np.array([[[1, 2], [3, 2047]], [[-2048, -3], [-2, -1]]], dtype=np.int16)
    far = np.full((2, 1, 1), 16380, dtype=np.int32)
    assert motion.warp(plane, plane, far, -far, 1, 0).reshape(2, 4).tolist() == [[2047] * 4, [-1] * 4]
    assert motion.warp(plane, plane, far, -far, 1, 7)[1].ravel().tolist() == [(-1 - 7 * 2048 + 4) >> 3] * 4


def test_mix_works_within_groups_of_four():
    x = np.arange(1, 9, dtype=np.int32).reshape(8, 1, 1)
    weight = np.zeros((8, 4), dtype=np.int64)
    weight[:, 0] = 1
    weight[5] = [1, 10, 100, 1000]
    layer = IntegerLayer(weight, np.arange(8, dtype=np.int64), 0, -2048, 2047)
    assert motion.mix(x[:4], layer, 0).ravel().tolist() == [1, 2, 3, 4]
    assert motion.mix(x[4:], layer, 1).ravel().tolist() == [9, 2047, 11, 12]


def test_interleaving_is_undone():
    x = np.arange(4 * 2 * 3, dtype=np.int32).reshape(4, 2, 3)
    plane = motion.interleave(x)
    assert plane.shape == (1, 4, 6)
    assert plane[0, :2, 2:4].tolist() == [[x[0, 0, 1], x[1, 0, 1]], [x[2, 0, 1], x[3, 0, 1]]]
    assert (motion.deinterleave(plane) == x).all()


def test_bands_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    plane = rng.integers(-2048, 2048, (2, 24, 9)).astype(np.int16)
    d = rng.integers(-399, 399, (2, 2, 6, 3)).astype(np.int32)
    whole = motion.warp(plane, plane[::-1], *d, 1, 5)
    monkeypatch.setattr(motion, "_BAND", 5)
    assert (motion.warp(plane, plane[::-1], *d, 1, 5) == whole).all()


def test_a_prediction_by_hand():
    before = np.array([[[0, 64, 128, 64]]], dtype=np.int16)
    residual = np.array([[[1, -1, 2040, -2000]]], dtype=np.int32)
    d = np.zeros((2, 1, 1), dtype=np.int32)
    d[1] = 16
    # Half a sample to the right: 32, 96, 96, 64; the sums are clipped.
    assert motion.predict(residual, before, d, 1).ravel().tolist() == [33, 95, 2047, -1936]
    assert motion.predict(residual * 0 - 2048, -before, d, 1).ravel().tolist() == [-2048] * 4


def test_the_base_is_upsampled_cropped_and_clipped():
    x = np.array([[[0, 0, 2047], [0, -2048, 5]]], dtype=np.int32)
    base = np.array([[[0, 16]]], dtype=np.int32)
    # Twice 0, 4, 12, 16, cropped to three columns.
    assert motion.add_base(x, base).tolist() == [[[0, 4, 2047], [0, -2044, 17]]]


def test_a_chain_is_the_same_however_it_is_asked():
    made = []

    def make(n, before):
        made.append(n)
        return np.array([n + (0 if before is None else 10 * int(before[0]))], dtype=np.int64)

    chain = motion.Chain()
    wanted = [0, 1, 12, 123, 1234]
    assert [int(chain.node(n, make)[0]) for n in (0, 1, 1, 2, 1, 2, 3)] == [wanted[n] for n in (0, 1, 1, 2, 1, 2, 3)]
    assert made == [0, 1, 2, 3]
    assert int(chain.node(4, make)[0]) == 1234
    # Only two nodes are kept: an earlier one begins anew.
    assert int(chain.node(1, make)[0]) == 1
    assert made == [0, 1, 2, 3, 4, 0, 1]


def oracle_of(case, i):
    profile = case.profile
    layer = case.layers.get(f"slot{i}.mix")
    assert (layer is not None) == (profile.slots[i].stride == 2)

    def mix(values, row):
        rounding = 1 << layer.shift >> 1
        total = sum(int(w) * v for w, v in zip(layer.weight[row], values, strict=True)) + int(layer.bias[row])
        return max(layer.low, min(layer.high, (total + rounding) >> layer.shift))

    base = case.grids[profile.base_slot][:, 0] if case.base else None
    return oracle.Moved(
        case.grids[i],
        case.multipliers[i],
        case.grids[profile.flow_slot],
        case.multipliers[profile.flow_slot],
        (case.picture.height, case.picture.width),
        base,
        case.multipliers[profile.base_slot][0] if case.base else 0,
        None if layer is None else mix,
    )


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 2**31),
    st.sampled_from(PROFILES),
    st.integers(1, 17),
    st.integers(1, 17),
    st.integers(1, 27),
    st.sampled_from(["lively", "bound", "aligned"]),
    st.booleans(),
)
def test_the_reference_equals_the_oracle(seed, profile, width, height, frame_count, style, base):
    case = random_case(seed, profile, Picture(width, height), frame_count, style=style, motion=True, base=base)
    start = seed % frame_count
    frames = range(start, min(start + 2, frame_count))
    found = ReferenceSynthesizer(*case.network).warped(case.grids, frame_count, frames)
    seen = profile.injected_channels([len(m) for m in case.multipliers], case.base)
    assert set(found) == {i for i in profile.warped_slots if seen[i]}
    for i, features in found.items():
        moved = oracle_of(case, i)
        for b, t in enumerate(frames):
            np.testing.assert_array_equal(features[b], moved.at(t))


def test_the_order_of_frames_changes_nothing():
    case = random_case(11, PROFILES[0], Picture(9, 14), 40, motion=True, full=True, base=True)
    one = ReferenceSynthesizer(*case.network)
    whole = one.warped(case.grids, 40, range(40))
    for t in (39, 0, 17, 16, 15, 38):
        for synthesizer in (one, ReferenceSynthesizer(*case.network)):
            found = synthesizer.warped(case.grids, 40, range(t, t + 1))
            assert all((found[i][0] == whole[i][t]).all() for i in whole)
    other = [None if grid is None else -grid for grid in case.grids]
    assert any((one.warped(other, 40, range(40))[i] != whole[i]).any() for i in whole)


def test_motion_replaces_interpolation_and_nothing_else():
    profile = PROFILES[0]
    case = random_case(4, profile, Picture(20, 20), 9, full=True)
    synthesizer = ReferenceSynthesizer(*case.network)
    whole = synthesizer.synthesise(case.grids, 9, range(3, 5))
    given_parts = synthesizer.warped(case.grids, 9, range(3, 5))
    assert [f.md5() for f in synthesizer.synthesise(case.grids, 9, range(3, 5), given_parts)] == [
        f.md5() for f in whole
    ]
    still = [*case.grids[: profile.flow_slot], np.zeros_like(case.grids[profile.flow_slot])]
    assert synthesizer.synthesise(still, 9, range(3, 4))[0].md5() != whole[0].md5()
    off = random_case(4, profile, Picture(20, 20), 9, full=True, motion=False)
    assert ReferenceSynthesizer(*off.network).warped(off.grids, 9, range(9)) == {}


@pytest.mark.parametrize("frame_count", [1, 2, 8, 9, 16, 17])
def test_the_bound_of_the_warp(frame_count):
    # All of the sums of 7.6.2 stay within 2048 * 8192, and the result is an activation.
    case = random_case(9, PROFILES[2], Picture(11, 9), frame_count, style="aligned", full=True)
    for features in ReferenceSynthesizer(*case.network).warped(case.grids, frame_count, range(frame_count)).values():
        assert -2048 <= features.min() <= features.max() <= 2047
    nodes = node_shape(PROFILES[2].slots[3], frame_count, 9, 11)[0]
    assert WARPED_TEMPORAL_STRIDE * (nodes - 1) >= frame_count - 1
