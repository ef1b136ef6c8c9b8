"""Rounding of activations in training, and the unit that they are in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["FEATURE_SCALE", "clip", "round_and_clip", "straight_through_floor"]

FEATURE_SCALE = 128
"""Integer activation steps in one feature unit."""


def straight_through_floor(x: Tensor) -> Tensor:
    """floor(x) forward, identity backward."""
    return x + (torch.floor(x) - x).detach()


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """x within [low, high]; no gradient where it is clipped. One pass each way, where `clamp` takes several back."""
    return torch.nn.functional.hardtanh(x, low, high)


class _RoundAndClip(torch.autograd.Function):
    """Written out, as the exact phase spends most of its time in passes over the activations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, units: int, low: float, high: float) -> Tensor:  # type: ignore[override]
        y = (x * units).add_(0.5).floor_().clamp_(low * units, high * units).div_(units)
        ctx.save_for_backward(y)
        ctx.range = low, high
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        (y,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, y, *ctx.range), None, None, None


def round_and_clip(x: Tensor, units: int, low: float, high: float) -> Tensor:
    """x rounded to the nearest 1/units, a half upwards, then clipped to [low, high].

    The gradient is that of x, 0 at and beyond the ends of the range.
    """
    y: Tensor = _RoundAndClip.apply(x, units, low, high)
    return y
