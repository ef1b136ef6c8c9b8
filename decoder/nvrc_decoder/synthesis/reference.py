"""The slow, obvious synthesis in NumPy integers: the executable form of spec chapters 6 to 8.

One frame after another, one function for each section, loops over taps and channels. It shares nothing with the ONNX
Runtime path but the parsed integers. int32 is wide enough: `arithmetic.prove_bound` has shown |accumulator| < 2^24.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Self

import numpy as np

from nvrc_decoder.picture.planes import PictureFormat, Plane, Planes, plane_shapes
from nvrc_decoder.profiles import LUMA_STAGE, PLANE_STAGE, Profile, head_rows, stage_size
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.activations import Feature, Grid, PlaneArray, clip_activation, dequantise, double, finish
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.synthesis.planes import GopPlanes, phases
from nvrc_decoder.synthesis.synthesizer import Job, TileSynthesizer

__all__ = ["Observer", "ReferenceSynthesizer", "synthesise"]

Observer = Callable[[str, Feature | PlaneArray], None]
"""Is told a name and values between the steps of a frame, [channels, rows, columns], which it must not change."""


def _unseen(name: str, values: Feature | PlaneArray) -> None:
    """Observes nothing."""


def taps(x: Feature) -> list[list[Feature]]:
    """Nine shifted copies [C, H, W] of `x`, zeros outside: ``taps(x)[i][j][c, r, s] = x[c, r+i-1, s+j-1]`` (7.3)."""
    _, rows, columns = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return [[padded[:, i : i + rows, j : j + columns] for j in range(3)] for i in range(3)]


def inject(features: Feature, layer: IntegerLayer) -> Feature:
    """3x3 layer over the concatenated grids [G, H, W] of one stage: [C, H, W] (7.7)."""
    accumulator = np.zeros((layer.weight.shape[0], *features.shape[1:]), dtype=np.int32)
    weight = layer.weight.astype(np.int32)
    for i, row in enumerate(taps(features)):
        for j, shifted in enumerate(row):
            accumulator += np.einsum("og,ghw->ohw", weight[:, :, i, j], shifted)
    return finish(accumulator, layer)


def temporal(before: Feature, centre: Feature, after: Feature, layer: IntegerLayer) -> Feature:
    """Depthwise filter over three frames of stage 0: [C, H, W] (7.8)."""
    weight = layer.weight.astype(np.int32)[:, :, None, None]
    return finish(before * weight[:, 0] + centre * weight[:, 1] + after * weight[:, 2], layer)


def depthwise(x: Feature, layer: IntegerLayer) -> Feature:
    """3x3 filter of each channel by itself: [C, H, W] (7.9)."""
    accumulator = np.zeros(x.shape, dtype=np.int32)
    weight = layer.weight.astype(np.int32)
    for i, row in enumerate(taps(x)):
        for j, shifted in enumerate(row):
            accumulator += weight[:, i, j, None, None] * shifted
    return finish(accumulator, layer)


def pointwise(x: Feature, layer: IntegerLayer) -> Feature:
    """1x1 layer: [outputs, H, W] (7.9)."""
    weight = layer.weight.astype(np.int32)
    return finish(np.einsum("oc,chw->ohw", weight, x), layer)


def block(x: Feature, first: IntegerLayer, second: IntegerLayer) -> Feature:
    """Residual block (7.9)."""
    return clip_activation(x + pointwise(depthwise(x, first), second))


def upsample(x: Feature, rows: int, columns: int, channels: int) -> Feature:
    """x2 in both axes, cropped to [channels, rows, columns]; channels that `x` lacks are 0 (7.10)."""
    doubled = (double(double(x, 1), 2) + 8) >> 4
    result = np.zeros((channels, rows, columns), dtype=np.int32)
    shared = min(channels, x.shape[0])
    result[:shared] = doubled[:shared, :rows, :columns]
    return result


def head_depthwise(x: Feature, layer: IntegerLayer) -> Feature:
    """Four 3x3 filters of each channel of the last stage: [4 * channels, H, W] (7.11)."""
    channels = x.shape[0]
    accumulator = np.zeros((channels, 4, *x.shape[1:]), dtype=np.int32)
    weight = layer.weight.astype(np.int32)
    for i, row in enumerate(taps(x)):
        for j, shifted in enumerate(row):
            for f in range(4):
                accumulator[:, f] += weight[:, f, i, j, None, None] * shifted
    return finish(accumulator.reshape(4 * channels, *x.shape[1:]), layer)


def planes_from_rows(rows: Feature, picture: PictureFormat) -> Planes:
    """Planes of samples from the head's rows: interleaved, cropped and cast (8.1, 8.2)."""
    graph_rows = head_rows(picture.chroma_format)
    dtype = np.uint8 if picture.bit_depth == 8 else np.uint16
    planes: list[Plane] = []
    for index, shape in enumerate(plane_shapes(picture.width, picture.height, picture.chroma_format)):
        phases = [rows[r] for r, row in enumerate(graph_rows) if row // 4 == index]
        if len(phases) == 1:
            plane = phases[0]
        else:
            half_rows, half_columns = phases[0].shape
            plane = np.zeros((2 * half_rows, 2 * half_columns), dtype=np.int32)
            for phase, samples in enumerate(phases):
                plane[phase >> 1 :: 2, phase & 1 :: 2] = samples
        planes.append(plane[: shape[0], : shape[1]].astype(dtype))
    return Planes(*planes)


class ReferenceSynthesizer(TileSynthesizer):
    """Synthesises frames of any GOP under one NETWORK, one after another (7.1).

    Args:
        profile, picture, stage_channels, stage_blocks, layers, multipliers, pyramid: as in `NetworkParts`.
        observe: is told the planes of each frame (``Quarter``, ``Luma``), then the outputs of its layers and blocks and
            the sums at its stages (``stage2.inject``, ``stage2.sum``, ``stage2.block0``), then its ``subplanes``.
    """

    def __init__(
        self,
        profile: Profile,
        picture: PictureFormat,
        stage_channels: Sequence[int],
        stage_blocks: Sequence[int],
        layers: Mapping[str, IntegerLayer],
        multipliers: Sequence[Sequence[int]],
        pyramid: Pyramid = DEFAULT_PYRAMID,
        *,
        observe: Observer = _unseen,
    ) -> None:
        self._profile = profile
        self._picture = picture
        self._channels = tuple(stage_channels)
        self._blocks = tuple(stage_blocks)
        self._layers = layers
        self._multipliers = multipliers
        self._pyramid = pyramid
        self._observe = observe
        self._planes: dict[int, GopPlanes] = {}
        self._planes_of: list[weakref.ref[Grid] | None] = []

    def resized(self, picture: PictureFormat) -> Self:
        """A synthesizer with the same network for another picture size; `picture` may differ in nothing else."""
        twin = copy.copy(self)
        twin._picture = picture
        twin.release()
        return twin

    def release(self) -> None:
        """Release the nodes that are kept for the next call."""
        self._planes, self._planes_of = {}, []

    def jobs(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Job]:
        """One job for each frame; arguments as in `Synthesizer.jobs`."""
        for t in frames:
            predicted = self.predicted(grids, frame_count, range(t, t + 1))
            yield partial(self._job, grids, frame_count, t, {stage: planes[0] for stage, planes in predicted.items()})

    def tile(
        self, grids: Sequence[Grid | None], frame_count: int, t: int, predicted: Mapping[int, PlaneArray]
    ) -> Planes:
        return self._frame(grids, frame_count, t, {stage: planes[0] for stage, planes in predicted.items()})

    def _job(
        self, grids: Sequence[Grid | None], frame_count: int, t: int, predicted: Mapping[int, PlaneArray]
    ) -> list[Planes]:
        return [self._frame(grids, frame_count, t, predicted)]

    def predicted(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> dict[int, PlaneArray]:
        """The planes that enter the stages at `frames` (7.6.6); arguments as in `jobs`.

        Returns:
            int16 [frames, channels, rows, columns] by stage: the planes of the plane slot, and the phases of the luma
            plane. Stages without planes are left out.
        """
        if not frames:
            return {}
        if not self._is_kept(grids):
            self._planes = self._begin(grids)
            self._planes_of = [None if grid is None else weakref.ref(grid) for grid in grids]
        return {
            stage: np.stack([self._entering(stage, planes.at(grids, t)) for t in frames])
            for stage, planes in self._planes.items()
        }

    def _begin(self, grids: Sequence[Grid | None]) -> dict[int, GopPlanes]:
        """A `GopPlanes` for each stage that planes enter."""
        size = self._picture.height, self._picture.width
        made = {}
        for stage, slot in ((PLANE_STAGE, self._profile.plane_slot), (LUMA_STAGE, self._profile.band_slots[0])):
            if grids[slot] is not None:
                arguments = self._profile, self._pyramid, self._multipliers, size
                made[stage] = GopPlanes(*arguments, luma=stage == LUMA_STAGE)
        return made

    def _entering(self, stage: int, planes: PlaneArray) -> PlaneArray:
        self._observe("Luma" if stage == LUMA_STAGE else "Quarter", planes)
        return phases(planes[0]) if stage == LUMA_STAGE else planes

    def _is_kept(self, grids: Sequence[Grid | None]) -> bool:
        """Whether the kept planes are of these grids, compared by identity."""
        if len(self._planes_of) != len(grids):
            return False
        known = (None if kept is None else kept() for kept in self._planes_of)
        return all(grid is old for grid, old in zip(grids, known, strict=True))

    def _frame(
        self, grids: Sequence[Grid | None], frame_count: int, t: int, warped: Mapping[int, PlaneArray]
    ) -> Planes:
        layers = self._layers
        x = self._stem(grids, frame_count, t)
        for k in range(len(self._channels)):
            if k > 0:
                rows, columns = self._size(k)
                injection = self._observed(f"stage{k}.inject", self._injection(grids, k, t, warped))
                upsampled = upsample(x, rows, columns, self._channels[k])
                x = self._observed(f"stage{k}.sum", clip_activation(upsampled + injection))
            for j in range(self._blocks[k]):
                name = f"stage{k}.block{j}"
                x = self._observed(name, block(x, layers[f"{name}.depthwise"], layers[f"{name}.pointwise"]))
        x = self._observed("head.depthwise", head_depthwise(x, layers["head.depthwise"]))
        subplanes = self._observed("subplanes", pointwise(x, layers["head.pointwise"]))
        return planes_from_rows(subplanes, self._picture)

    def _observed(self, name: str, values: Feature) -> Feature:
        self._observe(name, values)
        return values

    def _stem(self, grids: Sequence[Grid | None], frame_count: int, t: int) -> Feature:
        """Stage 0 before its blocks: the injection, and in `main` the temporal filter with repeated ends (7.8).

        No planes enter stage 0.
        """
        centre = self._observed("stage0.inject", self._injection(grids, 0, t, {}))
        if not self._profile.temporal_stem:
            return centre
        before = self._injection(grids, 0, max(t - 1, 0), {})
        after = self._injection(grids, 0, min(t + 1, frame_count - 1), {})
        return self._observed("stage0.temporal", temporal(before, centre, after, self._layers["stage0.temporal"]))

    def _injection(self, grids: Sequence[Grid | None], k: int, t: int, warped: Mapping[int, PlaneArray]) -> Feature:
        """The injection of stage `k` at frame `t`; zeros where the stage has none (7.7).

        `warped` holds the planes of the frame by stage, [C, H, W].
        """
        parts: list[Feature] = []
        for i in self._profile.slots_of_stage(k):
            grid = grids[i]
            if grid is not None and not self._profile.slots[i].at_nodes:
                parts.append(dequantise(grid[t], self._multipliers[i]))
        if k in warped:
            parts.append(warped[k].astype(np.int32))
        if not parts:
            return np.zeros((self._channels[k], *self._size(k)), dtype=np.int32)
        return inject(np.concatenate(parts), self._layers[f"stage{k}.inject"])

    def _size(self, k: int) -> tuple[int, int]:
        """Rows and columns of stage `k` (7.2)."""
        return stage_size(k, self._picture.height, self._picture.width)


def synthesise(
    profile: Profile,
    picture: PictureFormat,
    stage_channels: Sequence[int],
    stage_blocks: Sequence[int],
    layers: Mapping[str, IntegerLayer],
    grids: Sequence[Grid | None],
    multipliers: Sequence[Sequence[int]],
    frame_count: int,
    frames: range,
    pyramid: Pyramid = DEFAULT_PYRAMID,
) -> list[Planes]:
    """`ReferenceSynthesizer` in one call; arguments as there."""
    synthesizer = ReferenceSynthesizer(profile, picture, stage_channels, stage_blocks, layers, multipliers, pyramid)
    return synthesizer.synthesise(grids, frame_count, frames)
