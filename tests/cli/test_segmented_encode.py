"""`nvrc-ref encode` of a video that is longer than one segment."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nvrc_decoder
from nvrc_ref.main import run

pytest.importorskip("torch")
from encoder_cases import ONE_GRID_WORDS

workspace = pytest.importorskip("nvrc_encoder.segments.workspace")
encoding = pytest.importorskip("nvrc_encoder.encoding")
run_module = pytest.importorskip("nvrc_encoder.training.run")

SHORT = ["--iterations", "4", "--no-trials", "--gop", "2", "--threads", "1", *ONE_GRID_WORDS]
CUT = ["--segment", "4"]


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a.y4m"
    frames = (b"FRAME\n" + bytes((7 * i * i + 31 * t) % 256 for i in range(384)) for t in range(7))
    path.write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n" + b"".join(frames))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """Ctrl-C as in a program of its own, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def encode(*more: str, source: str = "a.y4m", output: str = "b.nvrc") -> int:
    return run(["encode", source, "-o", output, *SHORT, *more])


def names() -> set[str]:
    return {path.name for path in Path.cwd().iterdir()}


def test_a_long_video_is_encoded_in_segments(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode(*CUT, "--json", "--report", "r.json") == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document == json.loads(Path("r.json").read_text())
    assert [one["frames"] for one in document["segments"]] == [4, 3]
    assert document["bytes"] == Path("b.nvrc").stat().st_size
    assert "segment 2:\n" in captured.err
    assert "2 segments done, 7 frames" in captured.err
    assert names() == {"a.y4m", "b.nvrc", "r.json"}
    with nvrc_decoder.open("b.nvrc") as video:
        assert video.frame_count == 7


@pytest.mark.full
def test_a_short_video_is_the_same_in_one_segment(clip: Path) -> None:
    for output, more in (("b.nvrc", ["--segment", "whole"]), ("c.nvrc", []), ("d.nvrc", ["--segment", "8"])):
        assert encode("--quiet", *more, output=output) == 0
    assert Path("b.nvrc").read_bytes() == Path("c.nvrc").read_bytes() == Path("d.nvrc").read_bytes()


@pytest.mark.full
def test_a_pipe_gives_the_same_stream(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert encode(*CUT, "--quiet") == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(clip.read_bytes())))
    capsysbinary.readouterr()
    assert encode(*CUT, "--quiet", source="-", output="-") == 0
    assert capsysbinary.readouterr().out == Path("b.nvrc").read_bytes()


def interrupted_at(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    """Send SIGINT in the third iteration of a segment of that many frames."""
    honest = run_module.Run.advance

    def advance(self: Any) -> object:
        if self.iteration == 2 and sum(self.trainer.frame_counts) == frames:
            signal.raise_signal(signal.SIGINT)
        return honest(self)

    monkeypatch.setattr(run_module.Run, "advance", advance)


@pytest.mark.full
def test_an_interrupt_keeps_what_is_encoded(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert encode(*CUT, "--quiet", output="whole.nvrc") == 0
    with monkeypatch.context() as patch:
        interrupted_at(patch, 3)
        assert encode(*CUT, "--quiet") == 130
    said = capsys.readouterr().err
    assert said.endswith("interrupted at segment 2, 3/4; continue with the same command and --resume\n")
    assert names() == {"a.y4m", "whole.nvrc", "b.nvrc.checkpoint.segments"}
    assert encode(*CUT, "--quiet", "--resume") == 0
    assert Path("b.nvrc").read_bytes() == Path("whole.nvrc").read_bytes()
    assert names() == {"a.y4m", "whole.nvrc", "b.nvrc"}


def test_an_interrupt_without_a_place_keeps_nothing(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted_at(monkeypatch, 3)
    assert encode(*CUT, "--quiet", output="-") == 130
    assert capsys.readouterr().err.endswith("interrupted; nothing is kept: there was no --checkpoint\n")


def test_a_stream_that_cannot_be_written_keeps_segments(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(source: Path, target: Path) -> None:
        if str(target) == "b.nvrc":
            raise OSError(28, "No space left on device")
        os.rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert encode(*CUT, "--quiet") == 74
    assert "b.nvrc.checkpoint.segments holds what is encoded: fix the cause" in capsys.readouterr().err
    monkeypatch.setattr(run_module.Run, "advance", lambda self: pytest.fail("nothing is left to train"))
    assert encode(*CUT, "--quiet", "--resume") == 0
    assert names() == {"a.y4m", "b.nvrc"}


def test_the_folder_goes_while_it_is_locked(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, seen = workspace.Workspace.remove, []

    def remove(self: Any) -> None:
        seen.append({".b.nvrc.checkpoint.segments.lock", "b.nvrc"} <= names())
        honest(self)

    monkeypatch.setattr(workspace.Workspace, "remove", remove)
    assert encode(*CUT, "--quiet") == 0
    assert seen == [True]
    assert names() == {"a.y4m", "b.nvrc"}


def test_a_time_limit_is_shared_and_may_be_passed(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoding, "_SECONDS_TOLERATED", 0.0)
    assert encode(*CUT, "--quiet", "--time-limit", "0.001s") == 0
    assert "warning: the time limit of 0 s was passed by" in capsys.readouterr().err
    with nvrc_decoder.open("b.nvrc") as video:
        assert video.frame_count == 7


@pytest.mark.parametrize(
    ("words", "preset"),
    [
        ([], "medium"),
        (["--time-limit", "1h"], "placebo"),
        (["--time-limit", "1h", "--preset", "fast"], "fast"),
        (["--time-limit", "1h", "--iterations", "4"], "medium"),
    ],
)
def test_a_time_limit_sets_the_length(
    clip: Path, words: list[str], preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def begin(self: Any, resume: bool) -> None:
        seen.append(self._options.preset)
        raise KeyboardInterrupt

    monkeypatch.setattr(encoding._Encode, "begin", begin)
    assert run(["encode", "a.y4m", "-o", "b.nvrc", "--no-trials", "--quiet", *words]) == 130
    assert seen == [preset]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_dry_run_prints_the_plan_and_encodes_nothing(
    clip: Path, jobs: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoding._Encode, "begin", lambda *arguments: pytest.fail("a dry run encodes nothing"))
    assert encode(*CUT, "--dry-run", "--jobs", str(jobs)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "video      7 frames of 16x16 4:2:0 8 bits 25 fps"
    assert lines[4:6] == ["     1     frames 0 to 3 (4)", "     2     frames 4 to 6 (3)"]
    assert encode(*CUT, "--dry-run", "--json", "--jobs", str(jobs)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["segments"] == [{"first_frame": 0, "frames": 4}, {"first_frame": 4, "frames": 3}]
    assert document["disk_bytes"] == jobs * 4 * 384
    assert document["memory_bytes"] > jobs * 4e8
    assert document["iterations"] == [4, 4]
    assert 0 < document["seconds"] <= document["processor_seconds"] * 1000
    assert names() == {"a.y4m"}


def test_a_dry_run_of_a_short_video_has_one_segment(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("--dry-run", "--trials", "--jobs", "3") == 0
    out = capsys.readouterr().out
    assert "segments   1, the longest of 7 frames" in out
    assert "with 1 job\n" in out
    assert "structure  trials choose it\n" in out
    assert "\ntrials     as given; nodes every 4; nodes every 2\n" in out


def test_a_dry_run_without_frames_is_refused(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("--dry-run", "--skip", "7") == 66
    assert "a.y4m has no frames after the first 7" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--segment", "half"], ["--segment", "-1"], ["--jobs", "0"], ["--jobs", "many"]])
def test_malformed_options_are_usage_errors(clip: Path, words: list[str]) -> None:
    assert encode(*words) == 2
    assert names() == {"a.y4m"}
