"""The result of `nvrc-ref encode`: a table for people, a document for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nvrc_output.text import counted, table

if TYPE_CHECKING:
    from nvrc_encoder.report import EncodeReport

__all__ = ["report_document", "report_table"]


def _rate_control(report: EncodeReport) -> dict[str, Any] | None:
    """The target and the value reached; None for a fixed lambda."""
    goal = report.goal
    if goal is None:
        return None
    if goal.kind == "size":
        return {"target_bytes": round(goal.value), "reached_bytes": report.bytes, "tolerance": "3 %"}
    return {"target_psnr_y": goal.value, "reached_psnr_y": report.quality.y, "tolerance": "0.1 dB"}


def report_document(report: EncodeReport, output: str) -> dict[str, Any]:
    """The JSON document of an encode that went to `output`."""
    quality, structure = report.quality, report.structure
    return {
        "output": output,
        "frames": report.frames,
        "width": report.width,
        "height": report.height,
        "bytes": report.bytes,
        "estimated_bytes": round(report.estimated_bytes, 1),
        "bits_per_pixel": round(report.bits_per_pixel, 6),
        "kilobits_per_second": round(report.kilobits_per_second, 3),
        "components": {name: round(size, 1) for name, size in report.components.items()},
        "psnr_y_of_float_layers": report.float_quality.y,
        "ms_ssim_y": report.ms_ssim_y,
        "psnr": {"y": quality.y, "u": quality.u, "v": quality.v, "yuv": quality.yuv},
        "cost": report.cost,
        "lambda": report.lagrangian,
        "rate_control": _rate_control(report),
        "structure": {
            "profile": structure.profile.name,
            "stage_channels": list(structure.stage_channels),
            "stage_blocks": list(structure.stage_blocks),
            "grid_channels": list(structure.grid_channels),
            "motion": structure.moving,
            "split": structure.splitting,
            "key_spacing": structure.pyramid.key_spacing,
            "node_spacing": structure.pyramid.node_spacing,
            "step_factors": list(structure.pyramid.factors),
            "context_widths": list(structure.context_widths),
        },
        "trials": [dataclasses.asdict(trial) for trial in report.trials],
        "training": dataclasses.asdict(report.training),
        "kmac_per_pixel": round(report.kmac_per_pixel, 3),
        "training_seconds": round(report.training_seconds, 2),
        "seconds": round(report.seconds, 2),
        "frame_md5s": list(report.frame_md5),
    }


def _target_line(report: EncodeReport) -> list[str]:
    """A line about the target and the value reached; nothing for a fixed lambda."""
    goal = report.goal
    if goal is None:
        return []
    if goal.kind == "size":
        off = 100 * (report.bytes / goal.value - 1)
        reached = f"{goal.value:.0f} bytes, reached {report.bytes} ({off:+.2f} %)"
    else:
        reached = f"{goal.value:.2f} dB Y, reached {report.quality.y:.2f} dB"
    return [f"target {reached}, lambda {report.lagrangian:.3g}"]


_MOTION = ("(flow", "(split")
_PARTS = {"synthesis weights": "picture", "context network": "entropy coding"}


def _component_rows(report: EncodeReport) -> Iterator[tuple[str, float]]:
    """Parts of the stream in users' words, each followed by its components."""
    grids = {name: size for name, size in report.components.items() if name.startswith("grid ")}
    motion = {name: size for name, size in grids.items() if any(kind in name for kind in _MOTION)}
    content = {name: size for name, size in grids.items() if name not in motion}
    weights = {text: report.components[name] for name, text in _PARTS.items() if name in report.components}
    for title, parts in (
        ("picture content (grids)", content),
        ("motion (grids)", motion),
        ("network weights", weights),
    ):
        if parts:
            yield title, sum(parts.values())
            yield from ((f"  {name}", size) for name, size in parts.items())
    for name, size in report.components.items():
        if name not in grids and name not in _PARTS:
            yield {"headers": "headers, digests, index"}.get(name, name), size


def report_table(report: EncodeReport, output: str) -> str:
    """The same for people."""
    quality = report.quality
    rows: list[tuple[object, ...]] = [
        (name, f"{size:.0f}", f"{100 * size / report.bytes:.1f} %") for name, size in _component_rows(report)
    ]
    rows.append(("total", f"{report.bytes}", "100.0 %"))
    psnr = {"Y": quality.y, "U": quality.u, "V": quality.v, "YUV": quality.yuv}
    lines = [
        table(rows, header=("part of the stream", "bytes", "share"), right=(1, 2)),
        "Grids are small pictures of numbers, from which the network makes frames and their motion.",
        "",
        f"{output}: {counted(report.frames, 'frame')} of {report.width}x{report.height}, "
        f"{counted(report.bytes, 'byte')} (estimated {report.estimated_bytes:.0f})",
        f"rate   {report.kilobits_per_second:.1f} kbit/s, {report.bits_per_pixel:.4f} bits per pixel",
        "PSNR   " + "  ".join(f"{name} {value:.2f} dB" for name, value in psnr.items() if value is not None),
        f"       {report.float_quality.y - quality.y:+.3f} dB Y if no layer were rounded",
        *([] if report.ms_ssim_y is None else [f"       MS-SSIM of Y {report.ms_ssim_y:.4f}"]),
        *_target_line(report),
        f"cost   {report.kmac_per_pixel:.3f} kMAC per pixel, without entropy decoding",
        f"time   {report.seconds:.1f} s, of which {report.training_seconds:.1f} s training",
        "decoded and compared with the encoder's own frames: identical",
    ]
    return "\n".join(lines)
