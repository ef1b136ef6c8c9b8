"""Prediction of planes from frame to frame (spec 7.6), for the engines that run the rest of synthesis as a graph.

`PlanePredictor` decides which nodes are made when, how long they are kept, and what the grids hold of them.
`cpu.predictor` computes planes with NumPy and OpenCV, `onnx.predictor` in graphs on the device.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import PictureFormat
from nvrc_decoder.profiles import (
    ACTIVATION_MAX,
    ACTIVATION_MIN,
    LUMA_CHANNELS,
    LUMA_STAGE,
    PLANE_STAGE,
    Profile,
    stage_size,
)
from nvrc_decoder.pyramid import Pyramid

__all__ = [
    "CELL",
    "STEPS",
    "ArrayPool",
    "Grid",
    "Integers",
    "PlaneArray",
    "PlanePredictor",
    "Quantised",
    "dequantised",
    "plane_sizes",
]

Grid = npt.NDArray[np.int16]
Integers = npt.NDArray[np.int32]
PlaneArray = npt.NDArray[np.float32] | npt.NDArray[np.int16]
"""Activations of planes, -2048..2047: [frames, channels, rows, columns]."""
Quantised = tuple[Grid, Sequence[int]]
"""Values [channels, rows, columns] of a slot at a node, and their multipliers."""
Node = TypeVar("Node")

CELL = 4
"""Luma samples along each axis that share a displacement (spec 7.6.1)."""
STEPS = {PLANE_STAGE: 4, LUMA_STAGE: 1}
"""By stage, luma samples from one sample of its planes to the next (Step of spec 7.6)."""


class ArrayPool:
    """A pool of arrays for reuse, by name; a name has one shape until another is asked for. Thread-safe."""

    def __init__(self) -> None:
        self._arrays: dict[object, tuple[tuple[int, ...], deque[npt.NDArray[Any]]]] = {}

    def take(self, name: object, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array with any contents; a name has one dtype. Pooled arrays of this name in other shapes are released."""
        if name not in self._arrays or self._arrays[name][0] != shape:
            self._arrays[name] = shape, deque()
        try:
            return self._arrays[name][1].pop()
        except IndexError:
            return np.empty(shape, dtype)

    def give(self, name: object, array: npt.NDArray[Any]) -> None:
        """Return an array that `take` gave under this name."""
        shape, arrays = self._arrays.get(name, ((), deque()))
        if array.shape == shape:
            arrays.append(array)

    def clear(self) -> None:
        """Release all pooled arrays."""
        self._arrays.clear()


class PlanePredictor(ABC, Generic[Node]):
    """Computes the planes of frames under one NETWORK that has a node slot (spec 7.6.4).

    Nodes have residuals, and every other frame is predicted from nodes. A node is made once and kept for as long as
    later frames may refer to it.

    Args:
        profile: the stream's profile.
        pyramid: says which frames are nodes.
        multipliers: per slot the multiplier of each active channel; empty where the slot is absent.
    """

    def __init__(self, profile: Profile, pyramid: Pyramid, multipliers: Sequence[Sequence[int]]) -> None:
        self._profile, self._pyramid, self._multipliers = profile, pyramid, multipliers
        counts = [len(factors) for factors in multipliers]
        self._slots: dict[int, tuple[int, ...]] = {}
        if counts[profile.plane_slot]:
            self._slots[PLANE_STAGE] = (profile.plane_slot,)
        if profile.has_luma(counts):
            self._slots[LUMA_STAGE] = profile.band_slots
        self._nodes: dict[int, Node] = {}
        self._source: list[weakref.ref[Grid] | None] = []
        self._size = (0, 0)
        self._pool = ArrayPool()

    @property
    def stages(self) -> tuple[int, ...]:
        """The stages that planes enter, in ascending order."""
        return tuple(self._slots)

    @abstractmethod
    def entering(
        self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range, *, compact: bool = False
    ) -> dict[int, PlaneArray]:
        """What enters the stages at `frames` (spec 7.6.6), in host memory.

        Args:
            grids: per slot int16 [nodes, channels, rows, columns] of the whole GOP, None where the slot is absent.
            picture: size of the picture.
            frames: the frames wanted; ascending order is fastest.
            compact: int16, for storage, instead of float32, for the graph.

        Returns:
            Activations [frames, channels, rows, columns] by stage. `PLANE_STAGE` has the slot's maximum of channels,
            with zeros in the inactive ones; `LUMA_STAGE` has the four phases of the luma plane.
        """

    def take_back(self, stage: int, values: npt.NDArray[Any]) -> None:
        """Release an array that `entering` returned for a stage, for reuse by a later frame. Thread-safe.

        Fresh memory for each frame costs a tenth of the time of `entering`.
        """
        if values.dtype == np.float32:
            self._pool.give(stage, values)

    def release(self) -> None:
        """Release the host memory that is kept for the next frame."""
        self._nodes, self._source = {}, []
        self._pool.clear()

    @abstractmethod
    def _make(
        self,
        grids: Sequence[Grid | None],
        picture: PictureFormat,
        t: int,
        before: Node | None,
        after: Node | None,
    ) -> Node:
        """The node at frame `t` from its references: None for frame 0, the same node twice for a key."""

    def _retire(self, node: Node) -> None:
        """Return a node's memory to the pool: nothing will be predicted from it any more."""

    def _around(self, grids: Sequence[Grid | None], picture: PictureFormat, t: int) -> tuple[Node, Node]:
        """The nodes before and after frame `t`; where `t` is a node, that node twice.

        At most 2 + levels nodes are kept. A frame before all of them, or of another GOP, starts over.
        """
        if not self._is_kept(grids, picture):
            self._retire_all_but(())
            self._size = picture.height, picture.width
            self._source = [None if grid is None else weakref.ref(grid) for grid in self._needed(grids)]
        key, spacing = self._pyramid.key_spacing, self._pyramid.node_spacing
        first = t - t % spacing
        second = first if t == first else first + spacing
        # This and later frames need the two nodes and their references, but nothing before the last node up to `t`.
        start = max((n for n in self._nodes if n <= t), default=None)
        if start is None:
            self._retire_all_but(())
        last = max((n for n in self._nodes if n % key == 0), default=-key)
        needed = {last} | self._lineage(first) | self._lineage(second)
        self._retire_all_but(n for n in needed if start is None or n >= start)
        try:
            # Keys are made in a loop: recursion would be as deep as the GOP has keys.
            for n in range(last + key, t + 1, key):
                self._node(grids, picture, n)
                self._retire_all_but([n])
            return self._node(grids, picture, first), self._node(grids, picture, second)
        except BaseException:
            # The node that failed may be incomplete.
            self._nodes.clear()
            raise

    def _lineage(self, t: int) -> set[int]:
        """Frames of the node at `t` and of all nodes that it depends on, from the key before it to the one after."""
        references = self._pyramid.references(t)
        if references is None or t % self._pyramid.key_spacing == 0:
            return {t}
        return {t} | self._lineage(references.before) | self._lineage(references.after)

    def _node(self, grids: Sequence[Grid | None], picture: PictureFormat, t: int) -> Node:
        """The node at frame `t`, made after those that it refers to."""
        if t not in self._nodes:
            references = self._pyramid.references(t)
            before = after = None
            if references is not None:
                before = self._node(grids, picture, references.before)
                after = self._node(grids, picture, references.after)
            self._nodes[t] = self._make(grids, picture, t, before, after)
        return self._nodes[t]

    def _retire_all_but(self, frames: Iterable[int]) -> None:
        """Keep only the nodes at these frames."""
        for n in set(self._nodes).difference(frames):
            self._retire(self._nodes.pop(n))

    def _needed(self, grids: Sequence[Grid | None]) -> list[Grid | None]:
        """The grids that nodes depend on."""
        return [grids[i] for i, slot in enumerate(self._profile.slots) if slot.at_nodes or slot.motion]

    def _is_kept(self, grids: Sequence[Grid | None], picture: PictureFormat) -> bool:
        """Whether the kept nodes are of these grids, compared by identity, and of this size."""
        known = [None if kept is None else kept() for kept in self._source]
        needed = self._needed(grids)
        same = len(known) == len(needed) and all(a is b for a, b in zip(known, needed, strict=True))
        return same and self._size == (picture.height, picture.width)

    def _residual(self, grids: Sequence[Grid | None], stage: int, t: int) -> list[Quantised] | None:
        """Residual of a stage's slots at the node of frame `t`; None where it is all 0."""
        node = t // self._pyramid.node_spacing
        parts: list[Quantised] = []
        for i in self._slots[stage]:
            grid = grids[i]
            if grid is None:
                raise ValueError(f"the grid of slot {i} is missing")
            factors = [self._pyramid.node_multiplier(t, factor) for factor in self._multipliers[i]]
            parts.append((grid[node], factors))
        return parts if any(values.any() for values, _ in parts) else None

    def _flow(self, grids: Sequence[Grid | None], picture: PictureFormat, t: int) -> Integers:
        """Positions and blend at frame `t`, dequantised: [3, rows, columns]; 0 where there is no flow grid."""
        i = self._profile.flow_slot
        slot, flow = self._profile.slots[i], grids[i]
        if flow is None:
            return np.zeros((slot.max_channels, *slot.size(picture.height, picture.width)), np.int32)
        # A node may lie after the last frame; it has the positions of the last frame.
        return dequantised(flow[min(t, len(flow) - 1)], self._multipliers[i])

    def _split(self, grids: Sequence[Grid | None], t: int) -> Integers | None:
        """The split grid at frame `t`, dequantised: [3, rows, columns]; None where it is absent or all 0."""
        i = self._profile.split_slot
        split = grids[i]
        if split is None:
            return None
        values = split[min(t, len(split) - 1)]
        return dequantised(values, self._multipliers[i]) if values.any() else None

    def _results(self, picture: PictureFormat, frames: range, compact: bool) -> dict[int, PlaneArray]:
        """Uninitialised results of `entering`, by stage."""
        channels = {PLANE_STAGE: self._profile.slots[self._profile.plane_slot].max_channels, LUMA_STAGE: LUMA_CHANNELS}
        result: dict[int, PlaneArray] = {}
        for stage in self._slots:
            shape = len(frames), channels[stage], *stage_size(stage, picture.height, picture.width)
            result[stage] = np.empty(shape, np.int16) if compact else self._pool.take(stage, shape, np.float32)
        return result


def dequantised(values: Grid, multipliers: Sequence[int]) -> Integers:
    """Activations of quantised values [channels, rows, columns] (spec 7.4)."""
    factors = np.array(multipliers, np.int32)[:, None, None]
    products = np.multiply(values, factors, dtype=np.int32)
    return np.clip(products, ACTIVATION_MIN, ACTIVATION_MAX, out=products)


def plane_sizes(picture: PictureFormat) -> dict[int, tuple[int, int]]:
    """Rows and columns of the planes of each stage (spec 7.6)."""
    rows, columns = picture.height, picture.width
    return {PLANE_STAGE: (-(-rows // 4), -(-columns // 4)), LUMA_STAGE: (2 * -(-rows // 2), 2 * -(-columns // 2))}
