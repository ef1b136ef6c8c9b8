"""The forecast of an encode: one remaining time over all stages, which is zero only at the end."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import pytest
from encoder_cases import gradient_source

from nvrc_decoder.picture.format import VideoFormat
from nvrc_encoder import EncodeOptions, encode
from nvrc_encoder.plan import Plan
from nvrc_encoder.training.outlook import Outlook
from nvrc_encoder.training.workload import STAGES, expected_memory

PICTURE = VideoFormat(320, 180, Fraction(25))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def planned(goal: bool = False, trying: bool = True) -> tuple[Outlook, Clock]:
    clock = Clock()
    outlook = Outlook(clock=clock)
    outlook.plan(PICTURE, 16, Plan(iterations=100), goal, trying=trying)
    return outlook, clock


def test_nothing_is_forecast_before_a_step_is_timed() -> None:
    outlook, clock = planned()
    clock.now = 5.0
    assert outlook.remaining is None
    assert outlook.share == 0
    assert not outlook.known


@pytest.mark.parametrize("slower", [0.5, 1, 40])
def test_the_time_follows_the_pace_of_the_machine(slower: float) -> None:
    outlook, clock = planned(trying=False)
    outlook.leave()
    for step in range(1, 52):
        clock.now += slower
        outlook.reach(1 - step / 100, step, 100)
    left = outlook.remaining
    assert left is not None
    # 49 of 100 iterations, the search and the writing.
    assert 49 * slower <= left < 100 * slower


def test_remaining_time_is_zero_only_at_the_end() -> None:
    outlook, clock = planned(goal=True)
    seen: list[float] = []
    shares: list[float] = []
    while outlook.stage == "pilot start" or outlook._ahead:
        for step in range(1, 11):
            clock.now += 1
            outlook.reach(1 - step / 10, step, 10)
            left = outlook.remaining
            assert left is not None
            seen.append(left)
            shares.append(outlook.share)
        clock.now += 1000  # whatever the delay of a stage
        assert outlook.remaining
        outlook.leave()
    assert min(seen) >= 1
    assert outlook.remaining == 0
    assert 0 < shares[0] < shares[-1] <= 1


def test_first_iteration_does_not_set_the_pace() -> None:
    outlook, clock = planned(trying=False)
    outlook.leave()
    clock.now += 60
    outlook.reach(0.99, 1, 100)
    for step in range(2, 12):
        clock.now += 0.1
        outlook.reach(1 - step / 100, step, 100)
    left = outlook.remaining
    assert left is not None
    assert left < 30


def test_skipped_work_does_not_set_the_pace() -> None:
    outlook, clock = planned(goal=True, trying=False)
    outlook.enter("training")
    for step in range(1, 51):
        clock.now += 1
        outlook.reach(1 - step / 100, step, 100)
    before = outlook.remaining
    outlook.enter("writing")
    after = outlook.remaining
    assert before is not None
    assert after is not None
    assert 1 < after < before


def test_resumed_training_skips_earlier_stages() -> None:
    outlook = Outlook()
    outlook.plan(PICTURE, 16, Plan(iterations=100), True, settling=False, trying=False)
    assert outlook.stage == "training"


@pytest.mark.full
@pytest.mark.parametrize(
    ("changes", "left_out"),
    [({"target_size": 900}, set()), ({"trials": False}, set(STAGES[:3]))],
    ids=["pilot and trials", "neither"],
)
def test_an_encode_goes_through_its_stages(changes: dict[str, Any], left_out: set[str]) -> None:
    seen: list[tuple[str, int, int]] = []
    outlook = Outlook(lambda: seen.append((outlook.stage, outlook.step, outlook.steps)))
    options = EncodeOptions(iterations=6, device="cpu", **changes)
    followed, alone = io.BytesIO(), io.BytesIO()
    encode(gradient_source(16, 16, 2), followed, options, outlook=outlook)
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == [stage for stage in STAGES if stage not in left_out]
    trials = [(step, steps) for stage, step, steps in seen if stage == "trials"]
    assert bool(trials) == ("trials" not in left_out)
    assert all(step == steps > 0 for step, steps in trials[-1:])
    assert outlook.known
    assert outlook.remaining == 0
    encode(gradient_source(16, 16, 2), alone, options)
    assert followed.getvalue() == alone.getvalue()


def test_memory_grows_with_frames_and_size() -> None:
    small = expected_memory(PICTURE, 8, 4)
    assert 0.3e9 < small < expected_memory(PICTURE, 64, 4) < 3e9
    assert expected_memory(VideoFormat(1920, 1080, Fraction(25)), 16, 4) > 5e9
