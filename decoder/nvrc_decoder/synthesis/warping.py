"""Motion in ONNX Runtime: grids of temporal stride 8 are moved to a frame before the main graph sees them (spec 7.6).

``moves`` gives the displacements at a frame, ``nodes`` makes planes of a grid's nodes, which hold for eight frames, and
``warp`` moves the planes of the two nodes around a frame to it. On the CPU the latter two run in bands of rows, so that
what they take at a time is small whatever the picture, and stays in the caches. On a device they run whole, and nothing
leaves the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.frames import PictureFormat
from nvrc_decoder.profiles import MIX_GROUP, WARPED_TEMPORAL_STRIDE, GridSlot, Profile
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.synthesis.session import GraphSession, Tensor, moves_bytes, nodes_bytes, warp_bytes

__all__ = ["CELL", "MotionGraphs", "Placed", "Warper", "motion_bytes", "moves_initializers", "nodes_initializers"]

Float = npt.NDArray[np.float32]
Grid = npt.NDArray[np.int16]
Warped = npt.NDArray[np.float32] | npt.NDArray[np.int16]
MakeSession = Callable[[bytes, Sequence[str], Mapping[str, Float]], GraphSession]

# Luma samples along an axis that move together.
CELL = 4
_FLOW_RATIO = 4  # flow nodes from one node of the other grids to the next
# Cells times planes in a band of the warp on the CPU, and values in a band of nodes.
_BAND_CELLS = 24_000
_BAND_VALUES = 1 << 20
# What a band takes: 25 taps in two nodes as indices, as int16 and as float32, and what is blended of them.
_BAND_BYTES = _BAND_CELLS * 50 * 20


def moves_initializers(multipliers: Sequence[int]) -> dict[str, Float]:
    """What replaces the placeholder of the ``moves`` graph, from the multipliers of the flow slot."""
    return {"flow.multiplier": np.array(multipliers, np.float32).reshape(1, -1, 1, 1)}


def nodes_initializers(slot: GridSlot, multipliers: Sequence[int], mix: IntegerLayer | None) -> dict[str, Float]:
    """What replaces the placeholders of a slot's ``nodes`` graph.

    Args:
        slot: a warped slot.
        multipliers: of its active channels.
        mix: its mix layer, None where it has none; weights carry its 2^-shift.
    """
    channels = slot.max_channels
    factors = np.zeros((1, channels, 1, 1), np.float32)
    factors[0, : len(multipliers), 0, 0] = multipliers
    if mix is None:
        return {"multiplier": factors}
    scale, rounding = np.float32(2.0**-mix.shift), (1 << mix.shift) // 2
    weight, bias = np.zeros((channels, channels, 1, 1), np.float32), np.zeros(channels, np.float32)
    for row, values in enumerate(mix.weight.astype(np.float32) * scale):
        group = row // MIX_GROUP * MIX_GROUP
        weight[row, group : group + MIX_GROUP, 0, 0] = values
    bias[: len(mix.bias)] = (mix.bias + rounding).astype(np.float32) * scale
    return {"multiplier": factors, "mix.weight": weight, "mix.bias": bias}


@dataclass(frozen=True)
class MotionGraphs:
    """The graphs of motion of one NETWORK, as bytes, and what replaces their placeholders.

    Attributes:
        moves: the ``moves`` graph.
        nodes, warp: those of each warped slot that is present.
    """

    moves: tuple[bytes, dict[str, Float]]
    nodes: dict[int, tuple[bytes, dict[str, Float]]]
    warp: dict[int, bytes]

    @classmethod
    def of(
        cls, profile: Profile, layers: Mapping[str, IntegerLayer], multipliers: Sequence[Sequence[int]]
    ) -> MotionGraphs | None:
        """Those of a NETWORK; None where motion is off, or moves nothing. Arguments as in `OrtSynthesizer`."""
        slots = [i for i in profile.warped_slots if multipliers[i]]
        if not multipliers[profile.flow_slot] or not slots:
            return None
        nodes = {}
        for i in slots:
            slot = profile.slots[i]
            nodes[i] = nodes_bytes(slot), nodes_initializers(slot, multipliers[i], layers.get(f"slot{i}.mix"))
        moves = moves_bytes(), moves_initializers(multipliers[profile.flow_slot])
        return cls(moves, nodes, {i: warp_bytes(profile.slots[i]) for i in slots})


def motion_bytes(profile: Profile, width: int, height: int, grid_channels: Sequence[int]) -> int:
    """Bytes that motion takes on the CPU, for pictures of this size; 0 where it is off."""
    if not profile.motion_is_on(grid_channels):
        return 0
    cells = (-(-height // CELL) + 2) * (-(-width // CELL) + 2)
    total = 0
    for i in profile.warped_slots:
        if grid_channels[i]:
            values = cells * (CELL // profile.slots[i].stride) ** 2 * profile.slots[i].max_channels
            # Planes of two nodes in int16, and what is warped in float32.
            total += values * (2 * 2 + 4)
    # Displacements while they are made, and a band of each kind.
    return total + cells * 4 * 16 + 2 * _BAND_BYTES if total else 0


@dataclass
class _Pair:
    """The planes of a grid's nodes `first` and `first` + 1."""

    grid: Grid
    first: int
    planes: npt.NDArray[np.int16]


@dataclass(frozen=True)
class Placed:
    """Planes and flow grid where the sessions run, for some frames.

    Attributes:
        planes: of each warped slot.
        inputs: the inputs of the ``moves`` graph, but for ``frames``.
        cells: the rows of cells in the picture.
    """

    planes: dict[int, Any]
    inputs: dict[str, Any]
    cells: Any


class Warper:
    """Moves grids under one NETWORK.

    Args:
        profile: the stream's profile.
        graphs: of the NETWORK.
        make: makes a session of a graph, the outputs that are wanted, and what replaces placeholders.
    """

    def __init__(self, profile: Profile, graphs: MotionGraphs, make: MakeSession) -> None:
        self._profile = profile
        self._moves = make(graphs.moves[0], ("moves",), graphs.moves[1])
        self._nodes = {i: make(model, ("planes",), values) for i, (model, values) in graphs.nodes.items()}
        self._warp = {i: make(model, ("warped",), {}) for i, model in graphs.warp.items()}
        self._pairs: dict[int, _Pair] = {}

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots that are warped."""
        return tuple(self._nodes)

    def release(self) -> None:
        """Give back the memory of the CPU that is kept for the next frame."""
        self._pairs.clear()
        number = np.zeros(1, np.int64)
        flow = np.zeros((1, 2, 1, 1), np.float32)
        moves = _run(self._moves, {"frames": number, "flow": flow, **_ends(1, 1, 1)}, shrink=True)
        for i, session in self._nodes.items():
            grid = np.zeros((1, self._profile.slots[i].max_channels, 1, 1), np.float32)
            planes = _run(session, {"grid": grid}, shrink=True)
            inputs = {"frames": number, "planes": planes, "moves": moves, "cells": np.array((0, 1), np.int64)}
            _run(self._warp[i], inputs, shrink=True)

    def warp(
        self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range, *, compact: bool = False
    ) -> dict[int, Warped]:
        """What is warped at some frames, on the CPU: per slot [frames, channels, rows, columns].

        Args:
            grids: of the whole GOP; those of the slots that are warped are there.
            picture: size of the picture.
            frames: the frames wanted.
            compact: int16, to be kept, rather than float32, to be used.
        """
        result: dict[int, Warped] = {}
        for i in self.slots:
            slot = self._profile.slots[i]
            rows, columns = -(-picture.height // slot.stride), -(-picture.width // slot.stride)
            shape = len(frames), slot.max_channels, rows, columns
            result[i] = np.empty(shape, np.int16) if compact else np.empty(shape, np.float32)
        for b, t in enumerate(frames):
            self._warp_frame(grids, picture, t, {i: values[b : b + 1] for i, values in result.items()})
        return result

    def _warp_frame(
        self, grids: Sequence[Grid | None], picture: PictureFormat, t: int, result: dict[int, Warped]
    ) -> None:
        """Fill in one frame [1, channels, rows, columns] of each slot."""
        node, relative = divmod(t, WARPED_TEMPORAL_STRIDE)
        size = picture.height, picture.width
        number = np.array((relative,), np.int64)
        moves: Float | None = None
        for i, values in result.items():
            grid = _present(grids[i])
            planes = self._pair(i, grid, node)
            if moves is None:
                flow = _flow(grids[self._profile.flow_slot], node, node + len(planes) - 1)
                moves = _run(self._moves, {"frames": number, "flow": flow, **_ends(len(planes), *size)})
            cells = moves.shape[2]
            per_cell = CELL // self._profile.slots[i].stride
            step = max(1, _BAND_CELLS // (moves.shape[3] * planes.shape[1]))
            session = self._warp[i]
            placed = session.place({"frames": number, "planes": planes, "moves": moves})
            for first in range(0, cells, step):
                band = session.place({"cells": np.array((first, min(first + step, cells)), np.int64)})
                rows = values[:, :, per_cell * first : per_cell * (first + step)]
                # The whole picture is one piece of memory, a band of it is not.
                part = rows if step >= cells and rows.dtype == np.float32 else np.empty(rows.shape, np.float32)
                session.run_into({**placed, **band}, part)
                if part is not rows:
                    rows[...] = part

    def _pair(self, i: int, grid: Grid, node: int) -> npt.NDArray[np.int16]:
        """Planes of node `node` and, if there is one, the next: int16 [nodes, P, H', W'], kept for the next frame."""
        pair = self._pairs.get(i)
        if pair is None or pair.grid is not grid or pair.first != node:
            wanted = min(2, len(grid) - node)
            planes = np.empty((2, *self._plane_shape(i, grid)), np.int16)
            have = 0
            if pair is not None and pair.grid is grid and pair.first + 1 == node:
                planes, have = pair.planes, 1
                planes[0] = planes[1]
            for k in range(have, wanted):
                self._make_planes(i, grid[node + k], planes[k])
            self._pairs[i] = pair = _Pair(grid, node, planes)
        return pair.planes[: len(grid) - node]

    def _plane_shape(self, i: int, grid: Grid) -> tuple[int, int, int]:
        """P, H', W' of a slot's planes."""
        slot = self._profile.slots[i]
        border = _border(slot)
        rows, columns = (2 * n if border > 1 else n for n in grid.shape[2:])
        return slot.max_channels // (MIX_GROUP if border > 1 else 1), rows + 2 * border, columns + 2 * border

    def _make_planes(self, i: int, grid: Grid, planes: npt.NDArray[np.int16]) -> None:
        """Planes [P, H', W'] of a node [channels, rows, columns], in bands; each band comes with repeated edges."""
        slot, (channels, rows, columns) = self._profile.slots[i], grid.shape
        border = _border(slot)
        scale = 2 if border > 1 else 1
        step = max(1, _BAND_VALUES // (slot.max_channels * columns))
        for first in range(0, rows, step):
            stop = min(first + step, rows)
            values = np.zeros((1, slot.max_channels, stop - first, columns), np.float32)
            values[0, :channels] = grid[:, first:stop]
            band = _run(self._nodes[i], {"grid": values})[0]
            top, bottom = (0 if first == 0 else border), (0 if stop == rows else border)
            planes[:, scale * first + top : scale * stop + 2 * border - bottom] = band[:, top : band.shape[1] - bottom]

    def place(self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range, base: int) -> Placed:
        """Put everything for some frames where the sessions run.

        Args:
            grids, picture, frames: as in `warp`.
            base: the frame from which `warp_placed` counts, a multiple of 8.
        """
        node = base // WARPED_TEMPORAL_STRIDE
        planes = {}
        stop = node + 1
        for i, session in self._nodes.items():
            grid, slot = _present(grids[i]), self._profile.slots[i]
            stop = min((frames.stop - 1) // WARPED_TEMPORAL_STRIDE + 2, len(grid))
            values = np.zeros((stop - node, slot.max_channels, *grid.shape[2:]), np.float32)
            values[:, : grid.shape[1]] = grid[node:stop]
            (planes[i],) = session.run_placed(session.place({"grid": values}))
        flow = _flow(grids[self._profile.flow_slot], node, stop - 1)
        inputs = {"flow": flow, **_ends(stop - node, picture.height, picture.width)}
        cells = np.array((0, -(-picture.height // CELL)), np.int64)
        return Placed(planes, self._moves.place(inputs), self._moves.place({"cells": cells})["cells"])

    def warp_placed(self, placed: Placed, frames: Any) -> dict[str, Any]:
        """What is warped at some frames, as inputs of the main graph where the sessions run.

        Args:
            placed: from `place`.
            frames: the placed int64 [B], counted from its base.
        """
        (moves,) = self._moves.run_placed({**placed.inputs, "frames": frames})
        result = {}
        for i, session in self._warp.items():
            inputs = {"frames": frames, "moves": moves, "planes": placed.planes[i], "cells": placed.cells}
            (result[f"warped{i}"],) = session.run_placed(inputs)
        return result


def _present(grid: Grid | None) -> Grid:
    if grid is None:
        raise ValueError("a grid of a slot that is present is missing")
    return grid


def _border(slot: GridSlot) -> int:
    """Repeated samples around the planes of a slot: as many as a cell has of them."""
    return 4 if slot.stride == 2 else 1


def _flow(grid: Grid | None, first: int, last: int) -> Float:
    """The nodes of the flow grid from node `first` of the other grids to node `last`."""
    return _present(grid)[_FLOW_RATIO * first : _FLOW_RATIO * last + 1].astype(np.float32)


def _ends(nodes: int, height: int, width: int) -> dict[str, Tensor]:
    """Inputs of the ``moves`` graph that follow from the number of nodes and the size of the picture."""
    size = np.array((-(-height // CELL), -(-width // CELL)), np.int64)
    return {"last_node": np.array((nodes - 1,), np.int64), "size": size}


def _run(session: GraphSession, inputs: Mapping[str, Tensor], *, shrink: bool = False) -> npt.NDArray[Any]:
    """The one output of a session on the CPU."""
    (output,) = session.run(session.place(inputs), shrink=shrink)
    return output
