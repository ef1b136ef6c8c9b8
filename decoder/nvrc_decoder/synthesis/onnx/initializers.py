"""The inputs of a profile's graph, and the tensors that replace its placeholders (spec 6.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import PictureFormat
from nvrc_decoder.profiles import (
    CHROMA_444,
    LUMA_CHANNELS,
    LUMA_STAGE,
    PLANE_STAGE,
    LayerSpec,
    Profile,
    SlotKind,
    head_rows,
    stage_size,
    synthesis_layers,
)
from nvrc_decoder.synthesis.arithmetic import IntegerLayer, rounding_term

__all__ = ["PREDICTED", "SPLIT_HEADS", "GraphInput", "graph_initializers", "graph_inputs"]

Float = npt.NDArray[np.float32]

SPLIT_HEADS = frozenset({"lite", "main"})
"""Profiles whose graph computes the head's four filters one after another: together they would take most memory."""

_HEAD_FILTERS = 4
# (1, 2, 1) x (1, 2, 1) / 16 on repeated samples is the half-pixel bilinear x2 of spec 7.10.
_UPSAMPLING = np.outer((1, 2, 1), (1, 2, 1)).astype(np.float32) / np.float32(16)


PREDICTED = {"planes": PLANE_STAGE, "luma": LUMA_STAGE}
"""The graph's inputs that are predicted from frame to frame (spec 7.6), and the stages that they enter."""


@dataclass(frozen=True)
class GraphInput:
    """An input of a profile's graph: float32 [frames + 2 * halo, channels, rows, columns].

    Attributes:
        stage: the stage that it is injected into, whose size it has.
        channels: largest number of channels of its slot or planes.
        slot: the slot whose quantised grid it is; None for activations of planes.
        halo: frames before and after the wanted ones; at the ends of a GOP its first and last frame are repeated.
    """

    stage: int
    channels: int
    slot: int | None
    halo: int

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns for a picture of `height` x `width` luma samples."""
        return stage_size(self.stage, height, width)


def graph_inputs(profile: Profile) -> dict[str, GraphInput]:
    """The inputs of a profile's graph by name, in its order: feature grids, then planes and luma."""
    inputs: dict[str, GraphInput] = {}
    for i, slot in enumerate(profile.slots):
        if slot.kind is SlotKind.FEATURE and slot.stage is not None:
            halo = int(profile.temporal_stem and slot.stage == 0)
            inputs[f"grid{i}"] = GraphInput(slot.stage, slot.max_channels, i, halo)
    channels = {"planes": profile.slots[profile.plane_slot].max_channels, "luma": LUMA_CHANNELS}
    return inputs | {name: GraphInput(stage, channels[name], None, 0) for name, stage in PREDICTED.items()}


def graph_initializers(
    profile: Profile,
    picture: PictureFormat,
    stage_channels: Sequence[int],
    stage_blocks: Sequence[int],
    layers: Mapping[str, IntegerLayer],
    multipliers: Sequence[Sequence[int]],
) -> dict[str, Float]:
    """The tensors that replace the graph's placeholders, by name; arguments as in `runtime.OrtSynthesizer`.

    Inactive channels and blocks, absent slots and layers are zeros; a block of zeros changes nothing. Weights carry
    their layer's 2^-shift.
    """
    tensors: dict[str, Float] = {}
    full = profile.max_channels, profile.blocks, [slot.max_channels for slot in profile.slots]
    counts = [len(factors) for factors in multipliers]
    for spec in synthesis_layers(profile, *full, CHROMA_444, picture.bit_depth):
        weight = np.zeros(spec.weight_shape, dtype=np.float32)
        bias = np.zeros(spec.outputs, dtype=np.float32)
        layer = layers.get(spec.name)
        if layer is not None:
            scale = np.float32(2.0**-layer.shift)
            outputs = _active_outputs(spec, picture.chroma_format, layer.bias.shape[0])
            bias[outputs] = (layer.bias + rounding_term(layer.shift)).astype(np.float32) * scale
            _place(weight, layer.weight.astype(np.float32) * scale, spec, outputs, profile, counts)
        if spec.name.startswith("head.") and profile.name in SPLIT_HEADS:
            tensors |= _split_head(spec, weight, bias)
        else:
            tensors |= {f"{spec.name}.weight": _graph_layout(spec, weight), f"{spec.name}.bias": bias}
    for k in range(1, len(stage_channels)):
        factors = np.zeros((profile.max_channels[k], 1, 3, 3), dtype=np.float32)
        factors[: min(stage_channels[k - 1], stage_channels[k])] = _UPSAMPLING
        tensors[f"stage{k}.up.weight"] = factors
    for name, item in graph_inputs(profile).items():
        if item.slot is not None:
            factors = np.zeros((1, item.channels, 1, 1), dtype=np.float32)
            factors[0, : counts[item.slot], 0, 0] = multipliers[item.slot]
            tensors[f"{name}.multiplier"] = factors
    tensors["head.limit"] = np.array((1 << picture.bit_depth) - 0.5, dtype=np.float32)
    return tensors


def _active_outputs(spec: LayerSpec, chroma_format: int, count: int) -> npt.NDArray[np.intp]:
    """Indices in the full layer of the `count` outputs that the stream carries."""
    if spec.kind == "head_pointwise":
        return np.array(head_rows(chroma_format), dtype=np.intp)
    return np.arange(count, dtype=np.intp)


def _place(
    full: Float,
    active: Float,
    spec: LayerSpec,
    outputs: npt.NDArray[np.intp],
    profile: Profile,
    counts: Sequence[int],
) -> None:
    """Copy a stream's weights to their places in the full, zeroed tensor of the same rank.

    `counts` are the channels of each slot that the stream has.
    """
    if spec.kind == "inject":
        stage = int(spec.name.removeprefix("stage").split(".")[0])
        source = target = 0
        for i in profile.slots_of_stage(stage):
            full[outputs, target : target + counts[i]] = active[:, source : source + counts[i]]
            source, target = source + counts[i], target + profile.slots[i].max_channels
        # The phases of luma, of which a stream has all or none.
        full[outputs, target:] = active[:, source:]
    elif spec.kind in ("pointwise", "head_pointwise"):
        full[outputs, : active.shape[1]] = active
    else:
        full[: active.shape[0]] = active


def _graph_layout(spec: LayerSpec, weight: Float) -> Float:
    """The full tensor in the shape of the graph's convolution."""
    if spec.kind in ("depthwise", "head_depthwise"):
        return weight.reshape(spec.outputs, 1, 3, 3)
    if spec.kind == "temporal":
        # Frames t-1, t, t+1 are side by side as channels.
        channels = np.arange(spec.outputs)
        spread = np.zeros((spec.outputs, 3, spec.outputs), dtype=np.float32)
        spread[channels, :, channels] = weight
        weight = spread
    return weight.reshape(spec.outputs, -1, 1, 1)


def _split_head(spec: LayerSpec, weight: Float, bias: Float) -> dict[str, Float]:
    """A layer of the head as four layers, one for each filter."""
    tensors: dict[str, Float] = {}
    for f in range(_HEAD_FILTERS):
        if spec.kind == "head_depthwise":
            tensors[f"{spec.name}{f}.weight"] = np.ascontiguousarray(weight[:, f, None])
            tensors[f"{spec.name}{f}.bias"] = np.ascontiguousarray(bias[f::_HEAD_FILTERS])
        else:
            tensors[f"{spec.name}{f}.weight"] = np.ascontiguousarray(weight[:, f::_HEAD_FILTERS, None, None])
    if spec.kind == "head_pointwise":
        # The parts are summed, so only the first has the bias.
        tensors[f"{spec.name}0.bias"] = bias
    return tensors
