"""Initial split grid: separate motion for the 8x8 blocks that the smooth motion of the flow grid predicts badly."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import ACTIVATION_MAX
from nvrc_decoder.pyramid import BLEND_UNIT
from nvrc_encoder.model.motion import DISPLACEMENT_UNITS, Motion, half_samples, split_cells
from nvrc_encoder.model.prediction_route import Route, Step
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.start.block_search import block_moves
from nvrc_encoder.start.flow_search import (
    bits_of_errors,
    blends,
    cell_errors,
    constants,
    neighbours,
    pattern_search,
    steps_around,
)

__all__ = ["SplitGrid"]

_FIRST_BITS, _MORE_BITS = 4.0, 2.0
"""Bits of a value other than 0, and for each doubling."""
_REACH_A_FRAME, _REACH = 8, 32
"""Reach of the full search in luma samples: for each frame that the reference is away, and at most."""
_MOVES, _FINE_MOVES = (4, 2, 1), (1,)
"""Distances of the patterns tried around a block, in steps of the grid: at first, and after copying neighbours."""
_BLENDS = (-2, -1, 1, 2)
"""Changes of the blend to try, in steps of the grid."""


def _bits(values: Tensor) -> Tensor:
    """Assumed bits of the values of K grids [K, C, rows, columns]: [K, rows, columns]."""
    size = values.abs()
    return ((size > 0) * _FIRST_BITS + _MORE_BITS * torch.log2(1 + size)).sum(1)


class SplitGrid:
    """The split grid of a GOP, found along the route of its frames, after the flow grid.

    Args:
        luma: [T, 1, H, W] the luma plane of each frame, feature units.
        shape: rows and columns of the grid.
        multiplier: [3] multipliers of the grid's channels.
        size: (height, width) in luma samples.
        bit_cost: squared error, summed over samples, that one bit is worth.

    Attributes:
        grid: [T, 3, rows, columns] values found so far, integers.
    """

    def __init__(
        self, luma: Tensor, shape: tuple[int, int], multiplier: Tensor, size: tuple[int, int], bit_cost: float
    ) -> None:
        self._luma, self._multiplier = luma, multiplier.float().view(1, -1, 1, 1)
        self._size, self._bit_cost = size, bit_cost
        self.grid = torch.zeros(len(luma), len(multiplier), *shape)
        self._known: set[int] = set()

    def search(self, step: Step, route: Route, smooth: Motion, planes: Mapping[int, Tensor]) -> None:
        """Find the values of the frames of a step.

        Frames after the last one of the GOP have its values (spec 7.6.1); then these stay 0.

        Args:
            step: a step of the GOP's route.
            route: the route that `smooth` belongs to; `step` is its second step.
            smooth: motion along `route` by the flow grid alone.
            planes: frame -> [1, 1, H, W] decoded luma planes of the references, feature units.
        """
        sources = [half_samples(planes[r], Arithmetic.EXACT) for r in step.references]
        moves = dict(zip(route.pairs, smooth.moves.split(1), strict=True))
        weights = {t: smooth.weights[i : i + 1] for i, t in enumerate(route.blended)}
        last = len(self._luma) - 1
        for t in step.frames:
            here = min(t, last)
            if here in self._known:
                continue
            self._known.add(here)
            if t > last:
                # The last frame would have the same blocks, wherever its own references are.
                continue
            signs = [1 if r < t else -1 for r in step.references]
            known = [moves[t, r] for r in step.references]
            weight = weights.get(t, torch.zeros_like(known[0][:, :1]))
            goal = self._luma[here : here + 1]

            def cost(
                values: Tensor,
                goal: Tensor = goal,
                signs: list[int] = signs,
                known: list[Tensor] = known,
                weight: Tensor = weight,
            ) -> Tensor:
                added = split_cells(values * self._multiplier, self._size)
                tried = [own + sign * added[:, :2] for own, sign in zip(known, signs, strict=True)]
                errors = cell_errors(goal, sources, tried, (weight + added[:, 2:] / BLEND_UNIT).clamp(0, 1))
                bits = bits_of_errors(errors, self._bit_cost)[:, None]
                blocks = functional.avg_pool2d(bits, 2, ceil_mode=True, divisor_override=1)[:, 0]
                return blocks + _bits(values)

            far: list[Tensor] = []
            for reference, sign, own in zip(step.references, signs, known, strict=True):
                reach = min(_REACH, _REACH_A_FRAME * abs(t - reference))
                moved = block_moves(goal, planes[reference], reach)
                far += self._candidates(moved, own, sign, weight, len(step.references) == 2)
            best = pattern_search(self.grid[here], constants(far), cost, together=True)
            for move in _MOVES:
                best = pattern_search(best, steps_around(move), cost, together=True)
            best = pattern_search(best, neighbours(), cost, together=True)
            for move in _FINE_MOVES:
                best = pattern_search(best, steps_around(move), cost, together=True)
            if len(step.references) == 2:
                best = pattern_search(best, blends(_BLENDS), cost, together=True)
            self.grid[here] = best

    def _candidates(self, moved: Tensor, smooth: Tensor, sign: int, weight: Tensor, blended: bool) -> list[Tensor]:
        """Values that give each block its displacement to one reference.

        Args:
            moved: [2, rows, columns] displacements of the blocks, luma samples.
            smooth: [1, 2, rows, columns] those of cells by the flow grid, 1/32 sample.
            sign: 1 for the earlier reference, -1 for the later.
            weight: [1, 1, rows, columns] share of the later reference in each cell, 0..1.
            blended: whether there are two references; then also with the other one left out.
        """
        step = self._multiplier[0]
        there, share = (functional.avg_pool2d(of_cells, 2, ceil_mode=True)[0] for of_cells in (smooth, weight))
        values = (sign * (moved * DISPLACEMENT_UNITS - there) / step[:2]).round()
        values = torch.minimum(values.abs(), ACTIVATION_MAX // step[:2]).copysign(values)
        alone = (((0.0 if sign > 0 else 1.0) - share) * BLEND_UNIT / step[2:]).round()
        shares = [torch.zeros_like(alone), alone][: 2 if blended else 1]
        return [torch.cat([values, blend]) for blend in shares]
