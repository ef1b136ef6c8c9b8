"""The shipped graphs: what the exporter writes today, only exact operators, only what the loader replaces."""

from __future__ import annotations

import re
from functools import cache

import pytest
from synthesis_cases import Picture, random_case

from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_decoder.synthesis.onnx.initializers import graph_initializers
from nvrc_decoder.synthesis.onnx.session import graph_bytes

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from nvrc_graphs.export import OPERATORS, export_profile  # noqa: E402

each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


@cache
def shipped(name: str) -> onnx.ModelProto:
    (profile,) = (profile for profile in PROFILES if profile.name == name)
    return onnx.load_from_string(graph_bytes(profile))


def structure(model: onnx.ModelProto) -> dict[str, object]:
    """All of a graph that matters, with the exporter's own value names replaced by their order of appearance."""
    graph = model.graph
    placeholders = {t.name: tuple(t.dims) for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    names = {name: name for name in ("", *placeholders, *(i.name for i in graph.input))}
    constants = {t.name: t for t in graph.initializer if t.name not in placeholders}

    def name(value: str) -> str:
        if value in constants:
            array = onnx.numpy_helper.to_array(constants[value])
            return f"constant {array.dtype} {array.shape} {array.tolist()}"
        return names.setdefault(value, f"value {len(names)}")

    nodes = [
        (
            node.op_type,
            tuple(map(name, node.input)),
            tuple(map(name, node.output)),
            tuple(sorted((a.name, str(onnx.helper.get_attribute_value(a))) for a in node.attribute)),
        )
        for node in graph.node
    ]
    ends = [
        (
            value.name,
            value.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in (*graph.input, *graph.output)
    ]
    opsets = [(o.domain, o.version) for o in model.opset_import if o.domain == ""]
    return {"placeholders": placeholders, "nodes": nodes, "ends": ends, "opsets": opsets}


@pytest.mark.full
@each_profile
def test_the_exporter_still_writes_the_shipped_graph(profile: Profile):
    assert structure(export_profile(profile)) == structure(shipped(profile.name))


@each_profile
def test_only_exact_operators(profile: Profile):
    model = shipped(profile.name)
    assert {node.op_type for node in model.graph.node} <= OPERATORS
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        inputs_per_group, *kernel = shapes[node.input[1]][1:]
        assert kernel == [1, 1] or (kernel == [3, 3] and inputs_per_group == 1)
        assert attributes["strides"] == attributes["dilations"] == [1, 1]


@each_profile
def test_placeholders_are_what_the_loader_fills(profile: Profile):
    case = random_case(1, profile, Picture(16, 16), 1)
    filled = graph_initializers(*case.network[:-1])
    expected = structure(shipped(profile.name))["placeholders"]
    assert {name: tensor.shape for name, tensor in filled.items()} == expected
    assert "stage1.block0.depthwise.weight" in filled
    assert "grid0.multiplier" in filled


@each_profile
def test_convolutions_round_after_a_clip(profile: Profile):
    # Every layer of the stream is Conv, Clip, Floor in that order, so that runtimes fuse Conv and Clip.
    graph = shipped(profile.name).graph
    users = {name: node for node in graph.node for name in node.input}
    for node in graph.node:
        if node.op_type == "Conv" and re.search(r"(pointwise|depthwise\d?|inject|temporal)\.weight$", node.input[1]):
            clip = users[node.output[0]]
            assert clip.op_type == "Clip"
            assert users[clip.output[0]].op_type == "Floor"


@each_profile
def test_graphs_hold_no_trace_of_their_machine(profile: Profile):
    data = graph_bytes(profile)
    assert len(data) < 64_000
    assert not any(word in data for word in (b".py", b"/home", b"/tmp", b"/work", b"stack_trace"))
