"""`nvrc-ref` as a process: pipes, truncated streams, full disks and damaged GOPs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.join import join
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop
from nvrc_ref.main import run

MANIFEST = load_manifest()
FOUR = MANIFEST.stream("nano-four-gops")
DATA = MANIFEST.read("nano-four-gops")
UNITS = {unit.name: unit for unit in UnitReader(io.BytesIO(DATA))}
GOPS = [unit.content.frame_count for unit in UNITS.values() if isinstance(unit.content, Gop)]
FRAME_BYTES = FOUR.width * FOUR.height * 3 // 2
MODULE = [sys.executable, "-m", "nvrc_ref"]
PATIENCE = 60.0


def frames_of(data: bytes) -> list[str]:
    """MD5 of each frame of raw video."""
    return [hashlib.md5(data[i : i + FRAME_BYTES]).hexdigest() for i in range(0, len(data), FRAME_BYTES)]


def damaged(*names: str) -> bytes:
    data = bytearray(DATA)
    for name in names:
        data[UNITS[name].payload_offset + 5] ^= 1
    return bytes(data)


def long_stream() -> bytes:
    """More video than a pipe can buffer."""
    output = io.BytesIO()
    join([io.BytesIO(DATA) for _ in range(100)], output)
    return output.getvalue()


def assert_one_line(stderr: bytes, code: str) -> None:
    (line,) = stderr.decode().splitlines()
    assert line.startswith(f"error[{code}]"), line


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.nvrc"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    """A folder that must have only complete files at the end."""
    folder = tmp_path / "out"
    folder.mkdir()
    yield folder
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    "options", [[], ["--no-verify"], ["--keep-going"], ["--threads", "1"], ["--engine", "reference"]]
)
def test_a_pipe_gets_the_bytes_of_a_file(stream: Path, output: Path, options: list[str]) -> None:
    assert run(["decode", str(stream), "-o", str(output / "a.y4m"), *options]) == 0
    piped = subprocess.run([*MODULE, "decode", "-", "-o", "-", *options], input=DATA, capture_output=True, check=True)
    assert piped.stdout == (output / "a.y4m").read_bytes()
    assert f"{FOUR.frame_count} frames".encode() in piped.stderr


def test_ffmpeg_reads_the_pipe(stream: Path, output: Path) -> None:
    """FFmpeg reads the y4m from the pipe to its last sample."""
    decode = subprocess.Popen(
        [*MODULE, "decode", str(stream), "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    words = ["ffmpeg", "-v", "error", "-i", "-", "-f", "rawvideo", str(output / "a.yuv")]
    try:
        ffmpeg = subprocess.run(words, stdin=decode.stdout, capture_output=True)
    except FileNotFoundError:
        decode.kill()
        decode.communicate()
        pytest.skip("ffmpeg is not on the path")
    decode.communicate()
    assert (ffmpeg.returncode, ffmpeg.stderr, decode.returncode) == (0, b"", 0)
    assert tuple(frames_of((output / "a.yuv").read_bytes())) == FOUR.frame_md5


def test_frames_come_while_the_stream_arrives() -> None:
    """Two GOPs go in and their frames come out before the third one goes in."""
    words = [*MODULE, "decode", "-", "-o", "-", "--format", "yuv", "--threads", "1"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        half = UNITS["GOP 2"].offset
        process.stdin.write(DATA[:half])
        process.stdin.flush()
        first = process.stdout.read(sum(GOPS[:2]) * FRAME_BYTES)
        process.stdin.write(DATA[half:])
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(PATIENCE) == 0
    assert tuple(frames_of(first + rest)) == FOUR.frame_md5


@pytest.mark.parametrize("piped", [True, False])
def test_a_killed_reader_exits_with_74(tmp_path: Path, piped: bool) -> None:
    """Also while the decoder waits for input: it does not hang, and reports one line."""
    data = long_stream()
    (tmp_path / "long.nvrc").write_bytes(data)
    words = [*MODULE, "decode", "-" if piped else str(tmp_path / "long.nvrc"), "-o", "-", "--threads", "1"]
    source = subprocess.PIPE if piped else subprocess.DEVNULL
    with subprocess.Popen(words, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if piped:
            assert process.stdin is not None
            # The pipe buffers half of the input, or the decoder reads it; the other half never arrives.
            process.stdin.write(data[: 16 * 1024])
            process.stdin.flush()
        process.stdout.read(3 * FRAME_BYTES)
        process.stdout.close()
        assert process.wait(PATIENCE) == 74
        assert_one_line(process.stderr.read(), "E_IO")


def test_a_full_disk_exits_with_74(stream: Path, output: Path) -> None:
    """A limit on file sizes stands for a disk that fills up during the third frame."""
    for kind in ("y4m", "yuv"):
        script = f"ulimit -f {3 * FRAME_BYTES // 1024}; trap '' XFSZ; exec \"$@\""
        words = ["bash", "-c", script, "bash", *MODULE, "decode", str(stream), "-o", str(output / f"a.{kind}")]
        result = subprocess.run(words, capture_output=True)
        assert result.returncode == 74
        assert_one_line(result.stderr, "E_IO")
        assert list(output.iterdir()) == []
    result = subprocess.run([*MODULE, "decode", str(stream), "-o", "/dev/full"], capture_output=True)
    assert result.returncode == 74
    assert_one_line(result.stderr, "E_IO")


def test_missing_input_and_directory_as_output(stream: Path, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["decode", str(stream.parent / "none.nvrc"), "-o", str(output / "a.y4m")]) == 66
    assert_one_line(capfd.readouterr().err.encode(), "E_NO_INPUT")
    assert run(["decode", str(stream), "-o", str(output), "--format", "y4m"]) == 74
    assert_one_line(capfd.readouterr().err.encode(), "E_OUTPUT")
    assert run(["decode", str(stream), "-o", "-", "--format", "png"]) == 2
    assert "y4m and yuv can" in capfd.readouterr().err
    assert run(["decode", str(stream), "-o", str(output / "none" / "a.y4m")]) == 74
    assert_one_line(capfd.readouterr().err.encode(), "E_OUTPUT")
    assert list(output.iterdir()) == []


@pytest.mark.parametrize("kind", ["y4m", "yuv", "mp4", "png"])
def test_a_truncated_stream_exits_with_65(
    stream: Path, output: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    part = DATA[: UNITS["GOP 2"].offset + 20]
    stream.write_bytes(part)
    target = output / "frames" if kind == "png" else output / f"a.{kind}"
    assert run(["decode", str(stream), "-o", str(target)]) == 65
    assert_one_line(capfd.readouterr().err.encode(), "E_TRUNCATED")
    assert list(output.iterdir()) == []


def test_a_truncated_pipe_yields_its_whole_gops() -> None:
    part = DATA[: UNITS["GOP 2"].offset + 20]
    result = subprocess.run([*MODULE, "decode", "-", "-o", "-", "--format", "yuv"], input=part, capture_output=True)
    assert result.returncode == 65
    assert tuple(frames_of(result.stdout)) == FOUR.frame_md5[: sum(GOPS[:2])]
    assert_one_line(result.stderr, "E_TRUNCATED")


def lost_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("lost ")]


@pytest.mark.parametrize("piped", [True, False])
def test_keep_going_skips_damaged_gops(stream: Path, output: Path, piped: bool) -> None:
    data = damaged("GOP 1", "DIGEST 3")
    stream.write_bytes(data)
    name = "-" if piped else str(stream)
    words = [*MODULE, "decode", name, "-o", str(output / "a.yuv"), "--keep-going", "--json"]
    result = subprocess.run(words, input=data, capture_output=True, text=False)
    assert result.returncode == 65
    kept = [*range(GOPS[0]), *range(sum(GOPS[:2]), sum(GOPS[:3]))]
    assert frames_of((output / "a.yuv").read_bytes()) == [FOUR.frame_md5[n] for n in kept]
    first, second, last = result.stderr.decode().splitlines()
    begin, end = GOPS[0], GOPS[0] + GOPS[1] - 1
    assert first.startswith(f"lost GOP 1, frames {begin}-{end}: error[E_CRC] GOP 1 at byte ")
    assert second.startswith(f"lost GOP 3, frames {sum(GOPS[:3])}")
    assert last.startswith("error[E_DAMAGED] the stream is damaged in 2 places")
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["frames"] == len(kept)
    assert [(d["gop"], d["first_frame"], d["frames"], d["code"]) for d in document["damage"]] == [
        (1, begin, GOPS[1], "E_CRC"),
        (3, sum(GOPS[:3]), GOPS[3], "E_CRC"),
    ]


def test_the_first_damage_ends_a_plain_decode(stream: Path, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream.write_bytes(damaged("GOP 1"))
    assert run(["decode", str(stream), "-o", str(output / "a.yuv")]) == 65
    assert_one_line(capfd.readouterr().err.encode(), "E_CRC")
    assert list(output.iterdir()) == []


def test_keep_going_without_damage_exits_with_0(stream: Path, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["decode", str(stream), "-o", str(output / "a.yuv"), "--keep-going", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["damage"] == []
    assert tuple(frames_of((output / "a.yuv").read_bytes())) == FOUR.frame_md5


def test_keep_going_starts_at_a_frame(stream: Path, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream.write_bytes(damaged("GOP 0", "GOP 2"))
    start = GOPS[0] + 1
    words = ["decode", str(stream), "-o", str(output / "a.yuv"), "--keep-going", "--start", str(start)]
    assert run([*words, "--frames", str(FOUR.frame_count)]) == 65
    kept = [*range(start, sum(GOPS[:2])), *range(sum(GOPS[:3]), FOUR.frame_count)]
    assert frames_of((output / "a.yuv").read_bytes()) == [FOUR.frame_md5[n] for n in kept]
    assert len(lost_lines(capfd.readouterr().err)) == 1


def test_keep_going_keeps_frames_before_a_cut(stream: Path, output: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream.write_bytes(DATA[: UNITS["GOP 2"].offset + 20])
    assert run(["decode", str(stream), "-o", str(output / "a.yuv"), "--keep-going"]) == 65
    assert tuple(frames_of((output / "a.yuv").read_bytes())) == FOUR.frame_md5[: sum(GOPS[:2])]
    (line,) = lost_lines(capfd.readouterr().err)
    assert line.startswith(f"lost frames from {sum(GOPS[:2])} on: error[E_TRUNCATED]")


def test_verify_reports_all_damage(stream: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stream.write_bytes(damaged("GOP 1"))
    assert run(["verify", str(stream), "--keep-going", "--json"]) == 65
    captured = capfd.readouterr()
    document = json.loads(captured.out)
    assert (document["ok"], [d["gop"] for d in document["damage"]]) == (False, [1])
    assert len(document["frame_md5s"]) == FOUR.frame_count - GOPS[1]
    assert run(["verify", str(stream), "--keep-going"]) == 65
    assert "the others were lost" in capfd.readouterr().out


def test_gops_over_a_limit_exit_with_77(stream: Path, capfd: pytest.CaptureFixture[str]) -> None:
    most = max(GOPS)
    assert run(["verify", str(stream), "--keep-going", "--limit", f"max_gop_frames={most - 1}"]) == 77
    assert len(lost_lines(capfd.readouterr().err)) == GOPS.count(most)


def test_keep_going_needs_digests(stream: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["decode", str(stream), "-o", "-", "--keep-going", "--no-verify"]) == 2
    assert "--no-verify" in capfd.readouterr().err


def test_a_stream_can_come_from_a_fifo(stream: Path, output: Path) -> None:
    fifo = stream.parent / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [*MODULE, "decode", str(fifo), "-o", str(output / "a.yuv")], stderr=subprocess.PIPE
    ) as process:
        fifo.write_bytes(DATA)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert tuple(frames_of((output / "a.yuv").read_bytes())) == FOUR.frame_md5
