"""The context network in PyTorch, for many values at once, one in each column (spec 5.5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN
from nvrc_encoder.model.autograd import TensorFunction
from nvrc_encoder.model.rounding import round_and_clip, straight_through_floor
from nvrc_encoder.rate.laplace import SCALE_COUNT, SCALE_LOG2_MIN

__all__ = ["HIDDEN_UNIT", "OUTPUT_UNIT", "context_network"]

HIDDEN_UNIT = 32
"""Integer steps in one real unit of the hidden layers."""
OUTPUT_UNIT = 8
"""Integer steps in one real unit of the outputs: the mean in eighths, the scale index as it is."""


class _Product(TensorFunction):
    """bias + weight @ x, with a faster gradient of the weight.

    That gradient is a product of two long thin matrices. MKL takes more than twice as long for the form that PyTorch
    asks for as for its transpose.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(weight, x)
        ctx.shared = bias.shape[1] == 1
        return torch.addmm(bias, weight, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        weight, x = ctx.saved_tensors
        of_x = weight.t() @ gradient if ctx.needs_input_grad[1] else None
        return (x @ gradient.t()).t(), of_x, gradient.sum(1, keepdim=True) if ctx.shared else gradient


def context_network(
    parameters: dict[str, tuple[Tensor, Tensor]], inputs: Tensor, bias: Tensor, exact: bool
) -> tuple[Tensor, Tensor]:
    """Mean and log2 of the scale of R values, [R] each.

    Args:
        parameters: the context layers as real values.
        inputs: [19, R] neighbours and coarse magnitude, already clipped.
        bias: [width_1, R] bias of the first layer with the columns of the one-hot inputs added.
        exact: whether to round as the decoder does, and to quantise mean and scale.
    """
    h = _hidden(_Product.apply(parameters["context.hidden1"][0][:, : len(inputs)], inputs, bias), exact)
    weight, b = parameters["context.hidden2"]
    h = _hidden(_Product.apply(weight, h, b[:, None]), exact)
    weight, b = parameters["context.output"]
    out = _Product.apply(weight, h, b[:, None]) * OUTPUT_UNIT
    if exact:
        out = straight_through_floor(out + 0.5).clamp(ACTIVATION_MIN, ACTIVATION_MAX)
    mean, index = out.unbind(0)
    return mean / OUTPUT_UNIT, SCALE_LOG2_MIN + index.clamp(0, SCALE_COUNT - 1) / 4


def _hidden(h: Tensor, exact: bool) -> Tensor:
    """Activations of a hidden layer from its sums."""
    return round_and_clip(h, HIDDEN_UNIT, 0, ACTIVATION_MAX / HIDDEN_UNIT) if exact else h.relu_()
