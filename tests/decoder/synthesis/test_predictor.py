"""Planes beside the main graph: the shipped graphs, which nodes are made and kept, any frames in any order."""

from __future__ import annotations

import random

import numpy as np
import pytest
from synthesis_cases import PYRAMIDS, Case, Picture, differing, random_case

from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_decoder.pyramid import Pyramid
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.onnx.session import motion_graph_bytes
from nvrc_decoder.synthesis.predictor import ArrayPool, PlanePredictor
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.tiles import TiledSynthesizer, halo

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from nvrc_graphs.export import OPERATORS  # noqa: E402
from nvrc_graphs.motion import MOTION_GRAPHS  # noqa: E402

each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
each_way = pytest.mark.parametrize("graphs", [False, True], ids=["host", "graphs"])


@pytest.mark.parametrize("name", MOTION_GRAPHS)
def test_the_shipped_graph_is_the_exported_one(name: str):
    model = MOTION_GRAPHS[name]()
    assert motion_graph_bytes(name) == model.SerializeToString()
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} <= OPERATORS - {"Conv"}
    assert {node.domain for node in model.graph.node} == {""}


@pytest.mark.parametrize("name", ["predict-1", "predict-4"])
def test_indices_are_integers_all_the_way(name: str):
    """Nothing between a displacement in whole samples and the index of a tap is a float."""
    graph = MOTION_GRAPHS[name]().graph
    makers = {node.output[0]: node for node in graph.node}
    for gather in (node for node in graph.node if node.op_type == "GatherElements"):
        waiting, casts = [gather.input[1]], set()
        while waiting:
            node = makers.get(waiting.pop())
            if node is None:
                continue
            if node.op_type == "Cast":
                # The only way in; an index that is cast to it is that of a row or column of cells, or a size.
                casts.add(onnx.helper.get_attribute_value(node.attribute[0]))
            elif node.op_type != "Shape":
                assert node.op_type != "Floor"
                waiting += node.input
        assert casts == {onnx.TensorProto.INT32}


class Noting(PlanePredictor[int]):
    """Its nodes are their frames; it notes those that are made, and how many are kept."""

    def __init__(self, pyramid: Pyramid) -> None:
        super().__init__(PROFILES[0], pyramid, [[1] * slot.max_channels for slot in PROFILES[0].slots])
        self.made: list[int] = []
        self.kept = 0
        self.fails = False

    entering = None  # type: ignore[assignment]

    def _make(self, grids, picture, t, before, after):
        assert not self.fails
        references = self._pyramid.references(t)
        assert (before, after) == ((None, None) if references is None else (references.before, references.after))
        self.made.append(t)
        self.kept = max(self.kept, len(self._nodes) + 1)
        return t

    def at(self, grids, t: int) -> list[int]:
        """The nodes that are made for a frame; those around it are the right ones."""
        self.made.clear()
        first = t - t % self._pyramid.node_spacing
        last = first if t == first else first + self._pyramid.node_spacing
        assert self._around(grids, Picture(5, 3), t) == (first, last)
        return list(self.made)


# Only told apart.
GOPS = [[np.zeros(1, np.int16) for _ in PROFILES[0].slots] for _ in range(2)]


@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_in_order_each_node_is_made_once(pyramid: Pyramid):
    predictor = Noting(pyramid)
    made = [n for t in range(50) for n in predictor.at(GOPS[0], t)]
    assert len(made) == len(set(made))
    assert predictor.kept == min(2 + pyramid.levels, len(made))


@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_few_nodes_are_kept_in_any_order(pyramid: Pyramid):
    predictor, rng = Noting(pyramid), random.Random(1)
    for _ in range(300):
        t = rng.randrange(60)
        predictor.at(GOPS[rng.randrange(12) == 0], t)
        assert predictor.at(GOPS[0], t + rng.randrange(3)) is not None
    predictor.at(GOPS[1], 5000)
    assert predictor.kept <= 2 + pyramid.levels


def test_a_node_is_made_when_it_is_needed():
    predictor = Noting(Pyramid(8, 2, (16, 16)))
    # A frame that is a node needs none after it but those that it is made of; back to the node before is no detour.
    for t, nodes in (
        (0, [0]),
        (1, [8, 4, 2]),
        (2, []),
        (3, []),
        (2, []),
        (4, []),
        (5, [6]),
        (8, []),
        (11, [16, 12, 10]),
        (9, []),
        (15, [14]),
        (11, [0, 8, 16, 12, 10]),
        (37, [24, 32, 40, 36, 38]),
        (36, []),
    ):
        assert predictor.at(GOPS[0], t) == nodes, t
    assert predictor.at(GOPS[1], 0) == [0]
    assert predictor.at(GOPS[0], 8) == [0, 8]


def test_after_a_failure_nodes_are_made_anew():
    predictor = Noting(Pyramid(8, 4, (16,)))
    predictor.at(GOPS[0], 3)
    predictor.fails = True
    with pytest.raises(AssertionError):
        predictor.at(GOPS[0], 9)
    predictor.fails = False
    assert predictor.at(GOPS[0], 8) == [0, 8]


def test_a_pool_keeps_the_shape_last_asked_for():
    pool = ArrayPool()
    one, other = pool.take("a", (2, 3), np.int16), pool.take("b", (2, 3), np.int16)
    pool.give("a", one)
    pool.give("b", other)
    assert pool.take("a", (2, 3), np.int16) is one
    pool.give("a", one)
    assert pool.take("a", (3, 2), np.int16).shape == (3, 2)
    pool.give("a", one)
    assert pool.take("a", (2, 3), np.int16) is not one
    pool.clear()
    assert pool.take("b", (2, 3), np.int16) is not other


def full(seed: int, profile: Profile, picture: Picture, frames: int, **more: object) -> Case:
    return random_case(seed, profile, picture, frames, full=True, **more)  # type: ignore[arg-type]


def assert_planes(case: Case, frames: range) -> tuple[int, ...]:
    """What enters the stages is what the reference has, on the host and in graphs; zeros where a channel is inactive.

    Returns the stages that planes enter.
    """
    expected = ReferenceSynthesizer(*case.network).predicted(case.grids, case.frame_count, frames)
    for graphs in (False, True):
        runtime = OrtSynthesizer(*case.network, threads=1, motion_graphs=graphs)
        found = runtime.predicted(case.grids, case.frame_count, frames)
        assert expected.keys() == found.keys(), f"graphs: {graphs}"
        for stage, values in expected.items():
            count = values.shape[1]
            np.testing.assert_array_equal(found[stage][:, :count], values, f"graphs: {graphs}")
            assert not found[stage][:, count:].any(), f"graphs: {graphs}"
    return tuple(sorted(expected))


@each_profile
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (33, 1), (1, 18), (37, 30), (70, 43)])
def test_planes_are_the_references(profile: Profile, size: tuple[int, int]):
    pyramid = PYRAMIDS[sum(size) % len(PYRAMIDS)]
    assert_planes(full(sum(size), profile, Picture(*size), 19, pyramid=pyramid), range(19))


@pytest.mark.parametrize("pyramid", PYRAMIDS)
@pytest.mark.parametrize("motion", [True, False])
def test_every_pyramid_with_and_without_motion(pyramid: Pyramid, motion: bool):
    assert_planes(full(3, PROFILES[0], Picture(37, 22), 18, pyramid=pyramid, motion=motion), range(18))


@pytest.mark.parametrize("style", ["lively", "bound", "aligned"])
def test_extreme_displacements(style: str):
    case = full(4, PROFILES[0], Picture(50, 41), 9, style=style, pyramid=Pyramid(4, 4))
    flow = case.grids[PROFILES[0].flow_slot]
    assert flow is not None
    for left, right in ((2047, -2047), (-2047, 2047)):
        flow[:2], flow[2:] = left, right
        flow[1, 1] = -left
        assert_planes(case, range(9))


def test_planes_or_luma_alone():
    seen = set()
    for seed in range(12):
        profile = PROFILES[seed % 3]
        case = random_case(seed, profile, Picture(20, 13), 10, motion=True)
        seen.add(assert_planes(case, range(10)))
    assert seen == {(3,), (4,), (3, 4)}


@each_way
@each_profile
def test_frames_in_any_order_and_gops_in_turn(profile: Profile, graphs: bool):
    pyramid = Pyramid(8, 2, (20, 24))
    one, two = (full(seed, profile, Picture(27, 22), 25, pyramid=pyramid) for seed in (5, 6))
    runtime = OrtSynthesizer(*one.network, threads=1, motion_graphs=graphs)
    reference = ReferenceSynthesizer(*one.network)
    for grids, t in ((one.grids, 20), (one.grids, 3), (two.grids, 3), (one.grids, 24), (one.grids, 7), (two.grids, 8)):
        wanted = range(t, t + 1)
        expected = reference.synthesise(grids, 25, wanted)
        assert differing(expected, runtime.synthesise(grids, 25, wanted)) == []
        runtime.release()


@each_profile
def test_graphs_take_any_run_of_frames(profile: Profile):
    case = full(7, profile, Picture(43, 31), 19, pyramid=Pyramid(8, 4, (30,)))
    expected = ReferenceSynthesizer(*case.network).synthesise(case.grids, 19, range(19))
    runtime = OrtSynthesizer(*case.network, threads=1, motion_graphs=True)
    for batch in (1, 3, 4, 8, 19):
        runtime.batch = batch
        assert differing(expected, runtime.synthesise(case.grids, 19, range(19))) == []
        assert differing(expected[6:18], runtime.synthesise(case.grids, 19, range(6, 18))) == []


def test_empty_nodes_are_what_is_predicted():
    case = full(2, PROFILES[0], Picture(43, 31), 9, pyramid=Pyramid(4, 2, (16,)))
    for i in case.profile.node_slots:
        grid = case.grids[i]
        assert grid is not None
        grid[1:] = 0
    assert_planes(case, range(9))
    for i in case.profile.node_slots:
        case.grids[i][0] = 0  # type: ignore[index]
    for predicted in OrtSynthesizer(*case.network, threads=1).predicted(case.grids, 9, range(9)).values():
        assert not predicted.any()


@each_way
def test_sizes_that_share_a_grids_size(graphs: bool):
    """The same grids for two pictures that differ by a row and a column."""
    case = full(8, PROFILES[0], Picture(36, 24), 5)
    runtime = OrtSynthesizer(*case.network, threads=1, motion_graphs=graphs)
    for picture in (Picture(36, 24), Picture(35, 23), Picture(36, 24)):
        expected = ReferenceSynthesizer(case.profile, picture, *case.network[2:]).predicted(case.grids, 5, range(2, 3))
        found = runtime.resized(picture).predicted(case.grids, 5, range(2, 3))
        for stage, values in expected.items():
            np.testing.assert_array_equal(found[stage], values)


@pytest.mark.parametrize("engine", [OrtSynthesizer, ReferenceSynthesizer])
def test_tiles_have_the_samples_of_the_whole(engine: type):
    """Motion reaches over tiles."""
    profile = PROFILES[0]
    case = full(3, profile, Picture(2 * halo(profile) + 75, 40), 9)
    whole = engine(*case.network)
    tiled = TiledSynthesizer(whole, profile, case.picture, 1)
    assert len(tiled._columns) > 2
    expected = whole.synthesise(case.grids, 9, range(5, 6))
    assert differing(expected, tiled.synthesise(case.grids, 9, range(5, 6))) == []
