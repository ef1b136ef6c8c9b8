"""Initial grids and weights from a Laplacian pyramid of the video.

Features 0, 1, 2 carry Y, Cb, Cr down to the head, and four more what each phase of the luma plane differs by from Y;
everything else starts near zero. Training from here reaches in 150 iterations what a cold start does not in 600.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import (
    CHROMA_400,
    CHROMA_420,
    STAGE_STRIDES,
    GridSlot,
    node_shape,
)
from nvrc_encoder.model.rounding import FEATURE_SCALE
from nvrc_encoder.model.synthesis import LEVELS_PER_FEATURE, SynthesisModel
from nvrc_encoder.start.warm_planes import half, initial_planes, plane_features

__all__ = ["WEIGHT_STEP", "initial_grids", "initial_weights", "plane_channels"]

_BETWEEN = np.array([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
_SAME = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
"""Taps along one axis of the two phases of a feature: interpolated bilinearly, or as it is."""
WEIGHT_STEP = 2.0**-6
"""Step that the weights start with."""
_NOISE = 0.98 * WEIGHT_STEP
"""Width of the uniform noise on the weights."""


def plane_channels(slot: GridSlot, channels: int, planes: int) -> list[int | None]:
    """Feature (0 Y, 1 Cb, 2 Cr) that each channel of a grid starts from; None starts at zero."""
    if channels >= planes and slot.stride > 2:
        return [i if i < planes else None for i in range(channels)]
    return [0 if i == 0 else None for i in range(channels)]


def initial_grids(
    model: SynthesisModel,
    rows: Tensor,
    multipliers: Sequence[Sequence[int] | None],
    lagrangian: float,
) -> list[Tensor | None]:
    """Grids of one GOP in quantised units, not rounded.

    Args:
        model: gives profile, channels, size and chroma format.
        rows: [T, rows, h2, w2] the GOP's phases in 8-bit pixel levels.
        multipliers: per slot those of its channels, None where absent.
        lagrangian: lambda, weight of bits per pixel against the distortion.
    """
    profile = model.profile
    frames = rows.shape[0]
    luma = rows[:, :4].mean(1, keepdim=True)
    if model.chroma_format == CHROMA_400:
        base = luma
    elif model.chroma_format == CHROMA_420:
        base = torch.cat([luma, rows[:, 4:6]], 1)
    else:
        base = torch.cat([luma, rows[:, 4:8].mean(1, keepdim=True), rows[:, 8:12].mean(1, keepdim=True)], 1)
    base = (base - 128) / LEVELS_PER_FEATURE
    planes = base.shape[1]
    grids: list[Tensor | None] = [None] * len(profile.slots)
    if model.structure.has_planes:
        # What the planes cannot give is left to the grids of every frame.
        base = initial_planes(model, rows, base, multipliers, grids, lagrangian)
    pyramid = {2: base}
    for stride in (4, 8, 16, 32):
        pyramid[stride] = half(pyramid[stride // 2])
    recon: Tensor | None = None
    for stage, stride in enumerate(STAGE_STRIDES):
        target = pyramid[stride]
        if recon is None:
            recon = torch.zeros_like(target)
        else:
            recon = functional.interpolate(recon, scale_factor=2, mode="bilinear", align_corners=False)
            recon = recon[..., : target.shape[-2], : target.shape[-1]]
        at_stage = [i for i in profile.slots_of_stage(stage) if model.grid_channels[i] and grids[i] is None]
        for i in at_stage:
            slot, channels = profile.slots[i], model.grid_channels[i]
            _, height, width = node_shape(slot, frames, *model.size, model.structure.pyramid)
            steps = multipliers[i]
            if steps is None:
                continue
            values = torch.zeros(frames, channels, height, width)
            for c, plane in enumerate(plane_channels(slot, channels, planes)):
                if plane is not None:
                    values[:, c] = (target[:, plane] - recon[:, plane]) * FEATURE_SCALE / steps[c]
                    recon[:, plane] = target[:, plane]
            grids[i] = values
    return grids


def _pass_grids(weight: Tensor, model: SynthesisModel, stage: int, planes: int) -> int:
    """Set, in place, the weights of an injection that pass the planes of its grids through; the inputs they take."""
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
    """Weights of the four phases of the luma plane: their mean to feature 0, what each differs by to one of its own."""
    outputs = weight.shape[0]
    for phase in range(4):
        weight[0, at + phase] = 0
        weight[0, at + phase, 1, 1] = 0.25
        if outputs >= planes + 4:
            weight[planes : planes + 4, at + phase] = 0
            weight[planes : planes + 4, at + phase, 1, 1] = -0.25
            weight[planes + phase, at + phase, 1, 1] = 0.75


def _pass_features(weight: Tensor, chroma_format: int, planes: int, phases: bool) -> None:
    """Set, in place, the depthwise filters of the head that interpolate a feature, or pass a phase as it is."""
    weight[:, 0, 1, 1] += 1
    full = planes if chroma_format != CHROMA_420 else 1
    for channel in range(min(full, weight.shape[0])):
        # Those of a feature are interpolated; luma has its own.
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
    """Set, in place, the pointwise weights of the head that give each row its filter; `last` channels come in."""
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
        # Below half a step: it breaks the symmetry for the training, and is nothing once rounded.
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
