"""`nvrc-ref bench decode`: what it writes, what it leaves out, how it fails."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from nvrc_bench.decode.stages import STAGES
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop, coded_symbols
from nvrc_ref.main import run

STREAM = Path(__file__).resolve().parents[2] / "conformance" / "streams" / "trained-nano.nvrc"


def bench(*arguments: object) -> int:
    return run(["bench", "decode", *(str(argument) for argument in arguments)])


def hide(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Hide packages, as if they were not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in missing else find(name, *rest))


@pytest.fixture(scope="module")
def counted() -> tuple[int, int]:
    """Frames and symbols of the stream."""
    frames = symbols = 0
    with STREAM.open("rb") as file:
        reader = UnitReader(file)
        for unit in reader:
            if isinstance(unit.content, Gop):
                frames += unit.content.frame_count
                symbols += coded_symbols(reader.sequence, reader.network, unit.content)
    return frames, symbols


def test_bench_decode_writes_json_and_a_plot(
    tmp_path: Path, counted: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("onnx", "av", "matplotlib"):
        pytest.importorskip(module)
    json_path, plot_path = tmp_path / "bench.json", tmp_path / "bench.svg"
    assert bench(STREAM, "--repeats", 2, "--json", json_path, "--plot", plot_path, "--threads", 1) == 0
    document = json.loads(json_path.read_text())
    assert (document["stream"]["frames"], document["stream"]["symbols"]) == counted
    assert list(document["stages"]) == list(STAGES)
    assert sum(stage["share"] for stage in document["stages"].values()) == pytest.approx(1)
    assert all(stage["seconds"] > 0 for stage in document["stages"].values())
    assert len(document["end_to_end"]["runs_seconds"]) == document["repeats"] == 2
    assert document["end_to_end"]["slower_stage"] in ("entropy", "synthesis", "digest", "output")
    assert 0 < document["end_to_end"]["largest_possible_share"] <= 1
    assert document["end_to_end"]["share_of_slower_stage"] == pytest.approx(
        document["end_to_end"]["largest_possible_share"] * document["end_to_end"]["share_of_possible"]
    )
    assert document["entropy"]["ratio_to_plain"] > 0
    assert document["synthesis"]["ratio_to_float"] > 0
    assert document["video"]["codec"] == "hevc"
    assert document["video"]["frames"] == counted[0]
    assert document["memory"]["peak_bytes"] > 20e6
    assert document["skipped"] == []
    picture = plot_path.read_text()
    assert picture.startswith("<?xml")
    output = capsys.readouterr()
    assert "Msymbol/s a core" in output.out
    assert output.err == ""


def test_planes_are_timed_beside_the_graph(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    times = {}
    for name in ("trained-nano", "nano-sparse"):
        stream = STREAM.with_name(f"{name}.nvrc")
        assert bench(stream, "--repeats", 1, "--part", "synthesis", "--threads", 1) == 0
        text = capsys.readouterr().out
        assert bench(stream, "--repeats", 1, "--part", "synthesis", "--threads", 1, "--json", "-") == 0
        times[name] = json.loads(capsys.readouterr().out)["synthesis"]["planes_ms"]
        assert ("planes before it" in text) is (times[name] is not None)
    assert times["trained-nano"] > 0
    assert times["nano-sparse"] is None


def test_only_chosen_parts_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(STREAM, "--repeats", 1, "--part", "entropy", "--json", "-") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["entropy"]["ratio_to_plain"] > 0
    assert document["synthesis"] is document["video"] is document["memory"] is None


def test_a_baseline_video_is_decoded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], counted: tuple[int, int]
) -> None:
    pytest.importorskip("av")
    assert run(["decode", str(STREAM), "-o", str(tmp_path / "clip.mp4")]) == 0
    capsys.readouterr()
    arguments = ["--repeats", 1, "--part", "video", "--baseline-video", tmp_path / "clip.mp4", "--json", "-"]
    assert bench(STREAM, *arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["video"]["codec"], document["video"]["frames"]) == ("h264", counted[0])


@pytest.mark.parametrize(
    ("part", "package", "extra"), [("synthesis", "onnx", "nvrc-ref[encoder]"), ("video", "av", "nvrc-ref[encoder]")]
)
def test_a_part_without_its_package_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], part: str, package: str, extra: str
) -> None:
    hide(monkeypatch, package)
    assert bench(STREAM, "--repeats", 1, "--part", part, "--json", "-") == 0
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert document[part] is None
    (line,) = output.err.splitlines()
    assert part in line
    assert extra in line
    assert len(document["skipped"]) == 1


def test_pictures_too_small_for_x265_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    small = STREAM.with_name("nano-two-gops.nvrc")
    assert bench(small, "--repeats", 1, "--part", "video", "--json", "-") == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["video"] is None
    (line,) = output.err.splitlines()
    assert "smaller than 64x32" in line


def test_a_plot_needs_matplotlib_before_measuring(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hide(monkeypatch, "matplotlib")
    assert bench(STREAM, "--plot", tmp_path / "a.png") == 69
    assert "nvrc-ref[bench]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["missing.nvrc"], 66),
        (["-"], 66),
        ([STREAM, "--plot", "a.gif"], 2),
        ([STREAM, "--plot", "a.png", "--part", "memory"], 2),
        ([STREAM, "--repeats", 0], 2),
        ([STREAM, "--repeats", 1, "--part", "video", "--baseline-video", "missing.mp4"], 66),
        ([STREAM, "--repeats", 1, "--part", "video", "--baseline-video", STREAM], 66),
    ],
)
def test_wrong_options_and_inputs_are_refused(
    arguments: list[object], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*arguments) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_damaged_stream_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(STREAM.read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / "damaged.nvrc"
    damaged.write_bytes(data)
    assert bench(damaged, "--repeats", 1) == 65
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error[E_CRC]")
