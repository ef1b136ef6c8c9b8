"""What the initial planes are to show: the video, sharpened as much as the network blurs before its training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import CHROMA_400, CHROMA_420
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.model.synthesis import LEVELS_PER_FEATURE, LUMA_STAGE, PLANE_STAGE, Parameters, SynthesisModel
from nvrc_encoder.model.windows import split_frames

__all__ = ["half", "mean_features", "plane_features", "plane_goals", "quarter_planes"]

_WINDOW = 8
"""Frames that are synthesised together."""


def half(x: Tensor) -> Tensor:
    """2x2 mean of [T, C, H, W], edge-repeated to even sizes."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(x, 2)


def mean_features(rows: Tensor, chroma_format: int) -> Tensor:
    """Means of the phases of Y, and of Cb and Cr: [T, rows, h2, w2] to [T, 1 or 3, h2, w2], in the same units."""
    luma = rows[:, :4].mean(1, keepdim=True)
    if chroma_format == CHROMA_400:
        return luma
    if chroma_format == CHROMA_420:
        return torch.cat([luma, rows[:, 4:6]], 1)
    return torch.cat([luma, rows[:, 4:8].mean(1, keepdim=True), rows[:, 8:12].mean(1, keepdim=True)], 1)


def plane_features(model: SynthesisModel, features: int) -> list[int | None]:
    """The feature (0 Y, 1 Cb, 2 Cr; of `features`) that each channel of the plane slot starts from; None for zero."""
    wanted: list[int] = list(range(1 if model.structure.has_luma else 0, features))
    count = model.grid_channels[model.profile.plane_slot]
    return [*wanted, *([None] * count)][:count]


def quarter_planes(features: Tensor, kinds: Sequence[int | None]) -> Tensor:
    """Planes of stride 4, [T, len(kinds), ceil(h2 / 2), ceil(w2 / 2)], from features [T, 1 or 3, h2, w2].

    `kinds` is what `plane_features` gives.
    """
    small = half(features)
    blank = torch.zeros_like(small[:, :1])
    return torch.cat([blank if kind is None else small[:, kind : kind + 1] for kind in kinds], 1)


def _has_frame_grids(model: SynthesisModel) -> bool:
    """Whether a stage gets grids besides the planes."""
    slots = zip(model.profile.slots, model.grid_channels, strict=True)
    return any(count > 0 and slot.stage is not None and not slot.at_nodes for slot, count in slots)


@torch.no_grad()
def plane_goals(model: SynthesisModel, parameters: Parameters, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The video plus what the network would lose of it, if it got its planes from the video itself.

    The prior's network blurs a little, since it was trained on coarse planes. One pass makes up for most of that; a
    second one would also sharpen what quantisation removes. Nothing is sharpened without a luma plane, or where grids
    of every frame carry what the planes lack.

    Args:
        model: gives structure, chroma format and size.
        parameters: the initial weights, layer name -> (weight, bias), real values.
        rows: [T, rows, h2, w2] the GOP's phases in 8-bit pixel levels.

    Returns:
        Luma [T, 1, 2 * h2, 2 * w2], and Y, Cb and Cr at half resolution, [T, 1 or 3, h2, w2], in feature units.
    """
    rows = (rows - 128) / LEVELS_PER_FEATURE
    features = mean_features(rows, model.chroma_format)
    goal = rows
    if model.structure.has_luma and not _has_frame_grids(model):
        kinds = plane_features(model, features.shape[1])
        goal = rows.clone()
        for window in split_frames(len(rows), _WINDOW):
            per_stage: list[list[Tensor]] = [[] for _ in model.stage_channels]
            per_stage[LUMA_STAGE].append(rows[window, :4])
            if kinds:
                per_stage[PLANE_STAGE].append(quarter_planes(features[window], kinds))
            made = model.synthesise(parameters, per_stage, window.stop - window.start, Arithmetic.FLOAT)
            goal[window] += rows[window] - (made / model.levels_per_feature - 128 / LEVELS_PER_FEATURE)
    return functional.pixel_shuffle(goal[:, :4], 2), mean_features(goal, model.chroma_format)
