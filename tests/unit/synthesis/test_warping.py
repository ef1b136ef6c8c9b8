"""Motion in ONNX Runtime: the shipped graphs, and the reference's values in bands, on a device, in any order."""

from __future__ import annotations

import numpy as np
import pytest
from synthesis_cases import Case, Picture, differing, random_case

from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_decoder.synthesis import host_warping
from nvrc_decoder.synthesis.batches import plan_calls
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.session import motion_graph_bytes
from nvrc_decoder.synthesis.tiles import TiledSynthesizer, halo

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from nvrc_encoder.export_motion import MOTION_GRAPHS  # noqa: E402
from nvrc_encoder.export_profile import OPERATORS  # noqa: E402

each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


@pytest.mark.parametrize("name", MOTION_GRAPHS)
def test_the_shipped_graph_is_the_exported_one(name: str):
    model = MOTION_GRAPHS[name]()
    assert motion_graph_bytes(name) == model.SerializeToString()
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    assert {node.domain for node in model.graph.node} == {""}


@pytest.mark.parametrize("name", ["chain-2", "chain-4", "warp-2", "warp-4"])
def test_indices_are_integers_all_the_way(name: str):
    """Nothing between a displacement in whole samples and the index of a tap is a float."""
    graph = MOTION_GRAPHS[name]().graph
    makers = {node.output[0]: node for node in graph.node}
    (gather,) = (node for node in graph.node if node.op_type == "GatherElements")
    waiting, casts = [gather.input[1]], set()
    while waiting:
        node = makers.get(waiting.pop())
        if node is None:
            continue
        if node.op_type == "Cast":
            # The only way in; an index that is cast to it is that of a row or column of cells, or a size.
            casts.add(onnx.helper.get_attribute_value(node.attribute[0]))
        elif node.op_type != "Shape":
            assert node.op_type not in ("Floor", "Conv")
            waiting += node.input
    assert casts == {onnx.TensorProto.INT32}


def moving(seed: int, profile: Profile, picture: Picture, frames: int, **more: object) -> Case:
    return random_case(seed, profile, picture, frames, full=True, motion=True, **more)  # type: ignore[arg-type]


def assert_warped(case: Case, runtime: OrtSynthesizer, frames: range) -> None:
    """What is warped is what the reference warps, and where there is no plane, zeros."""
    expected = ReferenceSynthesizer(*case.network).warped(case.grids, case.frame_count, frames)
    found = runtime.warped(case.grids, case.frame_count, frames)
    assert expected.keys() == found.keys()
    for i, values in expected.items():
        first = int(case.base and i == case.profile.base_slot)
        stop = first + values.shape[1]
        np.testing.assert_array_equal(found[i][:, first:stop], values)
        assert not found[i][:, :first].any()
        assert not found[i][:, stop:].any()


@each_profile
@pytest.mark.parametrize("base", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (33, 1), (1, 18), (37, 30), (70, 43)])
def test_warped_values_are_the_reference_s(profile: Profile, base: bool, size: tuple[int, int]):
    case = moving(sum(size), profile, Picture(*size), 17, base=base)
    runtime = OrtSynthesizer(*case.network, threads=1)
    assert_warped(case, runtime, range(17))


@pytest.mark.parametrize("style", ["lively", "bound", "aligned"])
def test_extreme_displacements(style: str):
    case = moving(4, PROFILES[0], Picture(50, 41), 9, style=style)
    flow = case.grids[PROFILES[0].flow_slot]
    assert flow is not None
    for left, right in ((2047, -2047), (-2047, 2047)):
        flow[:2], flow[2:] = left, right
        flow[1, 1] = -left
        assert_warped(case, OrtSynthesizer(*case.network, threads=1), range(9))


@pytest.mark.parametrize("threads", [1, 3])
def test_blocks_and_bands_change_nothing(threads: int, monkeypatch: pytest.MonkeyPatch):
    for profile in PROFILES[:2]:
        case = moving(9, profile, Picture(45, 61), 10, base=True)
        for columns, samples, values in ((4, 30, 500), (5, 1, 1), (3, 100, 200)):
            monkeypatch.setattr(host_warping, "_BLOCK_COLUMNS", columns)
            monkeypatch.setattr(host_warping, "_BLOCK_SAMPLES", samples)
            monkeypatch.setattr(host_warping, "_BAND_VALUES", values)
            assert_warped(case, OrtSynthesizer(*case.network, threads=threads), range(10))


@each_profile
def test_frames_in_any_order_and_gops_in_turn(profile: Profile):
    one, two = (moving(seed, profile, Picture(27, 22), 25) for seed in (5, 6))
    runtime = OrtSynthesizer(*one.network, threads=1)
    reference = ReferenceSynthesizer(*one.network)
    for grids, t in ((one.grids, 20), (one.grids, 3), (two.grids, 3), (one.grids, 24), (one.grids, 7), (two.grids, 8)):
        wanted = range(t, t + 1)
        expected = reference.synthesise(grids, 25, wanted)
        assert differing(expected, runtime.synthesise(grids, 25, wanted)) == []
        runtime.release()


@each_profile
@pytest.mark.parametrize("base", [False, True])
def test_the_way_of_a_device(profile: Profile, base: bool):
    case = moving(7, profile, Picture(43, 31), 19, base=base)
    expected = ReferenceSynthesizer(*case.network).synthesise(case.grids, 19, range(19))
    runtime = OrtSynthesizer(*case.network, threads=1, motion_graphs=True)
    for batch in (1, 4, 5, 8, 19):
        runtime.batch = batch
        assert differing(expected, runtime.synthesise(case.grids, 19, range(19))) == []
        assert differing(expected[6:18], runtime.synthesise(case.grids, 19, range(6, 18))) == []
    assert_warped(case, runtime, range(4, 13))


@each_profile
def test_the_way_of_a_device_where_not_all_that_could_move_is_there(profile: Profile):
    present = set()
    for seed in range(8):
        case = random_case(seed, profile, Picture(20, 13), 5, motion=True, base=seed % 2 > 0)
        expected = ReferenceSynthesizer(*case.network).synthesise(case.grids, 5, range(5))
        runtime = OrtSynthesizer(*case.network, threads=1, motion_graphs=True)
        assert differing(expected, runtime.synthesise(case.grids, 5, range(5))) == []
        present.add(tuple(case.grids[i] is not None for i in profile.warped_slots))
    assert len(present) > 1


def test_calls_do_not_reach_over_a_node():
    free = 1 << 36
    assert plan_calls(PROFILES[0], 64, 48, free).frames > 8
    assert plan_calls(PROFILES[0], 64, 48, free, True).frames == 8
    for free in range(1 << 20, 1 << 24, 1 << 20):
        assert plan_calls(PROFILES[0], 352, 288, free, True).frames in (1, 2, 4, 8)


@pytest.mark.parametrize("engine", [OrtSynthesizer, ReferenceSynthesizer])
def test_tiles_have_the_samples_of_the_whole_though_motion_reaches_over_them(engine: type):
    profile = PROFILES[0]
    case = moving(3, profile, Picture(2 * halo(profile) + 75, 40), 9, base=True)
    whole = engine(*case.network)
    tiled = TiledSynthesizer(whole, profile, case.picture, 1)
    assert len(tiled._columns) > 2
    expected = whole.synthesise(case.grids, 9, range(5, 6))
    assert differing(expected, tiled.synthesise(case.grids, 9, range(5, 6))) == []
