"""What the context network last said of each value of a GOP's grids, while most of it is not evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Forecast", "flat", "select"]


@dataclass(frozen=True)
class Forecast:
    """What was last predicted for each value of a GOP.

    Attributes:
        means, scales: per slot [N, C, H, W], None where absent.
    """

    means: list[Tensor | None]
    scales: list[Tensor | None]

    @classmethod
    def initial(cls, grids: Sequence[Tensor | None]) -> Forecast:
        """Before anything was predicted for the values of these grids."""
        return cls(
            [None if grid is None else torch.zeros_like(grid, requires_grad=False) for grid in grids],
            [None if grid is None else torch.ones_like(grid, requires_grad=False) for grid in grids],
        )

    def update(self, nodes: Sequence[Tensor], values: Sequence[Tensor | None], mean: Tensor, scale: Tensor) -> None:
        """Take in what was predicted for the values of some nodes, flat and in their order."""
        sizes = [own.numel() for own in values if own is not None]
        for known, new in ((self.means, mean), (self.scales, scale)):
            parts = iter(new.split(sizes))
            for grid, which, own in zip(known, nodes, values, strict=True):
                if grid is not None and own is not None:
                    grid.index_copy_(0, which, next(parts).view(own.shape))

    def restore(self, means: Sequence[Tensor | None], scales: Sequence[Tensor | None]) -> None:
        """Put back what another one held."""
        for known, saved in ((self.means, means), (self.scales, scales)):
            for grid, other in zip(known, saved, strict=True):
                if grid is not None and other is not None:
                    grid.copy_(other)


def select(grids: Sequence[Tensor | None], nodes: Sequence[Tensor]) -> list[Tensor | None]:
    """Per slot the nodes wanted, [nodes, C, H, W]."""
    return [None if grid is None else grid.index_select(0, which) for grid, which in zip(grids, nodes, strict=True)]


def flat(grids: Sequence[Tensor | None]) -> Tensor:
    """All values of some grids in one vector, slot by slot."""
    return torch.cat([grid.reshape(-1) for grid in grids if grid is not None])
