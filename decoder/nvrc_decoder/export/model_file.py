"""Writes a model's bytes: the graph, its large tensors chunk by chunk, and what is said of the video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from nvrc_decoder.errors import LimitError
from nvrc_decoder.export.graph import OPSET, Graph, tensor_head
from nvrc_decoder.export.protobuf import integer, message, string
from nvrc_decoder.export.tables import GridRows

__all__ = ["MODEL_BYTES_MAX", "check_size", "write_model"]

MODEL_BYTES_MAX = (1 << 31) - 1
"""Most bytes of a model, as of any message of protocol buffers."""

_FORMAT = "nvrc-onnx 1"
# The lowest version of the file format that has the operator set.
_IR_VERSION = 8

_MODEL_IR, _MODEL_PRODUCER, _MODEL_GRAPH, _MODEL_OPSET, _MODEL_METADATA = 1, 2, 7, 8, 14
_GRAPH_INITIALIZER, _TENSOR_RAW = 5, 9


def check_size(size: int) -> None:
    """Refuse a model that no runtime could load.

    Raises:
        LimitError: E_LIMIT.
    """
    if size > MODEL_BYTES_MAX:
        reason = f"the model would have more than {MODEL_BYTES_MAX} bytes, the most of an ONNX file"
        raise LimitError("E_LIMIT", f"{reason}; export the video in parts, with --start and --frames")


def write_model(output: BinaryIO, graph: Graph, grids: Mapping[str, GridRows], metadata: Mapping[str, str]) -> int:
    """Write a model.

    Args:
        output: where to.
        graph: the graph.
        grids: its further initializers, by name.
        metadata: its metadata.

    Returns:
        Its size in bytes.

    Raises:
        LimitError: E_LIMIT, it would have more than `MODEL_BYTES_MAX`; nothing has been written.
        OSError: writing failed.
    """
    head = (
        integer(_MODEL_IR, _IR_VERSION) + string(_MODEL_PRODUCER, "nvrc-ref") + message(_MODEL_OPSET, integer(2, OPSET))
    )
    for key, text in {"format": _FORMAT, **metadata}.items():
        head += message(_MODEL_METADATA, string(1, key), string(2, text))
    body = graph.serialised("video") + b"".join(message(_GRAPH_INITIALIZER, item) for item in graph.constants.tensors)
    tensors = []
    for name, rows in grids.items():
        raw = message(_TENSOR_RAW, more=rows.size)
        tensor = message(_GRAPH_INITIALIZER, tensor_head(name, rows.dtype, rows.shape), raw, more=rows.size)
        tensors.append((tensor, rows))
    values = sum(len(tensor) + rows.size for tensor, rows in tensors)
    head += message(_MODEL_GRAPH, body, more=values)
    check_size(len(head) + values)
    output.write(head)
    for tensor, rows in tensors:
        output.write(tensor)
        for chunk in rows.chunks():
            output.write(chunk)
    return len(head) + values
