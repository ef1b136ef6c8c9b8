"""Motion: grids of long temporal stride, warped along a decoded flow to the frame that is wanted (spec 7.6).

Positions are in eighths of a luma sample, displacements in thirty-seconds, features in feature units. `Arithmetic` says
what is rounded. Where gradients are wanted the bilinear fetch is PyTorch's own, exact in float64; without them it is
the decoder's gather, exact in float32, too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN

from .rounding import ACTIVATION_RANGE, Arithmetic, clip, straight_through_floor

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
    positions = clip(flow * step.to(flow.dtype).view(1, 2, 1, 1), ACTIVATION_MIN, ACTIVATION_MAX)
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
        arithmetic: what is rounded.
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
    # PyTorch's gradient of a fetch writes out of bounds where a position is no number; the loss or the next check tells
    # of it.
    moves = torch.nan_to_num(moves, 0.0, 0.0, 0.0)
    count = len(frames)
    return Motion(moves[:count], moves[count : 2 * count], moves[2 * count :])


def planes_of(features: Tensor, weight: Tensor, bias: Tensor, arithmetic: Arithmetic) -> Tensor:
    """Groups of four channels, mixed and interleaved to planes of twice the size: [N, C / 4, 2h, 2w].

    Args:
        features: [N, C, h, w] dequantised.
        weight, bias: of the mix layer, [C, 4] and [C].
        arithmetic: what is rounded.
    """
    groups = features.shape[1] // 4
    mixed = functional.conv2d(features, weight[:, :, None, None], bias, groups=groups)
    return functional.pixel_shuffle(arithmetic.finished(mixed), 2)


def _of_plane(displacement: Tensor, stride: int, arithmetic: Arithmetic) -> Tensor:
    """Displacements of cells in 1/32 of the samples of a plane, which are `stride` luma samples wide."""
    if stride != CELL_STRIDE:
        return displacement
    scaled = displacement / CELL_STRIDE
    return torch.floor(scaled + 0.5) + (scaled - scaled.detach()) if arithmetic.rounds else scaled


def _spread(cells: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """What each sample of a plane has from its cell: [B, 2, rows, columns]."""
    if stride == CELL_STRIDE:
        return cells
    # There are at least as many as the plane has samples.
    return functional.interpolate(cells, scale_factor=CELL_STRIDE, mode="nearest")[:, :, : size[0], : size[1]]


@functools.lru_cache(maxsize=8)
def _places_of(height: int, width: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """As `grid_sample` counts, columns first, -1 .. 1: samples of a plane [height, width, 2], and 1/32 of one [2]."""
    y, x = (torch.arange(1, 2 * n, 2, dtype=torch.float64) / n - 1 for n in (height, width))
    centres = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), -1)
    step = torch.tensor([2 / (DISPLACEMENT_UNITS * n) for n in (width, height)], dtype=torch.float64)
    return centres.to(device, dtype), step.to(device, dtype)


def _each(x: Tensor) -> list[Tensor]:
    """Elements of the first axis, which stays; the gradient of a slice of each would be as large as the whole."""
    return [element.unsqueeze(0) for element in x.unbind(0)]


def _fetches(
    displacement: Tensor, size: tuple[int, int], stride: int, arithmetic: Arithmetic
) -> list[Callable[[Tensor], Tensor]]:
    """For each displacement of the batch, what takes bilinear samples of planes [1, C, *size] there."""
    moves = _of_plane(displacement, stride, arithmetic)
    if arithmetic.rounds and not torch.is_grad_enabled():
        return [functools.partial(_fetch_exact, d=d) for d in _each(_spread(moves, size, stride))]
    return [functools.partial(_fetch_smooth, places=places) for places in _each(_places(moves, size, stride))]


def _fetch(planes: Tensor, displacement: Tensor, stride: int, arithmetic: Arithmetic) -> Tensor:
    """Bilinear samples of planes [B, C, H, W] at displaced places."""
    size = (planes.shape[2], planes.shape[3])
    moves = _of_plane(displacement, stride, arithmetic)
    if arithmetic.rounds and not torch.is_grad_enabled():
        return _fetch_exact(planes, _spread(moves, size, stride))
    return _fetch_smooth(planes, _places(moves, size, stride))


def _places(moves: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Where samples are fetched, as `grid_sample` counts: [B, rows, columns, 2]. All that can be is done for cells."""
    centres, step = _places_of(*size, moves.dtype, moves.device)
    scaled = (moves.flip(1) * step.view(1, 2, 1, 1)).contiguous(memory_format=torch.channels_last)
    return _spread(scaled, size, stride).permute(0, 2, 3, 1) + centres


def _fetch_smooth(planes: Tensor, places: Tensor) -> Tensor:
    """Bilinear samples with gradients to planes and places: [B, C, H, W]."""
    return functional.grid_sample(planes, places, mode="bilinear", padding_mode="border", align_corners=False)


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
        arithmetic: what is rounded.
    """
    count, size = len(residuals), (residuals.shape[2], residuals.shape[3])
    first, *others = _each(residuals)
    planes = [first]
    for own, fetch in zip(others, _fetches(motion.nodes[: count - 1], size, stride, arithmetic), strict=True):
        planes.append(clip(own + arithmetic.rounded(fetch(planes[-1])), *ACTIVATION_RANGE))
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
        arithmetic: what is rounded.
    """
    first = torch.div(frames, node_stride, rounding_mode="floor")
    second = (first + 1).clamp(max=planes.shape[0] - 1)
    fraction = ((frames - first * node_stride).to(planes.dtype) / node_stride).view(-1, 1, 1, 1)
    before = _fetch(planes[first], motion.before, stride, arithmetic)
    after = _fetch(planes[second], motion.after, stride, arithmetic)
    return arithmetic.rounded(before * (1 - fraction) + after * fraction)
