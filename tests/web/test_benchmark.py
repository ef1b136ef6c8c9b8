"""`tools/benchmarks/browser.py` counts what the player does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import browser as benchmark
from nvrc_conformance.manifest import load_manifest

pytestmark = pytest.mark.full

MANIFEST = load_manifest()
STREAM = MANIFEST.stream("nano-motion")
LAST = STREAM.frame_count - 1


def test_frames_shown_and_dropped_are_counted(chromium: Any, serve: Callable[..., Any]) -> None:
    played = benchmark.play(chromium, serve(MANIFEST.file(STREAM)))
    assert played.shown + played.dropped == LAST
    assert played.late < played.shown
    assert played.frames_per_second < 1.2 * played.rate


def test_slow_screens_drop_frames(chromium: Any, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """At sixteen times its speed, some frames are due at the same refresh."""
    fast = benchmark.PLAY.replace("playback.play();", "playback.speed = 16;\n  playback.play();")
    assert fast != benchmark.PLAY
    monkeypatch.setattr(benchmark, "PLAY", fast)
    played = benchmark.play(chromium, serve(MANIFEST.file(STREAM)))
    assert played.dropped > 0
    assert played.shown + played.dropped == LAST


def test_decoders_are_measured_by_turns(chromium: Any, serve: Callable[..., Any]) -> None:
    speeds = benchmark.decode(chromium, serve(MANIFEST.file(STREAM)), rounds=1)
    assert list(speeds) == ["worker", "worker, with RGB", "Python, one thread"]
    for speed in speeds.values():
        assert min(speed.frames_per_second, speed.frames_per_processor_second) > 0


def test_a_bad_stream_is_not_measured(chromium: Any, serve: Callable[..., Any]) -> None:
    server = serve(Path(MANIFEST.file(MANIFEST.faults[0])))
    with pytest.raises(RuntimeError, match=MANIFEST.faults[0].code):
        benchmark.play(chromium, server)
