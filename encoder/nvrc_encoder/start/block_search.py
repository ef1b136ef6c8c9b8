"""Full search of the motion of 8x8 blocks, from one plane to another."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_encoder.start.plane_goals import half

__all__ = ["block_moves"]

_BLOCK = 4
"""Side of a block at half resolution."""


@torch.no_grad()
def block_moves(goal: Tensor, reference: Tensor, reach: int) -> Tensor:
    """The displacement of least squared error of each 8x8 block, searched at half resolution.

    Args:
        goal, reference: [1, 1, H, W] luma planes, in the same units. A reference goes on beyond its edges.
        reach: largest displacement in each direction, in luma samples.

    Returns:
        [2, rows, columns] displacements down and right from the goal to the reference, luma samples, even.
    """
    small, other = half(goal), half(reference)
    reach //= 2
    rows, columns = (-(-size // _BLOCK) for size in small.shape[2:])
    height, width = rows * _BLOCK, columns * _BLOCK
    below, beside = height - small.shape[2], width - small.shape[3]
    small = functional.pad(small, (0, beside, 0, below), mode="replicate")
    other = functional.pad(other, (reach, reach + beside, reach, reach + below), mode="replicate")[0, 0]
    least = torch.full((rows, columns), torch.inf)
    moves = torch.zeros(2, rows, columns)
    for down in range(2 * reach + 1):
        # [2 * reach + 1, 1, height, width]: this displacement down, and each to the right.
        windows = other[down : down + height].unfold(1, width, 1).transpose(0, 1)[:, None]
        errors, right = functional.avg_pool2d((windows - small).square_(), _BLOCK)[:, 0].min(0)
        better = errors < least
        least = torch.where(better, errors, least)
        found = torch.stack([torch.full_like(errors, down - reach), (right - reach).float()])
        moves = torch.where(better, found, moves)
    return 2 * moves
