"""Programs that the harness starts: no child is left behind, no word is lost or believed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from waiting import wait_until

from nvrc_conformance.harness.child import Children, Ending, StoppedError

PARENT = """
import subprocess, sys
with open(sys.argv[1], "w") as file:
    subprocess.run(["sleep", "600"], pass_fds=[file.fileno()])
"""


def run(place: Path, *words: str, timeout: float = 60) -> Ending:
    return Children().run([sys.executable, "-I", "-S", "-c", *words], place, place / "log", timeout, None)


def test_the_children_of_a_decoder_are_killed_too(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def nobody_writes() -> bool:
        try:
            return os.read(reader, 1) == b""
        except BlockingIOError:
            return False

    assert run(tmp_path, PARENT, str(pipe), timeout=1).code is None
    wait_until(nobody_writes)
    os.close(reader)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("", ""),
        ("print('a'); print(' b \\t c '); print()", "b c"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\x1b[31m')", "\ufffd [31m"),
        ("print('x' * 10**6)", "x" * 200),
    ],
)
def test_the_last_line_is_one_plain_line(tmp_path: Path, program: str, said: str) -> None:
    ending = run(tmp_path, program)
    assert (ending.code, ending.said) == (0, said)


def test_a_decoder_reads_nothing_and_runs_beside_its_adapter(tmp_path: Path) -> None:
    ending = run(tmp_path, "import os, sys; print(os.getcwd(), repr(sys.stdin.read()))")
    assert ending.said == f"{tmp_path} ''"


def test_nothing_starts_after_a_stop(tmp_path: Path) -> None:
    children = Children()
    children.stop()
    with pytest.raises(StoppedError):
        children.run(["true"], tmp_path, tmp_path / "log", 1, None)
