"""Motion on the CPU: OpenCV fetches the samples, block by block (spec 7.6).

`cv2.remap` takes a place in whole samples and thirty-seconds as integers, which are the displacements of 7.6.1, and
goes on with the edge outside of a plane. Its weights are multiples of 1/1024 and the planes hold activations, so that
in float32 every product and sum is exact in any order, as in the graphs (6.3), which take longer.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.frames import PictureFormat
from nvrc_decoder.opencv import call, import_cv2
from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, WARPED_TEMPORAL_STRIDE, Profile
from nvrc_decoder.scratch import Scratch
from nvrc_decoder.synthesis.motion_graphs import MotionGraphs
from nvrc_decoder.synthesis.parallel import cores, each
from nvrc_decoder.synthesis.session import GraphSession, Tensor
from nvrc_decoder.synthesis.warping import CELL, Grid, MakeSession, Warped, Warper, present

__all__ = ["HostWarper", "motion_bytes"]

# float32 [planes, rows, columns]
_Planes = npt.NDArray[np.float32]
# int32 [2, rows, columns] of cells, vertical first, in thirty-seconds of a luma sample
_Moves = npt.NDArray[np.int32]

_PURPOSE = "motion on the CPU"
# Steps of a displacement in a sample.
_UNIT = 32
# Whole samples that a displacement reaches, the second tap included.
_REACH = 4 * (ACTIVATION_MAX - ACTIVATION_MIN) // _UNIT + 1
# Samples of a channel in a block: its arrays stay in the caches, and almost all of them below what the allocator takes
# pages of their own for. Neither it nor what it reaches is longer than int16 can count.
_BLOCK_SAMPLES = 28_000
_BLOCK_COLUMNS = 1024  # of cells
# Most blocks at a time; each takes a megabyte.
_MOST_THREADS = 8
# Values in a band of nodes, and bytes of what a band takes in the graph, which is more than the blocks take.
_BAND_VALUES = 1 << 19
_BAND_BYTES = 16_000_000


def motion_bytes(profile: Profile, width: int, height: int, grid_channels: Sequence[int]) -> int:
    """Bytes that motion takes on the CPU, for pictures of this size; 0 where it is off (spec 9.3)."""
    if not profile.motion_is_on(grid_channels):
        return 0
    cells = (-(-height // CELL) + 2) * (-(-width // CELL) + 2)
    total = 0
    for i in profile.warped_slots:
        if grid_channels[i]:
            values = cells * (CELL // profile.slots[i].stride) ** 2 * profile.slots[i].max_channels
            # Planes of two nodes in float32, and what is warped in int16; in float32 it is an activation of the graph.
            total += values * (2 * 4 + 2)
    # Displacements and a base while they are made.
    return total + cells * 8 * 16 + _BAND_BYTES if total else 0


@dataclass(frozen=True)
class _Lattice:
    """How samples lie in cells, along each axis.

    Attributes:
        phases: channels that take turns in a plane.
        samples: samples of a channel in a cell.
    """

    phases: int
    samples: int

    @property
    def cell(self) -> int:
        """Samples of a plane in a cell."""
        return self.phases * self.samples

    @property
    def channels(self) -> int:
        """Channels of a plane."""
        return self.phases**2

    def phase(self, plane: npt.NDArray[np.float32], q: int) -> npt.NDArray[np.float32]:
        """Channel `q` of a plane, a view."""
        down, across = divmod(q, self.phases)
        return plane[down :: self.phases, across :: self.phases]


# Of slots whose channels are the phases of planes, and of those whose channels are planes (7.6.3).
_MIXED, _PLAIN = _Lattice(2, 2), _Lattice(1, 1)


@dataclass(frozen=True)
class _Block:
    """Rows and columns of cells that go at a time."""

    rows: slice
    columns: slice

    def of(self, channel: npt.NDArray[Any], lattice: _Lattice) -> npt.NDArray[Any]:
        """Its part of a channel, a view; its last cells may stand out."""
        n = lattice.samples
        return channel[n * self.rows.start : n * self.rows.stop, n * self.columns.start : n * self.columns.stop]


class _Places:
    """Where the samples of a block lie in the planes of a node.

    Args:
        moves: the displacements of its cells.
        block: which cells.
        lattice: of the slot.
        shape: rows and columns of the planes.
    """

    def __init__(self, moves: _Moves, block: _Block, lattice: _Lattice, shape: tuple[int, ...]) -> None:
        if lattice is _PLAIN:
            moves = (moves + 2) >> 2
        self._lattice = lattice
        cell, samples = lattice.cell, lattice.samples
        whole = moves >> 5
        # Horizontal first, as OpenCV has it.
        corners = np.empty((*moves.shape[1:], 2), np.int16)
        window = []
        for axis, cells in enumerate((block.rows, block.columns)):
            first = max(0, cell * cells.start - _REACH)
            window.append(slice(first, min(shape[axis], cell * cells.stop + _REACH)))
            start = cell * np.arange(cells.start, cells.stop, dtype=np.int32) - first
            corners[..., 1 - axis] = whole[axis] + (start[:, None] if axis == 0 else start)
        self._window = tuple(window)
        # A pair is spread as one value.
        self._corners = _spread(corners.view(np.int32)[..., 0], 1, samples).view(np.int16)[:, None]
        fractions = (moves[0] & 31) * _UNIT + (moves[1] & 31)
        self._fractions = _spread(fractions.astype(np.uint16), samples, samples)

    def phase(self, q: int) -> npt.NDArray[np.int16]:
        """Whole samples of the places of channel `q` of a plane: [rows, columns, 2]."""
        rows, columns = self._fractions.shape
        return (self._corners + _steps(self._lattice, columns, q)).reshape(rows, columns, 2)

    def fetch(self, plane: npt.NDArray[np.float32], whole: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        """Bilinear samples of a plane, in multiples of 1/1024."""
        cv2 = import_cv2(_PURPOSE)
        arguments = plane[self._window], whole, self._fractions, cv2.INTER_LINEAR
        samples: npt.NDArray[np.float32] = call(cv2.remap, *arguments, borderMode=cv2.BORDER_REPLICATE)
        return samples


def _spread(cells: npt.NDArray[Any], down: int, across: int) -> npt.NDArray[Any]:
    """Repeat each value along both axes. NumPy's own `repeat` takes longer, and lets no other thread work meanwhile."""
    rows, columns = cells.shape
    spread = np.empty((rows, down, across * columns), cells.dtype)
    for i in range(across):
        spread[:, 0, i::across] = cells
    spread[:, 1:] = spread[:, :1]
    return spread.reshape(down * rows, -1)


@functools.lru_cache(maxsize=32)
def _steps(lattice: _Lattice, columns: int, q: int) -> npt.NDArray[np.int16]:
    """From the corner of a cell to the samples of channel `q` in a row of cells: [samples, 2 * columns]."""
    down, across = divmod(q, lattice.phases)
    steps = np.empty((lattice.samples, columns, 2), np.int16)
    steps[..., 0] = lattice.phases * (np.arange(columns) % lattice.samples) + across
    steps[..., 1] = lattice.phases * np.arange(lattice.samples)[:, None] + down
    return steps.reshape(lattice.samples, -1)


class HostWarper(Warper):
    """Moves grids under one NETWORK on the CPU.

    Args:
        profile, graphs, make: as in `Warper`.
        threads: at most so many blocks at a time; None: as many as there are cores.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, OpenCV cannot be imported.
    """

    def __init__(self, profile: Profile, graphs: MotionGraphs, make: MakeSession, threads: int | None) -> None:
        super().__init__(profile, graphs, make)
        import_cv2(_PURPOSE)
        self._in_use = {i: slot.planes for i, slot in graphs.slots.items()}
        self._threads = min(cores() if threads is None else threads, _MOST_THREADS)
        self._scratch = Scratch()

    def release(self) -> None:
        super().release()
        self._scratch.clear()
        flow = np.zeros((1, self._profile.slots[self._profile.flow_slot].max_channels, 1, 1), np.float32)
        zero, one = np.zeros(1, np.int64), np.ones(2, np.int64)
        _run(self._moves, {"frames": zero, "flow": flow, "later": zero, "size": one}, shrink=True)
        for i, session in self._nodes.items():
            empty = np.zeros((1, self._profile.slots[i].max_channels, 1, 1), np.float32)
            _run(session, {"grid": empty, **self._base_input(i, None)}, shrink=True)

    def warp(
        self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range, *, compact: bool = False
    ) -> dict[int, Warped]:
        result = self._results(picture, frames, compact)
        for b, t in enumerate(frames):
            node, fraction = divmod(t, WARPED_TEMPORAL_STRIDE)
            planes = {i: self._planes(i, grids, picture, node, later=fraction > 0) for i in result}
            # A frame that is a node is not moved.
            moves = self._displacements(grids, picture, node, t) if fraction else None
            for i, values in result.items():
                if moves is None:
                    self._copy(i, planes[i][0], values[b])
                else:
                    self._blend(i, planes[i], moves, fraction / WARPED_TEMPORAL_STRIDE, values[b])
        return result

    def _copy(self, i: int, planes: _Planes, result: Warped) -> None:
        """The channels [channels, rows, columns] of a slot at a node."""
        lattice = self._lattice(i)
        for p, plane in enumerate(planes):
            for q in range(lattice.channels):
                channel = result[lattice.channels * p + q]
                channel[...] = lattice.phase(plane, q)[: channel.shape[0], : channel.shape[1]]

    def _blend(self, i: int, nodes: tuple[_Planes, _Planes], moves: _Moves, share: float, result: Warped) -> None:
        """The channels of a slot at a frame that has `share` of the later node."""
        cv2, lattice = import_cv2(_PURPOSE), self._lattice(i)
        if len(self._in_use[i]) < len(nodes[0]):
            result[...] = 0

        def fill(block: _Block) -> None:
            own = moves[:, block.rows, block.columns]
            before, after = (_Places(some, block, lattice, nodes[0].shape[1:]) for some in (own[:2], own[2:]))
            for q in range(lattice.channels):
                first, second = before.phase(q), after.phase(q)
                for p in self._in_use[i]:
                    part = block.of(result[lattice.channels * p + q], lattice)
                    samples = before.fetch(nodes[0][p], first), after.fetch(nodes[1][p], second)
                    blended = call(cv2.addWeighted, samples[0], 1 - share, samples[1], share, 0.5)
                    np.floor(blended[: part.shape[0], : part.shape[1]], out=part, casting="unsafe")

        each(fill, list(_blocks(moves.shape[1], moves.shape[2], lattice)), self._threads)

    def _advance(
        self, i: int, grids: Sequence[Grid | None], picture: PictureFormat, node: int, previous: Any, spare: Any
    ) -> _Planes:
        grid, lattice = present(grids[i]), self._lattice(i)
        rows, columns = grid.shape[2:]
        count = self._profile.slots[i].max_channels // lattice.channels
        shape = count, lattice.phases * rows, lattice.phases * columns
        planes: _Planes = np.empty(shape, np.float32) if spare is None or spare.shape != shape else spare
        base = None
        if self._base is not None and i in self._profile.mixed_slots:
            base = _run(self._base, self._base_inputs(grids, picture, node))
        self._residual(i, grid[node], base, planes)
        if node > 0:
            moves = self._displacements(grids, picture, node - 1, WARPED_TEMPORAL_STRIDE * node)[:2]

            def add(block: _Block) -> None:
                places = _Places(moves[:, block.rows, block.columns], block, lattice, planes.shape[1:])
                for q in range(lattice.channels):
                    whole = places.phase(q)
                    for p in self._in_use[i]:
                        part = block.of(lattice.phase(planes[p], q), lattice)
                        predicted = np.floor(places.fetch(previous[p], whole) + np.float32(0.5))
                        part += predicted[: part.shape[0], : part.shape[1]]
                        np.clip(part, ACTIVATION_MIN, ACTIVATION_MAX, out=part)

            each(add, list(_blocks(moves.shape[1], moves.shape[2], lattice)), self._threads)
        return planes

    def _residual(self, i: int, grid: Grid, base: npt.NDArray[np.float32] | None, planes: _Planes) -> None:
        """Planes of a node [channels, rows, columns] by itself, in bands."""
        slot, phases, (channels, rows, columns) = self._profile.slots[i], self._lattice(i).phases, grid.shape
        # The graph's planes have the edge repeated around them, a cell wide.
        border = self._lattice(i).cell
        step = max(1, _BAND_VALUES // (slot.max_channels * columns))
        for first in range(0, rows, step):
            stop = min(first + step, rows)
            values = np.zeros((1, slot.max_channels, stop - first, columns), np.float32)
            values[0, :channels] = grid[:, first:stop]
            part = None if base is None else np.ascontiguousarray(base[:, :, first:stop])
            band = _run(self._nodes[i], {"grid": values, **self._base_input(i, part)})
            planes[:, phases * first : phases * stop] = band[0, :, border:-border, border:-border]

    def _displacements(self, grids: Sequence[Grid | None], picture: PictureFormat, node: int, t: int) -> _Moves:
        """Those at frame `t` to a node and, behind them, to the one after: [4, rows, columns]; until the next call."""
        moves = _run(self._moves, self._moves_inputs(grids, picture, node, range(t, t + 1)))
        displacements: _Moves = self._scratch.array("moves", moves.shape[1:], np.int32)
        np.copyto(displacements, moves[0], casting="unsafe")
        return displacements

    def _lattice(self, i: int) -> _Lattice:
        return _MIXED if i in self._profile.mixed_slots else _PLAIN


def _blocks(rows: int, columns: int, lattice: _Lattice) -> Iterator[_Block]:
    """So many rows and columns of cells in blocks."""
    across = -(-columns // -(-columns // _BLOCK_COLUMNS))
    down = max(1, _BLOCK_SAMPLES // (across * lattice.samples**2))
    for top in range(0, rows, down):
        for left in range(0, columns, across):
            yield _Block(slice(top, min(top + down, rows)), slice(left, min(left + across, columns)))


def _run(session: GraphSession, inputs: dict[str, Tensor], *, shrink: bool = False) -> npt.NDArray[Any]:
    """The one output of a session on the CPU."""
    (output,) = session.run(session.place(inputs), shrink=shrink)
    return output
