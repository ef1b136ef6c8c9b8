"""Rate of integers under the stream's Laplace tables as a smooth function (spec 4.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nvrc_decoder.entropy.tables import SCALE_COUNT
from nvrc_encoder.model.autograd import TensorFunction

__all__ = ["SCALE_COUNT", "SCALE_LOG2_MIN", "laplace_bits", "quantised_scale"]

SCALE_LOG2_MIN = -4.0
_LOG2E = 1.4426950408889634
_FLOOR = 2.0**-24


def quantised_scale(scale: Tensor) -> Tensor:
    """Index of the table whose scale is nearest to `scale` on a logarithmic axis, int64."""
    return torch.round((torch.log2(scale) - SCALE_LOG2_MIN) * 4).clamp(0, SCALE_COUNT - 1).long()


class _LaplaceBits(TensorFunction):
    """-log2 of the Laplace mass on [x - 1/2, x + 1/2]. The gradient is written out, for a third of the time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        a = x.abs()
        inverse = 1 / scale
        near = (a - 0.5).abs_().neg_().mul_(inverse).exp_().mul_(0.5)
        far = (-0.5 - a).mul_(inverse).exp_().mul_(0.5)
        mass = torch.where(a < 0.5, 1 - near, near).sub_(far).add_(_FLOOR)
        ctx.save_for_backward(x, a, inverse, near, far, mass)
        return torch.log2(mass).neg_()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        x, a, inverse, near, far, mass = ctx.saved_tensors
        # d mass / d a and d mass / d (1/scale)
        factor = (grad / mass).mul_(inverse).mul_(-_LOG2E)
        d_x = (far - near).mul_(torch.sign(x)).mul_(factor)
        if not ctx.needs_input_grad[1]:
            return d_x, None
        d_inverse = (near * (0.5 - a)).add_(far * (a + 0.5))
        return d_x, d_inverse.mul_(factor).mul_(inverse).neg_()


def laplace_bits(x: Tensor, scale: Tensor) -> Tensor:
    """Bits of each value.

    Args:
        x: value minus mean, any shape.
        scale: Laplace scale b > 0, broadcast to x's shape.

    Returns:
        -log2 P, same shape, at most that of the tables' smallest frequency.
    """
    return _LaplaceBits.apply(x, scale.expand_as(x))
