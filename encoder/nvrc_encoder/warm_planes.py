"""Initial flow and planes of a GOP: frame 0 as it is, then what each node adds to what is predicted of it.

The planes are made first and carry all that they can; the grids of every frame start from what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import FLOW_CHANNELS, node_shape

from .model import LEVELS_PER_FEATURE, SynthesisModel
from .motion import CELL_STRIDE, Motion, make_motion
from .motion_search import initial_flow
from .planes import follow
from .rounding import FEATURE_SCALE, Arithmetic
from .route import Route, find_route
from .split_search import initial_split
from .wavelet import bands_of, luma_of

__all__ = ["half", "initial_planes", "plane_features"]

_KEY_DEAD_ZONE, _SHRUNK = 0.6, 0.3
"""Coefficients of keys below so many steps are scaled down: training takes up those that are worth their bits."""
_DEAD_ZONE = 1.0
"""Coefficients of other nodes below so many steps start at zero."""
_LEVELS_SQUARED = 255**2 * 4 / 3
"""Squared levels of luma in a unit of the distortion, of which luma is three quarters."""


def half(x: Tensor) -> Tensor:
    """2x2 mean of [T, C, H, W], edge-repeated to even sizes."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(x, 2)


def _double(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear x2, cropped to the size of `like`."""
    x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return x[..., : like.shape[-2], : like.shape[-1]]


def plane_features(model: SynthesisModel, features: int) -> list[int | None]:
    """Feature (0 Y, 1 Cb, 2 Cr; of `features`) that each channel of the plane slot starts from; None for none."""
    wanted: list[int] = list(range(1 if model.structure.has_luma else 0, features))
    count = model.grid_channels[model.profile.plane_slot]
    return [*wanted, *([None] * count)][:count]


class _Nodes:
    """Fills grids with the residuals of nodes as they are met.

    Args:
        model: gives profile and structure.
        frames: of the GOP.
        multipliers: per slot those of its channels.
        grids: per slot the values to start from; those of `slots` are entered.
        slots: whose values `analyse` gives.
        analyse, synthesise: activation steps of planes to those of the slots' values, and back.
    """

    def __init__(
        self,
        model: SynthesisModel,
        frames: int,
        multipliers: Sequence[Sequence[int] | None],
        grids: list[Tensor | None],
        slots: Sequence[int],
        analyse: Callable[[Tensor], Sequence[Tensor]],
        synthesise: Callable[[Sequence[Tensor]], Tensor],
    ) -> None:
        self._pyramid = model.structure.pyramid
        self._analyse, self._synthesise = analyse, synthesise
        self._parts: list[tuple[Tensor, Sequence[int]]] = []
        for slot in slots:
            count, height, width = node_shape(model.profile.slots[slot], frames, *model.size, self._pyramid)
            grid = torch.zeros(count, model.grid_channels[slot], height, width)
            grids[slot] = grid
            self._parts.append((grid, multipliers[slot] or ()))

    def enter(self, at: Sequence[int], residuals: Tensor) -> Tensor:
        """Enter the nodes at frames `at`, all of one level, and give what the grids then hold: [nodes, C, H, W]."""
        pyramid = self._pyramid
        key = at[0] % pyramid.key_spacing == 0
        numbers = [t // pyramid.node_spacing for t in at]
        low, scale = (_KEY_DEAD_ZONE, _SHRUNK) if key else (_DEAD_ZONE, 0.0)
        kept = []
        for (grid, multipliers), values in zip(self._parts, self._analyse(residuals * FEATURE_SCALE), strict=True):
            step = torch.tensor([pyramid.node_multiplier(at[0], m) for m in multipliers]).view(1, -1, 1, 1)
            coefficients = values / step
            coefficients = torch.where(coefficients.abs() < low, coefficients * scale, coefficients)
            grid[numbers] = coefficients
            kept.append(coefficients * step)
        return self._synthesise(kept) / FEATURE_SCALE


def _entered(goal: Tensor, nodes: _Nodes, route: Route, motion: Motion | None, stride: int) -> Tensor:
    """Enter all nodes on the way to the frames of `goal` [T, C, H, W]; the planes that they give, of the same shape."""
    last = len(goal) - 1

    def residual(frames: tuple[int, ...], predicted: Tensor | None) -> Tensor:
        wanted = goal[[min(t, last) for t in frames]]
        return nodes.enter(frames, wanted if predicted is None else wanted - predicted)

    return follow(route, motion, residual, stride, Arithmetic.FLOAT)


@torch.no_grad()
def initial_planes(
    model: SynthesisModel,
    rows: Tensor,
    features: Tensor,
    multipliers: Sequence[Sequence[int] | None],
    grids: list[Tensor | None],
    lagrangian: float,
) -> Tensor:
    """Fill the grids of motion and of nodes, and say what they leave of the video.

    Args:
        model: gives profile, structure and size.
        rows: [T, rows, h2, w2] the GOP's phases in 8-bit pixel levels.
        features: [T, 1 or 3, h2, w2] Y, Cb and Cr at half resolution, feature units.
        multipliers: per slot those of its channels, None where absent.
        grids: per slot the values to start from; those of motion and of node slots are entered.
        lagrangian: lambda, which says what a bit may gain.

    Returns:
        `features` less what the planes give.
    """
    profile, structure, frames = model.profile, model.structure, len(rows)
    luma = functional.pixel_shuffle(rows[:, :4], 2)
    route = find_route(structure.pyramid, 0, frames)
    motion = None
    steps = multipliers[profile.flow_slot]
    if steps is not None:
        samples = luma[:, 0, : model.size[0], : model.size[1]].round().clamp(0, 255).to(torch.uint8).numpy()
        positions = initial_flow(samples, profile.slots[profile.flow_slot].stride, structure.pyramid)
        flow = functional.pad(positions, (0, 0, 0, 0, 0, FLOW_CHANNELS - positions.shape[1]))
        grids[profile.flow_slot] = flow / torch.tensor(steps).view(1, -1, 1, 1)
        blocks = multipliers[profile.split_slot]
        split = None
        if blocks is not None:
            smooth = make_motion(flow, torch.ones(FLOW_CHANNELS), route, model.size, Arithmetic.EXACT)
            stride = profile.slots[profile.split_slot].stride
            values = initial_split(samples, smooth, route, stride, blocks, lagrangian * _LEVELS_SQUARED)
            grids[profile.split_slot] = values
            split = values, torch.tensor(blocks)
        motion = make_motion(flow, torch.ones(FLOW_CHANNELS), route, model.size, Arithmetic.FLOAT, split)
    left = features.clone()
    if structure.has_luma:
        levels = len(profile.band_slots)
        nodes = _Nodes(
            model,
            frames,
            multipliers,
            grids,
            profile.band_slots,
            lambda planes: bands_of(planes, levels),
            lambda bands: luma_of(bands, rounds=False),
        )
        planes = _entered((luma - 128) / LEVELS_PER_FEATURE, nodes, route, motion, 1)
        left[:, :1] -= half(planes)
    if structure.grid_channels[profile.plane_slot]:
        slot = (profile.plane_slot,)
        nodes = _Nodes(model, frames, multipliers, grids, slot, lambda planes: [planes], lambda values: values[0])
        kinds = plane_features(model, features.shape[1])
        small = half(features)
        blank = torch.zeros_like(small[:, :1])
        goal = torch.cat([blank if kind is None else small[:, kind : kind + 1] for kind in kinds], 1)
        planes = _entered(goal, nodes, route, motion, CELL_STRIDE)
        for c, kind in enumerate(kinds):
            if kind is not None:
                left[:, kind : kind + 1] -= _double(planes[:, c : c + 1], left)
    return left
