"""The synthesis network in PyTorch, for training: the same layers as the profile's graph, on the active channels only.

Activations are in *feature units*: 1 feature unit is 128 integer steps of the normative arithmetic and 1/16 of the
pixel range, so that weights are O(1). `SynthesisModel.forward` computes in floats that are clipped as in the decoder.
With ``Arithmetic.EXACT`` every layer is also rounded (spec 6), straight-through in the backward pass; in float64 the
values are then the decoder's own integers.

Features are channels-last in memory: on a CPU, convolutions of few channels then take half the time, and their
gradients a third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import STAGE_STRIDES, LayerSpec
from nvrc_decoder.pyramid import FACTOR_UNIT, MULTIPLIER_MAX
from nvrc_encoder.model.motion import CELL_STRIDE, index_of, make_motion
from nvrc_encoder.model.planes import follow, in_turn
from nvrc_encoder.model.prediction_route import Route, find_route
from nvrc_encoder.model.rounding import ACTIVATION_RANGE, FEATURE_SCALE, Arithmetic, clip, dequantised, round_and_clip
from nvrc_encoder.model.structure import Structure
from nvrc_encoder.model.wavelet import luma_of

__all__ = ["LEVELS_PER_FEATURE", "LUMA_STAGE", "PLANE_STAGE", "Parameters", "SynthesisModel"]

PLANE_STAGE, LUMA_STAGE = STAGE_STRIDES.index(4), STAGE_STRIDES.index(2)
"""Stages into which the planes of the plane slot and the phases of the luma plane are injected."""
LEVELS_PER_FEATURE = 16
"""8-bit pixel levels in one feature unit (64 at 10 bits)."""

Parameters = Mapping[str, tuple[Tensor, Tensor]]
"""Layer name -> (weight, bias), real values."""


def _upsample(x: Tensor, height: int, width: int) -> Tensor:
    """Half-pixel bilinear x2, edge-clamped, cropped to (height, width) (spec 7.10)."""
    # `interpolate` would need a crop, which costs a pass each way.
    doubled: Tensor = torch.ops.aten.upsample_bilinear2d(x, (height, width), False, 2.0, 2.0)
    return doubled


class SynthesisModel:
    """Shapes and forward pass of a profile's network; the parameters live in a `ParameterBank`.

    Args:
        structure: active part of the profile.
        chroma_format: 0 (4:0:0), 1 (4:2:0) or 2 (4:4:4).
        bit_depth: 8 or 10.
    """

    def __init__(self, structure: Structure, chroma_format: int, bit_depth: int) -> None:
        self.structure = structure
        self.profile = structure.profile
        self.stage_channels = structure.stage_channels
        self.grid_channels = structure.grid_channels
        self.chroma_format = chroma_format
        self.bit_depth = bit_depth
        self.layers: tuple[LayerSpec, ...] = structure.layers(chroma_format, bit_depth)
        self._names = {layer.name for layer in self.layers}

    def _residuals(
        self, slot: int, grids: Sequence[Tensor | None], multipliers: Sequence[Tensor | None], route: Route
    ) -> Tensor:
        """Activation steps of a node slot's grid at the nodes of a route: [nodes, C, H, W]."""
        grid, multiplier = grids[slot], multipliers[slot]
        if grid is None or multiplier is None:
            raise ValueError(f"slot {slot} is absent")
        pyramid = self.structure.pyramid
        numbers = tuple(t // pyramid.node_spacing for t in route.nodes)
        factors = index_of(tuple(pyramid.factor(t) for t in route.nodes), grid.device).view(-1, 1)
        scaled = (multiplier.view(1, -1) * factors + FACTOR_UNIT // 2) // FACTOR_UNIT
        values = grid.index_select(0, index_of(numbers, grid.device))
        return dequantised(values, scaled.clamp(1, MULTIPLIER_MAX))

    def planes(
        self,
        grids: Sequence[Tensor | None],
        multipliers: Sequence[Tensor | None],
        frames: range,
        arithmetic: Arithmetic,
    ) -> dict[int, Tensor]:
        """Planes as they enter the stages (spec 7.6.6) at `frames`; arguments as in `forward`.

        Returns:
            Stage -> [B, C, rows, columns] in feature units: the planes of the plane slot, and the four phases of the
            luma plane, as far as the structure has them.
        """
        profile, structure = self.profile, self.structure
        if not structure.has_planes:
            return {}
        route = find_route(structure.pyramid, frames.start, frames.stop)
        flow, step = grids[profile.flow_slot], multipliers[profile.flow_slot]
        motion = None
        if flow is not None and step is not None:
            grid, steps = grids[profile.split_slot], multipliers[profile.split_slot]
            split = None if grid is None or steps is None else (grid, steps)
            motion = make_motion(flow, step, route, self.size, arithmetic, split)
        made: dict[int, Tensor] = {}
        if structure.grid_channels[profile.plane_slot]:
            own = self._residuals(profile.plane_slot, grids, multipliers, route) / FEATURE_SCALE
            made[PLANE_STAGE] = follow(route, motion, in_turn(route, own), CELL_STRIDE, arithmetic)
        if structure.has_luma:
            bands = [self._residuals(i, grids, multipliers, route) for i in profile.band_slots]
            own = luma_of(bands, arithmetic.rounds) / FEATURE_SCALE
            made[LUMA_STAGE] = functional.pixel_unshuffle(follow(route, motion, in_turn(route, own), 1, arithmetic), 2)
        return made

    def forward(
        self,
        parameters: Parameters,
        grids: Sequence[Tensor | None],
        multipliers: Sequence[Tensor | None],
        frames: range,
        frame_count: int,
        arithmetic: Arithmetic,
    ) -> Tensor:
        """Frames as rows of phases.

        Args:
            parameters: layer name -> (weight, bias), real values.
            grids: per slot [N, C, H, W] quantised (or noisy) values of the GOP, None where absent.
            multipliers: per slot [C] integer steps M.
            frames: the B wanted frames, consecutive. A tensor would have to be read back from a GPU.
            frame_count: frames of the GOP (for the halo of the temporal stem).
            arithmetic: which values are rounded and clipped.

        Returns:
            [B, rows, ceil(h/2), ceil(w/2)] in pixel levels, within the bit depth's range. With `FLOAT` and gradients,
            as in training, neither the rows nor the values within the head are clipped.
        """
        device = parameters["head.depthwise"][0].device
        at = halo = torch.arange(frames.start, frames.stop, device=device)
        if self.profile.temporal_stem:
            halo = torch.arange(frames.start - 1, frames.stop + 1, device=device).clamp(0, frame_count - 1)
        per_stage: list[list[Tensor]] = [[] for _ in STAGE_STRIDES]
        for slot, grid, multiplier in zip(self.profile.slots, grids, multipliers, strict=True):
            if grid is None or multiplier is None or slot.stage is None or slot.at_nodes:
                continue
            values = grid.index_select(0, halo if slot.stage == 0 else at)
            per_stage[slot.stage].append(dequantised(values, multiplier) / FEATURE_SCALE)
        for stage, features in self.planes(grids, multipliers, frames, arithmetic).items():
            per_stage[stage].append(features)
        return self.synthesise(parameters, per_stage, len(frames), arithmetic)

    def synthesise(
        self, parameters: Parameters, per_stage: Sequence[Sequence[Tensor]], frames: int, arithmetic: Arithmetic
    ) -> Tensor:
        """Frames as rows of phases, as of `forward`, from what enters the stages.

        Args:
            per_stage: for each stage, what its grids and planes inject, [B, C, rows, columns] in feature units; at
                stage 0 with the halo of the temporal stem, where there is one.
            frames: B.
            parameters, arithmetic: as in `forward`.
        """
        halo = frames + 2 if self.profile.temporal_stem else frames
        x = self._stem(parameters, self._injected(parameters, 0, per_stage[0], arithmetic), halo, arithmetic)
        x = self._blocks(parameters, 0, x, arithmetic)
        for stage in range(1, len(self.stage_channels)):
            x = self._next_stage(x, self._injected(parameters, stage, per_stage[stage], arithmetic), stage, arithmetic)
            x = self._blocks(parameters, stage, x, arithmetic)
        return self._head(parameters, x, arithmetic)

    def _injected(
        self, parameters: Parameters, stage: int, features: Sequence[Tensor], arithmetic: Arithmetic
    ) -> Tensor | None:
        """Features injected into a stage by its grids and planes (spec 7.7); None where there is no injection."""
        if f"stage{stage}.inject" not in self._names:
            return None
        stacked = features[0] if len(features) == 1 else torch.cat(list(features), 1)
        stacked = stacked.contiguous(memory_format=torch.channels_last)
        weight, bias = parameters[f"stage{stage}.inject"]
        return arithmetic.finished(functional.conv2d(stacked, weight, bias, padding=1))

    def _stem(self, parameters: Parameters, injected: Tensor | None, count: int, arithmetic: Arithmetic) -> Tensor:
        """Features at the start of stage 0, after the temporal filter (spec 7.8); `count` is frames with the halo."""
        channels = self.stage_channels[0]
        x = injected if injected is not None else self._zeros(parameters, count, channels, *self._stage_sizes[0])
        if not self.profile.temporal_stem:
            return x
        weight, bias = parameters["stage0.temporal"]
        w = weight.t().reshape(3, 1, channels, 1, 1)
        x = x[:-2] * w[0] + x[1:-1] * w[1] + x[2:] * w[2] + bias.view(1, -1, 1, 1)
        return arithmetic.finished(x)

    def _next_stage(self, x: Tensor, injected: Tensor | None, stage: int, arithmetic: Arithmetic) -> Tensor:
        """Features of the previous stage, upsampled to `stage` (spec 7.10), plus the injection."""
        channels = self.stage_channels[stage]
        x = arithmetic.rounded(_upsample(x, *self._stage_sizes[stage]))
        if x.shape[1] > channels:
            x = x[:, :channels]
        elif x.shape[1] < channels:
            x = functional.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))
        if injected is not None:
            x = x + injected
        return clip(x, *ACTIVATION_RANGE)

    def _blocks(self, parameters: Parameters, stage: int, x: Tensor, arithmetic: Arithmetic) -> Tensor:
        """The residual blocks of a stage (spec 7.9)."""
        for block in range(self.structure.stage_blocks[stage]):
            name = f"stage{stage}.block{block}"
            weight, bias = parameters[f"{name}.depthwise"]
            h = functional.conv2d(x, weight.unsqueeze(1), bias, padding=1, groups=self.stage_channels[stage])
            h = arithmetic.finished(h, 0)
            weight, bias = parameters[f"{name}.pointwise"]
            h = functional.linear(h.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)
            x = clip(x + arithmetic.finished(h), *ACTIVATION_RANGE)
        return x

    def _head(self, parameters: Parameters, x: Tensor, arithmetic: Arithmetic) -> Tensor:
        """Rows of phases from the last stage (spec 7.11)."""
        (weight, bias), (pointwise, offset) = parameters["head.depthwise"], parameters["head.pointwise"]
        last = self.stage_channels[-1]
        kernels = weight.reshape(4 * last, 1, 3, 3)
        if torch.is_grad_enabled() and not arithmetic.rounds:
            # In training one convolution serves both layers. Nothing is clipped, so that values out of range come back.
            dense = torch.einsum("rcm,cmij->rcij", pointwise.view(-1, last, 4), kernels.view(last, 4, 3, 3))
            return functional.conv2d(x, dense, pointwise @ bias + offset, padding=1) * self.levels_per_feature
        h = arithmetic.finished(functional.conv2d(x, kernels, bias, padding=1, groups=last))
        rows = functional.conv2d(h, pointwise[:, :, None, None], offset) * self.levels_per_feature
        peak = (1 << self.bit_depth) - 1
        if arithmetic.rounds:
            return round_and_clip(rows, 1, 0, peak)
        return clip(rows, 0, peak)

    @property
    def levels_per_feature(self) -> int:
        """Pixel levels in one feature unit at the stream's bit depth."""
        return LEVELS_PER_FEATURE << (self.bit_depth - 8)

    def set_size(self, height: int, width: int) -> None:
        """Fix the picture size in luma samples; stage sizes are its ceilings by stride."""
        self.size = (height, width)
        self._stage_sizes = [(-(-height // s), -(-width // s)) for s in STAGE_STRIDES]

    @staticmethod
    def _zeros(parameters: Parameters, batch: int, channels: int, height: int, width: int) -> Tensor:
        like = parameters["head.depthwise"][0]
        x = torch.zeros(batch, channels, height, width, dtype=like.dtype, device=like.device)
        return x.contiguous(memory_format=torch.channels_last)
