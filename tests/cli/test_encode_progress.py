"""Progress of `encode`: one bar that fits, lines where there is no terminal, nothing with --quiet."""

from __future__ import annotations

import re
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import terminals

pytest.importorskip("torch")
termios = pytest.importorskip("termios", reason="no terminals here")

from nvrc_decoder.picture.format import VideoFormat  # noqa: E402
from nvrc_encoder.options import EncodeOptions  # noqa: E402
from nvrc_encoder.training.outlook import Outlook  # noqa: E402
from nvrc_encoder.training.workload import Speed  # noqa: E402
from nvrc_output.text import counted, duration  # noqa: E402
from nvrc_ref.encoding import progress as encode_progress  # noqa: E402
from nvrc_ref.encoding.progress import EncodeProgress, bar_line  # noqa: E402
from nvrc_ref.main import run  # noqa: E402

PATIENCE = 120.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def words(clip: Path, *more: str) -> list[str]:
    output = clip.with_suffix(".nvrc")
    command = [sys.executable, "-m", "nvrc_ref", "encode", str(clip), "-o", str(output)]
    return [*command, "--preset", "draft", "--iterations", "12", "--threads", "1", "--device", "cpu", *more]


def on_a_terminal(command: list[str], columns: int, kind: str = "xterm") -> str:
    """The standard error of an encode on a terminal of that kind and width."""
    code, shown = terminals.on_a_terminal(command, columns, kind, PATIENCE)
    assert code == 0, shown
    return shown


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "a.y4m"
    frames = (bytes((x * 5 + y * 3 + t * 9) % 256 for y in range(32) for x in range(32)) for t in range(2))
    path.write_bytes(b"YUV4MPEG2 W32 H32 F25:1 Cmono\n" + b"".join(b"FRAME\n" + frame for frame in frames))
    return path


@pytest.mark.full
def test_one_bar_shows_all_stages_and_fits(clip: Path) -> None:
    columns = 40
    shown = on_a_terminal(words(clip, "--target-size", "1500"), columns)
    lines = [line for line in re.split(r"[\r\n]+", ESCAPES.sub("", shown)) if line]
    bars = [line for line in lines if "ETA" in line]
    assert bars
    assert max(len(line) for line in bars) < columns
    assert {"pilot", "trials"} <= {line.split()[0] for line in bars}
    percents = [int(match[1]) for line in bars if (match := re.search(r"(\d+) %", line))]
    assert percents == sorted(percents)
    assert len(percents) == len(bars)
    assert "None" not in shown
    # The bar is removed; a warning about the target follows.
    left = ESCAPES.sub("", shown.rpartition("\x1b[2K")[2]).split("\n")
    assert all(not line.strip() or line.startswith("warning: the target of 1500 bytes") for line in left)
    assert any(line.startswith("about ") for line in lines)
    assert any(line.startswith("2 frames of 32x32 4:0:0 8 bits 25 fps") for line in lines)


@pytest.mark.full
def test_a_dumb_terminal_gets_a_few_lines(clip: Path) -> None:
    shown = on_a_terminal(words(clip, "--no-trials"), 80, "dumb")
    assert "\x1b" not in shown
    progress = [line for line in shown.splitlines() if "ETA" in line]
    assert 1 <= len(progress) <= 11
    assert all(re.match(r" *\d+ %", line) for line in progress)


def test_a_log_gets_a_few_lines_and_quiet_none(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = words(clip, "--no-trials")[3:]
    assert run(arguments) == 0
    log = capsys.readouterr().err
    assert 1 <= sum("ETA" in line for line in log.splitlines()) <= 11
    assert "\x1b" not in log
    before = clip.with_suffix(".nvrc").read_bytes()
    assert run([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert clip.with_suffix(".nvrc").read_bytes() == before


def test_long_starts_are_estimated_before_training() -> None:
    now, said = 0.0, list[str]()
    options = EncodeOptions()
    progress = EncodeProgress(options, said.append)
    outlook = progress.outlook = Outlook(progress.changed, lambda: now)
    outlook.plan(VideoFormat(1280, 720, Fraction(30)), 300, options.plan(), goal=False)
    for left in (0.5, 0.1):
        now += 30
        outlook.reach(left, 1, 2)
    outlook.enter("start")
    assert re.fullmatch(r"roughly .* h.* here by the trials, .*; shorter: --preset draft, --frames 32", said[-1])
    for left in (0.5, 0.2):
        outlook.reach(left)
    assert sum(" here by " in line for line in said) == 1


@pytest.mark.parametrize(("limited", "end"), [(False, "; shorter: --preset draft, --frames 32"), (True, "")])
def test_a_known_speed_gives_the_time_at_once(limited: bool, end: str) -> None:
    said: list[str] = []
    progress = EncodeProgress(EncodeOptions(), said.append, limited=limited)
    picture, plan = VideoFormat(1280, 720, Fraction(30)), EncodeOptions().plan(300)
    progress.outlook.plan(picture, 300, plan, goal=False, speed=Speed(2.0, 2.0, 2.0, 2.0))
    assert re.fullmatch(rf"about \d+ h (\d+ min )?here{end}", said[-1])


def test_too_little_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for here, told in ((8e9, True), (1e12, False), (None, False)):
        monkeypatch.setattr(encode_progress, "memory_here", lambda here=here: here)
        said: list[str] = []
        progress = EncodeProgress(EncodeOptions(), said.append)
        progress.outlook.plan(VideoFormat(1280, 720, Fraction(30)), 300, EncodeOptions().plan(), goal=False)
        assert any(line.startswith("warning: this machine has 8.0 GB;") for line in said) == told


def test_a_bar_fits_whatever_is_known() -> None:
    said: list[str] = []
    progress = EncodeProgress(EncodeOptions(), said.append)
    for width in range(20, 200):
        for ascii_only in (False, True):
            assert len(bar_line(progress, width, ascii_only)) <= width
    assert bar_line(progress, 40, True).isascii()
    assert not said


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (75, "75 s"), (200, "3 min"), (3590, "1 h"), (9600, "2 h 40 min"), (50_000, "14 h")],
)
def test_durations_are_rounded_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_one_takes_the_singular() -> None:
    assert [counted(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
