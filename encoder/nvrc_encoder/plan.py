"""Length and learning rates of a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = ["Plan", "Settings"]


@dataclass(frozen=True)
class Settings:
    """Settings of one iteration.

    Attributes:
        hard: whether grids are rounded and layers are exact, with straight-through gradients.
        quantised: whether weights are quantised and their bits are in the loss.
        weight_rate, step_rate, grid_rate: Adam learning rates.
        temperature, noise: parameters of the soft rounding, see `soft_round_noise`.
    """

    hard: bool
    quantised: bool
    weight_rate: float
    step_rate: float
    grid_rate: float
    temperature: float
    noise: float

    @property
    def phase(self) -> str:
        """Name of the phase for `Progress`: `float`, `quantised` or `exact`."""
        if self.hard:
            return "exact"
        return "quantised" if self.quantised else "float"


_PILOT_SHARE, _PILOT_LEAST = 0.03, 40
"""Iterations of the pilot: share of the run's, and the least, unless the run itself is shorter."""
_HARD_MOST = 0.2
"""Largest share of a short run that has hard rounding."""


@dataclass(frozen=True)
class Plan:
    """Length and rates of a training run.

    Attributes:
        iterations: number of iterations.
        float_weights: share of the run in which weights are not quantised.
        hard: share of the run, at its end, with hard rounding.
        hard_least: least number of iterations with hard rounding, up to a fifth of the run. More of them gain little.
        window: frames per iteration.
        weight_rate, grid_rate, step_rate: Adam learning rates at the start; they fall along a cosine.
        warm_up: iterations over which the learning rate of the weights rises to `weight_rate`, at most a tenth of the
            run. Adam's first steps are as long as the rate, whatever the gradient, and would spoil the initial weights.
        hard_grid_factor, hard_weight_factor: factors on `grid_rate` and `weight_rate` in the hard phase.
        temperature: temperature of the soft rounding, first and last.
        noise: width of the noise, first and last.
        trial_frames: number of frames in trials, from the start of the clip.
        pretrain: iterations that fit the context network alone, before all others; none if it starts from the prior.
        search: budget of the step search: its evaluations of the video, as a share of the passes over the video that
            the iterations make.
        control: share of the run before rate control begins.
        gain: share of the assumed correction that rate control applies to lambda at an evaluation: at its beginning and
            just before the exact phase.
        hard_gain: the same in the exact phase.
        psnr_gain: the same for a PSNR goal before the exact phase, where the PSNR fluctuates.
        damping: weight of the trend of the size between two evaluations.
        extra: largest number of iterations that rate control may add, as a share of the run.
    """

    iterations: int
    float_weights: float = 0.3
    hard: float = 0.06
    hard_least: int = 150
    window: int = 4
    weight_rate: float = 1e-2
    grid_rate: float = 6e-2
    step_rate: float = 1e-2
    warm_up: int = 30
    hard_grid_factor: float = 0.1
    hard_weight_factor: float = 0.3
    temperature: tuple[float, float] = (0.4, 0.12)
    noise: tuple[float, float] = (0.7, 0.4)
    trial_frames: int = 17
    pretrain: int = 120
    search: float = 0.2
    control: float = 0.1
    gain: tuple[float, float] = (0.9, 0.4)
    hard_gain: float = 0.6
    psnr_gain: float = 0.25
    damping: float = 1.0
    extra: float = 0.3

    @property
    def hard_from(self) -> int:
        """First iteration of the hard phase, which has at least one iteration."""
        hard = max(self.hard * self.iterations, min(self.hard_least, _HARD_MOST * self.iterations))
        return min(self.iterations - round(hard), self.iterations - 1)

    @property
    def pilot(self) -> int:
        """Iterations of the pilot, with which an encode with a goal begins."""
        return min(self.iterations, max(_PILOT_LEAST, round(_PILOT_SHARE * self.iterations)))

    @property
    def control_from(self) -> int:
        """First iteration after which rate control may change lambda."""
        return round(self.iterations * self.control)

    def gain_at(self, iteration: int) -> float:
        """Gain of rate control before the exact phase."""
        there = min(1.0, (iteration - self.control_from) / max(1, self.hard_from - self.control_from))
        return self.gain[0] + (self.gain[1] - self.gain[0]) * there

    def search_evaluations(self, windows: int) -> int:
        """Largest number of evaluations in the step search, for a video of that many windows."""
        return int(self.search * self.iterations / windows)

    def extra_chunk(self, between: int) -> int:
        """Iterations that rate control adds in one go; `between` is the number between two evaluations."""
        return max(1, min(between, self.iterations // 20))

    def most_extra(self, between: int) -> int:
        """Largest number of iterations that rate control may add; `between` as in `extra_chunk`."""
        return max(round(self.iterations * self.extra), 4 * self.extra_chunk(between))

    def extra_settings(self) -> Settings:
        """Settings of an iteration that rate control has added: exact, at a rate that still changes the grids."""
        return replace(self.at(self.hard_from), step_rate=0.0)

    def _warmth(self, iteration: int) -> float:
        """Factor on the learning rate of the weights during the warm-up."""
        return min(1.0, (iteration + 1) / max(1, min(self.warm_up, self.iterations // 10)))

    def at(self, iteration: int) -> Settings:
        """Settings of an iteration, 0 .. iterations - 1."""
        hard = iteration >= self.hard_from
        cosine = 0.5 * (1 + math.cos(math.pi * iteration / self.iterations))
        soft = min(1.0, iteration / max(1, self.hard_from))
        return Settings(
            hard=hard,
            quantised=iteration >= round(self.iterations * self.float_weights),
            weight_rate=self.weight_rate
            * max(cosine, 0.01)
            * (self.hard_weight_factor if hard else self._warmth(iteration)),
            step_rate=self.step_rate * max(cosine, 0.01),
            grid_rate=self.grid_rate * max(cosine, 0.02) * (self.hard_grid_factor if hard else 1.0),
            temperature=self.temperature[0] + (self.temperature[1] - self.temperature[0]) * soft,
            noise=self.noise[0] + (self.noise[1] - self.noise[0]) * soft,
        )
