"""Play a stream in headless Chromium, and compare the decoder in its worker with that in Python.

    python tools/benchmarks/browser.py FILE [--rounds 3] [--json FILE]

Needs Chromium, and Playwright for Python (``pip install playwright``). The player plays the stream once at its own
rate: frames that it shows and drops, frames that come late, and frames a second. Then the worker alone decodes all
frames, with and without their conversion to RGB, and Python does so with one thread, by turns; medians are reported.
Frames a second of processor time are those of all processes of Chromium together, or of Python: another program slows
them little. Both count from the opening of the stream on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nvrc_decoder
from nvrc_ref.playing.server import PlayerServer

LATE = 2 / 60
"""Seconds, two refreshes of the screen: a frame is late if so much more lies between it and the one shown before it
than their times say."""
PLAY = """async () => {
  const { playback } = nvrcPlayer;
  const times = [];
  const present = playback.present;
  playback.present = function (frame) {
    present.call(this, frame);
    times.push([frame.index, frame.time, performance.now() / 1000]);
  };
  const dropped = playback.dropped;
  playback.play();
  while (playback.playing) await new Promise((resolve) => setTimeout(resolve, 20));
  return { times, dropped: playback.dropped - dropped, last: playback.video.frameCount - 1 };
}"""
DECODE = """async (rgba) => {
  const { NvrcVideo } = await import("/nvrc.js");
  const video = await NvrcVideo.open("/stream.nvrc");
  let count = 0;
  for await (const frame of video.frames(0, { rgba })) count++;
  video.close();
  return count;
}"""


@dataclass(frozen=True)
class Played:
    """What the player did with the frames after the first one, which stands there from the start.

    Attributes:
        frames_per_second: how fast it went through the video, dropped frames among them.
        rate: how fast it should.
    """

    shown: int
    dropped: int
    late: int
    seconds: float
    frames_per_second: float
    rate: float


@dataclass(frozen=True)
class Decoded:
    """Medians of several rounds."""

    frames_per_second: float
    frames_per_processor_second: float


@contextmanager
def served(stream: Path) -> Iterator[PlayerServer]:
    """The player's server, in a thread."""
    with PlayerServer(stream) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium.

    Raises:
        SystemExit: it or Playwright is not installed.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("this needs Playwright for Python: pip install playwright")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("this needs Chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def play(browser: Any, server: PlayerServer) -> Played:
    """Play the stream once.

    Raises:
        RuntimeError: the player shows an error.
    """
    page = browser.new_page()
    page.set_default_timeout(0)
    page.goto(server.url)
    page.locator("#canvas:visible, #error:visible").first.wait_for()
    page.evaluate("() => nvrcPlayer.playback?.seeking")
    found = page.evaluate(PLAY) if page.locator("#error:visible").count() == 0 else None
    if found is None or page.locator("#error:visible").count():
        raise RuntimeError(page.locator("#error").inner_text())
    page.close()
    times = found["times"]
    (first, begin, started), (last, end, ended) = times[0], times[-1]
    gaps = [(b[2] - a[2]) - (b[1] - a[1]) for a, b in itertools.pairwise(times)]
    with nvrc_decoder.open(server.stream) as video:
        rate = float(video.info.format.rate) if end == begin else (last - first) / (end - begin)
    return Played(
        shown=len(times),
        dropped=found["dropped"],
        late=sum(gap > LATE for gap in gaps),
        seconds=ended - started,
        frames_per_second=(last - first) / (ended - started) if ended > started else rate,
        rate=rate,
    )


def browser_seconds(browser: Any) -> float:
    """Processor seconds of all processes of the browser so far."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return float(sum(process["cpuTime"] for process in processes))


def decode_in_worker(page: Any, rgba: bool) -> int:
    """Decode all frames in the worker; their number."""
    count: int = page.evaluate(DECODE, rgba)
    return count


def decode_in_python(stream: Path) -> int:
    """Decode all frames on the CPU, one thread; their number."""
    with nvrc_decoder.open(stream, provider="cpu", threads=1, lookahead=False) as video:
        return sum(1 for _ in video)


def decode(browser: Any, server: PlayerServer, rounds: int) -> dict[str, Decoded]:
    """Decode by turns, `rounds` times each."""
    page = browser.new_page()
    page.set_default_timeout(0)
    page.goto(f"http://{server.host}/errors.js")  # of the server's origin, without a script that runs
    of_browser: Callable[[], float] = lambda: browser_seconds(browser)  # noqa: E731
    ways: dict[str, tuple[Callable[[], int], Callable[[], float]]] = {
        "worker": (lambda: decode_in_worker(page, False), of_browser),
        "worker, with RGB": (lambda: decode_in_worker(page, True), of_browser),
        "Python, one thread": (lambda: decode_in_python(server.stream), time.process_time),
    }
    speeds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (run, clock) in ways.items():
            begun, worked = time.monotonic(), clock()
            count = run()
            speeds[name].append((count / (time.monotonic() - begun), count / (clock() - worked)))
    page.close()
    return {
        name: Decoded(*(statistics.median(column) for column in zip(*found, strict=True)))
        for name, found in speeds.items()
    }


def measure(stream: Path, rounds: int) -> dict[str, Any]:
    """Play and decode a stream."""
    with nvrc_decoder.open(stream) as video:
        picture = video.info.format
        about = {"bytes": stream.stat().st_size, "width": picture.width, "height": picture.height}
    with served(stream) as server, chromium() as browser:
        played = asdict(play(browser, server))
        decoded = {name: asdict(speed) for name, speed in decode(browser, server, rounds).items()}
    return {**about, "played": played, "decoded": decoded}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = measure(arguments.stream, arguments.rounds)
    played = report["played"]
    print("{width}x{height}, {bytes} bytes".format(**report))
    print(
        "played: {shown} frames shown, {dropped} dropped, {late} late, in {seconds:.2f} s; "
        "{frames_per_second:.2f} frames/s of {rate:.2f}".format(**played)
    )
    print(f"{'decoded alone by':20}  frames/s  frames a processor second")
    for name, speed in report["decoded"].items():
        print(f"{name:20}  {speed['frames_per_second']:8.1f}  {speed['frames_per_processor_second']:8.1f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
