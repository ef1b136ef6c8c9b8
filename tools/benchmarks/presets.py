"""Processor seconds per megapixel-frame and quality of each preset on a clip, at one lambda, and of its start.

python tools/benchmarks/presets.py CLIP [--frames 32] [--presets draft,fast,medium] [--lambda 5e-3]
    [--options profile=lite channels=8] [--json FILE]
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

from nvrc_encoder import EncodeOptions, encode
from nvrc_encoder.options import PRESETS
from nvrc_encoder.source.video import open_source


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def main() -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--presets", default=",".join(PRESETS))
    parser.add_argument("--lambda", dest="lagrangian", type=float, default=5e-3)
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME=VALUE", help="fields of EncodeOptions")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    more = {name: _value(value) for name, _, value in (option.partition("=") for option in arguments.options)}
    rows = []
    print("preset    iterations  seconds  processor s  s/Mpixel-frame  start s  its J       J     bpp    Y dB  YUV dB")
    for preset in arguments.presets.split(","):
        source = open_source(arguments.clip, frames=arguments.frames)
        options = EncodeOptions(preset=preset, lagrangian=arguments.lagrangian, **more)
        began, began_working = time.monotonic(), time.process_time()
        report = encode(source, io.BytesIO(), options)
        assert report.start is not None  # Nothing was resumed.
        seconds, worked = time.monotonic() - began, time.process_time() - began_working
        megapixels = report.frames * report.width * report.height / 1e6
        row = {
            "preset": preset,
            "iterations": report.training.iterations,
            "seconds": seconds,
            "processor_seconds": worked,
            "seconds_per_megapixel_frame": worked / megapixels,
            "start_seconds": report.start.seconds,
            "start_cost": report.start.cost,
            "cost": report.cost,
            "bits_per_pixel": report.bits_per_pixel,
            "psnr_y": report.quality.y,
            "psnr_yuv": report.quality.yuv,
        }
        rows.append(row)
        print(
            f"{preset:9} {row['iterations']:10d} {seconds:8.0f} {worked:12.0f} {worked / megapixels:15.1f} "
            f"{row['start_seconds']:8.1f} {1e4 * row['start_cost']:6.2f} {1e4 * report.cost:7.2f} "
            f"{report.bits_per_pixel:7.4f} {report.quality.y:7.2f} {report.quality.yuv:7.2f}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
