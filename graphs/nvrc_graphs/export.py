"""Writes the ONNX graph of a profile, with placeholder weights, from its PyTorch definition.

``python -m nvrc_graphs.export DIRECTORY`` writes one file per profile, the ends of `export_planes` and the graphs of
`nvrc_graphs.motion`. The decoder package ships files made this way; a test exports them again and compares.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxscript import opset18

from nvrc_decoder.profiles import PROFILES, Profile
from nvrc_graphs.ends import PLANES, export_planes
from nvrc_graphs.motion import MOTION_GRAPHS
from nvrc_graphs.synthesis import HEAD_HIGH, ProfileGraph

__all__ = ["OPERATORS", "export_profile", "main"]

OPSET = 18
HEAD_LIMIT = "head.limit"

# All operators of a graph: none gives a runtime the choice of an algorithm that rounds.
OPERATORS = frozenset(
    {
        *("Conv", "Clip", "Floor", "Add", "Sub", "Mul"),  # arithmetic; Conv is 1x1 or depthwise 3x3
        *("Gather", "Slice", "Concat", "Reshape"),  # data movement
        *("Shape", "Range", "Div", "Squeeze"),  # indices and sizes
        # Motion: only data movement. Its indices are 32-bit integers; Cast to int16 and back is of values within it.
        *("GatherElements", "Pad", "DepthToSpace", "Transpose", "Expand", "Cast"),
    }
)

# Example sizes, all different and above 1, so that the exporter does not mistake one for another or for a constant.
EXAMPLE_BATCH, EXAMPLE_HEIGHT, EXAMPLE_WIDTH = 3, 96, 160


def _divide(self, other, rounding_mode=None):  # type: ignore[no-untyped-def]  # traced by the exporter
    """Integer division as one operator, as the graph divides only non-negative numbers."""
    return opset18.Div(self, other)


def export_profile(profile: Profile) -> onnx.ModelProto:
    """The profile's graph as ONNX: fp32, dynamic frames, rows and columns; the same bytes for the same torch."""
    graph = ProfileGraph(profile).eval()
    _fill_placeholders(graph)
    arguments, shapes = _examples(graph)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            arguments,
            dynamo=True,
            dynamic_shapes=(shapes,),
            input_names=list(graph.inputs),
            output_names=["rows"],
            opset_version=OPSET,
            custom_translation_table={torch.ops.aten.div.Tensor_mode: _divide},
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError(f"the exporter made no graph of profile {profile.name}")
    model: onnx.ModelProto = program.model_proto
    _name_head_limit(model)
    _empty_placeholders(model, {name for name, _ in _placeholders(graph)} | {HEAD_LIMIT})
    _strip(model)
    return model


def _examples(graph: ProfileGraph) -> tuple[tuple[torch.Tensor, ...], tuple[dict[int, object], ...]]:
    """Arguments for the exporter, and their dynamic dimensions."""
    dim = torch.export.Dim
    batch = dim("batch")
    sizes = [{2: dim(f"rows{k}"), 3: dim(f"columns{k}")} for k in range(len(graph.profile.max_channels))]
    arguments: list[torch.Tensor] = []
    shapes: list[dict[int, object]] = []
    for item in graph.inputs.values():
        size = item.size(EXAMPLE_HEIGHT, EXAMPLE_WIDTH)
        arguments.append(torch.zeros(EXAMPLE_BATCH + 2 * item.halo, item.channels, *size))
        shapes.append({0: batch + 2 * item.halo if item.halo else batch, **sizes[item.stage]})
    return tuple(arguments), tuple(shapes)


def _placeholders(graph: ProfileGraph) -> list[tuple[str, torch.Tensor]]:
    """The tensors that a stream replaces, as (name, tensor)."""
    return [
        *((name, tensor) for name, tensor in graph.named_parameters() if not name.endswith("up.bias")),
        *((name, tensor) for name, tensor in graph.named_buffers() if name.endswith("multiplier")),
    ]


def _fill_placeholders(graph: ProfileGraph) -> None:
    """Give each placeholder a constant of its own, as the exporter merges equal tensors and drops zero biases."""
    with torch.no_grad():
        for index, (_, tensor) in enumerate(_placeholders(graph)):
            tensor.fill_((index + 1) / 1024)


def _empty_placeholders(model: onnx.ModelProto, names: set[str]) -> None:
    """Turn the placeholders into external tensors without a file.

    ONNX Runtime replaces the values of external tensors before it folds, fuses and repacks weights. Ordinary tensors,
    with `SessionOptions.add_initializer`, are replaced after that, and some optimised kernels would keep the
    placeholder's values.
    """
    for tensor in model.graph.initializer:
        if tensor.name in names:
            names = names - {tensor.name}
            tensor.data_location = onnx.TensorProto.EXTERNAL
            size = len(tensor.raw_data)
            tensor.ClearField("raw_data")
            for key, value in (("location", "stream"), ("offset", "0"), ("length", str(size))):
                tensor.external_data.add(key=key, value=value)
    if names:
        raise RuntimeError(f"the exporter lost the placeholders {sorted(names)}")


def _name_head_limit(model: onnx.ModelProto) -> None:
    """Give the head's upper clip an initializer of its own, as it depends on the bit depth."""
    clips = {node.output[0]: node for node in model.graph.node if node.op_type == "Clip"}
    (last,) = (node for node in model.graph.node if node.output[0] == model.graph.output[0].name)
    clips[last.input[0]].input[2] = HEAD_LIMIT
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(HEAD_HIGH + 0.5, np.float32), HEAD_LIMIT))
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in used]:
        model.graph.initializer.remove(tensor)


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on its own run: stack traces, versions, inferred shapes."""
    model.ClearField("producer_version")
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    for item in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the graph of every profile, every end and the graphs of motion into the directory given."""
    words = sys.argv[1:] if arguments is None else arguments
    if len(words) != 1:
        raise SystemExit("usage: python -m nvrc_graphs.export DIRECTORY")
    directory = Path(words[0])
    for profile in PROFILES:
        (directory / f"{profile.name}.onnx").write_bytes(export_profile(profile).SerializeToString())
    for name, sample_format in PLANES.items():
        (directory / f"{name}.onnx").write_bytes(export_planes(*sample_format).SerializeToString())
    for name, export in MOTION_GRAPHS.items():
        (directory / f"{name}.onnx").write_bytes(export().SerializeToString())


if __name__ == "__main__":
    main()
