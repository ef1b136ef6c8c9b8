"""Motion: displacements and blend weights from its grids, half samples, and fetches (spec 7.6.1 to 7.6.3).

Positions are in eighths of a luma sample, displacements in thirty-seconds, planes in feature units. `Arithmetic` says
which values are rounded. With gradients the bilinear fetch is PyTorch's own, exact in float64; without gradients it is
the decoder's gather, which is exact in float32 as well.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvrc_decoder.pyramid import BLEND_UNIT
from nvrc_encoder.model.autograd import TensorFunction
from nvrc_encoder.model.prediction_route import Route
from nvrc_encoder.model.rounding import (
    ACTIVATION_RANGE,
    FEATURE_SCALE,
    Arithmetic,
    clip,
    dequantised,
    straight_through_floor,
)

__all__ = [
    "CELL_STRIDE",
    "DISPLACEMENT_UNITS",
    "POSITION_UNITS",
    "Motion",
    "fetch",
    "half_samples",
    "index_of",
    "make_motion",
    "moves_of",
    "places_of",
    "split_cells",
    "spread",
    "to_cells",
]

POSITION_UNITS = 8
"""Steps of a position of the flow grid in one luma sample."""
DISPLACEMENT_UNITS = 32
"""Steps of a displacement in one luma sample."""
CELL_STRIDE = 4
"""Luma samples along each side of a cell that shares one displacement."""
_NEAR, _FAR = 19 / 32, -3 / 32
"""Weights of a half sample's filter: of each of the two nearest samples, and of each of the next two (spec 7.6.2)."""
_HALVES = 2
"""Steps of a refined plane (with half samples) from one sample of the plane to the next."""


@dataclass(frozen=True)
class Motion:
    """Displacements and blend weights of the cells of some frames.

    Attributes:
        moves: [pairs of the route, 2, rows, columns] displacements, vertical first.
        weights: [blended frames of the route, 1, rows, columns] share of the later reference, 0..1.
    """

    moves: Tensor
    weights: Tensor


@functools.lru_cache(maxsize=8192)
def index_of(values: Sequence[int], device: torch.device) -> Tensor:
    """The numbers of a tuple as int64, cached on the device."""
    return torch.tensor(values, dtype=torch.int64, device=device)


def to_cells(x: Tensor, size: tuple[int, int], arithmetic: Arithmetic) -> Tensor:
    """Values [B, C, rows, columns] of the flow grid, upsampled to the cells: twice x2, each rounded and cropped."""
    for shrink in (8, CELL_STRIDE):
        x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = x[..., : -(-size[0] // shrink), : -(-size[1] // shrink)]
        if arithmetic.rounds:
            x = straight_through_floor(x + 0.5)
    return x


def _repeated(x: Tensor, times: int, size: tuple[int, int]) -> Tensor:
    """x [B, C, rows, columns] with each value repeated `times` along both axes, then cropped to `size`."""
    wide = x[..., None].expand(-1, -1, -1, -1, times).flatten(3)
    return wide[:, :, :, None].expand(-1, -1, -1, times, -1).flatten(2, 3)[:, :, : size[0], : size[1]]


def split_cells(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Values [B, C, rows, columns] of the split grid at the cells of a picture of `size`: each serves 2x2 cells."""
    return _repeated(x, 2, (-(-size[0] // CELL_STRIDE), -(-size[1] // CELL_STRIDE)))


def make_motion(
    flow: Tensor,
    multiplier: Tensor,
    route: Route,
    size: tuple[int, int],
    arithmetic: Arithmetic,
    split: tuple[Tensor, Tensor] | None = None,
) -> Motion:
    """The motion along a route.

    Args:
        flow: [T, 3, h16, w16] quantised (or noisy) flow grid: positions, rows first, and additions to blend weights.
        multiplier: [3] multipliers of its channels.
        route: which frames are predicted from which.
        size: (height, width) in luma samples.
        arithmetic: which values are rounded.
        split: [T, 3, h8, w8] quantised (or noisy) split grid, and [3] the multipliers of its channels.
    """
    last = len(flow) - 1
    positions, blends = dequantised(flow, multiplier).split((2, 1), 1)
    frames, references = (tuple(min(pair[i], last) for pair in route.pairs) for i in (0, 1))
    here, there = (positions.index_select(0, index_of(times, flow.device)) for times in (frames, references))
    moves = to_cells((there - here) * (DISPLACEMENT_UNITS // POSITION_UNITS), size, arithmetic)
    blended = index_of(tuple(min(t, last) for t in route.blended), flow.device)
    added = to_cells(blends.index_select(0, blended), size, arithmetic)
    if split is not None:
        steps, blend_steps = dequantised(*split).split((2, 1), 1)
        signs = index_of(tuple(1 if r < t else -1 for t, r in route.pairs), flow.device).to(flow.dtype)
        own = steps.index_select(0, index_of(frames, flow.device)) * signs.view(-1, 1, 1, 1)
        moves = moves + split_cells(own, size)
        added = added + split_cells(blend_steps.index_select(0, blended), size)
    shares = index_of(route.shares, flow.device).to(flow.dtype).view(-1, 1, 1, 1)
    weights = clip(added + shares, 0, BLEND_UNIT) / BLEND_UNIT
    # PyTorch's gradient of a fetch writes out of bounds where a position is NaN; the loss or the next check reports it.
    return Motion(torch.nan_to_num(moves, 0.0, 0.0, 0.0), weights)


def spread(cells: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Values of cells at each sample of a plane of `size`: [B, C, *size]; a sample is `stride` luma samples wide."""
    if stride == CELL_STRIDE:
        return cells
    return _repeated(cells, CELL_STRIDE, size)


def _filter(x: Tensor, axis: int) -> Tensor:
    """The samples halfway between those of x [N, C, H, W] along an axis, not rounded or clipped: one fewer."""
    count = x.shape[axis] - 1
    padding = (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0)
    padded = functional.pad(x, padding, mode="replicate")
    near = padded.narrow(axis, 1, count) + padded.narrow(axis, 2, count)
    far = padded.narrow(axis, 0, count) + padded.narrow(axis, 3, count)
    return near.mul_(_NEAR).add_(far, alpha=_FAR)


def _filter_gradient(gradient: Tensor, axis: int) -> Tensor:
    """The transpose of `_filter`: the gradient of x."""
    count = gradient.shape[axis]
    shape = list(gradient.shape)
    shape[axis] = count + 3
    padded = gradient.new_zeros(shape)
    for at, factor in enumerate((_FAR, _NEAR, _NEAR, _FAR)):
        padded.narrow(axis, at, count).add_(gradient, alpha=factor)
    inner = padded.narrow(axis, 1, count + 1)
    inner.narrow(axis, 0, 1).add_(padded.narrow(axis, 0, 1))
    inner.narrow(axis, count, 1).add_(padded.narrow(axis, count + 2, 1))
    return inner


class _HalfSamples(TensorFunction):
    """The gradient is written out: a refined plane has four times the samples, and every node of a route has one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rounds: bool) -> Tensor:
        def between(part: Tensor, axis: int) -> Tensor:
            found = _filter(part, axis)
            if rounds:
                found.mul_(FEATURE_SCALE).add_(0.5).floor_().div_(FEATURE_SCALE)
            return found.clamp_(*ACTIVATION_RANGE)

        rows, columns = x.shape[2:]
        out = x.new_empty(*x.shape[:2], 2 * rows - 1, 2 * columns - 1)
        whole = out[:, :, ::2]
        whole[..., ::2] = x
        whole[..., 1::2] = between(x, 3)
        out[:, :, 1::2] = between(whole, 2)
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (out,) = ctx.saved_tensors
        unclipped = torch.ops.aten.hardtanh_backward
        gradient = unclipped(gradient, out, *ACTIVATION_RANGE)
        whole = gradient[:, :, ::2] + _filter_gradient(gradient[:, :, 1::2], 2)
        whole = unclipped(whole, out[:, :, ::2], *ACTIVATION_RANGE)
        return whole[..., ::2] + _filter_gradient(whole[..., 1::2], 3), None


def half_samples(planes: Tensor, arithmetic: Arithmetic) -> Tensor:
    """Planes [N, C, H, W] with the samples halfway between theirs: [N, C, 2H - 1, 2W - 1] (spec 7.6.2)."""
    return _HalfSamples.apply(planes, arithmetic.rounds)


@functools.lru_cache(maxsize=8)
def _centres(size: tuple[int, int], stride: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Coordinates of `grid_sample` in the refined plane, columns first.

    Returns:
        Those of all samples [rows of cells, rows of a cell, 2 * width], the two of a sample side by side, the last row
        of cells in full; and the length of 1/32 of a sample [2].
    """
    side = CELL_STRIDE // stride
    ends = [_HALVES * n - 1 for n in size]
    counts = -(-size[0] // side) * side, size[1]
    positions = (2 * _HALVES * torch.arange(n, dtype=torch.float64) + 1 for n in counts)
    y, x = (at / end - 1 for at, end in zip(positions, ends, strict=True))
    centres = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), -1).view(-1, side, 2 * size[1])
    step = torch.tensor([2 * _HALVES / (DISPLACEMENT_UNITS * end) for end in reversed(ends)], dtype=torch.float64)
    return centres.to(device, dtype), step.to(device, dtype)


def moves_of(moves: Tensor, size: tuple[int, int], stride: int, arithmetic: Arithmetic) -> Tensor:
    """Displacements of the cells of planes of `size`, in the form that `places_of` takes.

    Args:
        moves: [B, 2, rows, columns] of `Motion`.
        size: rows and columns of the planes.
        stride: luma samples per sample of the planes, 1 or 4.
        arithmetic: which values are rounded.

    Returns:
        [B, rows, columns, 2]: if rounded and without gradients, integers in 1/32 of a sample, rows first; else in
        coordinates of `grid_sample`, columns first.
    """
    if stride == CELL_STRIDE:
        moves = moves / CELL_STRIDE
        if arithmetic.rounds:
            moves = straight_through_floor(moves + 0.5)
    if arithmetic.rounds and not torch.is_grad_enabled():
        return moves.permute(0, 2, 3, 1).long()
    _, step = _centres(size, stride, moves.dtype, moves.device)
    return (moves.flip(1) * step.view(1, 2, 1, 1)).permute(0, 2, 3, 1)


def places_of(moves: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Where the samples of planes of `size` are fetched from: [B, *size, 2], in the units of `moves` of `moves_of`."""
    if moves.dtype == torch.int64:
        y, x = (torch.arange(n, device=moves.device) * DISPLACEMENT_UNITS for n in size)
        starts = torch.stack(torch.broadcast_tensors(y[:, None], x[None, :]), -1)
        return spread(moves.permute(0, 3, 1, 2), size, stride).permute(0, 2, 3, 1) + starts
    centres, _ = _centres(size, stride, moves.dtype, moves.device)
    # Across first, then down, so that whole rows are copied.
    wide = moves[:, :, :, None].expand(-1, -1, -1, CELL_STRIDE // stride, -1).flatten(2)[:, :, : 2 * size[1]]
    places: Tensor = (wide[:, :, None] + centres).flatten(1, 2)[:, : size[0]].unflatten(2, (-1, 2))
    return places


def fetch(refined: Tensor, places: Tensor) -> Tensor:
    """Bilinear samples of a refined plane (spec 7.6.3).

    Args:
        refined: [1, C, 2H - 1, 2W - 1] of `half_samples`.
        places: [B, H, W, 2] of `places_of`.

    Returns:
        [B, C, H, W].
    """
    channels = refined.shape[1]
    batch, height, width, _ = places.shape
    if places.dtype == torch.int64:
        return _gather(refined, places)
    rows = places.reshape(1, batch * height, width, 2)
    samples = functional.grid_sample(refined, rows, mode="bilinear", padding_mode="border", align_corners=False)
    return samples.view(channels, batch, height, width).transpose(0, 1)


def _gather(refined: Tensor, places: Tensor) -> Tensor:
    """The decoder's gather: weights in 1/256, each tap clamped to the plane."""
    _, channels, height, width = refined.shape
    unit = DISPLACEMENT_UNITS // _HALVES
    y, x = places.unbind(-1)
    flat = refined.reshape(channels, -1)
    out = refined.new_zeros(channels, *y.shape)
    for down in (0, 1):
        row = (torch.div(y, unit, rounding_mode="floor") + down).clamp(0, height - 1)
        of_row = torch.remainder(y, unit)
        of_row = of_row if down else unit - of_row
        for right in (0, 1):
            column = (torch.div(x, unit, rounding_mode="floor") + right).clamp(0, width - 1)
            of_column = torch.remainder(x, unit)
            of_column = of_column if right else unit - of_column
            tap = flat.index_select(1, (row * width + column).view(-1)).view(out.shape)
            out += tap * (of_row * of_column).to(refined.dtype) / unit**2
    return out.transpose(0, 1)
