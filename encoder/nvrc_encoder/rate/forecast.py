"""The last prediction of the context network for each value of a GOP's grids.

An iteration evaluates the network for few of the values, and uses the last prediction for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Forecast", "flat", "select"]


@dataclass(frozen=True)
class Forecast:
    """The last prediction for each value of a GOP.

    Attributes:
        means, scales: per slot [N, C, H, W], None where the slot is absent.
    """

    means: list[Tensor | None]
    scales: list[Tensor | None]

    @classmethod
    def initial(cls, grids: Sequence[Tensor | None]) -> Forecast:
        """Mean 0 and scale 1 for the values of these grids, before anything is predicted."""
        return cls(
            [None if grid is None else torch.zeros_like(grid, requires_grad=False) for grid in grids],
            [None if grid is None else torch.ones_like(grid, requires_grad=False) for grid in grids],
        )

    def update(self, nodes: Sequence[Tensor], values: Sequence[Tensor | None], mean: Tensor, scale: Tensor) -> None:
        """Store the mean and scale predicted for the values of some nodes, both flat and in the order of `values`."""
        sizes = [own.numel() for own in values if own is not None]
        for known, new in ((self.means, mean), (self.scales, scale)):
            parts = iter(new.split(sizes))
            for grid, which, own in zip(known, nodes, values, strict=True):
                if grid is not None and own is not None:
                    grid.index_copy_(0, which, next(parts).view(own.shape))

    def restore(self, means: Sequence[Tensor | None], scales: Sequence[Tensor | None]) -> None:
        """Copy the means and scales of a saved forecast."""
        for known, saved in ((self.means, means), (self.scales, scales)):
            for grid, other in zip(known, saved, strict=True):
                if grid is not None and other is not None:
                    grid.copy_(other)


def select(grids: Sequence[Tensor | None], nodes: Sequence[Tensor]) -> list[Tensor | None]:
    """Values of the wanted nodes of each slot, [nodes, C, H, W]."""
    return [None if grid is None else grid.index_select(0, which) for grid, which in zip(grids, nodes, strict=True)]


def flat(grids: Sequence[Tensor | None]) -> Tensor:
    """All values of the grids in one vector, slot by slot."""
    return torch.cat([grid.reshape(-1) for grid in grids if grid is not None])
