"""Search of the quantisation steps after training: each tensor's step is changed where that lowers J over all frames.

A context tensor changes the bits of the grids and its own, a synthesis tensor the distortion and its own bits; only
what changes is evaluated. The search can be resumed after each tensor, from `StepSearch.state`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nvrc_encoder.model.motion import CELL_STRIDE
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.model.synthesis import SynthesisModel
from nvrc_encoder.rate.code_lengths import code_lengths
from nvrc_encoder.training.trainer import Estimate, Trainer

__all__ = ["StepSearch"]

_STRIDES = (2, 1)
"""Quarter octaves by which the step of a weight changes: in the first pass, and in all others."""
_LONGEST = 3
"""Largest number of changes to one tensor in one direction and pass."""
_LEAST_GAIN = 2e-4
"""The search ends after a pass that gains less than this share of J."""
_MOST_PASSES = 8
_MOST_CACHED = 1 << 30
"""Largest size of cached planes in bytes."""


class _CachingModel(SynthesisModel):
    """A model that makes the planes of a window once: they depend on no layer."""

    def __init__(self, like: SynthesisModel) -> None:
        super().__init__(like.structure, like.chroma_format, like.bit_depth)
        self.set_size(*like.size)
        self._planes: dict[tuple[int, int], dict[int, Tensor]] = {}

    def planes(
        self,
        grids: Sequence[Tensor | None],
        multipliers: Sequence[Tensor | None],
        frames: range,
        arithmetic: Arithmetic,
    ) -> dict[int, Tensor]:
        """As in `SynthesisModel`; `grids` must be the same objects in each call."""
        key = id(grids), frames.start
        if key not in self._planes:
            self._planes[key] = super().planes(grids, multipliers, frames, arithmetic)
        return self._planes[key]


def _model_for(trainer: Trainer) -> SynthesisModel:
    model = trainer.model
    samples = model.grid_channels[model.profile.plane_slot] / CELL_STRIDE**2 + model.structure.has_luma
    size = 4 * samples * trainer.pixels * sum(trainer.frame_counts)
    return _CachingModel(model) if 0 < size <= _MOST_CACHED else model


class StepSearch:
    """Greedy search from the trainer's state, which it changes.

    Args:
        trainer: after the training, its steps frozen.
        evaluations: largest number of evaluations of the video.
        admissible: says whether an estimate may be the outcome; rate control limits it.
        state: the `state` to resume from, with the trainer as it was then; None to begin.
    """

    def __init__(
        self,
        trainer: Trainer,
        evaluations: int,
        admissible: Callable[[Estimate], bool] | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.trainer = trainer
        self._most = evaluations
        self._admissible = admissible or (lambda estimate: True)
        self._pixels = sum(trainer.frame_counts) * trainer.pixels
        bank = trainer.bank
        self._quantised = bank.integers()
        self._real = bank.exact_real(torch.float32)
        self._grids = [trainer.final_grids(gop) for gop in range(len(trainer.frame_counts))]
        self._model = _model_for(trainer)
        if state is None:
            estimate = trainer.estimate()
            state = {
                "pass": 0,
                "order": [],
                "evaluations": 0,
                "moves": 0,
                "before": 0.0,
                "after_pass": 0.0,
                "estimate": vars(estimate),
            }
            state["before"] = state["after_pass"] = self._cost(estimate)
        self._state = dict(state)
        self.estimate = Estimate(**state["estimate"])

    def state(self) -> dict[str, Any]:
        """State from which a search resumes, together with the trainer's."""
        return {**self._state, "order": list(self._state["order"]), "estimate": dict(vars(self.estimate))}

    @property
    def moves(self) -> int:
        """Number of steps changed so far."""
        return int(self._state["moves"])

    @property
    def gain(self) -> float:
        """Share of J that the search has saved."""
        return 1 - self._cost(self.estimate) / float(self._state["before"])

    def _cost(self, estimate: Estimate) -> float:
        return estimate.distortion + self.trainer.lagrangian * estimate.bits / self._pixels

    def advance(self) -> bool:
        """Search the steps of one tensor.

        Returns:
            Whether there is more to do.
        """
        state = self._state
        if state["evaluations"] >= self._most:
            return False
        if not state["order"]:
            now = self._cost(self.estimate)
            finest = state["pass"] >= len(_STRIDES)
            if state["pass"] and finest and now > state["after_pass"] * (1 - _LEAST_GAIN):
                return False
            if state["pass"] == _MOST_PASSES:
                return False
            state["after_pass"] = now
            state["pass"] += 1
            bits = self.estimate.segment_bits
            # `pop` takes from the end: the tensor of most bits comes first.
            state["order"] = sorted(range(len(bits)), key=lambda segment: bits[segment])
        segment = state["order"].pop()
        stride = _STRIDES[min(state["pass"], len(_STRIDES)) - 1]
        for direction in (1, -1):
            moved = 0
            while moved < _LONGEST and state["evaluations"] < self._most and self._try(segment, direction, stride):
                moved += 1
            if moved:
                break
        return True

    def _try(self, segment: int, direction: int, stride: int) -> bool:
        """Change a step once and keep it where that lowers J; whether it was kept."""
        bank = self.trainer.bank
        i, is_bias = divmod(segment, 2)
        now = self._quantised[i]
        steps = bank.steps(i)
        at = steps.index((now.multiplier, -(now.shift + bank.gains[now.name])))
        bias_exponent = round(float(bank.bias_log_step[i]))
        if is_bias:
            bias_exponent += direction
        else:
            at += direction * stride
            if not 0 <= at < len(steps):
                return False
        tried = bank.try_steps(i, steps[at], bias_exponent)
        if tried is None:
            return False
        real = {**self._real, now.name: bank.layer_real(i, tried, torch.float32)}
        estimate = self._estimate(i, tried.bias if is_bias else tried.weight, segment, real)
        if not self._cost(estimate) < self._cost(self.estimate) or not self._admissible(estimate):
            return False
        bank.set_steps(i, steps[at], bias_exponent)
        self.estimate = estimate
        self._quantised[i], self._real = tried, real
        self._state["moves"] += 1
        return True

    def _estimate(self, i: int, integers: np.ndarray, segment: int, real: dict[str, tuple[Tensor, Tensor]]) -> Estimate:
        """The estimate with other integers in one tensor."""
        trainer = self.trainer
        self._state["evaluations"] += 1
        segments = list(self.estimate.segment_bits)
        segments[segment] = float(code_lengths(integers).min())
        grid_bits, distortion, psnr = self.estimate.grid_bits, self.estimate.distortion, self.estimate.psnr_y
        if trainer.bank.layers[i].name.startswith("context."):
            grid_bits = trainer.whole_grid_bits(real, self._grids)
        else:
            distortion, psnr = trainer.whole_distortion(real, self._grids, self._model)
        return Estimate(grid_bits, segments, distortion, psnr)
