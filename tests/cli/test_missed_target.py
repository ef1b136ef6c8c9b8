"""The warning about a target that rate control missed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nvrc_encoder.rate_goal import LAMBDA_MAX, LAMBDA_MIN, RateGoal
from nvrc_ref.encoding.missed_target import missed_target


def told(
    goal: RateGoal | None, size: int = 1000, psnr: float = 30.0, fixed: float = 100.0, lagrangian: float = 0.01
) -> Any:
    return missed_target(
        SimpleNamespace(  # type: ignore[arg-type]
            goal=goal,
            bytes=size,
            quality=SimpleNamespace(y=psnr),
            components={"grid 4 (plane)": size - fixed, "synthesis weights": fixed / 2, "headers": fixed / 2},
            lagrangian=lagrangian,
            training=SimpleNamespace(iterations=200),
        )
    )


@pytest.mark.parametrize(
    "goal", [None, RateGoal("size", 1000), RateGoal("size", 975), RateGoal("psnr", 30.09), RateGoal("psnr", 29.91)]
)
def test_a_met_target_is_not_reported(goal: RateGoal | None) -> None:
    assert told(goal) is None


@pytest.mark.parametrize(
    ("goal", "changes", "parts"),
    [
        (RateGoal("size", 500), {"fixed": 490.0}, ("500 bytes", "+100.0 %", "headers and networks alone take 490")),
        (RateGoal("size", 500), {"lagrangian": LAMBDA_MAX}, ("lambda is at its largest, 1,",)),
        (RateGoal("size", 900), {}, ("+11.1 %", "200 iterations were too few")),
        (
            RateGoal("size", 2000),
            {"lagrangian": LAMBDA_MIN},
            ("-50.0 %", "lambda is at its smallest, 1e-06", "--profile"),
        ),
        (RateGoal("size", 1100), {}, ("-9.1 %", "more --iterations")),
        (RateGoal("psnr", 45.0), {"lagrangian": LAMBDA_MIN}, ("45.00 dB", "-15.00 dB", "lambda is at its smallest")),
        (RateGoal("psnr", 29.0), {"lagrangian": LAMBDA_MAX}, ("+1.00 dB", "lambda is at its largest")),
        (RateGoal("psnr", 30.5), {}, ("-0.50 dB", "200 iterations were too few")),
    ],
)
def test_a_missed_target_has_a_figure_and_a_cause(
    goal: RateGoal, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    text = told(goal, **changes)
    assert all(part in text for part in parts), text
