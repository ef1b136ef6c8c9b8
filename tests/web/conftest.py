"""A headless Chromium, and servers of the player. Tests that need a program which is not here are skipped."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nvrc_conformance.manifest import MANIFEST_PATH
from nvrc_ref.playing.server import PlayerServer

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "out" / "web" / "demo.nvrc"
ONNXRUNTIME_WEB = ROOT / "out" / "web" / "node_modules" / "onnxruntime-web" / "dist"


@pytest.fixture(scope="session")
def clip() -> Path:
    """The demo clip, which `make test-web` encodes; else a golden stream of the same picture."""
    return DEMO if DEMO.exists() else MANIFEST_PATH.parent / "streams" / "trained-nano.nvrc"


@pytest.fixture(scope="session")
def demo() -> Path:
    """The demo clip of `make test-web`."""
    if not DEMO.exists():
        pytest.skip("needs the demo clip: `make test-web` encodes it")
    return DEMO


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser of Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright for Python")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def onnxruntime_web() -> Path:
    """The folder of onnxruntime-web that pages load, which `make test-web` gets by npm."""
    if not ONNXRUNTIME_WEB.is_dir():
        pytest.skip("needs onnxruntime-web: `make test-web` installs it where there is npm")
    return ONNXRUNTIME_WEB


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page of its own, in which no script may fail."""
    page = chromium.new_page(viewport={"width": 1100, "height": 760})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert faults == []


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    """Starts a server of the player for a file."""
    with ExitStack() as stack:

        def start(stream: Path, kind: type[PlayerServer] = PlayerServer) -> PlayerServer:
            server = stack.enter_context(kind(stream))
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            return server

        yield start
