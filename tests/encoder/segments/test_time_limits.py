"""A time limit for a video in segments: shares that fit in what is left, and what a dry run says of them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
from encoder_cases import gradient_source, options

from nvrc_decoder.errors import InputError
from nvrc_encoder import Deadline, SegmentedSource, encode_segments
from nvrc_encoder.segments import coordinator, forecast, goal
from nvrc_encoder.segments.job import Job
from nvrc_encoder.segments.time_shares import time_share
from nvrc_encoder.training.workload import Speed


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("ahead", "busy", "jobs", "alone", "share"),
    [
        ([32], [], 1, False, 100),
        ([32, 32], [], 1, False, 50),
        ([10, 30], [], 1, False, 25),
        ([32, 32], [], 2, False, 100),
        # The third one begins when the first one ends.
        ([32, 32, 32], [], 2, False, 50),
        ([32, 32], [60], 2, False, 50),
        ([32, 32], [40], 2, False, 60),
        ([32, 32], [0], 2, False, 100),
        ([32, 32, 32], [], 2, True, 50),
        ([32, 16, 16], [], 2, True, 100 * 2 / 3),
    ],
)
def test_a_share_leaves_time_for_the_others(
    ahead: list[int], busy: list[float], jobs: int, alone: bool, share: float
) -> None:
    assert time_share(ahead, 100.0, busy, jobs, alone) == pytest.approx(share)


@pytest.mark.parametrize("left", [0.0, -20.0])
def test_without_time_a_segment_still_gets_a_second(left: float) -> None:
    assert time_share([8, 8], left, [], 1) == 1.0


def limits(
    monkeypatch: pytest.MonkeyPatch, folder: Path, used: list[float], frames: int = 6, resume: bool = False
) -> list[float | None]:
    """The limits of segments of two frames, which take `used` seconds of 100 one after the other."""
    clock, seen, honest = Clock(), [], coordinator.Here.submit
    times = iter(used)

    def submit(self: coordinator.Here, job: Job) -> None:
        seen.append(job.time_limit)
        honest(self, replace(job, time_limit=None))
        clock.now += next(times)

    monkeypatch.setattr(coordinator.Here, "submit", submit)
    cut = SegmentedSource(gradient_source(16, 16, frames), 2)
    made = options(iterations=1, gop=2)
    encode_segments(cut, io.BytesIO(), made, folder=folder, resume=resume, deadline=Deadline(100.0, clock=clock))
    return seen


def test_time_left_over_goes_to_later_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits(monkeypatch, tmp_path, [5.0, 80.0, 10.0]) == pytest.approx([95 / 3, 45.0, 10.0])


def test_finished_segments_get_no_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        limits(patch, tmp_path, [1.0] * 3)
    (tmp_path / "segment-00001.json").unlink()
    assert limits(monkeypatch, tmp_path, [1.0] * 3, resume=True) == pytest.approx([95.0])


def test_a_limit_passed_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert limits(monkeypatch, tmp_path, [30.0, 200.0, 1.0])[2] == 1.0
    assert caplog.text.count("the time limit of 100 s was passed by 131 s") == 1


def test_a_limit_needs_a_known_length(tmp_path: Path) -> None:
    source = gradient_source(16, 16, 6)
    frames = iter(source)
    pipe = replace(source, frame_count=None, once=True, _open_frames=lambda: frames)
    with pytest.raises(InputError, match="use a file, or --segment whole") as caught:
        encode_segments(SegmentedSource(pipe, 4), io.BytesIO(), options(), folder=tmp_path, deadline=Deadline(60))
    assert caught.value.code == "E_SOURCE"


def test_pilots_are_short_with_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(goal, "try_lambda", lambda source, frames, made: seen.append(made.preset) or (100, 30.0))
    cut = SegmentedSource(gradient_source(16, 16, 12), 4)
    made = options(iterations=None, preset="placebo", target_size=900, gop=2)
    for hasty in (True, False):
        workspace = goal.Workspace(tmp_path / str(hasty), resume=True)
        assert goal.first_options(cut, made, [4, 4, 4], workspace, hasty).preset == "placebo"
    assert seen == ["draft"] * 3 + ["placebo"] * 3


SPEED = Speed(2.0, 2.0, 2.0, 2.0)


def foreseen(monkeypatch: pytest.MonkeyPatch, jobs: int, time_limit: float | None) -> forecast.Forecast:
    """The forecast for four segments of 16 frames, on a machine half as fast as that of the model."""
    monkeypatch.setattr(forecast, "measure_speed", lambda *arguments: (SPEED, SPEED))
    monkeypatch.setattr(forecast, "cores", lambda: 2)
    cut = SegmentedSource(gradient_source(96, 64, 64), 16)
    return forecast.forecast(cut, options(iterations=None, preset="placebo", gop=16), jobs, None, time_limit)


def test_a_dry_run_plans_for_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    free = foreseen(monkeypatch, 1, None)
    assert free.iterations == (7500,) * 4
    limited = foreseen(monkeypatch, 1, 60.0)
    assert limited.segments == free.segments
    assert 50 < limited.time.wall < 60 < free.time.wall
    assert 0 < limited.iterations[0] < 7500
    assert limited.document()["iterations"] == list(limited.iterations)


def test_jobs_share_the_cores_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, four = (foreseen(monkeypatch, jobs, None).time for jobs in (1, 2, 4))
    assert two.wall == pytest.approx(one.wall / 2, rel=0.05)
    assert four.wall == pytest.approx(two.wall)
    assert two.processor == pytest.approx(one.processor, rel=0.05)
