"""What each lever of the encoder is worth: one training with all of them, and one without each, of equal length.

python tests/benchmarks/ablation.py CLIP [--frames 32] [--gop 32] [--iterations 600] [--lambda 5e-3] [--channels 8]
    [--only everything "no motion"] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

from nvrc_encoder import EncodeOptions, encode
from nvrc_encoder.options import PRESETS
from nvrc_encoder.source import open_source

PROFILE = "lite"


def variants(channels: int, iterations: int) -> dict[str, dict[str, Any]]:
    """Name -> what differs from the run with everything: fields of `EncodeOptions`, and of `Plan` under "plan"."""
    return {
        "everything": {},
        "no motion: all grids": {"motion": False, "slots": tuple(range(9))},
        "nodes every 2 frames": {"node_spacing": 2},
        "nodes every 4 frames": {"node_spacing": 4},
        "keys every 16 frames": {"key_spacing": 16, "node_spacing": 16},
        "planes of chroma alone": {"slots": (0, 1, 2, 3, 4)},
        "grids a frame beside the planes": {"slots": tuple(range(9))},
        "no search of weight steps": {"plan": {"search": 0.0}},
        "twice the width": {"channels": 2 * channels},
        "windows of eight frames, equal time": {"plan": {"window": 8}, "iterations": round(0.72 * iterations)},
        "windows of two frames, equal time": {"plan": {"window": 2}, "iterations": round(1.3 * iterations)},
        "exact phase of a third": {"plan": {"hard": 0.33}},
        "exact phase of an eighth": {"plan": {"hard": 0.125}},
    }


def main() -> None:
    """Train, write, measure and print every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--gop", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--lambda", dest="lagrangian", type=float, default=5e-3)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="variants whose names begin with one of these")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    usual = PRESETS["medium"]
    rows = []
    print(f"{'':38} J * 1e4   bytes     bpp    Y dB  YUV dB  seconds", flush=True)
    for name, changes in variants(arguments.channels, arguments.iterations).items():
        if arguments.only and not name.startswith(tuple(arguments.only)):
            continue
        chosen = {"channels": arguments.channels, "blocks": 1, "iterations": arguments.iterations, **changes}
        PRESETS["medium"] = dataclasses.replace(usual, **chosen.pop("plan", {}))
        options = EncodeOptions(
            profile=PROFILE,
            lagrangian=arguments.lagrangian,
            gop=arguments.gop,
            trials=False,
            **chosen,
        )
        report = encode(open_source(arguments.clip, frames=arguments.frames), io.BytesIO(), options)
        quality = report.quality
        row = {
            "name": name,
            "cost": report.cost,
            "bytes": report.bytes,
            "bits_per_pixel": report.bits_per_pixel,
            "psnr_y": quality.y,
            "psnr_yuv": quality.yuv,
            "psnr_y_of_float_layers": report.float_quality.y,
            "seconds": report.seconds,
        }
        rows.append(row)
        print(
            f"{name:38} {1e4 * report.cost:7.3f} {report.bytes:7d} {report.bits_per_pixel:7.4f} {quality.y:7.2f}"
            f" {quality.yuv:7.2f} {report.seconds:8.0f}",
            flush=True,
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
