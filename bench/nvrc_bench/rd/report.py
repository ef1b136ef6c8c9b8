"""The results of a run as files and as tables for people."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nvrc_bench.rd.bd_rate import METRICS
from nvrc_bench.rd.curves import draw_clip
from nvrc_decoder.errors import MissingExtraError
from nvrc_output.files import atomic_file
from nvrc_output.text import table

__all__ = ["RESULTS", "tables", "write_results"]

RESULTS = ("results.json", "points.csv", "tables.txt")
"""Files of a run, beside the plots."""
_COLUMNS = (
    "clip", "codec", "point", "imported", "bytes", "bpp", "psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "psnr_rgb",
    "float_psnr_y", "ms_ssim_y", "ms_ssim_window", "encode_seconds", "encode_cpu_seconds", "encode_peak_bytes",
    "decode_seconds", "decode_cpu_seconds", "decode_peak_bytes", "kmac_per_pixel", "threads", "version", "source",
)  # fmt: skip


def _csv(points: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = sorted({part for point in points for part in point.get("component_bits") or {}})
    writer.writerow([*_COLUMNS, *(f"bits_{part}" for part in parts)])
    for point in points:
        flat = {**point, **{f"psnr_{key}": value for key, value in point["psnr"].items()}}
        bits = point.get("component_bits") or {}
        writer.writerow([*(flat.get(column) for column in _COLUMNS), *(bits.get(part) for part in parts)])
    return text.getvalue()


def write_results(document: dict[str, Any], out: Path, note: Callable[[str], None]) -> list[Path]:
    """Write ``results.json``, ``points.csv``, ``tables.txt`` and a plot ``rd-CLIP.png`` for each clip.

    Returns:
        The files.

    Raises:
        OutputError: E_IO, writing failed.
    """
    written = []

    def write(name: str, data: bytes) -> None:
        with atomic_file(str(out / name)) as file:
            file.write(data)
        written.append(out / name)

    write(RESULTS[0], json.dumps(document, indent=1).encode() + b"\n")
    write(RESULTS[1], _csv(document["points"]).encode())
    write(RESULTS[2], ("\n\n".join(tables(document)) + "\n").encode())
    for clip in document["clips"]:
        try:
            picture = draw_clip(document, clip)
        except MissingExtraError as error:
            note(f"note: no plots: {error.message}")
            break
        if picture is not None:
            write(f"rd-{clip['name']}.png", picture)
    return written


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _points_table(document: dict[str, Any]) -> str:
    rows = []
    for point in document["points"]:
        psnr = point["psnr"]
        rows.append(
            (
                point["clip"],
                point["codec"],
                point["point"],
                f"{point['bpp']:.4f}",
                _cell(psnr.get("y"), ".2f"),
                _cell(psnr.get("yuv"), ".2f"),
                _cell(point.get("ms_ssim_y"), ".4f"),
                _cell(None if point.get("float_psnr_y") is None else point["float_psnr_y"] - psnr["y"], "+.3f"),
                _cell(point.get("encode_seconds"), ".1f"),
                _cell(point.get("decode_seconds"), ".2f"),
                _cell(None if point.get("encode_peak_bytes") is None else point["encode_peak_bytes"] / 1e6, ".0f"),
            )
        )
    header = ("clip", "codec", "point", "bpp", "Y dB", "YUV dB", "MS-SSIM", "float Y", "enc s", "dec s", "enc MB")
    return table(rows, header=header, right=range(3, 11))


def tables(document: dict[str, Any]) -> Iterator[str]:
    """Tables of points and of BD-rates with the reasons of empty cells, and what was skipped or failed."""
    if document["points"]:
        yield _points_table(document)
    bd = document["bd_rate"]
    if bd["reason"] is not None:
        yield f"no BD-rates: {bd['reason']}"
    for metric, values in bd["metrics"].items():
        codecs = list(dict.fromkeys(codec for row in values["clips"].values() for codec in row))
        if not codecs:
            continue
        rows: list[list[str]] = []
        reasons: list[str] = []
        for clip, row in values["clips"].items():
            cells = [clip]
            for codec in codecs:
                cell = row.get(codec)
                if cell is None:
                    cells.append("")
                elif cell["percent"] is None:
                    reasons.append(f"  {clip}, {codec}: {cell['reason']}")
                    cells.append(f"({len(reasons)})")
                else:
                    cells.append(f"{cell['percent']:+.1f} %")
            rows.append(cells)
        means = ["mean"]
        for codec in codecs:
            mean = values["mean"].get(codec)
            if mean is None:
                means.append("")
            else:
                part = "" if mean["clips"] == len(values["clips"]) else f" of {mean['clips']}"
                means.append(f"{mean['percent']:+.1f} %{part}")
        rows.append(means)
        text = table(rows, header=["clip", *codecs], right=range(1, len(codecs) + 1))
        notes = [f"  ({i + 1}){reason}" for i, reason in enumerate(reasons)]
        yield "\n".join([f"BD-rate against {bd['anchor']}, {METRICS[metric]}", text, *notes])
    lines = [f"left out: {line}" for line in document["skipped"]]
    lines += [f"failed: {item['point']}: {item['reason']}" for item in document["failed"]]
    if lines:
        yield "\n".join(lines)
