"""Whole runs with tiny codecs: results, resuming, failures, missing codecs."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_codecs import FAKE, PLAIN
from waiting import wait_until

from nvrc_bench.rd import run as bench_run
from nvrc_bench.rd.run import FORMAT
from nvrc_ref.main import run

pytest.importorskip("torch")
pytest.importorskip("av")

OURS = {
    "kind": "nvrc",
    "name": "ours",
    "command": [*FAKE, "nvrc"],
    "points": [6, 12, 24],
    "options": {"new-switch": True},
}
MISSING = {**PLAIN, "name": "absent", "command": ["no-such-encoder", "{input}", "{output}"]}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Three frames of a moving ramp, 16x16."""
    path = tmp_path / "ramp.y4m"
    data = b"YUV4MPEG2 W16 H16 F25:1 C420jpeg\n"
    ramp = np.add.outer(np.arange(16) * 9, np.arange(16) * 5)
    for t in range(3):
        chroma = np.full((2, 8, 8), 90 + t, np.uint8)
        data += b"FRAME\n" + ((ramp + 3 * t) % 256).astype(np.uint8).tobytes() + chroma.tobytes()
    path.write_bytes(data)
    return path


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a line for every call of the encoder."""
    path = tmp_path / "calls"
    path.touch()
    monkeypatch.setenv("FAKE_CODEC_CALLS", str(path))
    return path


def bench(folder: Path, clip: Path, *codecs: dict[str, Any], words: tuple[object, ...] = (), **more: Any) -> int:
    """Run `nvrc-ref bench` with a config into folder/out."""
    config = folder / "run.json"
    config.write_text(json.dumps({"clips": [{"path": str(clip)}], "codecs": codecs, **more}))
    return run(["bench", "--config", str(config), "-o", str(folder / "out"), *(str(word) for word in words)])


def results(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "out" / "results.json").read_text())
    return document


def count(calls: Path) -> int:
    return len(calls.read_text().split())


def test_a_run_writes_its_results(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough for a sample of its memory on a busy machine.
    monkeypatch.setenv("FAKE_CODEC_LINGERS", "0.5")
    assert bench(tmp_path, clip, PLAIN, OURS, anchor="plain", jobs=2) == 0
    document = results(tmp_path)
    assert document["format"] == FORMAT
    assert document["machine"]["cores"] == os.cpu_count()
    assert [(point["codec"], point["point"]) for point in document["points"]] == [
        *(("plain", f"point {step}") for step in (4, 8, 16)),
        *(("ours", f"lambda {step}") for step in (6, 12, 24)),
    ]
    first, ours = document["points"][0], document["points"][3]
    assert first["bpp"] == 8 * first["bytes"] / (16 * 16 * 3)
    assert first["bytes"] == (tmp_path / "out" / "streams" / "ramp" / "plain" / "point-4.bin").stat().st_size
    assert 35 < first["psnr"]["y"] < 50
    assert first["version"] == "3"
    assert first["encode_seconds"] > 0
    assert first["encode_peak_bytes"] > 1e6
    assert ours["kmac_per_pixel"] == 0.4
    assert ours["kmac"] == {"kmac_per_pixel": 0.4, "kmac_of_motion": 0.1}
    assert sum(ours["component_bits"].values()) == 8 * ours["bytes"]
    assert ours["version"] == "fake nvrc-ref 1.2"
    assert "--new-switch" in ours["commands"][0]
    with (tmp_path / "out" / "points.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 6
    assert float(rows[3]["bits_grids"]) == ours["component_bits"]["grids"]
    output = capsys.readouterr()
    assert "ramp" in output.out
    if importlib.util.find_spec("bjontegaard"):
        cell = document["bd_rate"]["metrics"]["y"]["clips"]["ramp"]["ours"]
        assert (cell["percent"] is None) == (cell["reason"] is not None)
        assert "BD-rate against plain" in output.out
    if importlib.util.find_spec("matplotlib"):
        assert (tmp_path / "out" / "rd-ramp.png").read_bytes()[:4] == b"\x89PNG"
    assert not [*(tmp_path / "out").glob("point-*")]


def test_a_second_run_encodes_nothing(
    tmp_path: Path, clip: Path, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(tmp_path, clip, PLAIN) == 0
    before = results(tmp_path)
    assert count(calls) == 3
    assert bench(tmp_path, clip, PLAIN) == 0
    assert count(calls) == 3
    assert results(tmp_path)["points"] == before["points"]
    assert "3 of 3 points exist already" in capsys.readouterr().err


@pytest.mark.full
def test_points_over_the_time_limit_are_left_out(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_run, "_SILENCE", 0.3)
    monkeypatch.setenv("FAKE_CODEC_HANGS", "8")
    assert bench(tmp_path, clip, PLAIN, seconds=3) == 0
    document = results(tmp_path)
    assert [point["point"] for point in document["points"]] == ["point 4"]
    assert [line.split(" is left out")[0] for line in document["skipped"]] == [
        "ramp, plain, point 8",
        "ramp, plain, point 16",
    ]
    assert document["failed"] == []
    told = capsys.readouterr().err
    assert "[1/3] after 0:00:0" in told
    assert " running: ramp, plain, point 8\n" in told
    assert all(line in told for line in document["skipped"])
    monkeypatch.delenv("FAKE_CODEC_HANGS")
    assert bench(tmp_path, clip, PLAIN, seconds=60) == 0
    assert len(results(tmp_path)["points"]) == 3
    assert results(tmp_path)["skipped"] == []


@pytest.mark.full
def test_changed_options_and_redo_repeat_points(tmp_path: Path, clip: Path, calls: Path) -> None:
    assert bench(tmp_path, clip, OURS) == 0
    assert bench(tmp_path, clip, {**OURS, "options": {"new-switch": False}, "points": [6, 12]}) == 0
    assert count(calls) == 5
    assert bench(tmp_path, clip, PLAIN, words=("--redo", "plain")) == 0
    assert bench(tmp_path, clip, PLAIN, words=("--redo", "plain")) == 0
    assert count(calls) == 11
    assert bench(tmp_path, clip, PLAIN, words=("--redo", "typo")) == 1


def test_a_changed_version_is_reported(
    tmp_path: Path, clip: Path, calls: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(tmp_path, clip, {**PLAIN, "points": [4]}) == 0
    assert bench(tmp_path, clip, {**PLAIN, "points": [4], "version": "4"}) == 0
    assert count(calls) == 1
    assert "is by 3, not 4; --redo encodes it again" in capsys.readouterr().err


def test_a_failed_point_is_retried_by_the_next_run(
    tmp_path: Path, clip: Path, calls: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_CODEC_FAILS", "8")
    assert bench(tmp_path, clip, PLAIN) == 1
    document = results(tmp_path)
    assert len(document["points"]) == 2
    assert document["failed"][0]["point"] == "ramp, plain, point 8"
    assert "this step is out of order" in document["failed"][0]["reason"]
    assert "failed:" in capsys.readouterr().out
    monkeypatch.setenv("FAKE_CODEC_FAILS", "0")
    assert bench(tmp_path, clip, PLAIN) == 0
    assert count(calls) == 4
    assert results(tmp_path)["failed"] == []


@pytest.mark.full
def test_a_killed_run_is_resumed(tmp_path: Path, clip: Path, calls: Path) -> None:
    config = tmp_path / "run.json"
    config.write_text(json.dumps({"clips": [{"path": str(clip)}], "codecs": [PLAIN]}))
    words = [sys.executable, "-m", "nvrc_ref", "bench", "--config", str(config), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "FAKE_CODEC_HANGS": "16"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: count(calls) >= 3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert count(calls) == 3
    assert bench(tmp_path, clip, PLAIN) == 0
    assert count(calls) == 4
    assert len(results(tmp_path)["points"]) == 3


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_programs(tmp_path: Path, clip: Path, calls: Path, sent: signal.Signals, code: int) -> None:
    config = tmp_path / "run.json"
    config.write_text(json.dumps({"clips": [{"path": str(clip)}], "codecs": [{**PLAIN, "points": [16]}]}))
    words = [sys.executable, "-m", "nvrc_ref", "bench", "--config", str(config), "-o", str(tmp_path / "out")]

    def heed() -> None:  # the tests may run with the signal ignored
        signal.signal(sent, signal.SIG_DFL)

    environment = {**os.environ, "FAKE_CODEC_HANGS": "16"}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    try:
        wait_until(lambda: count(calls))
        process.send_signal(sent)
        _, text = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert text.splitlines()[-1] == "terminated"
    assert not [*(tmp_path / "out").glob("point-*")]


def test_a_missing_codec_is_one_line(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path, clip, MISSING, {**PLAIN, "points": [4]}, "x264:points=30", ffmpeg="no-ffmpeg") == 0
    document = results(tmp_path)
    assert document["skipped"] == [
        "absent: there is no no-such-encoder; it is left out",
        "x264: there is no no-ffmpeg; it is left out",
    ]
    assert [codec["available"] for codec in document["codecs"]] == [False, True, False]
    assert len(document["points"]) == 1
    assert capsys.readouterr().err.count("absent") == 1


def test_no_run_reports_existing_points_only(tmp_path: Path, clip: Path, calls: Path) -> None:
    assert bench(tmp_path, clip, {**PLAIN, "points": [4]}) == 0
    assert bench(tmp_path, clip, PLAIN, words=("--no-run",)) == 0
    assert count(calls) == 1
    assert len(results(tmp_path)["points"]) == 1


def test_imported_points_are_in_the_table(tmp_path: Path, clip: Path) -> None:
    points = [{"bpp": rate, "psnr": {"y": quality}} for rate, quality in ((1.0, 30.0), (2.0, 36.0), (3.0, 42.0))]
    curve = {"codec": "theirs", "clip": "ramp", "frames": 3, "points": points}
    document = {"format": "nvrc-ref points 1", "source": "elsewhere", "curves": [curve]}
    (tmp_path / "theirs.json").write_text(json.dumps(document))
    assert bench(tmp_path, clip, PLAIN, imports=["theirs.json"], anchor="plain") == 0
    imported = [point for point in results(tmp_path)["points"] if point["imported"]]
    assert [point["bpp"] for point in imported] == [1, 2, 3]


def test_per_clip_points_of_no_clip_are_refused(tmp_path: Path, clip: Path) -> None:
    assert bench(tmp_path, clip, {**PLAIN, "per_clip": {"typo": {"points": [3]}}}) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["bench", "--quick", "clip.y4m"],
        ["bench", "rd"],
        ["bench", "--quick", "--frames", "3"],
        ["bench", "a", "--codec", "h1"],
    ],
)
def test_contradictory_options_are_refused(words: list[str]) -> None:
    assert run(words) == 2


def test_help_names_both_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--help"]) == 0
    text = capsys.readouterr().out
    assert "rd" in text
    assert "decode" in text


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_x264_encodes_through_ffmpeg(tmp_path: Path) -> None:
    path = tmp_path / "Noise_64x64_30fps_420_8bit_YUV.yuv"
    frame = np.random.default_rng(0).integers(60, 180, 64 * 64 * 3 // 2).astype(np.uint8).tobytes()
    path.write_bytes(frame * 3)
    words = ["bench", str(path), "--codec", "x264:points=30", "-o", str(tmp_path / "out"), "--threads", "1"]
    assert run(words) == 0
    document = results(tmp_path)
    if document["skipped"]:
        pytest.skip("this ffmpeg has no libx264")
    [point] = document["points"]
    assert point["version"].startswith("libx264 core")
    stream = (tmp_path / "out" / "streams" / "Noise" / "x264" / "crf-30.h264").read_bytes()
    assert b"x264 - core" not in stream
    assert point["bytes"] == len(stream)
