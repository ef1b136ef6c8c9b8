"""First values of the split grid: 8x8 blocks that the smooth motion of the flow grid predicts badly get their own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nvrc_decoder.profiles import SPLIT_CHANNELS

from .motion import CELL_STRIDE, DISPLACEMENT_UNITS, Motion
from .route import Route

__all__ = ["initial_split"]

_FIRST_BITS, _MORE_BITS = 12, 5
"""What a value counts that is not 0, and for each doubling: some more than its bits, as residuals mend the rest."""
_STEPS, _FINE_STEPS = (8, 4, 2, 1), (2, 1)
"""Steps of the search, first and then from the neighbours' values, in steps of the grid."""
_BLENDS = (-1, 1, -2, 2)
"""Steps that the blend is tried at."""

Array = npt.NDArray[np.float32]


def _bits(values: Array) -> Array:
    """What values [...] count."""
    size = np.abs(values)
    return np.where(size > 0, _FIRST_BITS + _MORE_BITS * np.log2(1 + size), 0).astype(np.float32)


class _Frame:
    """A frame, predicted from its references with some values of the split grid.

    Args:
        wanted: [H, W] luma of the frame.
        references: the one or two frames that it is predicted from, [H, W] each.
        signs: what the split grid's displacement counts for each, 1 or -1.
        moves: to each, [2, rows, columns] of cells, vertical first.
        weight: [rows, columns] of cells, share of the later reference.
        stride: luma samples along each side of a block.
        steps: of the split grid's channels, integers.
        price: squared levels that a bit is worth.
    """

    def __init__(
        self,
        wanted: Array,
        references: Sequence[Array],
        signs: Sequence[int],
        moves: Sequence[Array],
        weight: Array,
        stride: int,
        steps: Sequence[int],
        price: float,
    ) -> None:
        self._wanted, self._references, self._signs = wanted, references, signs
        self._stride, self._steps, self._price = stride, steps, price
        self._weight = self._spread(weight, CELL_STRIDE)
        height, width = wanted.shape
        y, x = np.meshgrid(np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32), indexing="ij")
        self._places = [
            [
                start + self._spread(move / DISPLACEMENT_UNITS, CELL_STRIDE)
                for start, move in zip((y, x), own, strict=True)
            ]
            for own in moves
        ]
        self._blocks = -(-height // stride), -(-width // stride)

    def _spread(self, values: Array, size: int) -> Array:
        """Values of cells or blocks [rows, columns] at each sample [H, W]."""
        height, width = self._wanted.shape
        return values.repeat(size, 0).repeat(size, 1)[:height, :width]

    def _fetched(self, vectors: Array) -> list[Array]:
        """What each reference gives with vectors [2, rows, columns] of blocks, in steps of the grid."""
        units = [step / DISPLACEMENT_UNITS for step in self._steps[:2]]
        own = [self._spread(v * unit, self._stride) for v, unit in zip(vectors, units, strict=True)]
        found = []
        for reference, sign, (y, x) in zip(self._references, self._signs, self._places, strict=True):
            maps = (x + sign * own[1]).astype(np.float32), (y + sign * own[0]).astype(np.float32)
            found.append(cv2.remap(reference, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        return found

    def _cost(self, fetched: Sequence[Array], blend: Array, bits: Array) -> Array:
        """Squared error of each block, and what its values count: [rows, columns]."""
        predicted = fetched[0]
        if len(fetched) == 2:
            weight = np.clip(self._weight + self._spread(blend, self._stride), 0, 1)
            predicted = predicted + (fetched[1] - predicted) * weight
        costs = (predicted - self._wanted) ** 2
        for axis, size in enumerate(self._wanted.shape):
            costs = np.add.reduceat(costs, range(0, size, self._stride), axis)
        return costs + self._price * bits

    def search(self) -> Array:
        """The best values found, integers [3, rows, columns]."""
        rows, columns = self._blocks
        still = np.zeros(self._blocks, np.float32)
        best = np.zeros((SPLIT_CHANNELS, rows, columns), np.float32)
        least = self._cost(self._fetched(best[:2]), still, still)

        def attempt(vectors: Array) -> None:
            nonlocal best, least
            costs = self._cost(self._fetched(vectors), still, _bits(vectors).sum(0))
            best[:2] = np.where(costs < least, vectors, best[:2])
            least = np.minimum(costs, least)

        for steps in (_STEPS, _FINE_STEPS, _FINE_STEPS):
            padded = np.pad(best[:2], ((0, 0), (1, 1), (1, 1)), mode="edge")
            for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1)):
                attempt(padded[:, dy : dy + rows, dx : dx + columns])
            for step in steps:
                centre = best[:2].copy()
                for dy, dx in itertools.product((-step, 0, step), repeat=2):
                    if dy or dx:
                        attempt(centre + np.array((dy, dx), np.float32).reshape(2, 1, 1))
        if len(self._references) == 2:
            fetched, vector_bits = self._fetched(best[:2]), _bits(best[:2]).sum(0)
            for steps in _BLENDS:
                tried = np.full(self._blocks, steps, np.float32)
                costs = self._cost(fetched, tried * self._steps[2] / DISPLACEMENT_UNITS, vector_bits + _bits(tried))
                best[2] = np.where(costs < least, steps, best[2])
                least = np.minimum(costs, least)
        return best


def initial_split(
    luma: npt.NDArray[np.uint8], motion: Motion, route: Route, stride: int, steps: Sequence[int], price: float
) -> Tensor:
    """Values of the split grid to start from: float32 [T, 3, rows, columns], integers.

    Args:
        luma: [T, H, W] the frames.
        motion: along `route`, without a split grid.
        route: to all frames.
        stride: of the split grid.
        steps: the multipliers of its channels.
        price: squared levels of luma that a bit is worth.
    """
    frames = luma.astype(np.float32)
    last = len(frames) - 1
    moves = dict(zip(route.pairs, motion.moves.numpy(), strict=True))
    weights = dict(zip(route.blended, motion.weights[:, 0].numpy(), strict=True))
    height, width = luma.shape[1:]
    values = np.zeros((len(frames), SPLIT_CHANNELS, -(-height // stride), -(-width // stride)), np.float32)
    for t in range(1, len(frames)):
        references = [r for frame, r in route.pairs if frame == t]
        own = [moves[t, r] for r in references]
        weight = weights.get(t, np.zeros(own[0].shape[1:], np.float32))
        there = [frames[min(r, last)] for r in references]
        signs = [1 if r < t else -1 for r in references]
        values[t] = _Frame(frames[t], there, signs, own, weight, stride, steps, price).search()
    return torch.from_numpy(values)
