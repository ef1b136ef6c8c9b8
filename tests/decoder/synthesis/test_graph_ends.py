"""The ends of the graphs: what the exporter writes, and rows to planes as the reference has it."""

from __future__ import annotations

import numpy as np
import pytest

from nvrc_decoder.profiles import head_rows
from nvrc_decoder.synthesis.onnx.session import output_bytes

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from nvrc_graphs.ends import PLANES, export_planes  # noqa: E402


@pytest.mark.parametrize("name", PLANES)
def test_the_shipped_end_is_the_exported_one(name):
    assert output_bytes(*PLANES[name]) == export_planes(*PLANES[name]).SerializeToString()


@pytest.mark.parametrize("name", PLANES)
def test_rows_become_planes(name):
    chroma_format, bit_depth = PLANES[name]
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 1 << bit_depth, (3, 12, 5, 7)).astype(np.float32)
    rows[0, :, 0, 0], rows[0, :, 0, 1] = 0, (1 << bit_depth) - 1
    head = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["input"], ["rows"])],
            "head",
            [onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, (None, 12, None, None))],
            [onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, (None, 12, None, None))],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=10,
    )
    merged = head.SerializeToString() + output_bytes(chroma_format, bit_depth)
    onnx.checker.check_model(onnx.load_from_string(merged), full_check=True)
    session = onnxruntime.InferenceSession(merged, providers=["CPUExecutionProvider"])
    _, *outputs = session.run(None, {"input": rows})
    planes = np.concatenate([output.reshape(3, -1) for output in outputs], axis=1)
    assert planes.dtype == (np.uint8 if bit_depth == 8 else np.uint16)
    # Sample (2i + dy, 2j + dx) of a plane is row 2 dy + dx of its four.
    expected = []
    for plane in range(3):
        if 4 * plane + 1 in head_rows(chroma_format):
            full = np.zeros((3, 10, 14))
            for phase in range(4):
                full[:, phase // 2 :: 2, phase % 2 :: 2] = rows[:, 4 * plane + phase]
            expected.append(full.reshape(3, -1))
        elif 4 * plane in head_rows(chroma_format):
            expected.append(rows[:, 4 * plane].reshape(3, -1))
    np.testing.assert_array_equal(planes, np.concatenate(expected, axis=1))
