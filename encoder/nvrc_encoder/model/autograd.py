"""The base of the package's own gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["TensorFunction"]


class TensorFunction(torch.autograd.Function):
    """A function that gives one tensor. PyTorch does not say what `apply` gives."""

    apply: ClassVar[Callable[..., Tensor]]
