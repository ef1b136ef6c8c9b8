"""Rounding and clipping of activations in training, and their unit."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN
from nvrc_encoder.model.autograd import TensorFunction

__all__ = [
    "ACTIVATION_RANGE",
    "FEATURE_SCALE",
    "Arithmetic",
    "clip",
    "dequantised",
    "round_and_clip",
    "straight_through_floor",
    "straight_through_round",
]

FEATURE_SCALE = 128
"""Integer activation steps in one feature unit."""
ACTIVATION_RANGE = (ACTIVATION_MIN / FEATURE_SCALE, ACTIVATION_MAX / FEATURE_SCALE)
"""Smallest and largest activation in feature units."""
# Blends are multiples of 2^-13 of a step (spec 7.6.2). The excess keeps a half that float64 represents slightly too low
# from being rounded down. In float32 that can still happen with PyTorch's own fetch, which training uses.
_HALF = 0.5 + 2.0**-15


class Arithmetic(Enum):
    """Treatment of every value that the decoder rounds and clips.

    ``FLOAT`` only clips, which is part of the network; training begins with it. ``EXACT`` also rounds, as the decoder
    does. The difference between the two is the cost of integers.
    """

    FLOAT = "float"
    EXACT = "exact"

    @property
    def rounds(self) -> bool:
        """Whether values are rounded."""
        return self is Arithmetic.EXACT

    def rounded(self, x: Tensor) -> Tensor:
        """Blends of activations in feature units, to the nearest step; the gradient is that of `x`."""
        return _StraightThrough.apply(x, _to_steps) if self.rounds else x

    def finished(self, x: Tensor, low: float = ACTIVATION_RANGE[0], high: float = ACTIVATION_RANGE[1]) -> Tensor:
        """The output of a layer, rounded and then clipped."""
        return round_and_clip(x, FEATURE_SCALE, low, high) if self.rounds else clip(x, low, high)


class _StraightThrough(TensorFunction):
    """A rounding with the gradient of the identity: one pass forward, none back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rounding: Callable[[Tensor], Tensor]) -> Tensor:
        return rounding(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def dequantised(values: Tensor, multiplier: Tensor) -> Tensor:
    """Activation steps of [N, C, H, W] values; `multiplier` is [C] or, for each node, [N, C] (spec 7.4)."""
    factors = multiplier.to(values.dtype).view(-1, values.shape[1], 1, 1)
    return clip(values * factors, float(ACTIVATION_MIN), float(ACTIVATION_MAX))


def straight_through_floor(x: Tensor) -> Tensor:
    """floor(x) forward, identity backward."""
    return _StraightThrough.apply(x, torch.floor)


def straight_through_round(x: Tensor) -> Tensor:
    """round(x) forward, a half to the even integer, identity backward."""
    return _StraightThrough.apply(x, torch.round)


def _to_steps(x: Tensor) -> Tensor:
    return (x * FEATURE_SCALE).add_(_HALF).floor_().div_(FEATURE_SCALE)


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """x clipped to [low, high], without a gradient where it is clipped. `clamp` would take several passes back."""
    return torch.nn.functional.hardtanh(x, low, high)


class _RoundAndClip(TensorFunction):
    """The gradient is written out: passes over the activations take most of the exact phase."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, units: int, low: float, high: float) -> Tensor:
        y = (x * units).add_(0.5).floor_().clamp_(low * units, high * units).div_(units)
        ctx.save_for_backward(y)
        ctx.range = low, high
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, y, *ctx.range), None, None, None


def round_and_clip(x: Tensor, units: int, low: float, high: float) -> Tensor:
    """x rounded to the nearest 1/units, a half upwards, then clipped to [low, high].

    The gradient is that of x, 0 at and beyond the ends of the range.
    """
    return _RoundAndClip.apply(x, units, low, high)
