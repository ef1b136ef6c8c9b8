"""Prediction of planes on the CPU, node by node and frame by frame (spec 7.6.4, 7.6.6).

Samples come from `prediction`, half samples from `half_samples`, the residual of luma from `wavelet`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

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
)
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.cpu.half_samples import NodePlanes
from nvrc_decoder.synthesis.cpu.prediction import BLOCK_BYTES, PURPOSE, Block, Motion, predict
from nvrc_decoder.synthesis.cpu.wavelet import luma_plane
from nvrc_decoder.synthesis.predictor import (
    CELL,
    Grid,
    PlaneArray,
    PlanePredictor,
    dequantised,
    plane_sizes,
)
from nvrc_decoder.system.opencv import import_cv2
from nvrc_decoder.system.threads import cores

__all__ = ["CpuPredictor", "motion_bytes"]

# Most blocks computed concurrently.
_MOST_THREADS = 8
# Samples of a plane along each axis that share a displacement, by stage.
_CELL_SIZES = {PLANE_STAGE: 1, LUMA_STAGE: CELL}

_Array = npt.NDArray[Any]
_Node = dict[int, NodePlanes]


def motion_bytes(
    profile: Profile, width: int, height: int, grid_channels: Sequence[int], pyramid: Pyramid = DEFAULT_PYRAMID
) -> int:
    """Host memory for the planes of frames of this size, in bytes (docs/memory.md); 0 where no node slot is present."""
    if not profile.has_planes(grid_channels):
        return 0
    luma = profile.has_luma(grid_channels)
    cells = (-(-height // CELL) + 2) * (-(-width // CELL) + 2)
    samples = cells * (grid_channels[profile.plane_slot] + CELL**2 * luma)
    # Each node in int16, with half samples where there is motion; and the node in the making.
    nodes = samples * 2 * ((pyramid.levels + 2) * (4 if profile.motion_is_on(grid_channels) else 1) + 1)
    # What enters the stages, in int16 (in float32 it counts as an input of the graph), and coarser wavelet levels.
    frame = cells * 2 * (profile.slots[profile.plane_slot].max_channels + 2 * CELL**2 * luma)
    # Intermediate results of displacements and weights.
    return nodes + frame + cells * 5 * 4 * 6 + _MOST_THREADS * BLOCK_BYTES


class CpuPredictor(PlanePredictor[_Node]):
    """Computes the planes of frames under one NETWORK on the CPU.

    Args:
        profile, pyramid, multipliers: as in `PlanePredictor`.
        threads: most blocks computed concurrently; None for as many as there are cores.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, OpenCV cannot be imported.
    """

    def __init__(
        self,
        profile: Profile,
        pyramid: Pyramid,
        multipliers: Sequence[Sequence[int]],
        threads: int | None,
    ) -> None:
        super().__init__(profile, pyramid, multipliers)
        import_cv2(PURPOSE)
        self._threads = min(cores() if threads is None else threads, _MOST_THREADS)

    def entering(
        self, grids: Sequence[Grid | None], picture: PictureFormat, frames: range, *, compact: bool = False
    ) -> dict[int, PlaneArray]:
        result = self._results(picture, frames, compact)
        for b, t in enumerate(frames):
            before, after = self._around(grids, picture, t)
            motion = None if self._pyramid.is_node(t) else self._motion(grids, picture, t)
            for stage, values in result.items():
                planes, channels = before[stage].values, values[b]
                if stage == PLANE_STAGE:
                    channels[len(planes) :] = 0
                if motion is not None:
                    write = partial(_floor, channels, stage)
                    predict(before[stage], after[stage], motion, _CELL_SIZES[stage], write, self._threads, self._pool)
                    continue
                for p, plane in enumerate(planes):
                    for samples, place in _entering(channels, stage, p, _all(plane), plane):
                        place[...] = samples
        return result

    def _make(
        self, grids: Sequence[Grid | None], picture: PictureFormat, t: int, before: _Node | None, after: _Node | None
    ) -> _Node:
        motion = None if before is None else self._motion(grids, picture, t)
        node = {}
        for stage, slots in self._slots.items():
            size = plane_sizes(picture)[stage]
            count = len(self._multipliers[slots[0]]) if stage == PLANE_STAGE else 1
            values = self._pool.take(("values", stage), (count, *size), np.int16)
            residual = self._residual(grids, stage, t)
            if residual is None:
                values[...] = 0
            elif stage == LUMA_STAGE:
                luma_plane(residual, values[0], self._threads)
            else:
                values[...] = dequantised(*residual[0])
            if before is not None and after is not None and motion is not None:
                write = partial(_add, values)
                predict(before[stage], after[stage], motion, _CELL_SIZES[stage], write, self._threads, self._pool)
            node[stage] = NodePlanes(stage, values, self._pool)
        return node

    def _retire(self, node: _Node) -> None:
        for planes in node.values():
            planes.retire()

    def _motion(self, grids: Sequence[Grid | None], picture: PictureFormat, t: int) -> Motion:
        """Displacements and blend weights from frame `t` > 0 to its references."""
        references = self._pyramid.references(t)
        if references is None:
            raise ValueError("frame 0 has no references")
        here, before, after = (self._flow(grids, picture, n) for n in (t, references.before, references.after))
        return Motion.of(here, before, after, references, picture, self._split(grids, t))


def _all(plane: _Array) -> tuple[slice, slice]:
    return slice(0, plane.shape[0]), slice(0, plane.shape[1])


def _entering(
    channels: _Array, stage: int, p: int, place: tuple[slice, slice], samples: _Array
) -> Iterator[tuple[_Array, _Array]]:
    """Pairs of samples of plane `p` at a place, and the part of a stage's [channels, rows, columns] that they go to."""
    if stage == PLANE_STAGE:
        yield samples, channels[p][place]
        return
    rows, columns = (slice(some.start // 2, some.stop // 2) for some in place)
    for q in range(LUMA_CHANNELS):
        yield samples[q >> 1 :: 2, q & 1 :: 2], channels[q, rows, columns]


def _floor(channels: _Array, stage: int, p: int, block: Block, samples: npt.NDArray[np.float32]) -> None:
    """Round what `predict` gives down, into the channels of a stage."""
    for source, place in _entering(channels, stage, p, block.samples, samples):
        np.floor(source, out=place, casting="unsafe")


def _add(values: npt.NDArray[np.int16], p: int, block: Block, samples: npt.NDArray[np.float32]) -> None:
    """Round what `predict` gives down, and add it to the residual of a node."""
    place = values[p][block.samples]
    place += np.floor(samples, out=samples).astype(np.int16)
    np.clip(place, ACTIVATION_MIN, ACTIVATION_MAX, out=place)
