"""Motion: grids of long temporal stride, warped along a decoded flow to the frame that is wanted (spec 7.6).

Positions are in eighths of a luma sample, displacements in thirty-seconds, features in feature units. What is rounded
and clipped is as `Arithmetic` says. Where gradients are wanted the bilinear fetch is PyTorch's own, which may differ
from the decoder's in the last float bit; without them it is the decoder's gather, exact in float32 and float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN

from .rounding import Arithmetic, straight_through_floor

__all__ = [
    "CELL_STRIDE",
    "DISPLACEMENT_UNITS",
    "MIX_SIGNS",
    "POSITION_UNITS",
    "Motion",
    "chain",
    "make_motion",
    "planes_of",
    "warp",
]

POSITION_UNITS = 8
"""Steps of a position of the flow grid in one luma sample."""
DISPLACEMENT_UNITS = 32
"""Steps of a displacement in one luma sample."""
CELL_STRIDE = 4
"""Luma samples along each side of a cell that shares one displacement."""
MIX_SIGNS = ((1.0, 1.0, 1.0, 1.0), (1.0, -1.0, 1.0, -1.0), (1.0, 1.0, -1.0, -1.0), (1.0, -1.0, -1.0, 1.0))
"""Twice the Haar synthesis of 2x2 samples, row by row; the mix layer starts from it."""


@dataclass(frozen=True)
class Motion:
    """Where the cells of some frames, and of the nodes, come from; displacements are float [B, 2, rows, columns].

    Attributes:
        before, after: from each frame to the node before it and to the one after.
        nodes: [N - 1, ...] from nodes 1 .. to the node before each.
    """

    before: Tensor
    after: Tensor
    nodes: Tensor


def _doubled(x: Tensor, size: tuple[int, int], arithmetic: Arithmetic) -> Tensor:
    """Half-pixel bilinear x2 with the rounding of spec 7.10, cropped to `size`."""
    x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    x = x[..., : size[0], : size[1]]
    return straight_through_floor(x + 0.5) if arithmetic.rounds else x


def _positions(flow: Tensor, step: Tensor, times: Tensor, stride: int, arithmetic: Arithmetic) -> Tensor:
    """Positions [B, 2, h16, w16] at frames `times`, which may lie beyond the GOP's end."""
    positions = flow * step.to(flow.dtype).view(1, 2, 1, 1)
    if arithmetic.clips:
        positions = positions.clamp(ACTIVATION_MIN, ACTIVATION_MAX)
    last = flow.shape[0] - 1
    first = torch.div(times, stride, rounding_mode="floor")
    fraction = ((times - first * stride).to(flow.dtype) / stride).view(-1, 1, 1, 1)
    mixed = positions[first.clamp(max=last)] * (1 - fraction) + positions[(first + 1).clamp(max=last)] * fraction
    return straight_through_floor(mixed + 0.5) if arithmetic.rounds else mixed


def make_motion(
    flow: Tensor,
    step: Tensor,
    frames: Tensor,
    stride: int,
    node_stride: int,
    node_count: int,
    size: tuple[int, int],
    arithmetic: Arithmetic,
) -> Motion:
    """The motion of the frames wanted.

    Args:
        flow: [N, 2, h16, w16] quantised (or noisy) positions, rows first.
        step: [2] their multipliers.
        frames: int64 [B].
        stride: temporal stride of the flow.
        node_stride: temporal stride of the grids that are warped.
        node_count: how many of their nodes to link.
        size: (height, width) in luma samples.
        arithmetic: what is rounded and clipped.
    """
    node = torch.div(frames, node_stride, rounding_mode="floor")
    times = torch.arange(node_count, device=frames.device) * node_stride
    at_nodes = _positions(flow, step, times, stride, arithmetic)
    here = _positions(flow, step, frames, stride, arithmetic)
    moves = torch.cat(
        [
            at_nodes[node] - here,
            at_nodes[(node + 1).clamp(max=node_count - 1)] - here,
            at_nodes[:-1] - at_nodes[1:],
        ]
    )
    moves = moves * (DISPLACEMENT_UNITS / POSITION_UNITS)
    for shrink in (8, CELL_STRIDE):
        moves = _doubled(moves, (-(-size[0] // shrink), -(-size[1] // shrink)), arithmetic)
    count = len(frames)
    return Motion(moves[:count], moves[count : 2 * count], moves[2 * count :])


def planes_of(features: Tensor, weight: Tensor, bias: Tensor, arithmetic: Arithmetic) -> Tensor:
    """Groups of four channels, mixed and interleaved to planes of twice the size: [N, C / 4, 2h, 2w].

    Args:
        features: [N, C, h, w] dequantised.
        weight, bias: of the mix layer, [C, 4] and [C].
        arithmetic: what is rounded and clipped.
    """
    groups = features.shape[1] // 4
    mixed = functional.conv2d(features, weight[:, :, None, None], bias, groups=groups)
    return functional.pixel_shuffle(arithmetic.finished(mixed), 2)


def _spread(displacement: Tensor, size: tuple[int, int], stride: int, arithmetic: Arithmetic) -> Tensor:
    """A displacement for each sample of a plane of that stride, in 1/32 of its samples: [B, 2, rows, columns]."""
    if stride == CELL_STRIDE:
        scaled = displacement / CELL_STRIDE
        return torch.floor(scaled + 0.5) + (scaled - scaled.detach()) if arithmetic.rounds else scaled
    rows, columns = displacement.shape[2:]
    wide = displacement[:, :, :, None, :, None].expand(-1, -1, -1, CELL_STRIDE, -1, CELL_STRIDE)
    wide = wide.reshape(*displacement.shape[:2], rows * CELL_STRIDE, columns * CELL_STRIDE)
    # A picture of odd size has planes one sample larger than it is.
    missing = max(0, size[0] - wide.shape[2]), max(0, size[1] - wide.shape[3])
    if any(missing):
        wide = functional.pad(wide, (0, missing[1], 0, missing[0]), mode="replicate")
    return wide[:, :, : size[0], : size[1]]


def _fetch_smooth(planes: Tensor, d: Tensor) -> Tensor:
    """Bilinear samples with gradients to planes and positions: [B, C, H, W]."""
    height, width = planes.shape[2:]
    y = torch.arange(height, device=d.device, dtype=d.dtype).view(1, -1, 1) + d[:, 0] / DISPLACEMENT_UNITS
    x = torch.arange(width, device=d.device, dtype=d.dtype).view(1, 1, -1) + d[:, 1] / DISPLACEMENT_UNITS
    # PyTorch's gradient writes out of bounds where a position is no number; the loss or the next check tells of it.
    grid = torch.nan_to_num(torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1))
    return functional.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _fetch_exact(planes: Tensor, d: Tensor) -> Tensor:
    """The decoder's gather: integer positions, weights in 1/1024, each tap clamped to the plane."""
    batch, channels, height, width = planes.shape
    whole = d.long()
    y = torch.arange(height, device=d.device).view(1, -1, 1) * DISPLACEMENT_UNITS + whole[:, 0]
    x = torch.arange(width, device=d.device).view(1, 1, -1) * DISPLACEMENT_UNITS + whole[:, 1]
    flat = planes.reshape(batch, channels, -1)
    out = torch.zeros_like(planes)
    for down in (0, 1):
        row = (torch.div(y, DISPLACEMENT_UNITS, rounding_mode="floor") + down).clamp(0, height - 1)
        of_row = torch.remainder(y, DISPLACEMENT_UNITS)
        of_row = of_row if down else DISPLACEMENT_UNITS - of_row
        for right in (0, 1):
            column = (torch.div(x, DISPLACEMENT_UNITS, rounding_mode="floor") + right).clamp(0, width - 1)
            of_column = torch.remainder(x, DISPLACEMENT_UNITS)
            of_column = of_column if right else DISPLACEMENT_UNITS - of_column
            index = (row * width + column).view(batch, 1, -1).expand(-1, channels, -1)
            tap = flat.gather(2, index).view(planes.shape)
            out += tap * (of_row * of_column / DISPLACEMENT_UNITS**2).to(planes.dtype).unsqueeze(1)
    return out


def chain(residuals: Tensor, motion: Motion, stride: int, arithmetic: Arithmetic) -> Tensor:
    """Planes of nodes from their residuals: each is the one before, warped, plus its own residual.

    Args:
        residuals: [N, C, H, W], feature units.
        motion: links at least these nodes.
        stride: luma samples in a sample of the planes, 1 or 4.
        arithmetic: what is rounded and clipped.
    """
    fetch = _fetch_exact if arithmetic.rounds and not torch.is_grad_enabled() else _fetch_smooth
    moves = _spread(motion.nodes, (residuals.shape[2], residuals.shape[3]), stride, arithmetic)
    planes = [residuals[:1]]
    for n in range(1, residuals.shape[0]):
        moved = arithmetic.rounded(fetch(planes[-1], moves[n - 1 : n]))
        planes.append(arithmetic.clipped(residuals[n : n + 1] + moved))
    return torch.cat(planes)


def warp(
    planes: Tensor, motion: Motion, frames: Tensor, node_stride: int, stride: int, arithmetic: Arithmetic
) -> Tensor:
    """Planes at the frames wanted, from the nodes around them: [B, C, H, W].

    Args:
        planes: [N, C, H, W], feature units, of `chain`.
        motion: of the same frames.
        frames: int64 [B].
        node_stride: temporal stride of the planes.
        stride: luma samples in a sample of the planes, 1 or 4.
        arithmetic: what is rounded and clipped.
    """
    first = torch.div(frames, node_stride, rounding_mode="floor")
    second = (first + 1).clamp(max=planes.shape[0] - 1)
    fraction = ((frames - first * node_stride).to(planes.dtype) / node_stride).view(-1, 1, 1, 1)
    size = (planes.shape[2], planes.shape[3])
    fetch = _fetch_exact if arithmetic.rounds and not torch.is_grad_enabled() else _fetch_smooth
    before = fetch(planes[first], _spread(motion.before, size, stride, arithmetic))
    after = fetch(planes[second], _spread(motion.after, size, stride, arithmetic))
    mixed = before * (1 - fraction) + after * fraction
    return arithmetic.rounded(mixed)
