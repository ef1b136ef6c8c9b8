"""`nvrc-ref` from the command line: exit codes, streams, files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from case_choice import full_except

from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop
from nvrc_ref.main import run

ROOT = Path(__file__).resolve().parents[2]
CONFORMANCE = ROOT / "conformance"
STREAMS = {s["id"]: s for s in json.loads((CONFORMANCE / "manifest.json").read_text())["streams"] if "expect" not in s}
CASE = STREAMS["nano-two-gops"]
STREAM = CONFORMANCE / CASE["file"]


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def command(*arguments: object, data: bytes = b"", **options: object) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-m", "nvrc_ref", *(str(argument) for argument in arguments)]
    return subprocess.run(words, input=data, capture_output=True, **options)  # type: ignore[call-overload]


def assert_one_error(text: str, code: str) -> None:
    (line,) = text.splitlines()
    assert line.startswith(f"error[{code}]")


@pytest.mark.parametrize("name", full_except(sorted(STREAMS), "nano-gops", "lite-motion", "main-motion-bound"))
def test_verify_accepts_a_golden_stream(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    stream = STREAMS[name]
    assert call("verify", CONFORMANCE / stream["file"], "--md5", stream["md5"], "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["frame_md5s"] == stream["frame_md5"]
    assert document["ok"] is True


def test_verify_with_another_md5_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", STREAM, "--md5", "0" * 32) == 1
    output = capsys.readouterr()
    assert CASE["md5"] in output.out
    assert_one_error(output.err, "E_MD5")


@pytest.mark.parametrize("engine", ["auto", "reference", "onnxruntime"])
def test_decode_writes_y4m_and_yuv(tmp_path: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("decode", STREAM, "-o", tmp_path / "a.y4m", "--engine", engine) == 0
    assert call("decode", STREAM, "-o", tmp_path / "a.yuv", "--json", "--engine", engine) == 0
    output = capsys.readouterr()
    document = json.loads(output.out[output.out.index("{") :])
    assert (document["frames"], document["md5"]) == (CASE["frame_count"], CASE["md5"])
    assert hashlib.md5((tmp_path / "a.yuv").read_bytes()).hexdigest() == CASE["md5"]
    y4m = (tmp_path / "a.y4m").read_bytes()
    assert y4m.startswith(f"YUV4MPEG2 W{CASE['width']} H{CASE['height']} ".encode())
    assert y4m.count(b"FRAME\n") == CASE["frame_count"]


def test_start_and_frames_choose_frames(tmp_path: Path) -> None:
    assert call("decode", STREAM, "-o", tmp_path / "all.yuv") == 0
    assert call("decode", STREAM, "-o", tmp_path / "part.yuv", "--start", 1, "--frames", 2) == 0
    whole, part = (tmp_path / "all.yuv").read_bytes(), (tmp_path / "part.yuv").read_bytes()
    size = len(whole) // CASE["frame_count"]
    assert part == whole[size : 3 * size]
    assert call("decode", STREAM, "-o", tmp_path / "none.yuv", "--start", 10_000) == 66
    assert not (tmp_path / "none.yuv").exists()


def test_decode_reads_and_writes_pipes() -> None:
    result = command("decode", "-", "-o", "-", "--format", "yuv", data=STREAM.read_bytes())
    assert result.returncode == 0
    assert hashlib.md5(result.stdout).hexdigest() == CASE["md5"]
    assert b"frames" in result.stderr


def test_seeking_a_pipe_is_refused() -> None:
    result = command("decode", "-", "-o", "-", "--start", 1, data=STREAM.read_bytes())
    assert result.returncode == 66
    assert result.stdout == b""


def test_info_lists_units_and_totals(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("info", STREAM, "--json", "--units") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["width"], document["height"], document["frames"]) == (
        CASE["width"],
        CASE["height"],
        CASE["frame_count"],
    )
    assert document["bytes"]["total"] == STREAM.stat().st_size
    parts = document["bytes"]
    assert sum(parts["grids"].values()) + parts["parameters"] + parts["headers"] == parts["total"]
    names = [unit["unit"] for unit in document["units"]]
    assert names[0] == "SEQUENCE"
    assert names[-1] == "END"
    assert {"GOP 0", "DIGEST 0", "GOP 1", "DIGEST 1"} <= set(names)
    assert call("info", STREAM, "--units") == 0
    assert "DIGEST 1" in capsys.readouterr().out


def test_info_reports_active_parts_and_their_cost(capsys: pytest.CaptureFixture[str]) -> None:
    path = CONFORMANCE / STREAMS["nano-motion"]["file"]
    assert call("info", path, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    (network,) = document["networks"]
    assert network["stage_channels"] == [4, 5, 3, 4, 5]
    assert network["stage_blocks"] == [0, 0, 1, 0, 1]
    assert network["motion"] is True
    assert (network["key_spacing"], network["node_spacing"], network["step_factors"]) == (8, 8, [])
    assert [grid["schedule"] for grid in network["grids"]] == ["octree"] * 11
    kinds = ["feature"] * 4 + ["plane"] + ["band"] * 4 + ["flow", "split"]
    assert [grid["kind"] for grid in network["grids"]] == kinds
    # 20 frames, and the coded nodes of both GOPs.
    gops = STREAMS["nano-motion"]["stages"]["gops"]
    coded = [sum(gop["nodes"][str(slot)].count("1") for gop in gops) for slot in (4, 5, 6, 7, 8, 10)]
    width, height = document["width"], document["height"]
    values = sum(
        channels * nodes * -(-height // stride) * -(-width // stride)
        for channels, nodes, stride in (
            *((4, 20, 32), (3, 20, 16), (3, 20, 8), (2, 20, 4), (3, 20, 16)),
            *zip((3, 4, 3, 3, 3, 3), coded, (4, 16, 8, 4, 2, 8), strict=True),
        )
    )
    costs = document["kmac_per_pixel"]
    pixels = width * height * document["frames"]
    assert costs["entropy"] == round((51 * 8 + 8 * 6 + 6 * 2) * values / pixels / 1000, 3)
    # 3 planes at stride 4 and the luma plane: 10 products a frame, and 12 a node for half samples and for the wavelet.
    assert costs["motion"] == round((3 * (10 + 12 / 8) / 16 + 10 + 24 / 8) / 1000, 3)
    assert costs["total"] == pytest.approx(sum(costs[name] for name in ("synthesis", "motion", "entropy")), abs=2e-3)
    assert network["kmac_per_pixel"] == pytest.approx(costs["synthesis"] + costs["motion"], abs=2e-3)
    # The payloads of motion come first in the GOP, and are listed under their slots.
    with path.open("rb") as file:
        gops = [unit.content for unit in UnitReader(file) if isinstance(unit.content, Gop)]
    listed = {str(slot): sum(len(gop.grids[place]) for gop in gops) for place, slot in enumerate((9, 10, *range(9)))}
    assert document["bytes"]["grids"] == listed
    assert call("info", path) == 0
    text = capsys.readouterr().out
    assert "motion on" in text
    assert "blocks [0, 0, 1, 0, 1]" in text


def test_info_counts_all_bytes_of_golden_streams(capsys: pytest.CaptureFixture[str]) -> None:
    for stream in STREAMS.values():
        assert call("info", CONFORMANCE / stream["file"], "--json") == 0
        assert json.loads(capsys.readouterr().out)["bytes"]["total"] == stream["bytes"]


def test_a_joined_stream_decodes_to_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    joined, other = tmp_path / "joined.nvrc", STREAMS["nano-random"]
    inputs = STREAM, CONFORMANCE / other["file"]
    assert call("join", *inputs, "-o", joined) == 0
    frames, size = CASE["frame_count"] + other["frame_count"], joined.stat().st_size
    assert capsys.readouterr().out == f"{joined}: 3 gops, {frames} frames, {size} bytes\n"
    assert call("join", *inputs, "-o", joined, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"output": str(joined), "inputs": 2, "gops": 3, "frames": frames, "bytes": size}
    assert call("join", STREAM, "-o", "-", "--json") == 2
    capsys.readouterr()
    assert call("verify", joined, "--json") == 0
    assert json.loads(capsys.readouterr().out)["frame_md5s"] == CASE["frame_md5"] + other["frame_md5"]


def test_join_of_different_sequences_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = CONFORMANCE / STREAMS["nano-1x1"]["file"]
    assert call("join", STREAM, other, "-o", tmp_path / "joined.nvrc") != 0
    assert capsys.readouterr().err.startswith("error[E_")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["decode", "info", "verify", "join", "encode"])
@pytest.mark.parametrize("place", ["none.nvrc", "."])
def test_a_missing_input_exits_with_66(
    tmp_path: Path, name: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["-o", tmp_path / "out.y4m"] if name in ("decode", "join", "encode") else []
    assert call(name, tmp_path / place, *output) == 66
    assert_one_error(capsys.readouterr().err, "E_NO_INPUT")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["decode", "info", "verify", "join"])
@pytest.mark.parametrize("data", [b"", b"\x89NVRC", b"garbage" * 100])
def test_garbage_exits_with_65(tmp_path: Path, name: str, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.nvrc").write_bytes(data)
    output = ["-o", tmp_path / "out.y4m"] if name in ("decode", "join") else []
    assert call(name, tmp_path / "bad.nvrc", *output) == 65
    assert capsys.readouterr().err.startswith("error[E_")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.nvrc"]


def test_a_fault_in_the_last_gop_leaves_no_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(STREAM.read_bytes())
    data[-30] ^= 1
    (tmp_path / "bad.nvrc").write_bytes(data)
    assert call("decode", tmp_path / "bad.nvrc", "-o", tmp_path / "out.y4m") == 65
    assert [path.name for path in tmp_path.iterdir()] == ["bad.nvrc"]


def test_a_local_limit_exits_with_77(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", STREAM, "--limit", "max_width=1") == 77
    assert "max_width" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["decode", str(STREAM)],
        ["decode", str(STREAM), "-o", "a.avi"],
        ["decode", str(STREAM), "-o", "-", "--json"],
        ["verify", str(STREAM), "--md5", "xyz"],
        ["verify", str(STREAM), "--limit", "max_width"],
        ["verify", str(STREAM), "--limit", "nothing=1"],
        ["encode", "a.yuv", "-o", "b.nvrc", "--size", "12"],
        ["encode", "a.yuv", "-o", "b.nvrc", "--rate", "0"],
        ["join", "-o", "a.nvrc"],
    ],
)
def test_usage_errors_exit_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words) == 2
    assert "Usage" in capsys.readouterr().err


def test_a_directory_as_output_exits_with_74(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("decode", STREAM, "-o", tmp_path, "--format", "y4m") == 74
    assert_one_error(capsys.readouterr().err, "E_OUTPUT")
    assert call("join", STREAM, "-o", tmp_path) == 74
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["decode", STREAM, "-o", "-"], ["verify", STREAM], ["info", STREAM]])
def test_a_full_disk_on_stdout_exits_with_74(words: list[object]) -> None:
    arguments = [sys.executable, "-m", "nvrc_ref", *map(str, words)]
    with open("/dev/full", "wb") as full:
        result = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 74
    assert "No space left" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_closed_pipe_exits_with_74() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "nvrc_ref", "decode", str(STREAM), "-o", "-"]
    result = subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert result.returncode == 74
    assert_one_error(result.stderr, "E_IO")


def test_an_internal_error_is_one_line_and_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("made for this test")

    monkeypatch.setattr("nvrc_ref.commands.verify.open_stream", fail)
    monkeypatch.delenv("NVRC_DEBUG", raising=False)
    assert call("verify", STREAM) == 70
    assert_one_error(capsys.readouterr().err, "E_INTERNAL")
    assert call("--debug", "verify", STREAM) == 70
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("NVRC_DEBUG", "1")
    assert call("verify", STREAM) == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), 130), (MemoryError(), 77), (OSError(5, "I/O error"), 74)]
)
def test_foreign_exceptions_get_their_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("nvrc_ref.commands.verify.open_stream", fail)
    monkeypatch.setattr("nvrc_ref.main.silence_stdout", lambda: None)
    assert call("verify", STREAM) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_and_version_exit_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    listing = capsys.readouterr().out
    for name in ("encode", "decode", "info", "verify", "join", "export"):
        assert name in listing
        assert call(name, "--help") == 0
    assert call("--version") == 0


def test_a_missing_engine_names_its_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert call("verify", STREAM, "--engine", "onnxruntime") == 69
    assert "nvrc-ref[cpu]" in capsys.readouterr().err
    assert call("verify", STREAM) == 0


def test_an_unknown_suffix_lists_the_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("decode", STREAM, "-o", tmp_path / "a.mov") == 2
    assert ".y4m, .yuv, .mp4 or FOLDER/" in " ".join(capsys.readouterr().err.split())
