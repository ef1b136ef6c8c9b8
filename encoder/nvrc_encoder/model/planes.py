"""Planes predicted from frame to frame along the pyramid of nodes (spec 7.6.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from nvrc_decoder.pyramid import BLEND_UNIT
from nvrc_encoder.model.motion import Motion, fetch, half_samples, index_of, moves_of, places_of, spread
from nvrc_encoder.model.prediction_route import Route, Step
from nvrc_encoder.model.rounding import ACTIVATION_RANGE, Arithmetic, clip

__all__ = ["Predictor", "Residual", "follow", "in_turn"]

Residual = Callable[[tuple[int, ...], Tensor | None], Tensor]
"""Frames of the nodes of a step, and the prediction of their planes -> their residuals [nodes, C, H, W]."""


def in_turn(route: Route, residuals: Tensor) -> Residual:
    """A `Residual` that gives the residuals [N, C, H, W] of the nodes of a route, step by step."""
    nodes = set(route.nodes)
    counts = [len(step.frames) for step in route.steps if step.frames[0] in nodes]
    parts = iter(residuals.split(counts))
    return lambda frames, predicted: next(parts)


class Predictor:
    """Predicts planes step by step; without motion a prediction is a copy or a blend (spec 7.6.3).

    Args:
        route, motion, stride, arithmetic: as in `follow`.
        like: gives size, dtype and device of the planes.
    """

    def __init__(self, route: Route, motion: Motion | None, like: Tensor, stride: int, arithmetic: Arithmetic) -> None:
        self._arithmetic = arithmetic
        self._size, self._stride = (like.shape[2], like.shape[3]), stride
        self._refined: dict[int, Tensor] = {}
        self._moves: Iterator[Tensor] | None = None
        if motion is None:
            weights = (index_of(route.shares, like.device).to(like.dtype) / BLEND_UNIT).view(-1, 1, 1, 1)
        else:
            weights = motion.weights
            # The cells are split, as they are small: joining the gradients of the parts costs a pass over the whole.
            groups = [len(step.frames) for step in route.steps for _ in step.references]
            self._moves = iter(moves_of(motion.moves, self._size, stride, arithmetic).split(groups))
        self._weights = iter(weights.split([len(step.shares) for step in route.steps[1:]]))

    def predict(self, step: Step, made: dict[int, Tensor]) -> Tensor:
        """Planes [frames, C, H, W] of the next step after the first; `made` has the earlier ones, each [1, C, H, W]."""
        weights = next(self._weights)
        samples = [self._fetched(made[reference], reference, len(step.frames)) for reference in step.references]
        if not step.shares:
            return self._arithmetic.rounded(samples[0])
        before, after = samples
        if self._moves is not None:
            weights = spread(weights, self._size, self._stride)
        if self._arithmetic.rounds:
            return self._arithmetic.rounded(before * (1 - weights) + after * weights)
        return torch.lerp(before, after, weights)

    def _fetched(self, planes: Tensor, reference: int, count: int) -> Tensor:
        """Samples fetched from a reference for the next `count` pairs of the route: [count, C, H, W]."""
        if self._moves is None:
            return planes.expand(count, -1, -1, -1)
        if reference not in self._refined:
            self._refined[reference] = half_samples(planes, self._arithmetic)
        return fetch(self._refined[reference], places_of(next(self._moves), self._size, self._stride))


def follow(
    route: Route,
    motion: Motion | None,
    residual: Residual,
    stride: int,
    arithmetic: Arithmetic,
) -> Tensor:
    """Make planes along a route.

    Args:
        route: route to the wanted frames.
        motion: motion along the same route; None for none.
        residual: gives the residuals of nodes.
        stride: luma samples per sample of the planes, 1 or 4.
        arithmetic: which values are rounded.

    Returns:
        [frames, C, H, W] in feature units.
    """
    first, *steps = route.steps
    batch = residual(first.frames, None)
    # Frame -> planes; of a step whose frames are no nodes, its first frame -> the planes of all of them.
    made = {0: batch}
    predictor = Predictor(route, motion, batch, stride, arithmetic)
    nodes = set(route.nodes)
    for step in steps:
        batch = predictor.predict(step, made)
        if step.frames[0] in nodes:
            batch = clip(batch + residual(step.frames, batch), *ACTIVATION_RANGE)
        made[step.frames[0]] = batch
    return torch.cat([made[t] for t in route.frames if t in made])
