"""Soft rounding with noise: the differentiable stand-in for the rounding of grids."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvrc_encoder.model.autograd import TensorFunction

__all__ = ["soft_round", "soft_round_noise"]


class _SoftRound(TensorFunction):
    """The gradient is written out: a grid is many times as large as a window, and each operation is a pass over it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, temperature: float) -> Tensor:
        floor = torch.floor(x)
        step = x.sub(floor).sub_(0.5).div_(temperature).tanh_()
        height = 0.5 / math.tanh(0.5 / temperature)
        ctx.save_for_backward(step)
        ctx.slope = height / temperature
        return floor.add_(0.5).add_(step, alpha=height)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (step,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(gradient, step).mul_(ctx.slope), None


def soft_round(x: Tensor, temperature: float) -> Tensor:
    """A smooth staircase: the identity for a high temperature, rounding for a low one."""
    return _SoftRound.apply(x, temperature)


def soft_round_noise(x: Tensor, temperature: float, noise: float, generator: torch.Generator) -> Tensor:
    """Soft rounding, uniform noise of width `noise`, soft rounding again (as C3, arXiv 2312.02753, section 3)."""
    y = soft_round(x, temperature)
    drawn = torch.empty_like(y).uniform_(-noise / 2, noise / 2, generator=generator)
    return soft_round(y + drawn, temperature)
