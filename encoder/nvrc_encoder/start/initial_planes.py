"""Initial motion grids and planes of a GOP, made as in a block-based encoder: node by node, from decoded references.

The planes come first and carry as much as they can; the grids of every frame start from the remaining difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, node_shape
from nvrc_encoder.model.band_gains import HIGH_LOW_GAIN
from nvrc_encoder.model.motion import CELL_STRIDE, Motion, make_motion
from nvrc_encoder.model.planes import Predictor
from nvrc_encoder.model.prediction_route import Route, Step, find_route
from nvrc_encoder.model.rounding import ACTIVATION_RANGE, FEATURE_SCALE, Arithmetic, clip
from nvrc_encoder.model.synthesis import LEVELS_PER_FEATURE, SynthesisModel
from nvrc_encoder.model.wavelet import bands_of, luma_of
from nvrc_encoder.rate.laplace import laplace_bits
from nvrc_encoder.rate.parameters import likely_scale
from nvrc_encoder.start.flow_search import FlowGrid
from nvrc_encoder.start.motion_search import initial_flow
from nvrc_encoder.start.plane_goals import half, plane_features, quarter_planes
from nvrc_encoder.start.split_search import SplitGrid

__all__ = ["initial_planes"]

_DEPENDENTS = 12, 6, 3
"""Frames that are assumed to gain from a value of frame 0, of another key, and of a node between keys."""
_WEIGHT_OF_COEFFICIENT, _WEIGHT_OF_CHROMA, _WEIGHT_OF_LUMA = 3 / 4, 2, 12
"""Weight of a squared error in J, by that of Y, U and V in 4:2:0 (6:1:1): in a coefficient of the luma plane's
orthonormal transform; in a value of a chroma plane, which stands for 4 samples; in one of a Y plane, for 16."""
_LEAST_MAGNITUDE = 0.02
"""Mean magnitude of neighbours that is assumed for coefficients among zeros."""


def _worth_of_bit(lagrangian: float) -> float:
    """Squared error that a bit is worth, in feature units and summed over samples; in J a sample has the range 1."""
    return lagrangian * (255 / LEVELS_PER_FEATURE) ** 2


def _double(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear x2, cropped to the size of `like`."""
    x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    return x[..., : like.shape[-2], : like.shape[-1]]


def _quantised(coefficients: Tensor, bit_cost: float) -> Tensor:
    """Integers of least cost: the nearest, the next one towards zero, or zero, whichever is worth its bits.

    Args:
        coefficients: [N, C, H, W] in steps.
        bit_cost: squared steps that one bit is worth.
    """
    nearest = torch.round(coefficients)
    tried = torch.stack([nearest, torch.trunc(coefficients), torch.zeros_like(nearest)])
    found = nearest
    for _ in range(2):
        padded = functional.pad(found.abs(), (1, 1, 1, 1), mode="replicate")
        scale = likely_scale(functional.avg_pool2d(padded, 3, 1).clamp(min=_LEAST_MAGNITUDE))
        cost = (tried - coefficients) ** 2 + bit_cost * laplace_bits(tried, scale)
        found = tried.gather(0, cost.argmin(0, keepdim=True))[0]
    return found


class _Planes:
    """One set of planes, made along the route, with the grids of their residuals.

    Args:
        model: gives profile and structure.
        goal: [T, C, H, W] planes of the video, feature units.
        stride: luma samples per sample of the planes, 1 or 4.
        multipliers: per slot, the multipliers of its channels.
        grids: per slot, the initial values; those of `slots` are filled in.
        slots: the slots that hold the residuals.
        worth: squared error in activation steps, in the first channel of the last slot, that a bit is worth to a frame.
        analyse, synthesise: from residuals to the values of the slots, and back, both in activation steps.

    Attributes:
        made: frame -> [1, C, H, W] planes as the decoder makes them, feature units.
    """

    def __init__(
        self,
        model: SynthesisModel,
        goal: Tensor,
        stride: int,
        multipliers: Sequence[Sequence[int] | None],
        grids: list[Tensor | None],
        slots: Sequence[int],
        worth: float,
        analyse: Callable[[Tensor], Sequence[Tensor]],
        synthesise: Callable[[Sequence[Tensor]], Tensor],
    ) -> None:
        self.made: dict[int, Tensor] = {}
        self.stride = stride
        self._goal, self._pyramid, self._worth = goal, model.structure.pyramid, worth
        self._analyse, self._synthesise = analyse, synthesise
        self._parts: list[tuple[Tensor, Sequence[int]]] = []
        for slot in slots:
            count, height, width = node_shape(model.profile.slots[slot], len(goal), *model.size, self._pyramid)
            grid = torch.zeros(count, model.grid_channels[slot], height, width)
            grids[slot] = grid
            self._parts.append((grid, multipliers[slot] or ()))

    def make(self, step: Step, route: Route, motion: Motion | None) -> None:
        """Make the planes of the next step.

        Args:
            step: its frames and their references.
            route: a route whose second step it is, unless it is the very first step.
            motion: motion along that route.
        """
        wanted = self._goal[[min(t, len(self._goal) - 1) for t in step.frames]]
        if not step.references:
            planes = self._enter(step.frames, wanted)
        else:
            planes = Predictor(route, motion, wanted, self.stride, Arithmetic.EXACT).predict(step, self.made)
            if self._pyramid.is_node(step.frames[0]):
                planes = clip(planes + self._enter(step.frames, wanted - planes), *ACTIVATION_RANGE)
        self.made |= zip(step.frames, planes.split(1), strict=True)

    def _enter(self, at: Sequence[int], residuals: Tensor) -> Tensor:
        """Quantise the residuals of the nodes at frames `at`, all of one level, into the grids.

        Returns:
            The residuals as the decoder has them, [nodes, C, H, W].
        """
        pyramid = self._pyramid
        level = 0 if at[0] == 0 else 1 if at[0] % pyramid.key_spacing == 0 else 2
        _, (finest, *_) = self._parts[-1]
        bit_cost = self._worth / (_DEPENDENTS[level] * pyramid.node_multiplier(at[0], finest) ** 2)
        numbers = [t // pyramid.node_spacing for t in at]
        kept = []
        for (grid, multipliers), values in zip(self._parts, self._analyse(residuals * FEATURE_SCALE), strict=True):
            step = torch.tensor([pyramid.node_multiplier(at[0], m) for m in multipliers]).view(1, -1, 1, 1)
            grid[numbers] = _quantised(values / step, bit_cost)
            kept.append((grid[numbers] * step).clamp(ACTIVATION_MIN, ACTIVATION_MAX))
        return self._synthesise(kept) / FEATURE_SCALE


class _MotionGrids:
    """The grids of motion, found along the route and filled into `grids`; arguments as in `initial_planes`.

    Args:
        luma: [T, 1, H, W] luma planes of the video, feature units.
    """

    def __init__(
        self,
        model: SynthesisModel,
        luma: Tensor,
        multipliers: Sequence[Sequence[int] | None],
        grids: list[Tensor | None],
        lagrangian: float,
    ) -> None:
        profile, pyramid = model.profile, model.structure.pyramid
        flow, split = (multipliers[i] for i in (profile.flow_slot, profile.split_slot))
        levels = luma[:, 0, : model.size[0], : model.size[1]] * LEVELS_PER_FEATURE + 128
        stride = profile.slots[profile.flow_slot].stride
        start = initial_flow(levels.round().clamp(0, 255).to(torch.uint8).numpy(), stride, pyramid)
        bit_cost = _worth_of_bit(lagrangian)
        self._size = model.size
        self._multiplier = torch.tensor(flow)
        self._flow = FlowGrid(luma, start, self._multiplier, pyramid, model.size, bit_cost, split is not None)
        grids[profile.flow_slot] = self._flow.grid
        self._split = None
        if split is not None:
            _, *shape = node_shape(profile.slots[profile.split_slot], len(luma), *model.size, pyramid)
            self._steps = torch.tensor(split)
            self._split = SplitGrid(luma, (shape[0], shape[1]), self._steps, model.size, bit_cost)
            grids[profile.split_slot] = self._split.grid

    def search(self, step: Step, part: Route, planes: Mapping[int, Tensor]) -> Motion:
        """Find the values of the frames of a step; their motion along `part`, a route whose second step it is."""
        self._flow.search(step, planes)
        smooth = self._motion(part, None)
        if self._split is None:
            return smooth
        self._split.search(step, part, smooth, planes)
        return self._motion(part, (self._split.grid, self._steps))

    def _motion(self, part: Route, split: tuple[Tensor, Tensor] | None) -> Motion:
        return make_motion(self._flow.grid, self._multiplier, part, self._size, Arithmetic.EXACT, split)


@torch.no_grad()
def initial_planes(
    model: SynthesisModel,
    luma: Tensor,
    features: Tensor,
    multipliers: Sequence[Sequence[int] | None],
    grids: list[Tensor | None],
    lagrangian: float,
) -> Tensor:
    """Fill the grids of motion and of nodes.

    Args:
        model: gives profile, structure and size.
        luma, features: what the planes are to show, as of `plane_goals`.
        multipliers: per slot, the multipliers of its channels; None where the slot is absent.
        grids: per slot, the initial values; those of motion and of node slots are filled in.
        lagrangian: lambda, weight of bits per pixel against the distortion.

    Returns:
        The difference of `features` from the planes.
    """
    profile, structure, frames = model.profile, model.structure, len(luma)
    kinds = plane_features(model, features.shape[1])
    sets = _plane_sets(model, luma, features, kinds, multipliers, grids, lagrangian)
    moving = None
    if multipliers[profile.flow_slot] is not None:
        moving = _MotionGrids(model, luma, multipliers, grids, lagrangian)
    route = find_route(structure.pyramid, 0, frames)
    for step in route.steps:
        part, motion = Route(step.frames, (route.steps[0], step), ()), None
        if moving is not None and step.references:
            # Without a luma plane the source's frames serve as references.
            seen = {t: luma[min(t, frames - 1)][None] for t in step.references}
            if structure.has_luma:
                seen = sets[0].made
            motion = moving.search(step, part, seen)
        for planes in sets:
            planes.make(step, part, motion)
    left = features.clone()
    for planes in sets:
        made = torch.cat([planes.made[t] for t in range(frames)])
        if planes.stride == 1:
            left[:, :1] -= half(made)
            continue
        for c, kind in enumerate(kinds):
            if kind is not None:
                left[:, kind : kind + 1] -= _double(made[:, c : c + 1], left)
    return left


def _plane_sets(
    model: SynthesisModel,
    luma: Tensor,
    features: Tensor,
    kinds: Sequence[int | None],
    multipliers: Sequence[Sequence[int] | None],
    grids: list[Tensor | None],
    lagrangian: float,
) -> list[_Planes]:
    """The luma plane and the planes of the plane slot, in this order, as far as the structure has them.

    Args:
        luma: [T, 1, H, W] luma planes of the video, feature units.
        kinds: the feature that each channel of the plane slot starts from.
        model, features, multipliers, grids, lagrangian: as in `initial_planes`.
    """
    profile = model.profile
    worth = _worth_of_bit(lagrangian) * FEATURE_SCALE**2
    sets = []
    if model.structure.has_luma:
        levels = len(profile.band_slots)
        analyse, synthesise = lambda planes: bands_of(planes, levels), lambda bands: luma_of(bands, rounds=True)
        of_luma = worth * HIGH_LOW_GAIN**2 / _WEIGHT_OF_COEFFICIENT
        sets.append(_Planes(model, luma, 1, multipliers, grids, profile.band_slots, of_luma, analyse, synthesise))
    if kinds:
        goal = quarter_planes(features, kinds)
        slots = (profile.plane_slot,)
        analyse, synthesise = lambda planes: [planes], lambda values: values[0]
        of_value = worth / (_WEIGHT_OF_CHROMA if model.structure.has_luma else _WEIGHT_OF_LUMA)
        sets.append(_Planes(model, goal, CELL_STRIDE, multipliers, grids, slots, of_value, analyse, synthesise))
    return sets
