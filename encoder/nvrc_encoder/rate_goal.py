"""The goal of rate control: a size or a quality to meet, and how lambda has to change to meet it."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["LAMBDA_MAX", "LAMBDA_MIN", "RateGoal", "clamp_lambda", "guess_lambda"]

LAMBDA_MIN, LAMBDA_MAX = 1e-6, 1.0
_ELASTICITY = 0.5
"""Assumed fall of log size for a rise of log lambda by 1; measured: .38 to .5."""
_DECIBELS = 1.4
"""Assumed fall of the luma PSNR in dB for a rise of log lambda by 1; measured: .9 to 1.6."""
_USUAL_BPP, _USUAL_LAMBDA = 0.085, 5e-3
_USUAL_PSNR = 33.0
_LARGEST_STEP = 0.7


@dataclass(frozen=True)
class RateGoal:
    """A size or a quality to meet.

    Attributes:
        kind: ``size`` (bytes of the whole stream) or ``psnr`` (mean of the frames' luma PSNRs, dB).
        value: the size or PSNR to meet.
    """

    kind: str
    value: float

    @property
    def tolerance(self) -> float:
        """Largest `error` that counts as met: half of the promised one, as the estimate itself has an error."""
        return 0.015 if self.kind == "size" else 0.05

    def error(self, size: float, psnr_y: float) -> float:
        """How far above the goal: log of the ratio of sizes, or dB. Positive asks for a larger lambda."""
        return math.log(size / self.value) if self.kind == "size" else psnr_y - self.value

    def met(self, size: float, psnr_y: float) -> bool:
        """Whether a state is within the tolerance."""
        return abs(self.error(size, psnr_y)) <= self.tolerance

    def step(self, error: float) -> float:
        """Change of log lambda that would make up for an error if the state were in equilibrium."""
        wanted = error / (_ELASTICITY if self.kind == "size" else _DECIBELS)
        return max(-_LARGEST_STEP, min(_LARGEST_STEP, wanted))


def clamp_lambda(value: float) -> float:
    """Lambda within the range that rate control uses."""
    return max(LAMBDA_MIN, min(LAMBDA_MAX, value))


def guess_lambda(goal: RateGoal, pixels: int) -> float:
    """Lambda for a first try, before anything is known of the video.

    Args:
        goal: the goal to meet.
        pixels: luma samples of all frames.
    """
    if goal.kind == "size":
        bpp = 8 * goal.value / pixels
        return clamp_lambda(_USUAL_LAMBDA * (_USUAL_BPP / bpp) ** (1 / _ELASTICITY))
    return clamp_lambda(_USUAL_LAMBDA * math.exp((_USUAL_PSNR - goal.value) / _DECIBELS))
