"""Peak memory of decoding, against the estimate that the decoder refuses streams by.

    python tools/benchmarks/memory.py [--only main] [--largest 1920x1080] [--threads 2] [--json]

Each case is decoded in a process of its own, which reports its largest resident set. The streams hold zeros only
(`silent_streams.py`): memory depends on sizes, not on values. With several threads, several frames are in synthesis
concurrently, and the peak is compared with the estimate for that, the next GOP's entropy decoding included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nvrc_bench.machine import peak_resident_bytes

if TYPE_CHECKING:
    from nvrc_decoder.decode.engines import Engine

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

PROFILES = ("nano", "lite", "main")
SIZES = ((48, 32), (352, 200), (640, 360), (960, 540), (1280, 720), (1920, 1080))
SCHEDULES = ("temporal-first", "octree", "none")


def decode(path: str, engine: Engine, frames: int, limit: int | None, threads: int) -> dict[str, Any]:
    """Decode the first `frames` frames in this process; what that took."""
    import nvrc_decoder
    from nvrc_decoder.bitstream.reader import UnitReader
    from nvrc_decoder.bitstream.units import Gop
    from nvrc_decoder.decode.plan import make_plan
    from nvrc_decoder.errors import LimitError
    from nvrc_decoder.limits import DEFAULT_LIMITS, Limits

    limits = DEFAULT_LIMITS if limit is None else Limits(max_memory_bytes=limit)
    began = time.perf_counter()
    outcome = "decoded"
    try:
        with nvrc_decoder.open(path, engine=engine, threads=threads, limits=limits, verify=False) as video:
            # A frame whose neighbours in time lie in two nodes of every grid, where there is one.
            count = video.frame_count or 0
            video.seek(min(15, max(count - frames, 0)))
            for _, _frame in zip(range(frames), video, strict=False):
                pass
    except LimitError as error:
        outcome = str(error)
    seconds = time.perf_counter() - began
    peak = peak_resident_bytes()
    generous = Limits(max_memory_bytes=1 << 50, max_gop_symbols=1 << 50)
    with open(path, "rb") as file:
        reader = UnitReader(file, generous)
        gop = next(unit.content for unit in reader if isinstance(unit.content, Gop))
    assert reader.sequence is not None
    assert reader.network is not None
    plan = make_plan(reader.sequence, reader.network, gop, limits, 1 if engine == "reference" else threads)
    several = plan.synthesis.workers > 1
    estimate = plan.synthesis.bytes + plan.frame_bytes + plan.symbol_bytes if several else plan.estimate
    return {
        "outcome": outcome,
        "peak": peak,
        "estimate": estimate,
        "workers": plan.synthesis.workers,
        "seconds": round(seconds, 2),
    }


def resident_bytes() -> int:
    """The resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(
    profile: str,
    width: int,
    height: int,
    gops: tuple[int, ...],
    schedule: str = "temporal-first",
    engine: str = "onnxruntime",
    frames: int = 2,
    limit: int | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Peak, estimate and outcome of decoding one silent stream in a process of its own."""
    from silent_streams import silent_stream

    from nvrc_decoder.octree.schedule import octree_schedule, temporal_first_schedule

    schedules = {"temporal-first": temporal_first_schedule, "octree": octree_schedule, "none": lambda *_: ()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "silent.nvrc")
        path.write_bytes(silent_stream(profile, width, height, gops, schedules[schedule], digests=False))
        command = [sys.executable, __file__, "--decode", str(path), engine, str(frames), str(limit or 0), str(threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    case = {
        "profile": profile,
        "size": f"{width}x{height}",
        "gops": list(gops),
        "schedule": schedule,
        "engine": engine,
        "frames": frames,
    }
    return {**case, **json.loads(done.stdout)}


def cases(only: str | None, largest: tuple[int, int], threads: int) -> Iterator[dict[str, Any]]:
    """The table of `docs/performance.md`."""
    shown = 2 * threads
    for profile in PROFILES:
        if only not in (None, profile):
            continue
        for width, height in SIZES:
            if width > largest[0] or height > largest[1]:
                continue
            for frames in (1, 8, 32) if width == 1920 else (1, 32):
                yield measure(profile, width, height, (frames,), frames=shown, threads=threads)
            # The reference takes seconds a frame at these sizes.
            if width <= 960 or profile == "nano":
                yield measure(profile, width, height, (8,), engine="reference", frames=1)
            for schedule in ("octree", "none"):
                yield measure(profile, width, height, (32,), schedule, frames=shown // 2, threads=threads)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=PROFILES)
    parser.add_argument("--largest", default="1920x1080")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--decode", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.decode:
        path, engine, frames, limit, threads = arguments.decode
        print(json.dumps(decode(path, engine, int(frames), int(limit) or None, int(threads))))
        return
    width, height = map(int, arguments.largest.split("x"))
    for row in cases(arguments.only, (width, height), arguments.threads):
        if arguments.json:
            print(json.dumps(row), flush=True)
            continue
        gops = "+".join(map(str, row["gops"]))
        print(
            f"| {row['profile']} | {row['size']} | {gops} | {row['schedule']} | {row['engine']} "
            f"| {row['peak'] / 1e6:.0f} | {row['estimate'] / 1e6:.0f} | {row['estimate'] / row['peak']:.2f} "
            f"| {row['workers']} | {'yes' if row['outcome'] == 'decoded' else 'refused'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
