"""Motion beside ONNX Runtime's main graph: grids of temporal stride 8 are moved to a frame before it sees them (7.6).

Planes of a node are made of its grid and of the planes of the node before, so they are rolled forward, two nodes at a
time, and hold for eight frames; then they are moved to each frame. `device_warping` does both in graphs, `host_warping`
through OpenCV; what they have in common is here.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.frames import PictureFormat
from nvrc_decoder.profiles import WARPED_TEMPORAL_STRIDE, Profile
from nvrc_decoder.synthesis.motion_graphs import MotionGraphs
from nvrc_decoder.synthesis.session import GraphSession, Tensor

__all__ = ["CELL", "Grid", "MakeSession", "Warped", "Warper", "present"]

Grid = npt.NDArray[np.int16]
Warped = npt.NDArray[np.float32] | npt.NDArray[np.int16]
MakeSession = Callable[[bytes, Sequence[str], Mapping[str, npt.NDArray[np.float32]]], GraphSession]

# Luma samples along an axis that move together.
CELL = 4
_FLOW_RATIO = 8  # flow nodes from one node of the other grids to the next


@dataclass
class _Chain:
    """The planes of a grid's nodes `node` - 1 and `node`, wherever they are, and what they were made of."""

    source: tuple[weakref.ref[Grid] | None, ...]
    node: int = -1
    before: Any = None
    after: Any = None


class Warper(ABC):
    """Moves grids under one NETWORK.

    Args:
        profile: the stream's profile.
        graphs: of the NETWORK.
        make: makes a session of a graph, the outputs that are wanted, and what replaces placeholders.
    """

    def __init__(self, profile: Profile, graphs: MotionGraphs, make: MakeSession) -> None:
        self._profile = profile
        self._moves = make(graphs.moves[0], ("moves",), graphs.moves[1])
        self._base = None if graphs.base is None else make(graphs.base[0], ("base",), graphs.base[1])
        self._nodes = {i: make(slot.nodes, ("planes",), slot.values) for i, slot in graphs.slots.items()}
        self._chains: dict[int, _Chain] = {}
        self._spare: dict[int, tuple[tuple[int, ...], deque[npt.NDArray[np.float32]]]] = {}

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots that are warped."""
        return tuple(self._nodes)

    def release(self) -> None:
        """Give back the memory of this machine that is kept for the next frame."""
        self._chains.clear()
        self._spare.clear()

    def take_back(self, i: int, values: npt.NDArray[Any]) -> None:
        """What `warp` returned for a slot is needed no more: the next frame may have its place. Any thread may call.

        New memory for each frame takes a tenth of the time of motion.
        """
        shape, arrays = self._spare.get(i, ((), deque()))
        if values.shape == shape and values.dtype == np.float32:
            arrays.append(values)

    @abstractmethod
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

    @abstractmethod
    def _advance(
        self, i: int, grids: Sequence[Grid | None], picture: PictureFormat, node: int, previous: Any, spare: Any
    ) -> Any:
        """Planes of a node, from those of the node before; `spare` are planes that are needed no more, or None."""

    def _results(self, picture: PictureFormat, frames: range, compact: bool) -> dict[int, Warped]:
        """Arrays for `warp` to fill in."""
        result: dict[int, Warped] = {}
        for i in self.slots:
            slot = self._profile.slots[i]
            rows, columns = -(-picture.height // slot.stride), -(-picture.width // slot.stride)
            shape = len(frames), slot.max_channels, rows, columns
            if compact:
                result[i] = np.empty(shape, np.int16)
                continue
            if i not in self._spare or self._spare[i][0] != shape:
                self._spare[i] = shape, deque()
            arrays = self._spare[i][1]
            result[i] = arrays.pop() if arrays else np.empty(shape, np.float32)
        return result

    def _moves_inputs(
        self, grids: Sequence[Grid | None], picture: PictureFormat, node: int, frames: range
    ) -> dict[str, Tensor]:
        """Inputs of the ``moves`` graph for frames from `node` to the next."""
        nodes = len(present(grids[self.slots[0]]))
        flow = present(grids[self._profile.flow_slot])[_FLOW_RATIO * node : _FLOW_RATIO * (node + 1) + 1]
        base = WARPED_TEMPORAL_STRIDE * node
        return {
            "frames": np.arange(frames.start - base, frames.stop - base, dtype=np.int64),
            "flow": flow.astype(np.float32),
            "later": np.array((min(1, nodes - 1 - node),), np.int64),
            "size": np.array((-(-picture.height // CELL), -(-picture.width // CELL)), np.int64),
        }

    def _planes(
        self, i: int, grids: Sequence[Grid | None], picture: PictureFormat, node: int, *, later: bool = True
    ) -> tuple[Any, Any]:
        """Planes of a node and, where `later`, of the next, or twice of the last; kept for the next frame."""
        grid = present(grids[i])
        target = min(node + later, len(grid) - 1)
        needed = (i, self._profile.flow_slot, self._profile.base_slot)
        source = tuple(grids[k] for k in needed)
        chain = self._chains.get(i)
        known = () if chain is None else tuple(None if kept is None else kept() for kept in chain.source)
        same = len(known) == len(source) and all(a is b for a, b in zip(known, source, strict=True))
        if chain is None or not same or chain.node > node + 1:
            # The grids of a GOP are gone with it, the memory of its planes is there to be used again.
            left = (None, None) if chain is None else (chain.before, chain.after)
            chain = _Chain(tuple(None if x is None else weakref.ref(x) for x in source), -1, *left)
            self._chains[i] = chain
        while chain.node < target:
            # A step that fails leaves planes behind that nobody may take up.
            del self._chains[i]
            number = chain.node + 1
            planes = self._advance(i, grids, picture, number, chain.after, chain.before)
            chain.node, chain.before, chain.after = number, chain.after, planes
            self._chains[i] = chain
        return (chain.after if node == chain.node else chain.before), chain.after

    def _base_input(self, i: int, base: Any) -> dict[str, Any]:
        """The base channel for the ``nodes`` graph of a slot; zero where there is none, nothing where it takes none."""
        if i not in self._profile.mixed_slots:
            return {}
        return {"base": np.zeros((1, 1, 1, 1), np.float32) if base is None else base}

    def _base_inputs(self, grids: Sequence[Grid | None], picture: PictureFormat, node: int) -> dict[str, Tensor]:
        """Inputs of the ``base`` graph."""
        grid = present(grids[self._profile.base_slot])[node : node + 1, :1].astype(np.float32)
        return {"grid": grid, "size": np.array((-(-picture.height // 2), -(-picture.width // 2)), np.int64)}


def present(grid: Grid | None) -> Grid:
    """The grid of a slot that is there."""
    if grid is None:
        raise ValueError("a grid of a slot that is present is missing")
    return grid
