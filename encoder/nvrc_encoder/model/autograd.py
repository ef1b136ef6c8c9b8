"""Base class of functions with a gradient written out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["TensorFunction"]


class TensorFunction(torch.autograd.Function):
    """A function that returns one tensor; PyTorch leaves `apply` without types."""

    apply: ClassVar[Callable[..., Tensor]]
