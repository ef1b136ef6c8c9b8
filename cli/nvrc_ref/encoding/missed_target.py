"""The warning about a rate or quality target that was missed, with its cause."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nvrc_encoder.rate_goal import LAMBDA_MAX, LAMBDA_MIN, RateGoal, clamp_lambda

if TYPE_CHECKING:
    from nvrc_encoder.report import EncodeReport
    from nvrc_encoder.segments.report import SegmentedReport

__all__ = ["missed_by_segments", "missed_target"]

_SIZE_TOLERANCE, _PSNR_TOLERANCE = 0.03, 0.1
"""Tolerances that docs/encoding.md promises: a share of the size, and dB."""
_AT_BOUND = 1.001


def _miss(goal: RateGoal, size: int, psnr_y: float) -> tuple[float, str] | None:
    """How far above the target and in words; None if it was met."""
    if goal.kind == "size":
        share = size / goal.value - 1
        text = f"the target of {goal.value:.0f} bytes is missed by {100 * share:+.1f} %: the stream has {size}"
        return None if abs(share) <= _SIZE_TOLERANCE else (share, text)
    off = psnr_y - goal.value
    text = f"the target of {goal.value:.2f} dB is missed by {off:+.2f} dB: luma has {psnr_y:.2f}"
    return None if abs(off) <= _PSNR_TOLERANCE else (off, text)


def missed_target(report: EncodeReport) -> str | None:
    """By how much the target was missed and why; None if it was met, or there was none."""
    goal = report.goal
    if goal is None:
        return None
    missed = _miss(goal, report.bytes, report.quality.y)
    if missed is None:
        return None
    above, text = missed
    if goal.kind == "size":
        return f"{text}; {_why_size(report, goal.value, too_large=above > 0)}"
    return f"{text}; {_why_psnr(report, too_good=above > 0)}"


def missed_by_segments(report: SegmentedReport) -> str | None:
    """The same for a video in segments."""
    missed = None if report.goal is None else _miss(report.goal, report.bytes, report.quality.y)
    if report.goal is None or missed is None:
        return None
    step = report.goal.step(report.goal.error(report.bytes, report.quality.y))
    nearer = clamp_lambda(report.lagrangian * math.exp(step))
    if max(nearer / report.lagrangian, report.lagrangian / nearer) < _AT_BOUND:
        return f"{missed[1]}; lambda is at its {'smallest' if step < 0 else 'largest'}, {nearer:g}"
    return (
        f"{missed[1]}; all segments have the lambda of the first one, {report.lagrangian:.3g}: "
        f"--lambda {nearer:.3g} in place of the target should come nearer"
    )


def _why_size(report: EncodeReport, target: float, *, too_large: bool) -> str:
    if not too_large:
        return _too_good(report)
    fixed = sum(size for name, size in report.components.items() if not name.startswith("grid"))
    if fixed > target * (1 - _SIZE_TOLERANCE):
        return f"headers and networks alone take {fixed:.0f} bytes: choose fewer --channels or a longer --gop"
    if report.lagrangian >= LAMBDA_MAX / _AT_BOUND:
        return (
            f"lambda is at its largest, {LAMBDA_MAX:g}, and headers and networks take {fixed:.0f} bytes: "
            "choose fewer --channels"
        )
    return _too_short(report)


def _why_psnr(report: EncodeReport, *, too_good: bool) -> str:
    if not too_good:
        return _too_good(report)
    if report.lagrangian >= LAMBDA_MAX / _AT_BOUND:
        return f"lambda is at its largest, {LAMBDA_MAX:g}"
    return _too_short(report)


def _too_good(report: EncodeReport) -> str:
    """Why the stream has no more bits, or no more decibels."""
    if report.lagrangian <= LAMBDA_MIN * _AT_BOUND:
        return f"lambda is at its smallest, {LAMBDA_MIN:g}: this structure gives no more; choose a larger --profile"
    return _too_short(report)


def _too_short(report: EncodeReport) -> str:
    return (
        f"{report.training.iterations} iterations were too few for lambda, {report.lagrangian:.3g} now, to get there: "
        "choose a slower --preset or more --iterations"
    )
