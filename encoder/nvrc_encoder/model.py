"""The synthesis network in PyTorch, for training: the same layers as the profile's graph, on the active channels only.

Activations are in *feature units*: 1 feature unit is 128 integer steps of the normative arithmetic and 1/16 of the
pixel range, so that weights are O(1). `SynthesisModel.forward` runs in floats that are clipped as the decoder's; with
``Arithmetic.EXACT`` every layer is rounded, too, as spec chapter 6 says (straight-through in the backward pass), and in
float64 the values are then the decoder's own integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import STAGE_STRIDES, WARPED_TEMPORAL_STRIDE, LayerSpec

from .motion import CELL_STRIDE, Motion, chain, make_motion, planes_of, warp
from .rounding import ACTIVATION_RANGE, FEATURE_SCALE, Arithmetic, clip, round_and_clip
from .structure import Structure

__all__ = ["LEVELS_PER_FEATURE", "SynthesisModel"]

LEVELS_PER_FEATURE = 16
"""8-bit pixel levels in one feature unit (64 at 10 bits)."""


def _upsample(x: Tensor, height: int, width: int) -> Tensor:
    """Half-pixel bilinear x2, edge-clamped, cropped to (height, width) (spec 7.10)."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]


class SynthesisModel:
    """Shapes and forward pass of a profile's network; the parameters live in a `ParameterBank`.

    Args:
        structure: what is active.
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

    def motion(
        self,
        grids: Sequence[Tensor | None],
        multipliers: Sequence[Tensor | None],
        frames: range,
        frame_count: int,
        arithmetic: Arithmetic,
    ) -> Motion | None:
        """The motion of `frames`, linking the nodes up to their last; None without flow. Arguments as in `forward`."""
        index = self.profile.flow_slot
        flow, step = grids[index], multipliers[index]
        if flow is None or step is None:
            return None
        stride = self.profile.slots[index].temporal_stride
        nodes = -(-(frame_count - 1) // WARPED_TEMPORAL_STRIDE) + 1
        needed = min(frames[-1] // WARPED_TEMPORAL_STRIDE + 2, nodes)
        at = torch.arange(frames.start, frames.stop, device=flow.device)
        return make_motion(flow, step, at, stride, WARPED_TEMPORAL_STRIDE, needed, self.size, arithmetic)

    @staticmethod
    def _dequantised(grid: Tensor, multiplier: Tensor) -> Tensor:
        return clip(grid * (multiplier / FEATURE_SCALE).to(grid.dtype).view(1, -1, 1, 1), *ACTIVATION_RANGE)

    def _warped(
        self,
        index: int,
        grids: Sequence[Tensor | None],
        multipliers: Sequence[Tensor | None],
        frames: range,
        motion: Motion,
        parameters: Mapping[str, tuple[Tensor, Tensor]],
        arithmetic: Arithmetic,
    ) -> Tensor | None:
        """Features of a slot that motion warps (spec 7.6); None where its only channel is the base."""
        grid, multiplier = grids[index], multipliers[index]
        if grid is None or multiplier is None:
            raise ValueError(f"slot {index} is absent")
        count = motion.nodes.shape[0] + 1
        stride = self.profile.slots[index].temporal_stride
        at = torch.arange(frames.start, frames.stop, device=grid.device)
        nodes = self._dequantised(grid[:count], multiplier)
        base = self.structure.base_slot
        if index not in self.profile.mixed_slots:
            planes = nodes[:, 1:] if index == base else nodes
            if not planes.shape[1]:
                return None
            return warp(chain(planes, motion, CELL_STRIDE, arithmetic), motion, at, stride, CELL_STRIDE, arithmetic)
        if base is not None:
            below, step = grids[base], multipliers[base]
            if below is None or step is None:
                raise ValueError(f"slot {base} is absent")
            coarse = self._dequantised(below[:count, :1], step[:1])
            coarse = arithmetic.rounded(_upsample(coarse, nodes.shape[2], nodes.shape[3]))
            nodes = torch.cat([clip(nodes[:, :1] + coarse, *ACTIVATION_RANGE), nodes[:, 1:]], 1)
        planes = planes_of(nodes, *parameters[f"slot{index}.mix"], arithmetic)
        moved = warp(chain(planes, motion, 1, arithmetic), motion, at, stride, 1, arithmetic)
        return functional.pixel_unshuffle(moved, 2)

    def _interpolated(
        self, index: int, grid: Tensor, multiplier: Tensor, frames: Tensor, arithmetic: Arithmetic
    ) -> Tensor:
        """Features of a slot without motion: linear in time (spec 7.5)."""
        stride = self.profile.slots[index].temporal_stride
        if stride == 1:
            return self._dequantised(grid[frames], multiplier)
        first = torch.div(frames, stride, rounding_mode="floor")
        fraction = ((frames - first * stride).to(grid.dtype) / stride).view(-1, 1, 1, 1)
        second = torch.clamp(first + 1, max=grid.shape[0] - 1)
        before = self._dequantised(grid[first], multiplier)
        after = self._dequantised(grid[second], multiplier)
        return arithmetic.rounded(before * (1 - fraction) + after * fraction)

    def forward(
        self,
        parameters: Mapping[str, tuple[Tensor, Tensor]],
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
            frames: the B frames wanted, consecutive. Not a tensor, whose values a GPU would have to be asked for.
            frame_count: frames of the GOP (for the halo of the temporal stem).
            arithmetic: what is rounded and clipped.

        Returns:
            [B, rows, ceil(h/2), ceil(w/2)] in pixel levels, within the bit depth's range; `FLOAT` with gradients, as in
            training, does not clip them, nor within the head.
        """
        temporal = self.profile.temporal_stem
        device = parameters["head.depthwise"][0].device
        at = torch.arange(frames.start, frames.stop, device=device)
        halo = at
        if temporal:
            halo = torch.arange(frames.start - 1, frames.stop + 1, device=device).clamp(0, frame_count - 1)
        motion = self.motion(grids, multipliers, frames, frame_count, arithmetic)
        per_stage: list[list[Tensor]] = [[] for _ in STAGE_STRIDES]
        for i, (slot, grid, multiplier) in enumerate(zip(self.profile.slots, grids, multipliers, strict=True)):
            if grid is None or multiplier is None or slot.stage is None:
                continue
            if motion is not None and i in self.profile.warped_slots:
                features = self._warped(i, grids, multipliers, frames, motion, parameters, arithmetic)
            else:
                features = self._interpolated(i, grid, multiplier, halo if slot.stage == 0 else at, arithmetic)
            if features is not None:
                per_stage[slot.stage].append(features)
        sizes = self._stage_sizes
        x: Tensor | None = None
        for stage, channels in enumerate(self.stage_channels):
            height, width = sizes[stage]
            injected: Tensor | None = None
            if f"stage{stage}.inject" in self._names:
                stacked = per_stage[stage][0] if len(per_stage[stage]) == 1 else torch.cat(per_stage[stage], 1)
                weight, bias = parameters[f"stage{stage}.inject"]
                injected = arithmetic.finished(functional.conv2d(stacked, weight, bias, padding=1))
            if x is None:
                batch = halo.shape[0]
                x = injected if injected is not None else self._zeros(parameters, batch, channels, height, width)
                if temporal:
                    weight, bias = parameters["stage0.temporal"]
                    w = weight.t().reshape(3, 1, channels, 1, 1)
                    x = x[:-2] * w[0] + x[1:-1] * w[1] + x[2:] * w[2] + bias.view(1, -1, 1, 1)
                    x = arithmetic.finished(x)
            else:
                x = arithmetic.rounded(_upsample(x, height, width))
                if x.shape[1] > channels:
                    x = x[:, :channels]
                elif x.shape[1] < channels:
                    x = functional.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))
                if injected is not None:
                    x = x + injected
                x = clip(x, *ACTIVATION_RANGE)
            for block in range(self.structure.stage_blocks[stage]):
                name = f"stage{stage}.block{block}"
                weight, bias = parameters[f"{name}.depthwise"]
                h = functional.conv2d(x, weight.unsqueeze(1), bias, padding=1, groups=channels)
                h = arithmetic.finished(h, 0)
                weight, bias = parameters[f"{name}.pointwise"]
                h = functional.conv2d(h, weight[:, :, None, None], bias)
                x = clip(x + arithmetic.finished(h), *ACTIVATION_RANGE)
        if x is None:  # pragma: no cover - stage_channels is never empty
            raise ValueError("a profile has at least one stage")
        return self._head(parameters, x, arithmetic)

    def _head(self, parameters: Mapping[str, tuple[Tensor, Tensor]], x: Tensor, arithmetic: Arithmetic) -> Tensor:
        """Rows of phases from the last stage (spec 7.11)."""
        (weight, bias), (pointwise, offset) = parameters["head.depthwise"], parameters["head.pointwise"]
        last = self.stage_channels[-1]
        kernels = weight.reshape(4 * last, 1, 3, 3)
        if torch.is_grad_enabled() and not arithmetic.rounds:
            # In training one convolution does for both layers, without clips: what is out of range is to come back.
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
    def _zeros(
        parameters: Mapping[str, tuple[Tensor, Tensor]], batch: int, channels: int, height: int, width: int
    ) -> Tensor:
        like = parameters["head.depthwise"][0]
        return torch.zeros(batch, channels, height, width, dtype=like.dtype, device=like.device)
