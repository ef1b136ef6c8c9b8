"""Writes the ends of the decoder's graphs, which turn rows into planes of samples.

An end is a part of an ONNX model: nodes, constants and outputs, without those of a profile's graph. Its bytes are
appended to those of any profile's graph, and protocol buffers merge the two. So frames leave a GPU as bytes, an eighth
of the rows' size, and no host thread reorders samples. `nvrc_graphs.export` writes them with the graphs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444, head_rows

__all__ = ["PLANES", "export_planes"]

# Name of the file -> chroma format and bit depth.
PLANES = {
    f"planes-{name}-{bit_depth}": (chroma_format, bit_depth)
    for name, chroma_format in (("400", CHROMA_400), ("420", CHROMA_420), ("444", CHROMA_444))
    for bit_depth in (8, 10)
}

_LUMA_ROWS = 4


def export_planes(chroma_format: int, bit_depth: int) -> onnx.ModelProto:
    """The end of the graphs for a sample format (spec 8.1); outputs as in `session.output_bytes`."""
    sample = TensorProto.UINT8 if bit_depth == 8 else TensorProto.UINT16
    model = onnx.ModelProto()

    def node(operator: str, *names: str, **attributes: Any) -> None:
        model.graph.node.append(helper.make_node(operator, names[:-1], names[-1:], **attributes))

    def constant(name: str, *values: int) -> str:
        model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def output(source: str, name: str) -> None:
        node("Cast", source, name, to=sample)
        model.graph.output.append(helper.make_tensor_value_info(name, sample, (None,) * 4))

    if chroma_format == CHROMA_444:
        node("DepthToSpace", "rows", "yuv.shuffled", blocksize=2, mode="CRD")
        output("yuv.shuffled", "yuv")
        return model
    axis = constant("y.axis", 1)
    node("Slice", "rows", constant("y.first", 0), constant("y.last", _LUMA_ROWS), axis, "y.rows")
    node("DepthToSpace", "y.rows", "y.shuffled", blocksize=2, mode="CRD")
    output("y.shuffled", "y")
    if chroma_format == CHROMA_420:
        node("Gather", "rows", constant("uv.index", *head_rows(chroma_format)[_LUMA_ROWS:]), "uv.rows", axis=1)
        output("uv.rows", "uv")
    return model
