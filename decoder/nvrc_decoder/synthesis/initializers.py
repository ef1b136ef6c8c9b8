"""A stream's parameters laid out for its profile's graph (spec 6.4): what replaces the graph's placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nvrc_decoder.frames import PictureFormat
from nvrc_decoder.profiles import CHROMA_444, LayerSpec, Profile, head_rows, synthesis_layers
from nvrc_decoder.synthesis.arithmetic import IntegerLayer

__all__ = ["SPLIT_HEADS", "graph_initializers"]

Float = npt.NDArray[np.float32]

SPLIT_HEADS = frozenset({"lite", "main"})
"""Profiles whose graph takes the four filters of the head one after another: all at once would take the most memory."""

_HEAD_FILTERS = 4
# (1, 2, 1) x (1, 2, 1) / 16 on repeated samples is the half-pixel bilinear x2 of spec 7.10.
_UPSAMPLING = np.outer((1, 2, 1), (1, 2, 1)).astype(np.float32) / np.float32(16)


def graph_initializers(
    profile: Profile,
    picture: PictureFormat,
    stage_channels: Sequence[int],
    stage_blocks: Sequence[int],
    layers: Mapping[str, IntegerLayer],
    multipliers: Sequence[Sequence[int]],
    base: bool = False,
) -> dict[str, Float]:
    """What replaces the graph's placeholders, by initializer name; arguments as in `runtime.OrtSynthesizer`.

    Inactive channels and blocks, absent slots and layers are zeros; a block of zeros changes nothing. Weights carry
    their layer's 2^-shift. Motion has graphs of its own.
    """
    tensors: dict[str, Float] = {}
    full_grids = [0 if slot.flow else slot.max_channels for slot in profile.slots]
    full = profile.max_channels, profile.blocks, full_grids
    active = [len(factors) for factors in multipliers]
    # The first and the last channel of each slot that its stage sees, a base channel is not among them.
    seen = [(n - m, n) for n, m in zip(active, profile.injected_channels(active, base), strict=True)]
    for spec in synthesis_layers(profile, *full, CHROMA_444, picture.bit_depth):
        weight = np.zeros(spec.weight_shape, dtype=np.float32)
        bias = np.zeros(spec.outputs, dtype=np.float32)
        layer = layers.get(spec.name)
        if layer is not None:
            scale = np.float32(2.0**-layer.shift)
            rounding = (1 << layer.shift) // 2
            outputs = _active_outputs(spec, picture.chroma_format, layer.bias.shape[0])
            bias[outputs] = (layer.bias + rounding).astype(np.float32) * scale
            _place(weight, layer.weight.astype(np.float32) * scale, spec, outputs, profile, seen)
        if spec.name.startswith("head.") and profile.name in SPLIT_HEADS:
            tensors |= _split_head(spec, weight, bias)
        else:
            tensors |= {f"{spec.name}.weight": _graph_layout(spec, weight), f"{spec.name}.bias": bias}
    for k in range(1, len(stage_channels)):
        factors = np.zeros((profile.max_channels[k], 1, 3, 3), dtype=np.float32)
        factors[: min(stage_channels[k - 1], stage_channels[k])] = _UPSAMPLING
        tensors[f"stage{k}.up.weight"] = factors
    for i, slot in enumerate(profile.slots):
        if slot.flow:
            continue
        factors = np.zeros((1, slot.max_channels, 1, 1), dtype=np.float32)
        factors[0, : len(multipliers[i]), 0, 0] = multipliers[i]
        tensors[f"grid{i}.multiplier"] = factors
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
    seen: Sequence[tuple[int, int]],
) -> None:
    """Copy a stream's weights to their places in the full, zeroed tensor of the same rank.

    `seen` are the first channel of each slot that its stage sees, and the one after the last.
    """
    if spec.kind == "inject":
        stage = int(spec.name.removeprefix("stage").split(".")[0])
        source = target = 0
        for i in profile.slots_of_stage(stage):
            first, stop = seen[i]
            full[outputs, target + first : target + stop] = active[:, source : source + stop - first]
            source, target = source + stop - first, target + profile.slots[i].max_channels
    elif spec.kind in ("pointwise", "head_pointwise"):
        full[outputs, : active.shape[1]] = active
    else:
        full[: active.shape[0]] = active


def _graph_layout(spec: LayerSpec, weight: Float) -> Float:
    """The full tensor in the shape of the graph's convolution."""
    if spec.kind in ("depthwise", "head_depthwise"):
        return weight.reshape(spec.outputs, 1, 3, 3)
    if spec.kind == "temporal":
        # Frames t-1, t, t+1 stand side by side as channels.
        channels = np.arange(spec.outputs)
        spread = np.zeros((spec.outputs, 3, spec.outputs), dtype=np.float32)
        spread[channels, :, channels] = weight
        weight = spread
    return weight.reshape(spec.outputs, -1, 1, 1)


def _split_head(spec: LayerSpec, weight: Float, bias: Float) -> dict[str, Float]:
    """A layer of a head that takes the four filters of all channels one after another."""
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
