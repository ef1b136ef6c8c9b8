"""The slow, obvious synthesis in NumPy integers: the executable form of spec chapters 6 to 8.

One frame at a time, one function a section, loops over taps and channels. Nothing here is shared with the ONNX
Runtime path but the parsed integers. int32 is wide enough: `arithmetic.prove_bound` has shown |accumulator| < 2^24.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Self

import numpy as np

from nvrc_decoder.frames import PictureFormat, Plane, Planes, plane_shapes
from nvrc_decoder.profiles import MIX_GROUP, STAGE_STRIDES, WARPED_TEMPORAL_STRIDE, Profile, head_rows
from nvrc_decoder.synthesis.activations import Feature, Grid, Warped, clip_activation, dequantise, double, finish
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.synthesis.motion import Chain, add_base, deinterleave, displacement, interleave, mix, predict, warp

__all__ = ["ReferenceSynthesizer", "synthesise"]


def taps(x: Feature) -> list[list[Feature]]:
    """Nine shifted copies [C, H, W] of `x`, zeros outside: ``taps(x)[i][j][c, r, s] = x[c, r+i-1, s+j-1]`` (7.3)."""
    _, rows, columns = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return [[padded[:, i : i + rows, j : j + columns] for j in range(3)] for i in range(3)]


def interpolate(grid: Grid, multipliers: Sequence[int], temporal_stride: int, t: int) -> Feature:
    """The grid [N, C, H, W] at frame `t` of the GOP: [C, H, W] (7.5)."""
    n0, fraction = divmod(t, temporal_stride)
    n1 = min(n0 + 1, grid.shape[0] - 1)
    before = dequantise(grid[n0], multipliers)
    if temporal_stride == 1:
        return before
    after = dequantise(grid[n1], multipliers)
    weighted = before * (temporal_stride - fraction) + after * fraction
    return (weighted + temporal_stride // 2) >> (temporal_stride.bit_length() - 1)


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


def head(x: Feature, first: IntegerLayer, second: IntegerLayer) -> Feature:
    """The stream's rows [rows, H, W] from the last stage: four 3x3 filters a channel, then 1x1 (7.11)."""
    channels = x.shape[0]
    accumulator = np.zeros((channels, 4, *x.shape[1:]), dtype=np.int32)
    weight = first.weight.astype(np.int32)
    for i, row in enumerate(taps(x)):
        for j, shifted in enumerate(row):
            for f in range(4):
                accumulator[:, f] += weight[:, f, i, j, None, None] * shifted
    return pointwise(finish(accumulator.reshape(4 * channels, *x.shape[1:]), first), second)


def planes_from_rows(rows: Feature, picture: PictureFormat) -> Planes:
    """Interleave phases, crop, and give the samples their type (8.1, 8.2)."""
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


class ReferenceSynthesizer:
    """Decodes any frames of any GOP under one NETWORK, one at a time (7.1).

    Args:
        profile: the stream's profile.
        picture: size, chroma format and bit depth.
        stage_channels, stage_blocks: active channels and blocks of each stage.
        layers: proved layers by canonical name, exactly those of `profiles.synthesis_layers`.
        multipliers: per slot the multiplier of each active channel; empty where the slot is absent.
        base: channel 0 of the slot `Profile.base_slot` is a base channel (7.6.4).
    """

    def __init__(
        self,
        profile: Profile,
        picture: PictureFormat,
        stage_channels: Sequence[int],
        stage_blocks: Sequence[int],
        layers: Mapping[str, IntegerLayer],
        multipliers: Sequence[Sequence[int]],
        base: bool = False,
    ) -> None:
        self._profile = profile
        self._picture = picture
        self._channels = tuple(stage_channels)
        self._blocks = tuple(stage_blocks)
        self._layers = layers
        self._multipliers = multipliers
        self._base = base
        self._injected = profile.injected_channels([len(channels) for channels in multipliers], base)
        self._chains: dict[int, Chain] = {}
        self._chained: list[weakref.ref[Grid] | None] = []

    def resized(self, picture: PictureFormat) -> Self:
        """The same synthesizer for pictures of another size; `picture` differs in nothing else."""
        twin = copy.copy(self)
        twin._picture = picture
        twin._chained = []
        return twin

    def release(self) -> None:
        """Give back what is kept for the next call: the nodes that motion needs."""
        self._chains, self._chained = {}, []

    def synthesise(
        self,
        grids: Sequence[Grid | None],
        frame_count: int,
        frames: range,
        warped: Mapping[int, Warped] | None = None,
    ) -> list[Planes]:
        """Frames `frames` of a GOP of `frame_count` frames.

        Args:
            grids: per slot int16 [nodes, channels, rows, columns] of the whole GOP, None where the slot is absent.
            frame_count: frames in the GOP.
            frames: the frames wanted, within ``range(frame_count)``.
            warped: what `warped` gives for these frames, for a picture that is a part of the whole; None to have it
                worked out.
        """
        moved = self.warped(grids, frame_count, frames) if warped is None else warped
        return [
            self._frame(grids, frame_count, t, {slot: features[b] for slot, features in moved.items()})
            for b, t in enumerate(frames)
        ]

    def stream(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Planes]:
        """As `synthesise`, a frame at a time."""
        for t in frames:
            yield from self.synthesise(grids, frame_count, range(t, t + 1))

    def warped(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> dict[int, Warped]:
        """What motion makes of the grids that it warps, at `frames` (7.6); arguments as in `synthesise`.

        Returns:
            Per warped slot int16 [frames, channels, rows, columns], without a base channel; a slot of which no channel
            is left is not there, and none where motion is off or no frame is wanted.
        """
        flow = grids[self._profile.flow_slot]
        if flow is None or not frames:
            return {}
        if not self._is_chained(grids):
            self._chains = {slot: Chain() for slot in self._profile.warped_slots if self._injected[slot]}
            self._chained = [None if grid is None else weakref.ref(grid) for grid in grids]
        present = {i: grid for i, grid in enumerate(grids) if grid is not None}
        return {slot: np.stack([self._warp(slot, present, t) for t in frames]) for slot in self._chains}

    def _is_chained(self, grids: Sequence[Grid | None]) -> bool:
        """Whether the chains are of these grids, the very same objects."""
        if len(self._chained) != len(grids):
            return False
        known = (None if kept is None else kept() for kept in self._chained)
        return all(grid is old for grid, old in zip(grids, known, strict=True))

    def _warp(self, slot: int, grids: Mapping[int, Grid], t: int) -> Warped:
        """A grid moved to frame `t`: int16 [C, H, W] (7.6.5)."""
        n0 = t // WARPED_TEMPORAL_STRIDE
        n1 = min(n0 + 1, len(grids[slot]) - 1)
        before, after = (self._chains[slot].node(n, partial(self._node, slot, grids)) for n in (n0, n1))
        d0, d1 = (self._displacement(grids, n, t) for n in (n0, n1))
        planes = warp(before, after, d0, d1, self._plane_stride(slot), t)
        if slot not in self._profile.mixed_slots:
            return planes
        return np.concatenate([deinterleave(plane[None]) for plane in planes])

    def _node(self, slot: int, grids: Mapping[int, Grid], n: int, before: Warped | None) -> Warped:
        """The planes of node `n` of a warped grid: int16 [planes, rows, columns] (7.6.3)."""
        d = None if before is None else self._displacement(grids, n - 1, WARPED_TEMPORAL_STRIDE * n)
        planes = []
        # One at a time: a channel, or a group of four.
        for p in range(self._injected[slot] // (MIX_GROUP if slot in self._profile.mixed_slots else 1)):
            plane = self._residual(slot, grids, n, p)
            if before is not None and d is not None:
                plane = predict(plane, before[p : p + 1], d, self._plane_stride(slot))
            planes.append(plane.astype(np.int16))
        return np.concatenate(planes)

    def _residual(self, slot: int, grids: Mapping[int, Grid], n: int, p: int) -> Feature:
        """Plane `p` of node `n` before its prediction: [1, rows, columns] (7.6.3, 7.6.4)."""
        if slot not in self._profile.mixed_slots:
            first = p + (self._base and slot == self._profile.base_slot)
            return self._dequantised(slot, grids, n, slice(first, first + 1))
        x = self._dequantised(slot, grids, n, slice(MIX_GROUP * p, MIX_GROUP * (p + 1)))
        if self._base and p == 0:
            x[:1] = add_base(x[:1], self._dequantised(self._profile.base_slot, grids, n, slice(0, 1)))
        return interleave(mix(x, self._layers[f"slot{slot}.mix"], p))

    def _dequantised(self, slot: int, grids: Mapping[int, Grid], n: int, channels: slice) -> Feature:
        return dequantise(grids[slot][n, channels], self._multipliers[slot][channels])

    def _plane_stride(self, slot: int) -> int:
        return 1 if slot in self._profile.mixed_slots else self._profile.slots[slot].stride

    def _displacement(self, grids: Mapping[int, Grid], n: int, t: int) -> Feature:
        flow, size = self._profile.flow_slot, (self._picture.height, self._picture.width)
        return displacement(grids[flow], self._multipliers[flow], n, t, size)

    def _frame(self, grids: Sequence[Grid | None], frame_count: int, t: int, warped: Mapping[int, Warped]) -> Planes:
        layers = self._layers
        x = self._stem(grids, frame_count, t)
        for k in range(len(self._channels)):
            if k > 0:
                rows, columns = self._size(k)
                x = upsample(x, rows, columns, self._channels[k])
                x = clip_activation(x + self._injection(grids, k, t, warped))
            for j in range(self._blocks[k]):
                name = f"stage{k}.block{j}"
                x = block(x, layers[f"{name}.depthwise"], layers[f"{name}.pointwise"])
        return planes_from_rows(head(x, layers["head.depthwise"], layers["head.pointwise"]), self._picture)

    def _stem(self, grids: Sequence[Grid | None], frame_count: int, t: int) -> Feature:
        """Stage 0 before its blocks: the injection, and in `main` the temporal filter with repeated ends (7.8).

        No grid of stage 0 is warped.
        """
        centre = self._injection(grids, 0, t, {})
        if not self._profile.temporal_stem:
            return centre
        before = self._injection(grids, 0, max(t - 1, 0), {})
        after = self._injection(grids, 0, min(t + 1, frame_count - 1), {})
        return temporal(before, centre, after, self._layers["stage0.temporal"])

    def _injection(self, grids: Sequence[Grid | None], k: int, t: int, warped: Mapping[int, Warped]) -> Feature:
        """What the grids of stage `k` add at frame `t`; zeros where no slot of the stage is present (7.7).

        `warped` holds those that motion moves to the frame, per slot [C, H, W].
        """
        parts: list[Feature] = []
        for i in self._profile.slots_of_stage(k):
            grid = grids[i] if self._injected[i] else None
            if i in warped:
                parts.append(warped[i].astype(np.int32))
            elif grid is not None:
                parts.append(interpolate(grid, self._multipliers[i], self._profile.slots[i].temporal_stride, t))
        if not parts:
            return np.zeros((self._channels[k], *self._size(k)), dtype=np.int32)
        return inject(np.concatenate(parts), self._layers[f"stage{k}.inject"])

    def _size(self, k: int) -> tuple[int, int]:
        """Rows and columns of stage `k` (7.2)."""
        stride = STAGE_STRIDES[k]
        return -(-self._picture.height // stride), -(-self._picture.width // stride)


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
    base: bool = False,
) -> list[Planes]:
    """`ReferenceSynthesizer` in one call; arguments as there."""
    synthesizer = ReferenceSynthesizer(profile, picture, stage_channels, stage_blocks, layers, multipliers, base)
    return synthesizer.synthesise(grids, frame_count, frames)
