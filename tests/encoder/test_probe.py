"""A small encode tells how fast the machine is, and changes nothing else."""

from __future__ import annotations

import io
import time

import pytest

pytest.importorskip("torch")
from encoder_cases import gradient_source, options

from nvrc_encoder import SegmentedSource, encode, encoding, probe
from nvrc_encoder.probe import is_worthwhile, measure_speed
from nvrc_encoder.segments import forecast
from nvrc_encoder.training.outlook import Outlook
from nvrc_encoder.training.workload import Speed


def test_each_clock_gives_a_speed() -> None:
    now = 0.0

    def tick() -> float:
        nonlocal now
        now += 1.0
        return now

    source = gradient_source(48, 32, 5)
    one, double = measure_speed(source, list(source), options(trials=True), (tick, lambda: 2 * now))
    for kind in ("start", "training", "writing"):
        assert getattr(one, kind) > 0
        assert getattr(double, kind) == pytest.approx(2 * getattr(one, kind))


def test_a_probe_of_a_wide_picture_needs_no_ms_ssim(monkeypatch: pytest.MonkeyPatch) -> None:
    source = gradient_source(1200, 100, 2)
    made, honest = [], probe.prepare
    monkeypatch.setattr(probe, "prepare", lambda *arguments: made.append(arguments[2].tune) or honest(*arguments))
    (speed,) = measure_speed(source, list(source), options(tune="ms-ssim"), (time.process_time,))
    assert speed.training > 0
    assert made == ["psnr", "psnr"]


def test_a_speed_turns_work_into_seconds() -> None:
    speed = Speed(2.0, 3.0, 5.0, 7.0)
    work = dict.fromkeys(("pilot start", "pilot", "trials", "start", "training", "search", "writing"), 1.0)
    assert list(speed.seconds(work).values()) == [2, 3, 2, 2, 3, 5, 7]


def test_a_probe_is_for_long_encodes() -> None:
    source = gradient_source(176, 144, 9)
    assert not is_worthwhile(source, 9, options(), 10.0)
    assert is_worthwhile(source, 9, options(), 1000.0)


def test_a_forecast_before_the_training_costs_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "is_worthwhile", lambda *arguments: True)
    seen: list[tuple[str, bool]] = []
    outlook = Outlook(lambda: seen.append((outlook.stage, outlook.known)), probing=True)
    source, made = gradient_source(16, 16, 3), options(iterations=3)
    alone, probed = io.BytesIO(), io.BytesIO()
    encode(source, alone, made)
    encode(source, probed, made, outlook=outlook)
    assert seen[0] == ("start", True)
    assert probed.getvalue() == alone.getvalue()


def test_segments_are_estimated_before_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    probed: list[int] = []

    def measured(source: object, frames: list[object], made: object) -> tuple[Speed, Speed]:
        probed.append(len(frames))
        return Speed(1.0, 1.0, 1.0, 1.0), Speed(2.0, 2.0, 2.0, 2.0)

    monkeypatch.setattr(forecast, "measure_speed", measured)
    monkeypatch.setattr(forecast, "is_worthwhile", lambda *arguments: True)
    made, source = options(gop=8), gradient_source(32, 32, 40)
    cut = SegmentedSource(source, 16, scene_cuts=False)
    first = forecast.first_estimate(cut, made, 1, 1)
    assert probed == [9]
    assert [len(segment.frames) for segment in cut] == [16, 16, 8]
    assert first is not None
    assert first.processor > 2 * first.wall


def test_three_equal_segments_are_two_rounds_of_two_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    speed = Speed(1.0, 1.0, 1.0, 1.0)
    monkeypatch.setattr(forecast, "measure_speed", lambda *arguments: (speed, speed))
    monkeypatch.setattr(forecast, "cores", lambda: 4)
    monkeypatch.setattr(forecast, "_JOB_START", 0.0)
    walls = []
    for jobs in (1, 2, 3):
        cut = SegmentedSource(gradient_source(32, 32, 24), 8, scene_cuts=False)
        walls.append(forecast.forecast(cut, options(gop=8), jobs).time.wall)
    assert [wall / walls[0] for wall in walls] == pytest.approx([1, 2 / 3, 1 / 3])
