"""Displacements, blend weights and prediction of planes on the CPU, with OpenCV (spec 7.6.1 to 7.6.3).

`cv2.remap` takes positions as integers, in whole samples and thirty-seconds, and repeats the edge outside of a plane.
Here its weights are multiples of 1/256 and the samples are activations, so every product and sum is exact in float32
whatever the order (spec 6.4).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import PictureFormat
from nvrc_decoder.pyramid import BLEND_UNIT, References
from nvrc_decoder.synthesis.cpu.half_samples import Activations, NodePlanes
from nvrc_decoder.synthesis.predictor import CELL, ArrayPool, Integers
from nvrc_decoder.system.opencv import call, import_cv2
from nvrc_decoder.system.threads import each

__all__ = ["BLOCK_BYTES", "PURPOSE", "Block", "Motion", "predict"]

Float = npt.NDArray[np.float32]

PURPOSE = "motion on the CPU"
# Samples of a block: its arrays stay in the caches, and below the size for which the allocator maps fresh pages.
_BLOCK_SAMPLES = 28_000
# Samples of a block along an axis: int16 must count the half samples that it can reach.
_BLOCK_LENGTH = 1024
# Half samples that a block reads as float32. Where displacements differ so much that it reads more, it is slower.
_WINDOW_SAMPLES = 1 << 18
BLOCK_BYTES = 2_000_000
"""Most memory that the work on one block takes."""


@dataclass(frozen=True)
class Motion:
    """Where the samples of a frame lie in its references.

    Attributes:
        moves: displacements of each cell of 4x4 luma samples, int32 [2 or 4, rows, columns] in 1/32 luma sample:
            vertical and horizontal to the earlier reference, then to the later one where it is another.
        weights: blend weights of the later reference, float32 [rows, columns], 0..1.
    """

    moves: Integers
    weights: Float

    @classmethod
    def of(
        cls,
        here: Integers,
        before: Integers,
        after: Integers,
        references: References,
        picture: PictureFormat,
        split: Integers | None = None,
    ) -> Motion:
        """The motion of a frame, from the flow and split grids (spec 7.6.1).

        Args:
            here, before, after: the flow grid at the frame and at its references, [3, rows, columns].
            references: the frame's references.
            picture: size of the picture.
            split: the split grid at the frame, [3, rows, columns]; None where it is 0.
        """
        key = references.before == references.after
        steps = [4 * (there[:2] - here[:2]) for there in ((before,) if key else (before, after))]
        cells = np.concatenate([*steps, here[2:]])
        for stride in (8, CELL):
            cells = _doubled(cells, -(-picture.height // stride), -(-picture.width // stride))
        if split is not None:
            moved = split[:2] if key else np.concatenate([split[:2], -split[:2]])
            cells = cells + _twice(np.concatenate([moved, split[2:]]), *cells.shape[1:])
        weights = np.clip(cells[-1] + references.share, 0, BLEND_UNIT) * np.float32(1 / BLEND_UNIT)
        return cls(cells[:-1], weights.astype(np.float32))


def _doubled(x: Integers, rows: int, columns: int) -> Integers:
    """Upsampled x2 (spec 7.10) and cropped to [channels, rows, columns]."""
    for axis in (1, 2):
        twice = np.repeat(3 * x, 2, axis)
        # Swapped views, so that rows stay contiguous in memory.
        near, sums = x.swapaxes(0, axis), twice.swapaxes(0, axis)
        sums[:1] += near[:1]
        sums[1:-1:2] += near[1:]
        sums[2::2] += near[:-1]
        sums[-1:] += near[-1:]
        x = twice
    x += 8
    x >>= 4
    return x[:, :rows, :columns]


def _twice(x: Integers, rows: int, columns: int) -> Integers:
    """Each value repeated in two rows and columns, cropped to [channels, rows, columns]."""
    return x.repeat(2, 1).repeat(2, 2)[:, :rows, :columns]


@dataclass(frozen=True)
class Block:
    """A rectangle of a plane that one call of `cv2.remap` predicts.

    Attributes:
        cells: rows and columns of its cells.
        samples: rows and columns of its samples; cells at the end may reach beyond the plane.
    """

    cells: tuple[slice, slice]
    samples: tuple[slice, slice]

    @property
    def rows(self) -> int:
        """Number of rows of samples."""
        rows: int = self.samples[0].stop - self.samples[0].start
        return rows

    @classmethod
    def all(cls, cells: tuple[int, ...], plane: tuple[int, ...], size: int) -> Iterator[Block]:
        """Blocks that cover a plane of `cells`, each of `size` samples along each axis."""
        most = _BLOCK_LENGTH // size
        across = -(-cells[1] // -(-cells[1] // most))
        down = max(1, min(_BLOCK_SAMPLES // (across * size**2), most))
        for top in range(0, cells[0], down):
            for left in range(0, cells[1], across):
                own = slice(top, min(top + down, cells[0])), slice(left, min(left + across, cells[1]))
                rows, columns = (
                    slice(size * some.start, min(size * some.stop, length))
                    for some, length in zip(own, plane, strict=True)
                )
                yield cls(own, (rows, columns))


def predict(
    before: NodePlanes,
    after: NodePlanes,
    motion: Motion,
    size: int,
    write: Callable[[int, Block, Float], None],
    threads: int,
    pool: ArrayPool,
) -> None:
    """Predict planes from those of two nodes (spec 7.6.3).

    Args:
        before, after: the references; the same node twice for a key.
        motion: the frame's motion to them.
        size: samples of a plane along each axis that share a displacement.
        write: called with the number of a plane, a block, and its samples plus 1/2, not yet rounded down; from several
            threads concurrently.
        threads: most blocks computed concurrently.
        pool: allocates the arrays.
    """
    count, *shape = before.values.shape
    moves = motion.moves.reshape(-1, 2, *motion.moves.shape[1:])
    sources = [_Source(node, own, size, threads, pool) for node, own in zip((before, after), moves, strict=False)]
    weights = _Weights(motion.weights, size)

    def fill(block: Block) -> None:
        places = [source.places(block) for source in sources]
        for p in range(count):
            samples = [source.fetch(p, block, own) for source, own in zip(sources, places, strict=True)]
            write(p, block, weights.blended(block, *samples))

    each(fill, list(Block.all(motion.weights.shape, (shape[0], shape[1]), size)), threads)


@dataclass(frozen=True)
class _Places:
    """Positions of a block's samples in a reference with half samples, as `cv2.remap` takes them.

    Attributes:
        window: the part of the reference that they lie in.
        whole: int16 [rows, columns, 2], half samples from the window's corner, horizontal first.
        fractions: uint16 [rows, columns]: 32 * vertical + horizontal fraction, each in 1/32 half sample.
    """

    window: tuple[slice, slice]
    whole: npt.NDArray[np.int16]
    fractions: npt.NDArray[np.uint16]


class _Source:
    """A reference of a frame, and the displacements to it.

    Args:
        node: the reference.
        moves: the displacements, vertical first.
        size: samples along each axis that share a displacement.
        threads: as in `NodePlanes.refined`.
        pool: allocates the arrays.
    """

    def __init__(self, node: NodePlanes, moves: Integers, size: int, threads: int, pool: ArrayPool) -> None:
        if size == 1:
            # In 1/32 of a sample of the planes.
            moves = (moves + 2) >> 2
        self._node, self._moves, self._size, self._pool = node, moves, size, pool
        if not moves.any():
            return
        self._refined = node.refined(threads)
        # Horizontal first, as in OpenCV. Large numbers wrap around, and back when an origin is subtracted.
        corners = np.empty((*moves.shape[1:], 2), np.int16)
        for axis, length in enumerate(moves.shape[1:]):
            starts = np.arange(0, 2 * size * length, 2 * size, dtype=np.int32)
            places = (moves[axis] >> 4) + (starts[:, None] if axis == 0 else starts)
            corners[..., 1 - axis] = places.astype(np.int16)
        # A pair is spread as one int32.
        self._corners = _spread(corners.view(np.int32)[..., 0], size)
        self._fractions = _spread((((moves[0] & 15) << 6) + ((moves[1] & 15) << 1)).astype(np.uint16), size)

    def places(self, block: Block) -> _Places | None:
        """Positions of a block's samples; None where all displacements are 0."""
        moves = self._moves[:, *block.cells]
        ends = list(zip(moves.min(axis=(1, 2)).tolist(), moves.max(axis=(1, 2)).tolist(), strict=True))
        if not any(map(any, ends)):
            return None
        window = []
        for own, (least, most), limit in zip(block.samples, ends, self._refined.shape[1:], strict=True):
            # Outside of the plane, its edge repeats.
            start = max(0, min(limit - 1, 2 * own.start + (least >> 4)))
            window.append(slice(start, max(start + 1, min(limit, 2 * own.stop + (most >> 4)))))
        # From the window to the cells' corners, and from there to their samples.
        corners = self._corners[block.cells[0], block.samples[1]].view(np.int16)[:, None]
        origin = np.empty((corners.shape[2] // 2, 2), np.int16)
        origin[:, 0], origin[:, 1] = (np.int32(window[k].start).astype(np.int16) for k in (1, 0))
        steps = _steps(self._size, len(origin)) - origin.reshape(-1)
        whole = (corners + steps).reshape(-1, len(origin), 2)[: block.rows]
        return _Places((window[0], window[1]), whole, _lines(self._fractions, block, self._size))

    def fetch(self, p: int, block: Block, places: _Places | None) -> Float:
        """Samples of plane `p` in multiples of 1/256."""
        samples: Float
        if places is None:
            samples = self._node.values[p][block.samples].astype(np.float32)
            return samples
        source = self._refined[p][places.window]
        if source.size > _WINDOW_SAMPLES:
            return _fetched_apart(source, places)
        memory = self._pool.take("window", (_WINDOW_SAMPLES,), np.float32)
        window = memory[: source.size].reshape(source.shape)
        window[...] = source
        samples = _remapped(window, places.whole, places.fractions, "INTER_LINEAR")
        self._pool.give("window", memory)
        return samples


def _fetched_apart(source: Activations, places: _Places) -> Float:
    """As `_Source.fetch`, one tap after another, without a window."""
    total = np.zeros(places.fractions.shape, np.float32)
    for axes in product((0, 1), (0, 1)):
        parts = [
            fraction if axis else 32 - fraction
            for axis, fraction in zip(axes, divmod(places.fractions, 32), strict=True)
        ]
        taps = _remapped(source, places.whole + np.array(axes[::-1], np.int16), None, "INTER_NEAREST")
        total += taps * (parts[0] * parts[1] * np.float32(1 / 1024))
    return total


def _remapped(
    source: npt.NDArray[Any], whole: npt.NDArray[np.int16], fractions: npt.NDArray[np.uint16] | None, how: str
) -> Any:
    cv2 = import_cv2(PURPOSE)
    return call(cv2.remap, source, whole, fractions, getattr(cv2, how), borderMode=cv2.BORDER_REPLICATE)


def _spread(cells: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Each value `size` times along its row. NumPy's `repeat` is slower, and holds the interpreter lock."""
    if size == 1:
        return cells
    rows, columns = cells.shape
    spread = np.empty((rows, columns * size), cells.dtype)
    for i in range(size):
        spread[:, i::size] = cells
    return spread


def _lines(spread: npt.NDArray[Any], block: Block, size: int) -> npt.NDArray[Any]:
    """The values of a block's samples, from the result of `_spread`."""
    values = spread[block.cells[0], block.samples[1]]
    if size == 1:
        return values
    lines = np.empty((len(values), size, values.shape[1]), values.dtype)
    lines[...] = values[:, None]
    return lines.reshape(-1, values.shape[1])[: block.rows]


@functools.lru_cache(maxsize=32)
def _steps(size: int, columns: int) -> npt.NDArray[np.int16]:
    """Offsets from the corners of a row of cells to its samples, in half samples: [size, 2 * columns]."""
    steps = np.empty((size, columns, 2), np.int16)
    steps[..., 0] = 2 * (np.arange(columns) % size)
    steps[..., 1] = 2 * np.arange(size)[:, None]
    return steps.reshape(size, -1)


class _Weights:
    """Blend weights of the later reference: one per cell, for `size` samples along each axis."""

    def __init__(self, weights: Float, size: int) -> None:
        self._cells, self._size = weights, size
        self._spread = _spread(weights, size)

    def blended(self, block: Block, before: Float, after: Float | None = None) -> Float:
        """The blend of both references, or the only one, plus 1/2; the arguments are overwritten."""
        if after is None:
            before += np.float32(0.5)
            return before
        cv2 = import_cv2(PURPOSE)
        cells = self._cells[block.cells]
        share = float(cells[0, 0])
        shares: tuple[float, float] = 1 - share, share
        if (cells != cells[0, 0]).any():
            weights = _lines(self._spread, block, self._size)
            after *= weights
            before *= 1 - weights
            shares = 1, 1
        blend: Float = call(cv2.addWeighted, before, shares[0], after, shares[1], 0.5)
        return blend
