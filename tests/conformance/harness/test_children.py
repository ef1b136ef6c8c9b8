"""Programs that the harness starts: no child is left behind, no word is lost or believed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from nvrc_conformance.harness import child
from nvrc_conformance.harness.child import Children, Ending, StoppedError

PARENT = """
import subprocess, sys
with open(sys.argv[1], "w") as file:
    child = subprocess.Popen(["sleep", "600"], pass_fds=[file.fileno()])
    if sys.argv[2] == "waits":
        child.wait()
"""


def run(place: Path, *words: str, timeout: float = 60, memory: int | None = None) -> Ending:
    return Children().run([sys.executable, "-I", "-S", "-c", *words], place, place / "log", timeout, memory)


@pytest.mark.parametrize(("end", "code"), [("waits", None), ("leaves", 0)])
def test_the_children_of_a_decoder_are_killed_too(tmp_path: Path, end: str, code: int | None) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def nobody_writes() -> bool:
        try:
            return os.read(reader, 1) == b""
        except BlockingIOError:
            return False

    assert run(tmp_path, PARENT, str(pipe), end, timeout=60 if code == 0 else 1).code == code
    wait_until(nobody_writes)
    os.close(reader)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("", ""),
        ("print('a'); print(' b \\t c '); print()", "b c"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\x1b[31m')", "\ufffd?[31m"),
        ("print('x' * 10**6)", "x" * 200),
    ],
)
def test_the_last_line_is_one_plain_line(tmp_path: Path, program: str, said: str) -> None:
    ending = run(tmp_path, program)
    assert (ending.code, ending.said) == (0, said)


def test_a_decoder_reads_nothing_and_runs_beside_its_adapter(tmp_path: Path) -> None:
    ending = run(tmp_path, "import os, sys; print(os.getcwd(), repr(sys.stdin.read()))")
    assert ending.said == f"{tmp_path} ''"


def test_a_decoder_may_remove_its_folder(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    assert run(place, "import shutil, sys; shutil.rmtree(sys.argv[1])", str(place)).said == ""


def test_a_program_that_memory_keeps_from_starting_has_no_code(tmp_path: Path) -> None:
    """A code could be one of those that the adapter lists."""
    for words, memory in ((["/nonexistent"], 1 << 30), (["true"], 1 << 70)):
        ending = Children().run(words, tmp_path, tmp_path / "log", 60, memory)
        assert ending.code == -signal.SIGKILL
        assert ending.said.startswith(f"cannot start {words[0]}: ")


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
@pytest.mark.parametrize("memory", [None, 1 << 30])
def test_a_decoder_that_never_stops_writing_is_ended(
    tmp_path: Path, memory: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_LARGEST_FILE", 1 << 20)
    words = ["sh", "-c", "sleep 0.2; exec cat /dev/zero > frames"]
    ending = Children().run(words, tmp_path, tmp_path / "log", 60, memory)
    assert ending.code == -signal.SIGXFSZ
    assert (tmp_path / "frames").stat().st_size == 1 << 20


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_limit_on_memory_leaves_signals_as_they_are(tmp_path: Path) -> None:
    words = ["grep", "SigIgn", "/proc/self/status"]
    endings = [Children().run(words, tmp_path, tmp_path / "log", 60, memory) for memory in (None, 1 << 30)]
    assert endings[0].said == endings[1].said != ""


def test_nothing_starts_after_a_stop(tmp_path: Path) -> None:
    children = Children()
    children.stop()
    with pytest.raises(StoppedError):
        children.run(["true"], tmp_path, tmp_path / "log", 1, None)
