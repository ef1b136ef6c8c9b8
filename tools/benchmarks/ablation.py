"""The gain of each tool of the encoder: a training with all of them, and one without each, of equal length.

python tools/benchmarks/ablation.py CLIP [--frames 32] [--gop 32] [--iterations 600] [--lambda 5e-3] [--channels 8]
    [--only everything "no motion"] [--tools] [--no-prior] [--json FILE]

With ``--tools`` the variants are those of the format's tools (`docs/levers.md`). Some are not in the format, so no
stream is written: J and bits are the trainer's own estimate, hard-rounded, and the steps are not searched.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import time
from pathlib import Path
from typing import Any
from unittest import mock

from torch import Tensor

from nvrc_encoder import EncodeOptions, encode
from nvrc_encoder.model import motion, wavelet
from nvrc_encoder.model import synthesis as model
from nvrc_encoder.options import PRESETS
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.source.video import open_source
from nvrc_encoder.training.run import Run

PROFILE = "lite"


def variants(channels: int, iterations: int) -> dict[str, dict[str, Any]]:
    """Name -> differences from the run with everything: fields of `EncodeOptions`, and of `Plan` under "plan"."""
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


# Lifting of the 5/3 wavelet, in place of the 9/7: factor and sign of each step.
_FIVE_THREE = ((1 / 4, -1), (1 / 2, 1), (0.0, 1), (0.0, 1))


def _without_blend(flow: Tensor, *others: Any) -> motion.Motion:
    """The motion of a flow grid whose third channel does nothing."""
    return motion.make_motion(flow * flow.new_tensor((1, 1, 0)).view(1, 3, 1, 1), *others)


def tools() -> dict[str, dict[str, Any]]:
    """Name -> differences, as in `variants`; under "patch" attributes of the encoder's modules."""
    pyramid: dict[str, Any] = {"node_spacing": 2}
    return {
        "nodes every 8 frames": {},
        "nodes every 4 frames": {"node_spacing": 4},
        "nodes every 2 frames": pyramid,
        "keys every 8 frames": {"key_spacing": 8},
        "blocks of their own": {"split": True},
        "blocks of their own, nodes every 2": {**pyramid, "split": True},
        "bilinear fetch": {"patch": {(motion, "_NEAR"): 0.5, (motion, "_FAR"): 0.0}},
        "bilinear fetch, nodes every 2": {**pyramid, "patch": {(motion, "_NEAR"): 0.5, (motion, "_FAR"): 0.0}},
        "5/3 wavelet": {"patch": {(wavelet, "_STEPS"): _FIVE_THREE, (wavelet, "_LOW_GAIN"): 1.0}},
        "no blend": {"patch": {(model, "make_motion"): _without_blend}},
        "no motion": {"motion": False},
        "no prior": {"prior": False},
    }


def estimate(clip: str, frames: int, options: EncodeOptions) -> dict[str, float]:
    """Train, and return the trainer's estimate of its best state; nothing is written."""
    source = open_source(clip, frames=frames)
    trainer, _, _ = make_trainer(source, list(source), options)
    began = time.perf_counter()
    run = Run(trainer, dataclasses.replace(options.plan(), search=0.0))
    while not run.done:
        run.advance()
    seconds = time.perf_counter() - began
    found, pixels = trainer.estimate(), sum(trainer.frame_counts) * trainer.pixels
    return {
        "cost": found.distortion + options.lagrangian * found.bits / pixels,
        "bytes": found.bits / 8,
        "bits_per_pixel": found.bits / pixels,
        "psnr_y": found.psnr_y,
        "milliseconds_an_iteration": 1000 * seconds / options.plan().iterations,
    }


def measure_tools(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each variant of `tools`."""
    rows = []
    print(f"{'':32} J * 1e4   bytes     bpp    Y dB  ms/iteration", flush=True)
    for name, changes in tools().items():
        if arguments.only and not name.startswith(tuple(arguments.only)):
            continue
        chosen = {"channels": arguments.channels, "blocks": 1, "iterations": arguments.iterations, **changes}
        chosen.setdefault("prior", not arguments.no_prior)
        with contextlib.ExitStack() as stack:
            for (module, attribute), value in chosen.pop("patch", {}).items():
                stack.enter_context(mock.patch.object(module, attribute, value))
            options = EncodeOptions(
                profile=PROFILE,
                lagrangian=arguments.lagrangian,
                gop=arguments.gop,
                trials=False,
                context_widths=(arguments.context_width,) * 2,
                **chosen,
            )
            row: dict[str, Any] = {"name": name, **estimate(arguments.clip, arguments.frames, options)}
        rows.append(row)
        print(
            f"{name:32} {1e4 * row['cost']:7.3f} {row['bytes']:7.0f} {row['bits_per_pixel']:7.4f} {row['psnr_y']:7.2f}"
            f" {row['milliseconds_an_iteration']:7.0f}",
            flush=True,
        )
    return rows


def main() -> None:
    """Train, write, measure and print every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--gop", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--lambda", dest="lagrangian", type=float, default=5e-3)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--context-width", type=int, default=10, help="of both hidden layers, with --tools (10)")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="variants whose names begin with one of these")
    parser.add_argument("--tools", action="store_true", help="the tools of the format, by the trainer's estimate")
    parser.add_argument("--no-prior", action="store_true", help="without the prior, with --tools")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.tools:
        found = measure_tools(arguments)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(found, indent=1) + "\n")
        return
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
