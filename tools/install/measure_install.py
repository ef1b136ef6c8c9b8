"""The weight of an installation: packages, megabytes, seconds to import, seconds to the first frame.

    python tools/install/measure_install.py WHEEL [--extra cpu] [--stream FILE] [--runs 9] [--json FILE]

Each installation is new. Every run is a process of its own; medians are printed, and for the first frame also the
very first run, before which only pip has read the files. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from environments import ROOT, environment, install, label

EXTRAS = ("", "cpu", "cuda")
STREAM = ROOT / "conformance" / "streams" / "nano-two-gops.nvrc"
IMPORT_LIMIT = 0.3

COUNT = """
import importlib.metadata, json
print(json.dumps(sorted({d.metadata["Name"] for d in importlib.metadata.distributions()})))
"""
TIMED = "import time; began = time.perf_counter(); {}; print(time.perf_counter() - began)"
IMPORT = TIMED.format("import nvrc_decoder")
# The package loads on first use: this loads all that decoding needs, except the engine.
LOAD = TIMED.format("import nvrc_decoder; nvrc_decoder.open")
FRAME = "import nvrc_decoder, sys; next(nvrc_decoder.open(sys.argv[1]))"


def bytes_below(folder: Path) -> int:
    """Size of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def run(place: Path, code: str, *arguments: str) -> tuple[str, float]:
    """The output of a program that runs outside of the checkout, and the seconds that its process took."""
    began = time.perf_counter()
    command = [str(place / "bin" / "python"), "-I", "-c", code, *arguments]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    return done.stdout, time.perf_counter() - began


def measure(wheel: Path, extra: str, stream: Path, runs: int) -> dict[str, Any]:
    """Measure one installation."""
    place = environment(f"measure-{extra.replace(',', '-') or 'alone'}", fresh=True)
    before, had = bytes_below(place), set(json.loads(run(place, COUNT)[0]))
    began = time.perf_counter()
    install(place, wheel, extra)
    seconds = time.perf_counter() - began
    added = sorted(set(json.loads(run(place, COUNT)[0])) - had)
    _, first = run(place, FRAME, str(stream))
    medians = {
        "import_seconds": statistics.median(float(run(place, IMPORT)[0]) for _ in range(runs)),
        "load_seconds": statistics.median(float(run(place, LOAD)[0]) for _ in range(runs)),
        "interpreter_seconds": statistics.median(run(place, "")[1] for _ in range(runs)),
        "first_frame_seconds": statistics.median(run(place, FRAME, str(stream))[1] for _ in range(runs)),
    }
    return {
        "installation": label(extra),
        "packages": len(added),
        "names": added,
        "megabytes": (bytes_below(place) - before) / 1e6,
        "install_seconds": seconds,
        **medians,
        "very_first_frame_seconds": first,
    }


def main() -> int:
    """Measure every installation; the exit code is 1 if one imports too slowly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--extra", action="append", help="Measure this extra only, such as cpu or cuda,cuda-libs.")
    parser.add_argument("--stream", type=Path, default=STREAM, help="The stream whose first frame is timed.")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", dest="json_path", type=Path)
    arguments = parser.parse_args()
    rows = []
    print("| installation | packages | MB | import, s | and open, s | interpreter, s | first frame, s (very first) |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for extra in arguments.extra or EXTRAS:
        row = measure(arguments.wheel.resolve(), extra, arguments.stream.resolve(), arguments.runs)
        rows.append(row)
        print(
            f"| {row['installation']} | {row['packages']} | {row['megabytes']:.0f} | {row['import_seconds']:.3f} "
            f"| {row['load_seconds']:.2f} | {row['interpreter_seconds']:.2f} | {row['first_frame_seconds']:.2f} "
            f"({row['very_first_frame_seconds']:.2f}) |",
            flush=True,
        )
    if arguments.json_path:
        arguments.json_path.write_text(json.dumps(rows, indent=2) + "\n")
    slow = [row["installation"] for row in rows if row["import_seconds"] >= IMPORT_LIMIT]
    for name in slow:
        print(f"{name}: importing nvrc_decoder takes {IMPORT_LIMIT} s or more")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
