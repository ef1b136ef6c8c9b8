"""The demo clip in a browser: as one small file without a network, and at its rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nvrc_decoder
from benchmarks import browser as benchmark
from nvrc_ref.main import run

pytestmark = pytest.mark.full

PAGE_BYTES = 400_000
RATE = 25


def test_the_demo_page_is_small_and_plays_offline(page: Any, demo: Path, tmp_path: Path) -> None:
    file = tmp_path / "demo.html"
    assert run(["export", str(demo), "-o", str(file)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo.html"]
    assert file.stat().st_size < PAGE_BYTES
    page.context.set_offline(True)
    page.goto(file.as_uri())
    page.locator("#canvas:visible, #error:visible").first.wait_for()
    page.keyboard.press(" ")
    page.locator("#play:not(.playing)").wait_for(timeout=60_000)
    with nvrc_decoder.open(demo) as video:
        count = video.frame_count
    assert page.locator("#number").inner_text() == f"frame {count - 1} of {count}"
    assert not page.locator("#error").is_visible()


def test_the_demo_decodes_faster_than_it_plays(chromium: Any, serve: Callable[..., Any], demo: Path) -> None:
    """By processor time, so that a busy machine does not fail: what a core of its own would do."""
    server = serve(demo)
    played = benchmark.play(chromium, server)
    assert played.rate == pytest.approx(RATE)
    worker = benchmark.decode(chromium, server, rounds=3)["worker, with RGB"]
    assert worker.frames_per_processor_second > RATE
