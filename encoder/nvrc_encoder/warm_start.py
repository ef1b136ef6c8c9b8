"""Initial grids and weights from a Laplacian pyramid of the video.

Features 0, 1, 2 carry Y, Cb, Cr down to the head, whose first filters are the four bilinear phases; everything else
starts near zero. Training from here reaches in 150 iterations what a cold start does not in 600.
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
    WARPED_TEMPORAL_STRIDE,
    GridSlot,
    node_shape,
)

from .model import LEVELS_PER_FEATURE, SynthesisModel
from .motion import CELL_STRIDE, Displacement, displacements, warp
from .motion_search import initial_flow
from .rounding import FEATURE_SCALE

__all__ = ["initial_grids", "initial_weights", "plane_channels"]


def plane_channels(slot: GridSlot, channels: int, planes: int) -> list[int | None]:
    """Feature (0 Y, 1 Cb, 2 Cr) that each channel of a grid starts from; None starts at zero."""
    if channels >= planes and slot.stride > 2:
        return [i if i < planes else None for i in range(channels)]
    return [0 if i == 0 else None for i in range(channels)]


def _half(x: Tensor) -> Tensor:
    """2x2 mean of [T, C, H, W], edge-repeated to even sizes."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(x, 2)


def _interpolation(frames: int, nodes: int, stride: int) -> Tensor:
    """[frames, nodes] weights of linear interpolation in time."""
    matrix = torch.zeros(frames, nodes)
    for t in range(frames):
        first, fraction = divmod(t, stride)
        matrix[t, first] += 1 - fraction / stride
        matrix[t, min(first + 1, nodes - 1)] += fraction / stride
    return matrix


def _ridge_inverse(matrix: Tensor) -> Tensor:
    """Regularised least squares: a last node that few frames see must not be extrapolated to huge values."""
    gram = matrix.t() @ matrix
    return torch.linalg.solve(gram + 0.02 * torch.eye(gram.shape[0]), matrix.t())


def initial_grids(
    model: SynthesisModel,
    rows: Tensor,
    size: tuple[int, int],
    steps: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """Grids of one GOP in quantised units, not rounded.

    Args:
        model: gives profile, channels and chroma format.
        rows: [T, rows, h2, w2] the GOP's phases in 8-bit pixel levels.
        size: (height, width) in luma samples.
        steps: per slot [C] step of each channel in feature units, None where absent.
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
    pyramid = {2: base}
    for stride in (4, 8, 16, 32):
        pyramid[stride] = _half(pyramid[stride // 2])
    grids: list[Tensor | None] = [None] * len(profile.slots)
    every = torch.arange(frames)
    displacement: Displacement | None = None
    flow_step = steps[profile.flow_slot]
    if flow_step is not None:
        flow = profile.slots[profile.flow_slot]
        nodes = -(-(frames - 1) // WARPED_TEMPORAL_STRIDE) + 1
        flow_nodes = node_shape(flow, frames, *size)[0]
        luma8 = functional.pixel_shuffle(rows[:, :4], 2)[:, 0, : size[0], : size[1]]
        positions = initial_flow(
            luma8.round().clamp(0, 255).to(torch.uint8).numpy(),
            flow.stride,
            flow.temporal_stride,
            WARPED_TEMPORAL_STRIDE,
            nodes,
            flow_nodes,
        )
        unit = (flow_step * FEATURE_SCALE).view(1, 2, 1, 1)
        grids[profile.flow_slot] = positions / unit
        displacement = displacements(
            positions, torch.ones(2), every, flow.temporal_stride, WARPED_TEMPORAL_STRIDE, nodes, size, False
        )
    recon: Tensor | None = None
    for stage, stride in enumerate(STAGE_STRIDES):
        target = pyramid[stride]
        if recon is None:
            recon = torch.zeros_like(target)
        else:
            recon = functional.interpolate(recon, scale_factor=2, mode="bilinear", align_corners=False)
            recon = recon[..., : target.shape[-2], : target.shape[-1]]
        at_stage = [i for i, s in enumerate(profile.slots) if s.stage == stage and model.grid_channels[i]]
        for i in at_stage:
            slot, channels = profile.slots[i], model.grid_channels[i]
            nodes, height, width = node_shape(slot, frames, *size)
            step = steps[i]
            if step is None:
                continue
            values = torch.zeros(nodes, channels, height, width)
            if displacement is not None and slot.temporal_stride == WARPED_TEMPORAL_STRIDE:
                at_nodes = (torch.arange(nodes) * WARPED_TEMPORAL_STRIDE).clamp(max=frames - 1)
                wanted = (target - recon)[at_nodes]
                if slot.stride == CELL_STRIDE:
                    for c, plane in enumerate(plane_channels(slot, channels, planes)):
                        if plane is not None:
                            values[:, c] = wanted[:, plane] / step[c]
                            moved = warp(
                                wanted[:, plane : plane + 1],
                                displacement,
                                every,
                                WARPED_TEMPORAL_STRIDE,
                                CELL_STRIDE,
                                False,
                            )
                            recon[:, plane] += moved[:, 0]
                else:
                    # Twice the mean of four samples is the first of their Haar coefficients.
                    values[:, 0] = 2 * wanted[:, 0] / step[0]
                    full = wanted[:, :1].repeat_interleave(2, 2).repeat_interleave(2, 3)
                    recon[:, 0] += _half(warp(full, displacement, every, WARPED_TEMPORAL_STRIDE, 1, False))[:, 0]
                grids[i] = values
                continue
            matrix = _interpolation(frames, nodes, slot.temporal_stride)
            inverse = _ridge_inverse(matrix) if slot.temporal_stride > 1 else None
            for c, plane in enumerate(plane_channels(slot, channels, planes)):
                if plane is None:
                    continue
                residual = target[:, plane] - recon[:, plane]
                if inverse is not None:
                    fitted = torch.einsum("nt,thw->nhw", inverse, residual)
                    recon[:, plane] += torch.einsum("tn,nhw->thw", matrix, fitted)
                else:
                    fitted = residual
                    recon[:, plane] += residual
                values[:, c] = fitted / step[c]
            grids[i] = values
    return grids


def initial_weights(model: SynthesisModel, generator: torch.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    """Weights that pass the pyramid through: layer name -> (weight, bias), real values."""
    planes = 1 if model.chroma_format == CHROMA_400 else 3

    def noise(shape: Sequence[int], deviation: float) -> Tensor:
        return torch.randn(*shape, generator=generator) * deviation

    out: dict[str, tuple[Tensor, Tensor]] = {}
    for layer in model.layers:
        bias = torch.zeros(layer.outputs)
        shape = layer.weight_shape
        if layer.kind == "inject":
            weight = noise(shape, 0.05)
            stage = int(layer.name[5])
            at = 0
            for i, slot in enumerate(model.profile.slots):
                if slot.stage != stage or not model.grid_channels[i]:
                    continue
                if model.structure.moving and i in model.profile.mixed_slots:
                    for phase in range(4):
                        weight[:, at + phase] = noise(weight[:, at].shape, 0.02)
                        weight[0, at + phase] = 0
                        weight[0, at + phase, 1, 1] = 0.25
                        if shape[0] >= planes + 4:
                            weight[planes : planes + 4, at + phase] = 0
                            weight[planes : planes + 4, at + phase, 1, 1] = -0.25
                            weight[planes + phase, at + phase, 1, 1] = 0.75
                    at += model.grid_channels[i]
                    continue
                for c, plane in enumerate(plane_channels(slot, model.grid_channels[i], planes)):
                    if plane is not None and plane < shape[0]:
                        weight[:, at + c] *= 0.5
                        weight[:planes, at + c] = 0
                        weight[plane, at + c, 1, 1] = 1
                    else:
                        weight[:, at + c] *= 3
                at += model.grid_channels[i]
        elif layer.kind == "mix":
            signs = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
            weight = (0.5 * signs).repeat(shape[0] // 4, 1)
        elif layer.kind == "temporal":
            weight = torch.zeros(shape)
            weight[:, 1] = 1
        elif layer.kind == "depthwise":
            weight = noise(shape, 0.1)
            weight[:, 1, 1] += 1
        elif layer.kind == "pointwise":
            weight = noise(shape, 0.05)
        elif layer.kind == "head_depthwise":
            weight = noise(shape, 0.1)
            weight[:, 0, 1, 1] += 1
            taps = np.array([[0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])
            full = planes if model.chroma_format != CHROMA_420 else 1
            for channel in range(min(full, shape[0])):
                for phase in range(4):
                    weight[channel, phase] = torch.from_numpy(np.outer(taps[phase >> 1], taps[phase & 1])).float()
            for channel in range(full, min(planes, shape[0])):
                weight[channel, 0] = 0
                weight[channel, 0, 1, 1] = 1
            if model.structure.moving and shape[0] >= planes + 4:
                weight[planes : planes + 4, 0] = 0
                weight[planes : planes + 4, 0, 1, 1] = 1
        else:
            weight = noise(shape, 0.02)
            bias = torch.full((layer.outputs,), 128 / LEVELS_PER_FEATURE)
            last = model.stage_channels[-1]
            for row in range(shape[0]):
                if row < 4:
                    column = row
                elif model.chroma_format == CHROMA_420:
                    column = 4 * min(row - 3, last - 1)
                else:
                    column = 4 * min(row // 4, last - 1) + row % 4
                if column < 4 * min(planes, last):
                    weight[row] = 0
                    weight[row, column] = 1
                    if model.structure.moving and last >= planes + 4 and row < 4:
                        weight[row, 4 * (planes + row)] = 1
        out[layer.name] = (weight, bias)
    return out
