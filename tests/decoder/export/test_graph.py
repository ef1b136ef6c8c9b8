"""Graphs are built as the `onnx` package reads them; shipped ones that do not fit are refused."""

from __future__ import annotations

import io

import numpy as np
import onnx
import pytest

from nvrc_decoder.errors import InternalError
from nvrc_decoder.export.graph import Constants, Graph
from nvrc_decoder.export.model_file import write_model
from nvrc_decoder.profiles import PROFILES
from nvrc_decoder.synthesis.onnx.session import graph_bytes, motion_graph_bytes


def built(graph: Graph) -> onnx.ModelProto:
    output = io.BytesIO()
    assert write_model(output, graph, {}, {"key": "text"}) == len(output.getvalue())
    return onnx.load_from_string(output.getvalue())


def test_attributes_and_constants_are_read_back() -> None:
    g = Graph(Constants())
    x = g.input("x", np.float32, "n", 2)
    body = g.body()
    body.output(body.node("Neg", x), np.float32, "n", 2)
    attributes = {
        "a": -3,
        "b": 0.5,
        "c": "edge",
        "d": (1, -2),
        "e": np.array([7, -7], np.int16),
        "f": body.serialised("f"),
    }
    g.output(g.node("Any", x, **attributes), np.float32, "n", 2, name="y")
    for dtype in (np.float32, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.bool_):
        g.constants.add(np.array([[1], [0]], dtype), np.dtype(dtype).name)
    model = built(g)
    found = {item.name: onnx.helper.get_attribute_value(item) for item in model.graph.node[0].attribute}
    assert (found["a"], found["b"], found["c"], list(found["d"])) == (-3, 0.5, b"edge", [1, -2])
    assert np.array_equal(onnx.numpy_helper.to_array(found["e"]), [7, -7])
    assert [node.op_type for node in found["f"].node] == ["Neg", "Identity"]
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        assert (values.dtype, values.tolist()) == (np.dtype(tensor.name), [[1], [0]])
    (value,) = model.graph.input
    assert [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim] == ["n", 2]
    assert [(item.key, item.value) for item in model.metadata_props][1:] == [("key", "text")]


def test_equal_constants_are_one() -> None:
    g = Graph(Constants())
    assert g.ints(1, 2) == g.ints(1, 2)
    assert len({g.ints(1), g.scalar(1), g.scalar(1, np.float32), g.ints(2)}) == 4
    assert len(g.constants.tensors) == 5


def test_what_a_shipped_graph_wants_must_be_given() -> None:
    g = Graph(Constants())
    with pytest.raises(InternalError, match="wants 'low'"):
        g.inline(motion_graph_bytes("wavelet"), {"details": g.input("d", np.float32, 1, 3, 2, 2)}, ["up"])
    with pytest.raises(InternalError, match="wants a value for"):
        g.inline(graph_bytes(PROFILES[0]), {}, ["rows"])


def test_every_truncation_of_a_graph_is_noticed() -> None:
    model = motion_graph_bytes("wavelet")
    given = {"low": "low", "details": "details"}
    assert len(Graph(Constants()).inline(model, given, ["up"])) == 1
    for length in [*range(1, len(model), 97), len(model) - 1]:
        with pytest.raises((InternalError, KeyError)):
            Graph(Constants()).inline(model[:length], given, ["up"])


def test_unknown_kinds_of_fields_are_refused() -> None:
    with pytest.raises(InternalError, match="unknown kind 3"):
        Graph(Constants()).inline(b"\x0b", {}, [])
