"""What many tests share: no telemetry, golden streams, and a look at threads that are left."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# ONNX Runtime, which some tests import themselves, reports to nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# A shell that runs the tests in the background ignores Ctrl-C, and so would the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Path]:
    """The file of a golden stream, by its name in the manifest."""
    folder = Path(__file__).resolve().parents[1] / "conformance" / "streams"

    def find(name: str) -> Path:
        assert (folder / f"{name}.nvrc").exists(), f"no golden stream is called {name}"
        return folder / f"{name}.nvrc"

    return find


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """Every thread that the test started has ended when the test ends."""
    before = set(threading.enumerate())
    yield
    assert [thread.name for thread in threading.enumerate() if thread not in before] == []
