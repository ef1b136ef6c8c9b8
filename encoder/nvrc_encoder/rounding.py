"""Rounding of activations in training, and the unit that they are in."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FEATURE_SCALE", "straight_through_floor"]

FEATURE_SCALE = 128
"""Integer activation steps in one feature unit."""


def straight_through_floor(x: Tensor) -> Tensor:
    """floor(x) forward, identity backward."""
    return x + (torch.floor(x) - x).detach()
