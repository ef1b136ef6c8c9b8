"""The result of `nvrc-ref encode`: a table for people, a document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nvrc_output.text import counted, table

if TYPE_CHECKING:
    from nvrc_encoder.report import EncodeReport
    from nvrc_encoder.segments.report import SegmentedReport

__all__ = ["report_document", "report_table", "segmented_table"]


def report_document(report: EncodeReport | SegmentedReport, output: str) -> dict[str, Any]:
    """The JSON document of an encode that went to `output`."""
    return {"output": output, **report.document()}


def _target_line(report: EncodeReport | SegmentedReport) -> list[str]:
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


def _component_rows(report: EncodeReport | SegmentedReport) -> Iterator[tuple[str, float]]:
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


def _size_table(report: EncodeReport | SegmentedReport) -> str:
    rows: list[tuple[object, ...]] = [
        (name, f"{size:.0f}", f"{100 * size / report.bytes:.1f} %") for name, size in _component_rows(report)
    ]
    rows.append(("total", f"{report.bytes}", "100.0 %"))
    return table(rows, header=("part of the stream", "bytes", "share"), right=(1, 2))


def _rate_and_quality(report: EncodeReport | SegmentedReport) -> list[str]:
    quality = report.quality
    psnr = {"Y": quality.y, "U": quality.u, "V": quality.v, "YUV": quality.yuv}
    return [
        f"rate   {report.kilobits_per_second:.1f} kbit/s, {report.bits_per_pixel:.4f} bits per pixel",
        "PSNR   " + "  ".join(f"{name} {value:.2f} dB" for name, value in psnr.items() if value is not None),
    ]


def segmented_table(report: SegmentedReport, output: str) -> str:
    """The report of a segmented encode for people."""
    lines = [
        _size_table(report),
        "",
        f"{output}: {counted(report.frames, 'frame')} of {report.width}x{report.height} in "
        f"{counted(len(report.segments), 'segment')}, {counted(report.bytes, 'byte')}",
        *_rate_and_quality(report),
        *([] if report.ms_ssim_y is None else [f"       MS-SSIM of Y {report.ms_ssim_y:.4f}"]),
        *_target_line(report),
        f"time   {report.seconds:.1f} s",
        "each segment decoded and compared with the encoder's own frames: identical",
    ]
    return "\n".join(lines)


def report_table(report: EncodeReport, output: str) -> str:
    """The report of an encode for people."""
    quality = report.quality
    lines = [
        _size_table(report),
        "Grids are small pictures of numbers, from which the network makes frames and their motion.",
        "",
        f"{output}: {counted(report.frames, 'frame')} of {report.width}x{report.height}, "
        f"{counted(report.bytes, 'byte')} (estimated {report.estimated_bytes:.0f})",
        *_rate_and_quality(report),
        f"       {report.float_quality.y - quality.y:+.3f} dB Y if no layer were rounded",
        *([] if report.ms_ssim_y is None else [f"       MS-SSIM of Y {report.ms_ssim_y:.4f}"]),
        *_target_line(report),
        f"cost   {report.kmac_per_pixel:.3f} kMAC per pixel, without entropy decoding",
        f"time   {report.seconds:.1f} s, of which {report.training_seconds:.1f} s training",
        "decoded and compared with the encoder's own frames: identical",
    ]
    return "\n".join(lines)
