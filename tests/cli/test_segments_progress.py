"""Progress of a video in segments: one bar that fits, or a line for each segment."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

pytest.importorskip("torch")

from nvrc_encoder.quality.psnr import Quality
from nvrc_encoder.rate_goal import LAMBDA_MAX, LAMBDA_MIN, RateGoal
from nvrc_encoder.segments.coordinator import Overall
from nvrc_encoder.segments.report import SegmentedReport
from nvrc_ref.encoding.missed_target import missed_by_segments
from nvrc_ref.encoding.segments_progress import overall_bar, overall_line, segments_progress


def overall(
    frames: float = 48.0,
    all_frames: int | None = 96,
    fresh: float = 24.0,
    segments: int = 2,
    all_segments: int | None = None,
) -> Overall:
    return Overall(segments, frames, fresh, all_segments, all_frames, {2: 0.5}, 120.0)


def test_the_time_left_follows_from_this_run_alone() -> None:
    assert overall().remaining == 120 / 24 * 48
    assert overall(all_frames=None).remaining is None
    assert overall(fresh=0.0).remaining is None
    assert overall(frames=97).remaining == 0


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (overall(), "2 segments done, 48 of 96 frames, about 4 min left"),
        (overall(all_frames=None, segments=1), "1 segment done, 48 frames"),
        (overall(all_segments=3), "2 of 3 segments done, 48 of 96 frames, about 4 min left"),
        (overall(frames=96), "2 segments done, 96 of 96 frames"),
    ],
)
def test_a_line_has_what_is_known(state: Overall, line: str) -> None:
    assert overall_line(state) == line


@pytest.mark.parametrize("width", [5, 20, 40, 60, 79, 200])
@pytest.mark.parametrize("all_frames", [96, None])
def test_the_bar_fits(width: int, all_frames: int | None) -> None:
    assert len(overall_bar(overall(all_frames=all_frames), width)) <= width


def test_the_bar_shows_the_share_that_is_done() -> None:
    bar = overall_bar(overall(), 79, ascii_only=True)
    assert bar.count("#") == bar.count("-") == 15
    assert bar.endswith("48/96 frames  ETA 0:04:00")


def test_a_log_has_a_line_for_each_segment_and_minute(capsys: pytest.CaptureFixture[str]) -> None:
    with segments_progress(quiet=False, together=True) as told:
        assert told is not None
        for segments, seconds in ((0, 1.0), (0, 59.0), (0, 61.0), (1, 62.0), (1, 63.0), (2, 64.0)):
            told(Overall(segments, segments, segments, None, None, {}, seconds))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1", "2"]
    with segments_progress(quiet=True, together=True) as told:
        assert told is None


def report(goal: RateGoal | None) -> SegmentedReport:
    quality = Quality(30.0, None, None, 30.0)
    return SegmentedReport(4, 16, 16, 1000, {"headers": 1000}, quality, None, 0.0, 0.01, goal, (), 1.0, Fraction(25))


@pytest.mark.parametrize(
    ("goal", "parts"),
    [
        (RateGoal("size", 900), ("+11.1 %", "the stream has 1000", "--lambda 0.0123 in place")),
        (RateGoal("psnr", 30.5), ("-0.50 dB", "luma has 30.00", "--lambda 0.007 in place")),
    ],
)
def test_a_missed_target_comes_with_a_nearer_lambda(goal: RateGoal, parts: tuple[str, ...]) -> None:
    text = missed_by_segments(report(goal)) or ""
    assert all(part in text for part in parts), text


@pytest.mark.parametrize(
    ("lagrangian", "goal", "end"),
    [
        (LAMBDA_MIN, RateGoal("size", 1100), "; lambda is at its smallest, 1e-06"),
        (LAMBDA_MAX, RateGoal("psnr", 29.0), "; lambda is at its largest, 1"),
    ],
)
def test_a_lambda_at_its_bound_is_said(lagrangian: float, goal: RateGoal, end: str) -> None:
    text = missed_by_segments(replace(report(goal), lagrangian=lagrangian)) or ""
    assert text.endswith(end), text


@pytest.mark.parametrize("goal", [None, RateGoal("size", 975), RateGoal("psnr", 30.09)])
def test_a_met_target_of_segments_is_not_reported(goal: RateGoal | None) -> None:
    assert missed_by_segments(report(goal)) is None
