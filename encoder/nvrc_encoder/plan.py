"""How long a training run is, and its rates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

__all__ = ["Plan", "Settings"]


@dataclass(frozen=True)
class Settings:
    """What holds in one iteration.

    Attributes:
        hard: grids are rounded and layers are exact, straight-through.
        quantised: weights are quantised and their bits are in the loss.
        weight_rate, step_rate, grid_rate: Adam learning rates.
        temperature, noise: of the soft rounding.
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
        """What people are told."""
        if self.hard:
            return "exact"
        return "quantised" if self.quantised else "float"


_PILOT_SHARE, _PILOT_LEAST = 0.03, 40
"""Iterations of the pilot, as a share of the run's, and at least so many where the run itself is not shorter."""
_HARD_MOST = 0.2
"""Share of a short run with hard rounding."""


@dataclass(frozen=True)
class Plan:
    """Length and rates of a training run.

    Attributes:
        iterations: all of them.
        float_weights: share of the run in which weights are not quantised.
        hard: share of the run, at its end, with hard rounding.
        hard_least: iterations of it that a run has at least, up to a fifth of the run. More of them gain little.
        window: frames an iteration.
        weight_rate, grid_rate, step_rate: Adam learning rates at the start; they fall along a cosine.
        warm_up: iterations in which the learning rate of the weights rises to its own, at most a tenth of the run. The
            first steps of Adam are as long as the rate whatever the gradient is, and would spoil what the weights start
            from.
        hard_grid_factor, hard_weight_factor: factors on `grid_rate` and `weight_rate` in the hard phase.
        temperature: soft rounding, first and last.
        noise: width of the noise, first and last.
        trial_frames: first frames of the clip that trials look at.
        pretrain: iterations in which only the context network is fitted, before the others; none with the prior's.
        search: evaluations of the video that the search of the steps may cost, as a share of the iterations over the
            windows of the video.
        control: share of the run before rate control sets in.
        gain: of rate control: share of the assumed correction that lambda takes at an evaluation, when it sets in and
            just before the exact phase.
        hard_gain: the same in the exact phase.
        psnr_gain: the same for a PSNR, which jumps about before the exact phase.
        damping: weight of the trend of the size between two evaluations.
        extra: most iterations that rate control may add, as a share of the run.
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
    temperature: tuple[float, float] = (0.3, 0.12)
    noise: tuple[float, float] = (1.0, 0.5)
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
        """First iteration of the hard phase, which has one iteration at least."""
        hard = max(self.hard * self.iterations, min(self.hard_least, _HARD_MOST * self.iterations))
        return min(self.iterations - round(hard), self.iterations - 1)

    @property
    def pilot(self) -> int:
        """Iterations of the pilot, which a run with a goal begins with."""
        return min(self.iterations, max(_PILOT_LEAST, round(_PILOT_SHARE * self.iterations)))

    @property
    def control_from(self) -> int:
        """First iteration after which rate control may move lambda."""
        return round(self.iterations * self.control)

    def gain_at(self, iteration: int) -> float:
        """Gain of rate control before the exact phase."""
        there = min(1.0, (iteration - self.control_from) / max(1, self.hard_from - self.control_from))
        return self.gain[0] + (self.gain[1] - self.gain[0]) * there

    def search_evaluations(self, windows: int) -> int:
        """Most evaluations of a video of that many windows in the search of the steps."""
        return int(self.search * self.iterations / windows)

    def extra_chunk(self, between: int) -> int:
        """Iterations that rate control adds at a time."""
        return max(1, min(between, self.iterations // 20))

    def most_extra(self, between: int) -> int:
        """Iterations that rate control may add in all."""
        return max(round(self.iterations * self.extra), 4 * self.extra_chunk(between))

    def extra_settings(self) -> Settings:
        """What holds in an iteration that rate control has added: exact, at a rate that can still move the grids."""
        return replace(self.at(self.hard_from), step_rate=0.0)

    def _warmth(self, iteration: int) -> float:
        """Share of its own learning rate that the weights have."""
        return min(1.0, (iteration + 1) / max(1, min(self.warm_up, self.iterations // 10)))

    def at(self, iteration: int) -> Settings:
        """What holds in iteration 0 .. iterations - 1."""
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
