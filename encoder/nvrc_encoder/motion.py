"""Motion: grids of long temporal stride, warped along a decoded flow to the frame that is wanted (spec 7, motion).

Displacements are in eighths of a luma sample, features in feature units. With ``exact=True`` everything is rounded as
the decoder does. Where gradients are wanted the bilinear fetch is PyTorch's own, which may differ from the decoder's
in the last float bit; without them it is the decoder's gather, exact in float32 and float64.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN

from .rounding import FEATURE_SCALE, straight_through_floor

__all__ = ["CELL_STRIDE", "DISPLACEMENT_UNITS", "Displacement", "displacements", "planes_of", "warp"]

DISPLACEMENT_UNITS = 8
"""Steps of a displacement in one luma sample."""
CELL_STRIDE = 4
"""Luma samples along each side of a cell that shares one displacement."""

Displacement = tuple[Tensor, Tensor]
"""Displacement to the node before and to the node after: float [B, 2, rows, columns] on the cells."""


def _doubled(x: Tensor, size: tuple[int, int], exact: bool) -> Tensor:
    """Half-pixel bilinear x2 with the rounding of spec 7.9, cropped to `size`."""
    x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    x = x[..., : size[0], : size[1]]
    return straight_through_floor(x + 0.5) if exact else x


def displacements(
    flow: Tensor,
    step: Tensor,
    frames: Tensor,
    stride: int,
    node_stride: int,
    node_count: int,
    size: tuple[int, int],
    exact: bool,
) -> Displacement:
    """Where each cell of a frame lies at the nodes around it.

    Args:
        flow: [N, 2, h16, w16] quantised (or noisy) positions, rows first.
        step: [2] their multipliers.
        frames: int64 [B].
        stride: temporal stride of the flow.
        node_stride: temporal stride of the grids that are warped.
        node_count: their nodes.
        size: (height, width) in luma samples.
        exact: round as the decoder does.
    """
    positions = flow * step.to(flow.dtype).view(1, 2, 1, 1)
    if exact:
        positions = positions.clamp(ACTIVATION_MIN, ACTIVATION_MAX)
    last = flow.shape[0] - 1

    def at(times: Tensor) -> Tensor:
        first = torch.div(times, stride, rounding_mode="floor")
        fraction = ((times - first * stride).to(flow.dtype) / stride).view(-1, 1, 1, 1)
        before = positions[first.clamp(max=last)]
        after = positions[(first + 1).clamp(max=last)]
        mixed = before * (1 - fraction) + after * fraction
        return straight_through_floor(mixed + 0.5) if exact else mixed

    node = torch.div(frames, node_stride, rounding_mode="floor")
    here = at(frames)
    both = torch.cat([at(node * node_stride) - here, at((node + 1).clamp(max=node_count - 1) * node_stride) - here], 1)
    for shrink in (8, CELL_STRIDE):
        both = _doubled(both, (-(-size[0] // shrink), -(-size[1] // shrink)), exact)
    return both[:, :2], both[:, 2:]


def planes_of(features: Tensor, weight: Tensor, bias: Tensor, exact: bool) -> Tensor:
    """Groups of four channels, mixed and interleaved to planes of twice the size: [N, C / 4, 2h, 2w].

    Args:
        features: [N, C, h, w] dequantised.
        weight, bias: of the mix layer, [C, 4] and [C].
        exact: round as the decoder does.
    """
    groups = features.shape[1] // 4
    mixed = functional.conv2d(features, weight[:, :, None, None], bias, groups=groups)
    if exact:
        mixed = straight_through_floor(mixed * FEATURE_SCALE + 0.5) / FEATURE_SCALE
        mixed = mixed.clamp(ACTIVATION_MIN / FEATURE_SCALE, ACTIVATION_MAX / FEATURE_SCALE)
    return functional.pixel_shuffle(mixed, 2)


def _spread(displacement: Tensor, size: tuple[int, int], stride: int, exact: bool) -> Tensor:
    """A displacement for each sample of a plane of that stride, in eighths of its samples: [B, 2, rows, columns]."""
    if stride == CELL_STRIDE:
        scaled = displacement / CELL_STRIDE
        return torch.floor(scaled + 0.5) + (scaled - scaled.detach()) if exact else scaled
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
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    return functional.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _fetch_exact(planes: Tensor, d: Tensor) -> Tensor:
    """The decoder's gather: integer positions, weights in sixty-fourths, each tap clamped to the plane."""
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


def warp(
    planes: Tensor, displacement: Displacement, frames: Tensor, node_stride: int, stride: int, exact: bool
) -> Tensor:
    """Planes at the frames wanted, from the nodes around them: [B, C, H, W].

    Args:
        planes: [N, C, H, W], feature units.
        displacement: of `displacements`, for the same frames.
        frames: int64 [B].
        node_stride: temporal stride of the planes.
        stride: luma samples in a sample of the planes, 1 or 4.
        exact: round as the decoder does.
    """
    first = torch.div(frames, node_stride, rounding_mode="floor")
    second = (first + 1).clamp(max=planes.shape[0] - 1)
    fraction = ((frames - first * node_stride).to(planes.dtype) / node_stride).view(-1, 1, 1, 1)
    size = (planes.shape[2], planes.shape[3])
    fetch = _fetch_exact if exact and not torch.is_grad_enabled() else _fetch_smooth
    before = fetch(planes[first], _spread(displacement[0], size, stride, exact))
    after = fetch(planes[second], _spread(displacement[1], size, stride, exact))
    mixed = before * (1 - fraction) + after * fraction
    return straight_through_floor(mixed * FEATURE_SCALE + 0.5) / FEATURE_SCALE if exact else mixed
