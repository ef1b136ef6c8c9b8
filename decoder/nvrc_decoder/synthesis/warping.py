"""Motion in ONNX Runtime: grids of temporal stride 8 are moved to a frame before the main graph sees them (spec 7.6).

Planes of a node are made of its grid and of the planes of the node before, so they are rolled forward, two nodes at a
time, and hold for eight frames; then they are moved to each frame. On the CPU all of that goes in bands of rows, so
that what it takes at a time is small whatever the picture, and stays in the caches. On a device each step runs whole,
and nothing leaves the device.
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
from nvrc_decoder.synthesis.session import GraphSession, Tensor, motion_graph_bytes

__all__ = ["CELL", "MotionGraphs", "SlotGraphs", "Warped", "Warper", "motion_bytes", "nodes_initializers"]

Float = npt.NDArray[np.float32]
Grid = npt.NDArray[np.int16]
Warped = npt.NDArray[np.float32] | npt.NDArray[np.int16]
MakeSession = Callable[[bytes, Sequence[str], Mapping[str, Float]], GraphSession]

# Luma samples along an axis that move together.
CELL = 4
_FLOW_RATIO = 8  # flow nodes from one node of the other grids to the next
# Cells times planes in a band of the warp on the CPU, and values in a band of nodes.
_BAND_CELLS = 10_000
_BAND_VALUES = 1 << 19
# What a band takes: 25 taps in two nodes as indices, as int16 and as float32, and what is blended of them.
_BAND_BYTES = _BAND_CELLS * 50 * 16


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
class SlotGraphs:
    """The graphs of a warped slot, as bytes, and what replaces the placeholders of ``nodes``."""

    nodes: bytes
    values: dict[str, Float]
    chain: bytes
    warp: bytes


@dataclass(frozen=True)
class MotionGraphs:
    """The graphs of motion of one NETWORK, as bytes, and what replaces their placeholders.

    Attributes:
        moves: the ``moves`` graph.
        base: the ``base`` graph, None where there is no base channel.
        slots: those of each slot that is warped.
    """

    moves: tuple[bytes, dict[str, Float]]
    base: tuple[bytes, dict[str, Float]] | None
    slots: dict[int, SlotGraphs]

    @classmethod
    def of(
        cls,
        profile: Profile,
        layers: Mapping[str, IntegerLayer],
        multipliers: Sequence[Sequence[int]],
        base: bool,
    ) -> MotionGraphs | None:
        """Those of a NETWORK; None where motion is off, or moves nothing. Arguments as in `OrtSynthesizer`."""
        planes = profile.injected_channels([len(factors) for factors in multipliers], base)
        slots = {}
        for i in profile.warped_slots if multipliers[profile.flow_slot] else ():
            slot = profile.slots[i]
            if planes[i]:
                factors = list(multipliers[i])
                if base and i == profile.base_slot:
                    factors[0] = 0  # no plane
                slots[i] = SlotGraphs(
                    motion_graph_bytes(f"nodes-{slot.stride}-{slot.max_channels}"),
                    nodes_initializers(slot, factors, layers.get(f"slot{i}.mix")),
                    motion_graph_bytes(f"chain-{slot.stride}"),
                    motion_graph_bytes(f"warp-{slot.stride}"),
                )
        if not slots:
            return None
        flow = np.array(multipliers[profile.flow_slot], np.float32).reshape(1, -1, 1, 1)
        base_graph = None
        if base:
            factor = np.full((1, 1, 1, 1), multipliers[profile.base_slot][0], np.float32)
            base_graph = motion_graph_bytes("base"), {"base.multiplier": factor}
        return cls((motion_graph_bytes("moves"), {"flow.multiplier": flow}), base_graph, slots)


def motion_bytes(profile: Profile, width: int, height: int, grid_channels: Sequence[int]) -> int:
    """Bytes that motion takes on the CPU, for pictures of this size; 0 where it is off."""
    if not profile.motion_is_on(grid_channels):
        return 0
    cells = (-(-height // CELL) + 2) * (-(-width // CELL) + 2)
    total = 0
    for i in profile.warped_slots:
        if grid_channels[i]:
            values = cells * (CELL // profile.slots[i].stride) ** 2 * profile.slots[i].max_channels
            # Planes of three nodes in int16, and what is warped in float32.
            total += values * (3 * 2 + 4)
    # Displacements and a base while they are made, and a band of each kind.
    return total + cells * 8 * 16 + 2 * _BAND_BYTES if total else 0


@dataclass
class _Chain:
    """The planes of a grid's nodes `node` - 1 and `node`; on the CPU arrays, on a device what is placed there."""

    source: tuple[Grid | None, ...]
    node: int = -1
    before: Any = None
    after: Any = None


class Warper:
    """Moves grids under one NETWORK.

    Args:
        profile: the stream's profile.
        graphs: of the NETWORK.
        make: makes a session of a graph, the outputs that are wanted, and what replaces placeholders.
        on_device: whether planes stay where the sessions run, and nothing goes in bands.
    """

    def __init__(self, profile: Profile, graphs: MotionGraphs, make: MakeSession, on_device: bool) -> None:
        self._profile = profile
        self._on_device = on_device
        self._moves = make(graphs.moves[0], ("moves",), graphs.moves[1])
        self._base = None if graphs.base is None else make(graphs.base[0], ("base",), graphs.base[1])
        self._nodes = {i: make(slot.nodes, ("planes",), slot.values) for i, slot in graphs.slots.items()}
        self._chain = {i: make(slot.chain, ("planes",), {}) for i, slot in graphs.slots.items()}
        self._warp = {i: make(slot.warp, ("warped",), {}) for i, slot in graphs.slots.items()}
        self._chains: dict[int, _Chain] = {}

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots that are warped."""
        return tuple(self._nodes)

    def release(self) -> None:
        """Give back the memory of the CPU that is kept for the next frame."""
        self._chains.clear()
        cells = np.array((0, 1), np.int64)
        flow = np.zeros((1, self._profile.slots[self._profile.flow_slot].max_channels, 1, 1), np.float32)
        frame = np.zeros(1, np.int64)
        inputs: dict[str, Any] = {"frames": frame, "flow": flow, "later": np.zeros(1, np.int64)}
        moves = _run(self._moves, {**inputs, "size": np.ones(2, np.int64)}, shrink=True)
        for i, session in self._nodes.items():
            empty = np.zeros((1, self._profile.slots[i].max_channels, 1, 1), np.float32)
            inputs = {"grid": empty, **self._base_input(i, None)}
            planes = _run(session, inputs, shrink=True)
            shared: dict[str, Tensor] = {"moves": moves, "cells": cells}
            _run(self._chain[i], {"residual": planes, "previous": planes, **shared}, shrink=True)
            _run(self._warp[i], {"frames": frame, "before": planes, "after": planes, **shared}, shrink=True)

    def warp(
        self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range, *, compact: bool = False
    ) -> dict[int, Warped]:
        """What is warped at some frames, in this machine's memory: per slot [frames, channels, rows, columns].

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
            if self._on_device:
                placed = self.warp_placed(grids, picture, range(t, t + 1))
                for i, values in result.items():
                    values[b] = placed[f"warped{i}"].numpy()[0]
            else:
                self._warp_frame(grids, picture, t, {i: values[b : b + 1] for i, values in result.items()})
        return result

    def warp_placed(self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range) -> dict[str, Any]:
        """What is warped at some frames between two nodes, as inputs of the main graph where the sessions run.

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

    def _warp_frame(
        self, grids: Sequence[Grid | None], picture: PictureFormat, t: int, result: dict[int, Warped]
    ) -> None:
        """Fill in one frame [1, channels, rows, columns] of each slot."""
        node = t // WARPED_TEMPORAL_STRIDE
        inputs = self._moves_inputs(grids, picture, node, range(t, t + 1))
        moves = _run(self._moves, inputs)
        for i, values in result.items():
            before, after = self._planes(i, grids, picture, node)
            placed = self._warp[i].place({"frames": inputs["frames"], "before": before, "after": after, "moves": moves})
            per_cell = CELL // self._profile.slots[i].stride
            bands = _bands(moves, before)
            for first, stop in bands:
                rows = values[:, :, per_cell * first : per_cell * stop]
                # The whole picture is one piece of memory, a band of it is not.
                whole = len(bands) == 1 and rows.dtype == np.float32
                part = rows if whole else np.empty(rows.shape, np.float32)
                self._warp[i].run_into({**placed, **self._warp[i].place(_cells(first, stop))}, part)
                if not whole:
                    rows[...] = part

    def _moves_inputs(
        self, grids: Sequence[Grid | None], picture: PictureFormat, node: int, frames: range
    ) -> dict[str, Tensor]:
        """Inputs of the ``moves`` graph for frames from `node` to the next."""
        nodes = len(_present(grids[self.slots[0]]))
        flow = _present(grids[self._profile.flow_slot])[_FLOW_RATIO * node : _FLOW_RATIO * (node + 1) + 1]
        base = WARPED_TEMPORAL_STRIDE * node
        return {
            "frames": np.arange(frames.start - base, frames.stop - base, dtype=np.int64),
            "flow": flow.astype(np.float32),
            "later": np.array((min(1, nodes - 1 - node),), np.int64),
            "size": np.array((-(-picture.height // CELL), -(-picture.width // CELL)), np.int64),
        }

    def _planes(self, i: int, grids: Sequence[Grid | None], picture: PictureFormat, node: int) -> tuple[Any, Any]:
        """Planes of a node and of the next, or twice of the last; kept for the next frame."""
        grid = _present(grids[i])
        target = min(node + 1, len(grid) - 1)
        needed = (i, self._profile.flow_slot, self._profile.base_slot)
        source = tuple(grids[k] for k in needed)
        chain = self._chains.get(i)
        same = chain is not None and all(a is b for a, b in zip(chain.source, source, strict=True))
        if chain is None or not same or chain.node > target:
            chain = self._chains[i] = _Chain(source)
        while chain.node < target:
            number = chain.node + 1
            advance = self._advance_placed if self._on_device else self._advance
            planes = advance(i, grids, picture, number, chain.after, chain.before)
            chain.node, chain.before, chain.after = number, chain.after, planes
        return (chain.after if node == target else chain.before), chain.after

    def _base_input(self, i: int, base: Any) -> dict[str, Any]:
        """The base channel for the ``nodes`` graph of a slot; zero where there is none, nothing where it takes none."""
        if i not in self._profile.mixed_slots:
            return {}
        return {"base": np.zeros((1, 1, 1, 1), np.float32) if base is None else base}

    def _base_inputs(self, grids: Sequence[Grid | None], picture: PictureFormat, node: int) -> dict[str, Tensor]:
        """Inputs of the ``base`` graph."""
        grid = _present(grids[self._profile.base_slot])[node : node + 1, :1].astype(np.float32)
        return {"grid": grid, "size": np.array((-(-picture.height // 2), -(-picture.width // 2)), np.int64)}

    def _advance_placed(
        self, i: int, grids: Sequence[Grid | None], picture: PictureFormat, node: int, previous: Any, _: Any
    ) -> Any:
        """Planes of a node on the device, from those of the node before."""
        slot, grid = self._profile.slots[i], _present(grids[i])
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

    def _advance(
        self, i: int, grids: Sequence[Grid | None], picture: PictureFormat, node: int, previous: Any, spare: Any
    ) -> Any:
        """Planes of a node in bands, from those of the node before; `spare` are planes that are needed no more."""
        grid = _present(grids[i])
        planes = np.empty(self._plane_shape(i, grid), np.int16) if spare is None else spare
        base = None
        if self._base is not None and i in self._profile.mixed_slots:
            base = _run(self._base, self._base_inputs(grids, picture, node))
        self._residual(i, grid[node], base, planes)
        if node > 0:
            there = range(WARPED_TEMPORAL_STRIDE * node, WARPED_TEMPORAL_STRIDE * node + 1)
            moves = _run(self._moves, self._moves_inputs(grids, picture, node - 1, there))
            session, border = self._chain[i], _border(self._profile.slots[i])
            shared = session.place({"residual": planes, "previous": previous, "moves": moves})
            for first, stop in _bands(moves, planes):
                (band,) = session.run({**shared, **session.place(_cells(first, stop))})
                # In place: a band reads no residual but its own.
                _put(planes, band, border * first, border)
        return planes

    def _plane_shape(self, i: int, grid: Grid) -> tuple[int, int, int, int]:
        """1, P, H', W' of a slot's planes."""
        slot = self._profile.slots[i]
        border = _border(slot)
        rows, columns = (2 * n if border > 1 else n for n in grid.shape[2:])
        return 1, slot.max_channels // (MIX_GROUP if border > 1 else 1), rows + 2 * border, columns + 2 * border

    def _residual(self, i: int, grid: Grid, base: Float | None, planes: npt.NDArray[np.int16]) -> None:
        """Planes [1, P, H', W'] of a node [channels, rows, columns] by itself, in bands."""
        slot, (channels, rows, columns) = self._profile.slots[i], grid.shape
        border = _border(slot)
        scale = 2 if border > 1 else 1
        step = max(1, _BAND_VALUES // (slot.max_channels * columns))
        for first in range(0, rows, step):
            stop = min(first + step, rows)
            values = np.zeros((1, slot.max_channels, stop - first, columns), np.float32)
            values[0, :channels] = grid[:, first:stop]
            part = None if base is None else np.ascontiguousarray(base[:, :, first:stop])
            _put(planes, _run(self._nodes[i], {"grid": values, **self._base_input(i, part)}), scale * first, border)


def _present(grid: Grid | None) -> Grid:
    if grid is None:
        raise ValueError("a grid of a slot that is present is missing")
    return grid


def _border(slot: GridSlot) -> int:
    """Repeated samples around the planes of a slot: as many as a cell has of them."""
    return 4 if slot.stride == 2 else 1


def _put(planes: npt.NDArray[np.int16], band: npt.NDArray[np.int16], row: int, border: int) -> None:
    """Put a band, which has repeated edges all around, where its row `row` without border is that of the planes."""
    top = 0 if row == 0 else border
    bottom = band.shape[2] - (0 if row + band.shape[2] == planes.shape[2] else border)
    planes[:, :, row + top : row + bottom] = band[:, :, top:bottom]


def _bands(moves: Float, planes: npt.NDArray[np.int16]) -> list[tuple[int, int]]:
    """Rows of cells that go at a time."""
    rows, columns = moves.shape[2:]
    step = max(1, _BAND_CELLS // (columns * planes.shape[1]))
    return [(first, min(first + step, rows)) for first in range(0, rows, step)]


def _cells(first: int, stop: int) -> dict[str, Tensor]:
    return {"cells": np.array((first, stop), np.int64)}


def _all_cells(picture: PictureFormat) -> dict[str, Tensor]:
    return _cells(0, -(-picture.height // CELL))


def _run(session: GraphSession, inputs: Mapping[str, Tensor], *, shrink: bool = False) -> npt.NDArray[Any]:
    """The one output of a session on the CPU."""
    (output,) = session.run(session.place(inputs), shrink=shrink)
    return output
