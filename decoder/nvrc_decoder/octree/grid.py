"""The walker that codes a grid step by step, the same for decoder and encoder (spec 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvrc_decoder.entropy.coder import IntArray, StepCoder, no_check
from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.octree.context import (
    COARSE_INPUT,
    Lattice,
    available_neighbours,
    coarse_magnitude,
    constant_inputs,
)
from nvrc_decoder.octree.network import ContextNetwork
from nvrc_decoder.octree.schedule import Step, expand_schedule
from nvrc_decoder.profiles import GridSlot
from nvrc_decoder.pyramid import Pyramid

__all__ = ["code_grid"]


def code_grid(
    coder: StepCoder,
    splits: Iterable[int],
    network: ContextNetwork,
    shape: tuple[int, int, int, int],
    slot_index: int,
    slot: GridSlot,
    pyramid: Pyramid,
    coarser: tuple[GridSlot, IntArray] | None = None,
    values: IntArray | None = None,
    coded: npt.NDArray[np.bool_] | None = None,
    check: Callable[[], None] = no_check,
    scratch: Scratch | None = None,
) -> npt.NDArray[np.int16]:
    """Code one grid of one GOP. The caller finishes the coder.

    Args:
        coder: a `SymbolDecoder`, or a `SymbolEncoder` together with `values`.
        splits: the grid's schedule, split bytes.
        network: the context network.
        shape: nodes, channels, rows and columns, each at least 1; the caller has checked them against its limits.
        slot_index: index of the grid's slot in the profile.
        slot: that slot; the contexts of a flow slot are centred.
        pyramid: which frames the nodes of this grid and of the coarser one belong to.
        coarser: slot and values [N2, C2, H2, W2] of the previous present slot; None for the first and for motion.
        values: [N, C, H, W] to encode, |q| <= 2047, or None to decode.
        coded: bool [N], the nodes that are not empty; None for all. The values of the others are 0.
        check: called every few thousand symbols; an exception from it ends the walk.
        scratch: memory for lattice and steps; None to allocate it.

    Returns:
        The grid, int16 [N, C, H, W], |q| <= 2047.

    Raises:
        InvalidStreamError: E_ESCAPE or E_RANGE from the coder, E_SCHEDULE or E_RESERVED for bad splits.
    """
    nodes, _, rows, columns = shape
    steps = expand_schedule((nodes, rows, columns), splits)
    scratch = scratch or Scratch()
    coarse = coarse_magnitude((nodes, rows, columns), slot, coarser, pyramid)
    predictor = _StepPredictor(network, slot_index, coarse, scratch, check)
    grid = np.zeros(shape, dtype=np.int16)
    lattice: Lattice | None = None
    lattice_split = None
    for step in steps:
        t, y, x = step.slices
        kept = None if coded is None or coded[t].all() else coded[t]
        if kept is not None and not kept.any():
            continue
        if lattice is None or step.split_index != lattice_split:
            lattice = None  # release the coarser one first
            lattice, lattice_split = Lattice(grid, step, centred=slot.flow, scratch=scratch), step.split_index
        positions = (t if kept is None else np.arange(nodes)[t][kept]), slice(None), y, x
        target = grid[positions]
        known = None if values is None else values[positions].reshape(-1)
        tables, means = predictor.predict(lattice, step, kept, target.size)
        found = coder.code_step(tables, means, known).reshape(target.shape)
        grid[positions] = found
        lattice.update(step, found if kept is None else grid[t, :, y, x])
    return grid


@dataclass(frozen=True)
class _StepPredictor:
    """Runs the context network over the steps of one grid.

    Attributes:
        network: the context network.
        slot_index: index of the grid's slot in the profile.
        coarse: magnitudes of the coarser grid at this grid's positions; None where there is none.
        scratch: memory for the results of a step.
        check: called once a block.
    """

    network: ContextNetwork
    slot_index: int
    coarse: npt.NDArray[np.uint8] | None
    scratch: Scratch
    check: Callable[[], None]

    def predict(
        self, lattice: Lattice, step: Step, kept: npt.NDArray[np.bool_] | None, count: int
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
        """Table index and integer part of the mean of the `count` values of a step, in the order of coding.

        `kept` says which nodes of the step are coded; None for all.
        """
        neighbours = available_neighbours(step)
        inputs = neighbours if self.coarse is None else (*neighbours, COARSE_INPUT)
        bound = self.network.bind(inputs, constant_inputs(step, self.slot_index), self.scratch)
        table_index = self.scratch.array("table index", (count,), np.uint16)
        mean = self.scratch.array("mean", (count,), np.int16)
        for block in lattice.blocks(step, neighbours, self.coarse, kept):
            self.check()
            tables, means = bound(block.inputs)
            table_index[block.part], mean[block.part] = block.spread(tables), block.spread(means)
            if block.centre is not None:
                mean[block.part] += block.centre
        return table_index, mean
