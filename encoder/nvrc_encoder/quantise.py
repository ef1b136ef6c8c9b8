"""Differentiable stand-ins for rounding the grids: soft rounding with noise, then straight-through rounding."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["hard_round", "soft_round", "soft_round_noise"]


def soft_round(x: Tensor, temperature: float) -> Tensor:
    """A smooth staircase: the identity for a high temperature, rounding for a low one."""
    floor = torch.floor(x)
    r = x - floor - 0.5
    return floor + 0.5 + 0.5 * torch.tanh(r / temperature) / math.tanh(0.5 / temperature)


def soft_round_noise(x: Tensor, temperature: float, noise: float, generator: torch.Generator) -> Tensor:
    """Soft rounding, uniform noise of width `noise`, soft rounding again (as C3, arXiv 2312.02753, section 3)."""
    y = soft_round(x, temperature)
    y = y + (torch.rand(y.shape, generator=generator, device=y.device) - 0.5) * noise
    return soft_round(y, temperature)


def hard_round(x: Tensor) -> Tensor:
    """round(x) forward, identity backward."""
    return x + (torch.round(x) - x).detach()
