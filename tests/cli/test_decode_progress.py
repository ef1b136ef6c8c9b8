"""Progress of `decode` and `verify`: a bar on a terminal only, with lines about damage above it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import select
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import terminals

from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Gop
from nvrc_decoder.decode import frames as frames_module
from nvrc_decoder.decode.prefetch import Prefetch
from nvrc_decoder.picture.frame import Frame
from nvrc_ref.main import run

MANIFEST = load_manifest()
STREAM = MANIFEST.stream("nano-four-gops")
COUNT = STREAM.frame_count
DATA = MANIFEST.read("nano-four-gops")
GOPS = [unit for unit in UnitReader(io.BytesIO(DATA)) if isinstance(unit.content, Gop)]
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")


def on_a_terminal(
    *words: str, source: BinaryIO | int = subprocess.DEVNULL, columns: int = 80, kind: str = "xterm"
) -> tuple[int, str]:
    """Exit code of `nvrc-ref`, and what the terminal on its standard error showed."""
    return terminals.on_a_terminal([sys.executable, "-m", "nvrc_ref", *words], columns, kind, PATIENCE, source)


def counts(shown: str) -> list[tuple[str, ...]]:
    return re.findall(r"\]  (\d+)(?:/(\d+))?", shown)


@pytest.fixture
def stream(tmp_path: Path) -> str:
    path = tmp_path / "a.nvrc"
    path.write_bytes(DATA)
    return str(path)


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ([], COUNT),
        (["--frames", "4"], 4),
        (["--start", "6"], COUNT - 6),
        (["--start", "6", "--frames", "99"], COUNT - 6),
    ],
    ids=str,
)
def test_a_terminal_shows_frames_total_and_eta(stream: str, tmp_path: Path, options: list[str], total: int) -> None:
    code, shown = on_a_terminal("decode", stream, "-o", str(tmp_path / "a.y4m"), *options)
    assert code == 0
    assert counts(shown) == [(str(i), str(total)) for i in range(total + 1)]
    assert len(re.findall(r"ETA 0:\d\d:\d\d", shown)) == total - 1


@pytest.mark.parametrize("columns", [30, 40, 60])
def test_the_bar_fits_into_a_narrow_terminal(stream: str, columns: int) -> None:
    code, shown = on_a_terminal("verify", stream, columns=columns)
    assert code == 0
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown))
    assert any("ETA" in line for line in lines)
    assert max(map(len, lines)) < max(columns, 40)


def test_a_dumb_terminal_gets_lines(stream: str) -> None:
    code, shown = on_a_terminal("verify", stream, kind="dumb")
    assert code == 0
    assert "\x1b" not in shown
    assert shown.splitlines()[-1].startswith(f"decoding  {COUNT}/{COUNT}  100 %")
    assert len(shown.splitlines()) <= 10


def test_verify_shows_the_same_bar(stream: str) -> None:
    code, shown = on_a_terminal("verify", stream)
    assert code == 0
    assert counts(shown)[-1] == (str(COUNT), str(COUNT))


def test_a_pipe_has_no_known_total(stream: str) -> None:
    with subprocess.Popen(["cat", stream], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        code, shown = on_a_terminal("verify", "-", source=cat.stdout)
    assert code == 0
    assert counts(shown) == [(str(i), "") for i in range(COUNT + 1)]
    assert "ETA" not in shown


def test_damage_lines_overwrite_the_bar(stream: str, tmp_path: Path) -> None:
    data = bytearray(DATA)
    data[GOPS[1].payload_offset + 5] ^= 1
    Path(stream).write_bytes(data)
    code, shown = on_a_terminal("decode", stream, "-o", str(tmp_path / "a.y4m"), "--keep-going")
    assert code == 65
    (line,) = [line for line in shown.splitlines() if "lost GOP 1" in line]
    assert line.startswith("\033[Klost GOP 1"), line
    lost, first = GOPS[1].content, GOPS[0].content
    assert isinstance(lost, Gop)
    assert isinstance(first, Gop)
    after = counts(shown.partition("lost GOP 1")[2])
    assert after[0] == (str(first.frame_count + 1), str(COUNT))
    assert after[-1] == (str(COUNT - lost.frame_count), str(COUNT))


def test_a_broken_stream_ends_the_bar_first(stream: str, tmp_path: Path) -> None:
    Path(stream).write_bytes(DATA[: GOPS[2].payload_offset + 5])
    code, shown = on_a_terminal("decode", stream, "-o", str(tmp_path / "a.y4m"))
    assert code == 65
    assert shown.splitlines()[-1].startswith("error[")


@pytest.mark.parametrize("words", [["-o", "-"], ["-o", "{}", "--quiet"]], ids=["pipe", "quiet"])
def test_no_bar_with_quiet_or_frames_on_stdout(stream: str, tmp_path: Path, words: list[str]) -> None:
    code, shown = on_a_terminal("decode", stream, *(word.format(tmp_path / "a.y4m") for word in words))
    assert code == 0
    assert "\033" not in shown
    assert not counts(shown)


def test_a_log_gets_no_bar(stream: str) -> None:
    done = subprocess.run([sys.executable, "-m", "nvrc_ref", "verify", stream], capture_output=True)
    assert done.returncode == 0
    assert done.stderr == b""


def test_a_closed_stderr_gets_no_bar(stream: str) -> None:
    command = [sys.executable, "-m", "nvrc_ref", "verify", stream]
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert f"({COUNT} frames, digests ok)".encode() in done.stdout


@pytest.mark.parametrize("words", [["verify", "-"], ["decode", "-", "-o", "{}"]], ids=["verify", "decode"])
def test_decoding_survives_a_closed_terminal(words: list[str], tmp_path: Path) -> None:
    output = tmp_path / "a.yuv"
    screen, terminal = os.openpty()
    command = [sys.executable, "-m", "nvrc_ref", *(word.format(output) for word in words), "--json"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    assert process.stdin is not None
    process.stdin.write(DATA[:-10])
    process.stdin.flush()
    seen = b""
    while b"]  3" not in seen:
        assert select.select([screen], [], [], PATIENCE)[0], seen
        seen += os.read(screen, 1 << 16)
    os.close(screen)
    shown, _ = process.communicate(DATA[-10:], timeout=PATIENCE)
    assert process.returncode == 0
    assert json.loads(shown)["md5"] == STREAM.md5
    if words[0] == "decode":
        assert hashlib.md5(output.read_bytes()).hexdigest() == STREAM.md5


@pytest.mark.parametrize("words", [["verify"], ["decode", "-o", "{}"]], ids=["verify", "decode"])
def test_frames_are_released_before_the_next_gop(
    words: list[str], stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Frame]] = []
    alive: list[int] = []
    wait = Prefetch.__next__

    def frame(*arguments: Any, **options: Any) -> Frame:
        found = Frame(*arguments, **options)
        made.append(weakref.ref(found))
        return found

    def noted(self: Prefetch[Any]) -> Any:
        alive.append(sum(found() is not None for found in made))
        return wait(self)

    monkeypatch.setattr(frames_module, "Frame", frame)
    monkeypatch.setattr(Prefetch, "__next__", noted)
    assert run([*(word.format(tmp_path / "a.y4m") for word in words), stream]) == 0
    assert len(made) == COUNT
    assert alive == [0] * (len(GOPS) + 1)
