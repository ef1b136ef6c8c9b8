"""Initial weights that pass the pyramid of `initial_grids` through the network.

Features 0, 1 and 2 carry Y, Cb and Cr to the head. Four more carry the difference of each phase of the luma plane from
Y. Everything else starts near zero.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, context_layers
from nvrc_encoder.model.synthesis import LEVELS_PER_FEATURE, SynthesisModel
from nvrc_encoder.start.initial_grids import plane_channels
from nvrc_encoder.start.plane_goals import plane_features

__all__ = ["WEIGHT_STEP", "initial_context", "initial_weights"]

_BETWEEN = np.array([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
_SAME = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
"""Taps along one axis of the two phases of a feature: bilinear interpolation, or a copy."""
WEIGHT_STEP = 2.0**-6
"""Initial quantisation step of the weights."""
_NOISE = 0.98 * WEIGHT_STEP
"""Width of the uniform noise on the weights."""


def _pass_grids(weight: Tensor, model: SynthesisModel, stage: int, planes: int) -> int:
    """Set, in place, the weights of an injection that pass its grids through; the number of inputs that grids take."""
    at = 0
    for i in model.profile.slots_of_stage(stage):
        slot, count = model.profile.slots[i], model.grid_channels[i]
        kinds = plane_features(model, planes) if slot.at_nodes else plane_channels(slot, count, planes)
        for c, plane in enumerate(kinds[:count]):
            if plane is not None and plane < weight.shape[0]:
                weight[:planes, at + c] = 0
                weight[plane, at + c, 1, 1] = 1
        at += count
    return at


def _pass_phases(weight: Tensor, at: int, planes: int) -> None:
    """Set, in place, the weights of the phases of luma: their mean to feature 0, each difference to its own feature."""
    outputs = weight.shape[0]
    for phase in range(4):
        weight[0, at + phase] = 0
        weight[0, at + phase, 1, 1] = 0.25
        if outputs >= planes + 4:
            weight[planes : planes + 4, at + phase] = 0
            weight[planes : planes + 4, at + phase, 1, 1] = -0.25
            weight[planes + phase, at + phase, 1, 1] = 0.75


def _pass_features(weight: Tensor, chroma_format: int, planes: int, phases: bool) -> None:
    """Set, in place, the depthwise filters of the head: they interpolate a feature, or copy a phase."""
    weight[:, 0, 1, 1] += 1
    full = planes if chroma_format != CHROMA_420 else 1
    for channel in range(min(full, weight.shape[0])):
        # Luma is copied where its phases have features of their own.
        taps = _SAME if phases and channel == 0 else _BETWEEN
        for phase in range(4):
            weight[channel, phase] = torch.from_numpy(np.outer(taps[phase >> 1], taps[phase & 1])).float()
    for channel in range(full, min(planes, weight.shape[0])):
        weight[channel, 0] = 0
        weight[channel, 0, 1, 1] = 1
    if phases:
        weight[planes : planes + 4, 0] = 0
        weight[planes : planes + 4, 0, 1, 1] = 1


def _pass_rows(weight: Tensor, chroma_format: int, planes: int, last: int, phases: bool) -> None:
    """Set, in place, the pointwise weights of the head: each row takes one filter of one of the `last` channels."""
    for row in range(weight.shape[0]):
        if row < 4:
            column = row
        elif chroma_format == CHROMA_420:
            column = 4 * min(row - 3, last - 1)
        else:
            column = 4 * min(row // 4, last - 1) + row % 4
        if column < 4 * min(planes, last):
            weight[row] = 0
            weight[row, column] = 1
            if phases and row < 4:
                weight[row, 4 * (planes + row)] = 1


def initial_weights(model: SynthesisModel, generator: torch.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    """Weights that pass the pyramid through: layer name -> (weight, bias), real values."""
    planes = 1 if model.chroma_format == CHROMA_400 else 3
    last = model.stage_channels[-1]
    # Whether the phases of the luma plane have features of their own.
    phases = model.structure.has_luma and last >= planes + 4
    out: dict[str, tuple[Tensor, Tensor]] = {}
    for layer in model.layers:
        bias = torch.zeros(layer.outputs)
        if layer.kind == "temporal":
            weight = torch.zeros(layer.weight_shape)
            weight[:, 1] = 1
            out[layer.name] = (weight, bias)
            continue
        # Noise below half a step breaks the symmetry for the training, and rounds to 0.
        weight = (torch.rand(*layer.weight_shape, generator=generator) - 0.5) * _NOISE
        if layer.kind == "inject":
            at = _pass_grids(weight, model, int(layer.name[5]), planes)
            if at < weight.shape[1]:
                _pass_phases(weight, at, planes)
        elif layer.kind == "depthwise":
            weight[:, 1, 1] += 1
        elif layer.kind == "head_depthwise":
            _pass_features(weight, model.chroma_format, planes, phases)
        elif layer.kind == "head_pointwise":
            bias = torch.full((layer.outputs,), 128 / LEVELS_PER_FEATURE)
            _pass_rows(weight, model.chroma_format, planes, last, phases)
        out[layer.name] = (weight, bias)
    return out


def initial_context(widths: tuple[int, int], generator: torch.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    """Initial weights of a context network with these hidden widths: layer name -> (weight, bias), real values."""
    one, two, out = (layer.weight_shape for layer in context_layers(*widths))
    first = torch.randn(one, generator=generator) * 0.15
    first[:, 19:] = 0
    second = torch.randn(two, generator=generator) * math.sqrt(1.0 / two[1])
    last = torch.randn(out, generator=generator) * 0.05
    return {
        "context.hidden1": (first, torch.full((widths[0],), 0.1)),
        "context.hidden2": (second, torch.full((widths[1],), 0.1)),
        "context.output": (last, torch.tensor([0.0, 1.5])),
    }
