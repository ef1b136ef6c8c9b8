"""The cost of exactness: milliseconds a frame of each profile's graph in ONNX Runtime, with and without rounding.

    python tools/benchmarks/synthesis.py [--threads 1] [--clock cpu] [--repeats 9] [--json]

The exact graph and the same graph without its Floor nodes decode the same frame in turn, each with tensors in the
plain layout and blocked by channels (ONNX Runtime's own default). Medians are reported, so that a busy machine slows
all of them alike. The ratio is of the faster layouts. ``exact x4`` decodes four frames in a call, ``decoder`` is the
decoder's whole way from grids to planes. ``--clock cpu`` counts processor time, which a busy machine disturbs less; it
needs one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from nvrc_bench.decode.float_graph import RowsSession, without_floor
from nvrc_decoder.profiles import CHROMA_420, PROFILES, Profile, kmac_per_pixel
from nvrc_decoder.pyramid import DEFAULT_PYRAMID
from nvrc_decoder.synthesis.cuda.providers import import_onnxruntime
from nvrc_decoder.synthesis.onnx.initializers import graph_initializers
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.onnx.session import graph_bytes

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from synthesis_cases import Picture, random_case

SIZES = ((352, 288), (1280, 720))
_FRAMES = 4


def measure(
    profile: Profile, width: int, height: int, threads: int, repeats: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median milliseconds a frame of each variant in the middle of a GOP, all channels and slots active."""
    case = random_case(1, profile, Picture(width, height), 9, full=True)
    graph, tensors = graph_bytes(profile), graph_initializers(*case.network[:-1])
    smooth = without_floor(graph)
    runtime = OrtSynthesizer(*case.network, threads=threads)
    feeds = {1: runtime.feeds(case.grids, case.frame_count, range(4, 5))}
    feeds[_FRAMES] = runtime.feeds(case.grids, case.frame_count, range(4, 4 + _FRAMES))
    calls: dict[str, tuple[Callable[[], object], int]] = {}
    for name, model in (("exact", graph), ("float", smooth)):
        for blocked in (False, True):
            session = RowsSession(model, tensors, blocked=blocked, threads=threads)
            calls[f"{name}, blocked" if blocked else name] = (partial(session.run, feeds[1]), 1)
            if name == "exact" and not blocked:
                calls[f"exact x{_FRAMES}"] = (partial(session.run, feeds[_FRAMES]), _FRAMES)
    calls["decoder"] = (partial(runtime.synthesise, case.grids, case.frame_count, range(4, 5)), 1)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, (call, frames) in calls.items():
            start = clock()
            call()
            if repeat:  # the first round warms up
                seconds[name].append((clock() - start) / frames)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure every profile and size, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--profiles", nargs="+", default=[profile.name for profile in PROFILES])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.clock == "cpu" and options.threads != 1:
        parser.error("--clock cpu needs --threads 1")
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    rows = []
    for profile in (profile for profile in PROFILES if profile.name in options.profiles):
        cost = kmac_per_pixel(
            profile,
            profile.max_channels,
            profile.blocks,
            [slot.max_channels for slot in profile.slots],
            CHROMA_420,
            DEFAULT_PYRAMID,
        )
        for width, height in SIZES:
            medians = measure(profile, width, height, options.threads, options.repeats, clock)
            ratio = min(medians["exact"], medians["exact, blocked"]) / min(medians["float"], medians["float, blocked"])
            rows.append(
                {"profile": profile.name, "width": width, "height": height, "kmac": cost, "ratio": ratio, **medians}
            )
            if not options.json:
                cells = ", ".join(f"{name} {value:.1f}" for name, value in medians.items())
                print(f"{profile.name} {width}x{height} ({cost:.2f} kMAC/pixel): ms {cells}; exact/float {ratio:.2f}")
    if options.json:
        print(
            json.dumps(
                {
                    "threads": options.threads,
                    "clock": options.clock,
                    "onnxruntime": import_onnxruntime().__version__,
                    "rows": rows,
                },
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
