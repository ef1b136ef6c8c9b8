"""The wavelet transform of the luma plane: the decoder's inverse, with gradients, and the forward one.

CDF 9/7 by lifting with the decoder's constants (spec 7.6.5). Values are in activation steps; where they are rounded, in
quarters of them. The gradients are written out, as each step of the lifting would otherwise cost several passes over
the plane in the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, LIFTING_UNIT
from nvrc_encoder.model.autograd import TensorFunction
from nvrc_encoder.model.rounding import straight_through_floor

__all__ = ["bands_of", "luma_of"]

_ROWS, _COLUMNS = 2, 3
"""Axes of [N, C, H, W]."""
_LOW_GAIN = 315 / 256
# Factor and sign of each lifting step. Even steps change low samples by their high neighbours, odd ones the reverse.
_STEPS = ((7 / 16, -1), (113 / 128, -1), (217 / 4096, 1), (203 / 128, 1))


def _parts(x: Tensor, axis: int, ahead: bool) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Views of x: (samples with a neighbour on that side, those neighbours), (end sample, itself as neighbour)."""
    count = x.shape[axis]
    first, second = x.narrow(axis, 0, count - 1), x.narrow(axis, 1, count - 1)
    end = x.narrow(axis, count - 1 if ahead else 0, 1)
    return ((first, second) if ahead else (second, first)), (end, end)


def _add_pairs(into: Tensor, source: Tensor, step: int, axis: int, factor: float) -> None:
    """Add to each sample of `into`, in place, `factor` times the sum of its two neighbours in `source`."""
    ahead = step % 2 == 1
    (own, _), (end, _) = _parts(into, axis, ahead)
    (_, beside), (_, repeated) = _parts(source, axis, ahead)
    into.add_(source, alpha=factor)
    own.add_(beside, alpha=factor)
    end.add_(repeated, alpha=factor)


def _lift(into: Tensor, source: Tensor, step: int, axis: int, rounds: bool, back: bool = False) -> None:
    """One lifting step: add to `into` the weighted neighbours from `source`, rounded if `rounds`; `back` undoes it."""
    factor, sign = _STEPS[step]
    sign = -sign if back else sign
    if not rounds:
        _add_pairs(into, source, step, axis, sign * factor)
        return
    # All products and sums are exact even in float32 (spec 7.6.5).
    change = torch.zeros_like(source)
    _add_pairs(change, source, step, axis, factor)
    into.add_(change.add_(0.5).floor_(), alpha=sign)


def _lift_gradient(into: Tensor, source: Tensor, step: int, axis: int) -> None:
    """The transpose of `_lift` in place: `source` is the gradient of the samples that the step changed."""
    factor, sign = _STEPS[step]
    ahead = step % 2 == 1
    into.add_(source, alpha=sign * factor)
    (_, beside), (_, end) = _parts(into, axis, ahead)
    (own, _), (last, _) = _parts(source, axis, ahead)
    beside.add_(own, alpha=sign * factor)
    end.add_(last, alpha=sign * factor)


def _limits(rounds: bool) -> tuple[float, float]:
    """Least and largest sample of `_Inverse`: the range of activations."""
    unit = LIFTING_UNIT if rounds else 1
    return float(unit * ACTIVATION_MIN), float(unit * ACTIVATION_MAX)


class _Inverse(TensorFunction):
    """From low and high samples [N, C, h, w] to samples, twice as many along one axis.

    All are in activation steps; if `rounds`, in quarters of them.
    """

    @staticmethod
    def forward(ctx: Any, low: Tensor, high: Tensor, axis: int, rounds: bool) -> Tensor:
        s, d = low * _LOW_GAIN, high.clone()
        if rounds:
            s.add_(0.5).floor_()
        for step in range(len(_STEPS)):
            into, source = (s, d) if step % 2 == 0 else (d, s)
            _lift(into, source, step, axis, rounds)
        out = torch.stack((s, d), axis + 1).flatten(axis, axis + 1).clamp_(*_limits(rounds))
        ctx.save_for_backward(out)
        ctx.axis, ctx.rounds = axis, rounds
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (out,) = ctx.saved_tensors
        axis = ctx.axis
        gradient = torch.ops.aten.hardtanh_backward(gradient, out, *_limits(ctx.rounds))
        s, d = (part.contiguous() for part in gradient.unflatten(axis, (-1, 2)).unbind(axis + 1))
        for step in reversed(range(len(_STEPS))):
            into, source = (d, s) if step % 2 == 0 else (s, d)
            _lift_gradient(into, source, step, axis)
        return s.mul_(_LOW_GAIN), d, None, None


def luma_of(bands: Sequence[Tensor], rounds: bool) -> Tensor:
    """The luma plane that the bands of some nodes hold: [N, 1, H, W], clipped to activations (spec 7.6.5).

    Args:
        bands: the four band slots, coarse to fine, in activation steps: [N, 4, h, w] (LL, HL, LH, HH), then
            [N, 3, h, w] (HL, LH, HH), each with twice the rows and columns of the one before, or one less than that.
        rounds: round each lifting step as the decoder does; the gradients are those without rounding.
    """
    low: Tensor
    if rounds:
        bands = [band * LIFTING_UNIT for band in bands]
    low, first = bands[0].split((1, 3), 1)
    for details in (first, *bands[1:]):
        rows, columns = details.shape[2:]
        if low.shape[2:] != details.shape[2:]:
            low = low[..., :rows, :columns]
        beside, below = details.split((1, 2), 1)
        left, right = _Inverse.apply(torch.cat([low, beside], 1), below, _ROWS, rounds).split(1, 1)
        low = _Inverse.apply(left, right, _COLUMNS, rounds)
    return straight_through_floor(low / LIFTING_UNIT + 0.5) if rounds else low


def _forward(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Low and high samples of x [N, C, H, W], whose length along the axis is even: the exact inverse of `_Inverse`."""
    s, d = (part.contiguous() for part in x.unflatten(axis, (-1, 2)).unbind(axis + 1))
    for step in reversed(range(len(_STEPS))):
        into, source = (s, d) if step % 2 == 0 else (d, s)
        _lift(into, source, step, axis, rounds=False, back=True)
    return s / _LOW_GAIN, d


@torch.no_grad()
def bands_of(luma: Tensor, levels: int) -> list[Tensor]:
    """The bands of planes [N, 1, H, W] of even sizes, coarse to fine, as `luma_of` takes them; nothing is rounded."""
    low, bands = luma, []
    for _ in range(levels):
        low = functional.pad(low, (0, low.shape[3] % 2, 0, low.shape[2] % 2), mode="replicate")
        left, right = _forward(low, _COLUMNS)
        (low, below), (beside, both) = _forward(left, _ROWS), _forward(right, _ROWS)
        bands.append(torch.cat([beside, below, both], 1))
    bands[-1] = torch.cat([low, bands[-1]], 1)
    return bands[::-1]
