"""Search of the flow grid, frame by frame, with the references as they will be decoded.

The motion between places of the grid is interpolated. So the cost of a place is the prediction error around it, plus
its difference from its neighbours in space and time, for which its coding pays. Where blocks may have motion of their
own, large errors in some cells hardly count, so that the flow follows the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import ACTIVATION_MAX, FLOW_CHANNELS
from nvrc_decoder.pyramid import BLEND_UNIT, Pyramid
from nvrc_encoder.model.motion import (
    CELL_STRIDE,
    DISPLACEMENT_UNITS,
    POSITION_UNITS,
    fetch,
    half_samples,
    moves_of,
    places_of,
    spread,
    to_cells,
)
from nvrc_encoder.model.prediction_route import Step
from nvrc_encoder.model.rounding import Arithmetic

__all__ = [
    "FlowGrid",
    "FrameSearch",
    "Reference",
    "bits_of_errors",
    "blends",
    "cell_errors",
    "constants",
    "neighbours",
    "pattern_search",
    "steps_around",
]

_BITS_A_STEP, _BITS_BESIDE_BLOCKS = 2.0, 1.0
"""Bits per step of difference to each neighbour of a place: without blocks of their own motion, and with them."""
_BITS_OF_DOUBLING = 1.5 * CELL_STRIDE**2
"""Bits that the residual of a cell takes more when its energy doubles: measured. Gaussian values take 0.5 a sample."""
_MOVES = (4, 2, 1)
"""Distances of the patterns tried around a place, in steps of the grid, one after the other."""
_BLENDS = (-2, -1, 1, 2)
"""Changes of the blend to try, in steps of the grid."""
_CELLS = 4
"""Cells along each side of a place; it also acts on those of half a place around it."""


@dataclass(frozen=True)
class Reference:
    """A reference frame.

    Attributes:
        refined: [1, 1, 2H - 1, 2W - 1] its decoded luma plane with half samples, as of `half_samples`.
        positions: [1, 2, rows, columns] positions of its flow grid, in activation steps.
    """

    refined: Tensor
    positions: Tensor


def _roughness(values: Tensor, forecast: Tensor) -> Tensor:
    """Summed differences of each place of [K, C, rows, columns] from neighbours and forecast: [K, rows, columns]."""
    padded = functional.pad(values, (1, 1, 1, 1), mode="replicate")
    beside = (padded[..., 1:-1, :-2], padded[..., 1:-1, 2:], padded[..., :-2, 1:-1], padded[..., 2:, 1:-1])
    return torch.stack([(values - other).abs() for other in (*beside, forecast)]).sum((0, 2))


def pattern_search(
    best: Tensor, candidates: Sequence[Callable[[Tensor], Tensor]], cost: Callable[[Tensor], Tensor], together: bool
) -> Tensor:
    """Take the candidate of least cost at each place.

    Args:
        best: [C, rows, columns] the grid to start from.
        candidates: functions that make another grid from a grid.
        cost: gives the cost of K grids [K, C, rows, columns] around each place: [K, rows, columns].
        together: change all places together, as if they were independent blocks; else change one of four neighbours
            after the other, so that each cost is the true one.

    Returns:
        The improved grid, as `best`.
    """
    for down, right in ((0, 0),) if together else itertools.product((0, 1), repeat=2):
        mine = torch.full(best.shape[1:], together)
        mine[down::2, right::2] = True
        tried = torch.stack([best, *(torch.where(mine, make(best), best) for make in candidates)])
        chosen = cost(tried).argmin(0)
        best = tried.gather(0, chosen.expand(1, best.shape[0], -1, -1))[0]
    return best


def cell_errors(goal: Tensor, refined: Sequence[Tensor], moves: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Squared error of each cell, [K, rows, columns].

    Args:
        goal: [1, 1, H, W] the frame's luma plane, feature units.
        refined: planes of one reference, or of the earlier and the later one: [1, 1, 2H - 1, 2W - 1] of `half_samples`.
        moves: displacements to each reference, [K, 2, rows, columns] of cells.
        weights: [K, 1, rows, columns] share of the later reference in each cell, 0..1.
    """
    plane = goal.shape[2], goal.shape[3]
    found = []
    for own, move in zip(refined, moves, strict=True):
        found.append(fetch(own, places_of(moves_of(move, plane, 1, Arithmetic.FLOAT), plane, 1)))
    predicted = found[0] if len(found) == 1 else torch.lerp(found[0], found[1], spread(weights, plane, 1))
    error = (predicted - goal).square_()
    return functional.avg_pool2d(error, CELL_STRIDE, ceil_mode=True, divisor_override=1)[:, 0]


def bits_of_errors(errors: Tensor, bit_cost: float) -> Tensor:
    """What the errors of cells cost in bits, of the shape of `errors`.

    A small error stays in the picture and costs itself. A large one is coded, in bits that grow as its logarithm.

    Args:
        errors: squared errors of cells, as of `cell_errors`.
        bit_cost: squared error, summed over samples, that one bit is worth; > 0.
    """
    return _BITS_OF_DOUBLING * torch.log2(1 + errors * (math.log(2) / (_BITS_OF_DOUBLING * bit_cost)))


def constants(grids: Sequence[Tensor]) -> list[Callable[[Tensor], Tensor]]:
    """Candidates of `pattern_search` that are these grids."""

    def constant(grid: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda _: grid

    return [constant(grid) for grid in grids]


def steps_around(step: int) -> list[Callable[[Tensor], Tensor]]:
    """Candidates of `pattern_search` that change the first two channels of a grid by a step in eight directions."""

    def moved(down: int, right: int) -> Callable[[Tensor], Tensor]:
        return lambda grid: grid + torch.tensor((down, right, 0), dtype=grid.dtype).view(-1, 1, 1)

    return [moved(*by) for by in itertools.product((-step, 0, step), repeat=2) if any(by)]


def neighbours() -> list[Callable[[Tensor], Tensor]]:
    """Candidates of `pattern_search` that copy the values of each of the four neighbours."""

    def taken(down: int, right: int) -> Callable[[Tensor], Tensor]:
        def make(grid: Tensor) -> Tensor:
            padded = functional.pad(grid, (1, 1, 1, 1), mode="replicate")
            return padded[:, 1 + down :, 1 + right :][:, : grid.shape[1], : grid.shape[2]]

        return make

    return [taken(*where) for where in ((0, 1), (1, 0), (0, -1), (-1, 0))]


def blends(steps: Sequence[int]) -> list[Callable[[Tensor], Tensor]]:
    """Candidates of `pattern_search` that add each of `steps` to the blend."""

    def added(step: int) -> Callable[[Tensor], Tensor]:
        return lambda grid: grid + torch.tensor((0, 0, step), dtype=grid.dtype).view(-1, 1, 1)

    return [added(step) for step in steps]


class FrameSearch:
    """Finds the values of the flow grid of one frame.

    Args:
        goal: [1, 1, H, W] the frame's luma plane, feature units.
        references: one reference, or the earlier and the later one.
        share: share of the later one, in 1/32.
        multiplier: [3] multipliers of the grid's channels.
        size: (height, width) in luma samples.
        bit_cost: squared error, summed over samples, that one bit is worth.
        blocks: whether blocks may have motion of their own.
    """

    def __init__(
        self,
        goal: Tensor,
        references: Sequence[Reference],
        share: int,
        multiplier: Tensor,
        size: tuple[int, int],
        bit_cost: float,
        blocks: bool = False,
    ) -> None:
        self._goal = goal
        self._references, self._share, self._size = references, share / BLEND_UNIT, size
        self._multiplier = multiplier.float().view(1, -1, 1, 1)
        self._bit_cost, self._blocks = bit_cost, blocks

    def _cost(self, values: Tensor, forecast: Tensor) -> Tensor:
        """Cost of K grids [K, 3, rows, columns] around each place, in bits: [K, rows, columns]."""
        scaled = values * self._multiplier
        moves = [
            to_cells(
                (reference.positions - scaled[:, :2]) * (DISPLACEMENT_UNITS // POSITION_UNITS),
                self._size,
                Arithmetic.FLOAT,
            )
            for reference in self._references
        ]
        weights = (to_cells(scaled[:, 2:], self._size, Arithmetic.FLOAT) / BLEND_UNIT + self._share).clamp(0, 1)
        errors = cell_errors(self._goal, [reference.refined for reference in self._references], moves, weights)
        bits = bits_of_errors(errors, self._bit_cost) if self._blocks else errors / self._bit_cost
        rows, columns = values.shape[2:]
        missing = _CELLS * columns - bits.shape[2], _CELLS * rows - bits.shape[1]
        bits = functional.pad(bits[:, None], (0, missing[0], 0, missing[1]))
        around = functional.avg_pool2d(bits, 2 * _CELLS, _CELLS, _CELLS // 2, divisor_override=1)[:, 0]
        return around + (_BITS_BESIDE_BLOCKS if self._blocks else _BITS_A_STEP) * _roughness(values, forecast)

    def run(self, starts: Sequence[Tensor], forecast: Tensor) -> Tensor:
        """The best values found, [3, rows, columns], integers.

        Args:
            starts: grids to choose from at each place, integers.
            forecast: values that the decoder expects from the neighbours in time.
        """

        def cost(values: Tensor) -> Tensor:
            return self._cost(values, forecast)

        best = pattern_search(starts[0], constants(starts[1:]), cost, together=True)
        for step in _MOVES:
            best = pattern_search(best, steps_around(step), cost, together=True)
        for candidates in (neighbours(), steps_around(_MOVES[-1])):
            best = pattern_search(best, candidates, cost, together=False)
        if len(self._references) == 2:
            best = pattern_search(best, blends(_BLENDS), cost, together=False)
        return pattern_search(best, steps_around(_MOVES[-1]), cost, together=False)


class FlowGrid:
    """The flow grid of a GOP, found along the route of its frames.

    Args:
        luma: [T, 1, H, W] the luma plane of each frame, feature units.
        start: [T, 2, rows, columns] positions whose differences are worth trying, activation steps.
        multiplier: [3] multipliers of the grid's channels.
        pyramid: which frames are keys.
        size: (height, width) in luma samples.
        bit_cost: squared error, summed over samples, that one bit is worth.
        blocks: whether blocks may have motion of their own.

    Attributes:
        grid: [T, 3, rows, columns] values found so far, integers; those of frame 0, which has no reference, are 0.
    """

    def __init__(
        self,
        luma: Tensor,
        start: Tensor,
        multiplier: Tensor,
        pyramid: Pyramid,
        size: tuple[int, int],
        bit_cost: float,
        blocks: bool,
    ) -> None:
        self._luma, self._multiplier, self._pyramid = luma, multiplier, pyramid
        self._size, self._bit_cost, self._blocks = size, bit_cost, blocks
        self._steps = multiplier[:2].view(1, 2, 1, 1)
        self._start = start / self._steps
        self._most = ACTIVATION_MAX // multiplier.view(-1, 1, 1)
        self.grid = torch.zeros(len(luma), FLOW_CHANNELS, *start.shape[2:])
        self._known = {0}

    def _forecast(self, t: int) -> Tensor:
        """Values of frame t that the decoder expects from its neighbours in time: [3, rows, columns]."""
        if t % self._pyramid.key_spacing == 0:
            return self.grid[t - self._pyramid.key_spacing]
        distance = t & -t
        return (self.grid[t - distance] + self.grid[min(t + distance, len(self.grid) - 1)]) / 2

    def search(self, step: Step, planes: Mapping[int, Tensor]) -> None:
        """Find the values of the frames of a step, after those of the earlier steps.

        Args:
            step: a step of the route.
            planes: frame -> [1, 1, H, W] decoded luma planes of the references, feature units.
        """
        last = len(self.grid) - 1
        refined = {t: half_samples(planes[t], Arithmetic.EXACT) for t in step.references}
        shares = dict(zip(step.frames, step.shares, strict=False))
        # In the order in which the grid is coded.
        for t in sorted(step.frames, key=lambda t: (-(t & -t), t)):
            here = min(t, last)
            if here in self._known:
                continue
            self._known.add(here)
            forecast = self._forecast(t)
            references, starts = [], [forecast.round()]
            for reference in step.references:
                there = min(reference, last)
                references.append(Reference(refined[reference], self.grid[there : there + 1, :2] * self._steps))
                moved = (self.grid[there, :2] + self._start[here] - self._start[there]).round()
                starts.append(torch.cat([moved, torch.zeros_like(moved[:1])]))
            goal = self._luma[here : here + 1]
            share = shares.get(t, 0)
            search = FrameSearch(goal, references, share, self._multiplier, self._size, self._bit_cost, self._blocks)
            self.grid[here] = search.run(starts, forecast).clamp(-self._most, self._most)
