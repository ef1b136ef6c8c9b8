"""The estimate of `nvrc-ref encode --dry-run` against what the encode then takes.

python tools/benchmarks/estimates.py "CLIP OPTIONS" ["CLIP OPTIONS" ...] [--json FILE]

Each argument has the words of an encode but -o, such as "clip.y4m --frames 16 --preset draft". Wall time is what
`encode` reports, processor time that of all its processes, their start included. On a busy machine the ratio of
processor times is the steadier one.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def _encode(words: list[str]) -> tuple[dict[str, Any], float]:
    """The JSON document of `nvrc-ref encode`, and the processor seconds of its processes."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "nvrc_ref", "encode", *words, "--quiet", "--json"], capture_output=True, check=False
    )
    after = os.times()
    if done.returncode:
        sys.exit(f"encode {' '.join(words)} failed:\n{done.stderr.decode()}")
    worked = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(done.stdout), worked


def _compared(line: str, folder: Path) -> dict[str, Any]:
    words = [*shlex.split(line), "-o", str(folder / "out.nvrc")]
    forecast, _ = _encode([*words, "--dry-run"])
    document, worked = _encode(words)
    return {
        "encode": line,
        "segments": len(forecast["segments"]),
        "iterations": forecast["iterations"][0],
        "estimated_seconds": forecast["seconds"],
        "seconds": document["seconds"],
        "ratio": forecast["seconds"] / document["seconds"],
        "estimated_processor_seconds": forecast["processor_seconds"],
        "processor_seconds": worked,
        "processor_ratio": forecast["processor_seconds"] / worked,
    }


def main() -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encodes", nargs="+", metavar="ENCODE")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    print("estimate s  wall s  ratio  estimate of processors  processor s  ratio  encode")
    for line in arguments.encodes:
        with tempfile.TemporaryDirectory() as folder:
            row = _compared(line, Path(folder))
        rows.append(row)
        print(
            f"{row['estimated_seconds']:10.0f} {row['seconds']:7.0f} {row['ratio']:6.2f} "
            f"{row['estimated_processor_seconds']:23.0f} {row['processor_seconds']:12.0f} "
            f"{row['processor_ratio']:6.2f}  {line}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
