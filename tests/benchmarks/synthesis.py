"""What exactness costs: milliseconds a frame of each profile's graph in ONNX Runtime, with and without rounding.

    python tests/benchmarks/synthesis.py [--threads 1] [--repeats 9] [--json]

Three variants of the same graph decode the same frame by turns, and their medians are reported, so that a busy machine
slows all of them: the exact graph as the decoder runs it, the exact graph with tensors blocked by channels (ONNX
Runtime's own default), and the graph without its Floor nodes, blocked too, which is what a float network of this shape
would cost.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime

from nvrc_decoder.profiles import PROFILES, Profile, kmac_per_pixel
from nvrc_decoder.synthesis.runtime import OrtSynthesizer, graph_bytes, graph_initializers
from nvrc_ref.benchmark.float_graph import RowsSession, without_floor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from synthesis_cases import Picture, random_case

SIZES = ((352, 288), (1280, 720))


def measure(profile: Profile, width: int, height: int, threads: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of each variant for the middle frame of a GOP, all channels and slots active."""
    case = random_case(1, profile, Picture(width, height), 9, full=True)
    graph, tensors = graph_bytes(profile), graph_initializers(*case.network)
    sessions = {
        "exact": RowsSession(graph, tensors, blocked=False, threads=threads),
        "exact, blocked": RowsSession(graph, tensors, blocked=True, threads=threads),
        "no rounding": RowsSession(without_floor(graph), tensors, blocked=True, threads=threads),
    }
    runtime = OrtSynthesizer(*case.network, threads=threads)
    feeds = runtime.feeds(case.grids, case.frame_count, range(4, 5))
    calls: dict[str, Callable[[], object]] = {name: (lambda s=s: s.run(feeds)) for name, s in sessions.items()}
    calls["decoder"] = lambda: runtime.synthesise(case.grids, case.frame_count, range(4, 5))
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if repeat:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure every profile and size, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for profile in PROFILES:
        cost = kmac_per_pixel(profile, profile.max_channels, [slot.max_channels for slot in profile.slots], 1)
        for width, height in SIZES:
            medians = measure(profile, width, height, options.threads, options.repeats)
            rows.append({"profile": profile.name, "width": width, "height": height, "kmac": cost, **medians})
            if not options.json:
                cells = ", ".join(f"{name} {value:.1f}" for name, value in medians.items())
                ratio = medians["exact"] / medians["no rounding"]
                print(f"{profile.name} {width}x{height} ({cost:.2f} kMAC/pixel): ms {cells}; exact/float {ratio:.2f}")
    if options.json:
        print(json.dumps({"threads": options.threads, "onnxruntime": onnxruntime.__version__, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
