"""The warning about a rate or quality target that was missed, with its cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvrc_encoder.rate_goal import LAMBDA_MAX, LAMBDA_MIN

if TYPE_CHECKING:
    from nvrc_encoder.report import EncodeReport

__all__ = ["missed_target"]

_SIZE_TOLERANCE, _PSNR_TOLERANCE = 0.03, 0.1
"""Tolerances that docs/encoding.md promises: a share of the size, and dB."""
_AT_BOUND = 1.001


def missed_target(report: EncodeReport) -> str | None:
    """By how much the target was missed and why; None if it was met, or there was none."""
    goal = report.goal
    if goal is None:
        return None
    if goal.kind == "size":
        share = report.bytes / goal.value - 1
        if abs(share) <= _SIZE_TOLERANCE:
            return None
        return (
            f"the target of {goal.value:.0f} bytes is missed by {100 * share:+.1f} %: the stream has {report.bytes}; "
            f"{_why_size(report, goal.value, too_large=share > 0)}"
        )
    off = report.quality.y - goal.value
    if abs(off) <= _PSNR_TOLERANCE:
        return None
    return (
        f"the target of {goal.value:.2f} dB is missed by {off:+.2f} dB: luma has {report.quality.y:.2f}; "
        f"{_why_psnr(report, too_good=off > 0)}"
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
