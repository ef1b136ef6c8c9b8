"""The walker that codes a grid step by step, the same for decoder and encoder (spec 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
from nvrc_decoder.octree.schedule import expand_schedule
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
        pyramid: says which frames the nodes of this grid and of the coarser one belong to.
        coarser: slot and values [N2, C2, H2, W2] of the previous present slot; None if this is the first or holds
            motion.
        values: [N, C, H, W] to encode, |q| <= 2047, or None to decode.
        coded: bool [N], the nodes that are not empty; None for all. The values of the others are 0.
        check: called every few thousand symbols; what it raises ends the walk.
        scratch: room for lattice and steps; None for new room.

    Returns:
        The grid, int16 [N, C, H, W], |q| <= 2047.

    Raises:
        InvalidStreamError: E_ESCAPE or E_RANGE from the coder, E_SCHEDULE or E_RESERVED for bad splits.
    """
    nodes, _, rows, columns = shape
    steps = expand_schedule((nodes, rows, columns), splits)
    coarse = coarse_magnitude((nodes, rows, columns), slot, coarser, pyramid)
    grid = np.zeros(shape, dtype=np.int16)
    scratch = scratch or Scratch()
    lattice: Lattice | None = None
    lattice_split = None
    for step in steps:
        t, y, x = step.slices
        kept = None if coded is None or coded[t].all() else coded[t]
        if kept is not None and not kept.any():
            continue
        if lattice is None or step.split_index != lattice_split:
            lattice = None  # let go of the coarser one first
            lattice, lattice_split = Lattice(grid, step, centred=slot.flow, scratch=scratch), step.split_index
        neighbours = available_neighbours(step)
        inputs = neighbours if coarse is None else (*neighbours, COARSE_INPUT)
        predict = network.bind(inputs, constant_inputs(step, slot_index), scratch)
        positions = (t if kept is None else np.arange(nodes)[t][kept]), slice(None), y, x
        target = grid[positions]
        table_index = scratch.array("table index", (target.size,), np.uint16)
        mean = scratch.array("mean", (target.size,), np.int16)
        for block in lattice.blocks(step, neighbours, coarse, kept):
            check()
            tables, means = predict(block.inputs)
            table_index[block.part], mean[block.part] = block.spread(tables), block.spread(means)
            if block.centre is not None:
                mean[block.part] += block.centre
        known = None if values is None else values[positions].reshape(-1)
        found = coder.code_step(table_index, mean, known).reshape(target.shape)
        grid[positions] = found
        lattice.update(step, found if kept is None else grid[t, :, y, x])
    return grid
