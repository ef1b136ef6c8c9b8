"""Initial flow, planes and base of a GOP with motion: node 0 as it is, then what each node adds to the one before.

The planes are made first and carry all of the luma that they can; the grids without motion start from what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import WARPED_TEMPORAL_STRIDE, node_shape

from .model import SynthesisModel
from .motion import CELL_STRIDE, Motion, chain, make_motion, warp
from .motion_search import initial_flow
from .rounding import FEATURE_SCALE, Arithmetic

__all__ = ["half", "initial_planes", "moving_features"]


def half(x: Tensor) -> Tensor:
    """2x2 mean of [T, C, H, W], edge-repeated to even sizes."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(x, 2)


def _double(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear x2, cropped to the size of `like`."""
    x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return x[..., : like.shape[-2], : like.shape[-1]]


def _repeat(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def moving_features(model: SynthesisModel, slot: int, planes: int) -> list[int | None]:
    """Feature (0 Y, 1 Cb, 2 Cr) that each injected channel of a warped slot of stride 4 starts from."""
    luma_elsewhere = any(model.grid_channels[i] for i in model.profile.mixed_slots)
    wanted: list[int] = list(range(1 if luma_elsewhere else 0, planes))
    count = model.structure.injected(slot)
    return [*wanted, *([None] * count)][:count]


def _differences(goal: Tensor, motion: Motion, stride: int, shared: bool) -> Tensor:
    """What each node adds to the one before it, warped: [N, C, H, W]; equal within 2x2 samples where `shared`."""
    own = goal.clone()
    for n in range(1, goal.shape[0]):
        link = Motion(motion.before[:0], motion.after[:0], motion.nodes[:n])
        own[n] = 0
        own[n] = (goal[n : n + 1] - chain(own[: n + 1], link, stride, Arithmetic.FLOAT)[n:])[0]
        if shared:
            own[n] = _repeat(half(own[n : n + 1]))[0]
    return own


def initial_planes(
    model: SynthesisModel,
    rows: Tensor,
    features: Tensor,
    size: tuple[int, int],
    steps: Sequence[Tensor | None],
    grids: list[Tensor | None],
) -> Tensor:
    """Fill the flow grid and the warped grids, and say what they leave of the video.

    Args:
        model: gives profile and structure.
        rows: [T, rows, h2, w2] the GOP's phases in 8-bit pixel levels.
        features: [T, 1 or 3, h2, w2] Y, Cb and Cr at half resolution, feature units.
        size: (height, width) in luma samples.
        steps: per slot [C] step of each channel in feature units, None where absent.
        grids: per slot the values to start from; those of flow and warped slots are entered.

    Returns:
        `features` less what the planes give.
    """
    profile, frames = model.profile, rows.shape[0]
    flow = profile.slots[profile.flow_slot]
    flow_step = steps[profile.flow_slot]
    if flow_step is None:
        raise ValueError("the flow grid has no step")
    nodes = -(-(frames - 1) // WARPED_TEMPORAL_STRIDE) + 1
    luma = functional.pixel_shuffle(rows[:, :4], 2)[:, 0, : size[0], : size[1]]
    positions = initial_flow(
        luma.round().clamp(0, 255).to(torch.uint8).numpy(),
        flow.stride,
        flow.temporal_stride,
        WARPED_TEMPORAL_STRIDE,
        nodes,
        node_shape(flow, frames, *size)[0],
    )
    grids[profile.flow_slot] = positions / (flow_step * FEATURE_SCALE).view(1, 2, 1, 1)
    every = torch.arange(frames)
    motion = make_motion(
        positions, torch.ones(2), every, flow.temporal_stride, WARPED_TEMPORAL_STRIDE, nodes, size, Arithmetic.FLOAT
    )
    at_nodes = (torch.arange(nodes) * WARPED_TEMPORAL_STRIDE).clamp(max=frames - 1)
    left = features.clone()
    base = model.structure.base_slot
    for i in reversed(profile.warped_slots):
        step = steps[i]
        if step is None:
            continue
        count, height, width = node_shape(profile.slots[i], frames, *size)
        values = grids[i]
        if values is None:
            values = torch.zeros(count, model.grid_channels[i], height, width)
        if i in profile.mixed_slots:
            own = _differences(_repeat(features[at_nodes, :1]), motion, 1, True)
            # Twice the mean of four samples is the first of their Haar coefficients.
            coefficient = 2 * half(own)
            planes = chain(own, motion, 1, Arithmetic.FLOAT)
            moved = half(warp(planes, motion, every, WARPED_TEMPORAL_STRIDE, 1, Arithmetic.FLOAT))
            left[:, :1] -= moved
            below = None if base is None else steps[base]
            if base is not None and below is not None:
                coarse = half(coefficient)
                shape = (count, model.grid_channels[base], *coarse.shape[2:])
                lower = torch.zeros(shape)
                lower[:, 0] = coarse[:, 0] / below[0]
                grids[base] = lower
                coefficient = coefficient - _double(coarse, coefficient)
            values[:, 0] = coefficient[:, 0] / step[0]
        else:
            first = model.grid_channels[i] - model.structure.injected(i)
            for c, plane in enumerate(moving_features(model, i, features.shape[1])):
                if plane is None:
                    continue
                own = _differences(half(features[:, plane : plane + 1])[at_nodes], motion, CELL_STRIDE, False)
                values[:, first + c] = own[:, 0] / step[first + c]
                planes = chain(own, motion, CELL_STRIDE, Arithmetic.FLOAT)
                moved = warp(planes, motion, every, WARPED_TEMPORAL_STRIDE, CELL_STRIDE, Arithmetic.FLOAT)
                left[:, plane : plane + 1] -= _double(moved, left)
        grids[i] = values
    return left
