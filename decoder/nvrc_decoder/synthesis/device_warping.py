"""Motion in graphs: each step runs whole, and nothing leaves the device (spec 7.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nvrc_decoder.frames import PictureFormat
from nvrc_decoder.profiles import WARPED_TEMPORAL_STRIDE, Profile
from nvrc_decoder.synthesis.motion_graphs import MotionGraphs
from nvrc_decoder.synthesis.session import Tensor
from nvrc_decoder.synthesis.warping import CELL, Grid, MakeSession, Warped, Warper, present

__all__ = ["DeviceWarper"]


class DeviceWarper(Warper):
    """Moves grids under one NETWORK where the sessions run; arguments as in `Warper`."""

    def __init__(self, profile: Profile, graphs: MotionGraphs, make: MakeSession) -> None:
        super().__init__(profile, graphs, make)
        self._chain = {i: make(slot.chain, ("planes",), {}) for i, slot in graphs.slots.items()}
        self._warp = {i: make(slot.warp, ("warped",), {}) for i, slot in graphs.slots.items()}

    def warp(
        self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range, *, compact: bool = False
    ) -> dict[int, Warped]:
        result = self._results(picture, frames, compact)
        for b, t in enumerate(frames):
            placed = self.warp_placed(grids, picture, range(t, t + 1))
            for i, values in result.items():
                values[b] = placed[f"warped{i}"].numpy()[0]
        return result

    def warp_placed(self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range) -> dict[str, Any]:
        """What is warped at some frames between two nodes, as inputs of the main graph.

        Args:
            grids, picture: as in `warp`.
            frames: the frames wanted, none of which lies beyond the next multiple of 8.
        """
        node = frames.start // WARPED_TEMPORAL_STRIDE
        moves = self._moves.place(self._moves_inputs(grids, picture, node, frames))
        moves["moves"] = self._moves.run_placed(moves)[0]
        cells = self._moves.place(_all_cells(picture))
        result = {}
        for i, session in self._warp.items():
            before, after = self._planes(i, grids, picture, node)
            inputs = {"frames": moves["frames"], "before": before, "after": after, "moves": moves["moves"], **cells}
            (result[f"warped{i}"],) = session.run_placed(inputs)
        return result

    def _advance(
        self, i: int, grids: Sequence[Grid | None], picture: PictureFormat, node: int, previous: Any, spare: Any
    ) -> Any:
        slot, grid = self._profile.slots[i], present(grids[i])
        values = np.zeros((1, slot.max_channels, *grid.shape[2:]), np.float32)
        values[0, : grid.shape[1]] = grid[node]
        session = self._nodes[i]
        if self._base is not None and i in self._profile.mixed_slots:
            (base,) = self._base.run_placed(self._base.place(self._base_inputs(grids, picture, node)))
            inputs = {**session.place({"grid": values}), "base": base}
        else:
            inputs = session.place({"grid": values, **self._base_input(i, None)})
        (planes,) = session.run_placed(inputs)
        if node == 0:
            return planes
        there = range(WARPED_TEMPORAL_STRIDE * node, WARPED_TEMPORAL_STRIDE * node + 1)
        (moves,) = self._moves.run_placed(self._moves.place(self._moves_inputs(grids, picture, node - 1, there)))
        cells = self._moves.place(_all_cells(picture))
        (planes,) = self._chain[i].run_placed({"residual": planes, "previous": previous, "moves": moves, **cells})
        return planes


def _all_cells(picture: PictureFormat) -> dict[str, Tensor]:
    return {"cells": np.array((0, -(-picture.height // CELL)), np.int64)}
