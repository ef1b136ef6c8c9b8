"""The first moments of the program, before the command line can catch anything."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, {handler})
sys.meta_path.insert(0, Finder())
sys.argv = ["nvrc-ref", "--version"]
from nvrc_ref.start import start

start()
"""


@pytest.mark.parametrize(
    ("handler", "code"),
    [("signal.default_int_handler", -signal.SIGINT), ("signal.SIG_IGN", 0)],
    ids=["heard", "ignored"],
)
def test_an_interrupt_while_importing_is_silent(handler: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(handler=handler)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "")
    assert ("version" in done.stdout) == (code == 0)
