"""BD-rates of curves against an anchor, computed by the package bjontegaard."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.system.packages import load_package
from nvrc_output.text import counted

__all__ = ["METHOD", "METRICS", "bd_tables", "compare_curves"]

METHOD = "pchip"
METRICS = {"y": "Y-PSNR", "yuv": "YUV-PSNR (6:1:1)"}
_LEAST_POINTS = 3
_LEAST_OVERLAP = 0.25

Curve = Sequence[tuple[float, float]]


def _unusable(curve: Curve, name: str) -> str | None:
    """Why a curve, sorted by rate, cannot be integrated; None if it can."""
    if len(curve) < _LEAST_POINTS:
        return f"{name} has {counted(len(curve), 'point')}; at least {_LEAST_POINTS} are needed"
    if any(b[0] <= a[0] or b[1] <= a[1] for a, b in itertools.pairwise(curve)):
        return f"{name} does not rise in both rate and quality"
    return None


def compare_curves(anchor: Curve, test: Curve) -> dict[str, Any]:
    """BD-rate of a curve against an anchor.

    Args:
        anchor, test: (bits per pixel, dB) in any order.

    Returns:
        ``percent``, or None with a ``reason``: too few points, a falling curve, or qualities that overlap by less than
        a quarter of the narrower curve. ``from_db``, ``to_db``: the interval in which they overlap.
    """
    anchor, test = sorted(anchor), sorted(test)
    for curve, name in ((anchor, "the anchor"), (test, "the curve")):
        reason = _unusable(curve, name)
        if reason is not None:
            return {"percent": None, "reason": reason}
    low, high = max(anchor[0][1], test[0][1]), min(anchor[-1][1], test[-1][1])
    if high <= low:
        gap = f"{anchor[0][1]:.2f} to {anchor[-1][1]:.2f} dB and {test[0][1]:.2f} to {test[-1][1]:.2f} dB"
        return {"percent": None, "reason": f"no overlap: {gap}"}
    overlap = (high - low) / min(anchor[-1][1] - anchor[0][1], test[-1][1] - test[0][1])
    interval = {"from_db": low, "to_db": high, "overlap": overlap}
    if overlap < _LEAST_OVERLAP:
        return {"percent": None, "reason": f"they overlap by {high - low:.2f} dB only", **interval}
    import bjontegaard

    percent = bjontegaard.bd_rate(
        *(list(column) for column in zip(*anchor, strict=True)),
        *(list(column) for column in zip(*test, strict=True)),
        method=METHOD,
        require_matching_points=False,
        min_overlap=0,
    )
    if not math.isfinite(percent):
        return {"percent": None, "reason": "the integral is not finite", **interval}
    return {"percent": float(percent), "reason": None, **interval}


def _curves(points: Sequence[Mapping[str, Any]], metric: str) -> dict[tuple[str, str], list[tuple[float, float]]]:
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for point in points:
        quality = point["psnr"].get(metric)
        if quality is not None:
            curves.setdefault((point["clip"], point["codec"]), []).append((point["bpp"], quality))
    return curves


def bd_tables(points: Sequence[Mapping[str, Any]], anchor: str | None) -> dict[str, Any]:
    """BD-rate of every codec against the anchor on every clip, and the means over clips.

    Args:
        points: points with clip, codec, bpp and psnr.
        anchor: the anchor's name; None if there is none.

    Returns:
        ``metrics``: y and yuv, each with ``clips`` (clip -> codec -> result of `compare_curves`) and ``mean`` (codec ->
        ``percent`` and ``clips``, the number of clips in the mean). ``reason`` says why ``metrics`` is empty.
    """
    document: dict[str, Any] = {"anchor": anchor, "method": METHOD, "reason": None, "metrics": {}}
    if anchor is None:
        return {**document, "reason": "there is no anchor"}
    try:
        load_package("bjontegaard", "a BD-rate")
    except MissingExtraError as error:
        return {**document, "reason": error.message}
    for metric in METRICS:
        curves = _curves(points, metric)
        clips: dict[str, dict[str, Any]] = {}
        for (clip, codec), curve in curves.items():
            if codec == anchor:
                continue
            if (clip, anchor) in curves:
                clips.setdefault(clip, {})[codec] = compare_curves(curves[clip, anchor], curve)
            else:
                reason = f"{anchor} has no points"
                clips.setdefault(clip, {})[codec] = {"percent": None, "reason": reason}
        numbers: dict[str, list[float]] = {}
        for row in clips.values():
            for codec, cell in row.items():
                if cell["percent"] is not None:
                    numbers.setdefault(codec, []).append(cell["percent"])
        mean = {codec: {"percent": statistics.mean(values), "clips": len(values)} for codec, values in numbers.items()}
        document["metrics"][metric] = {"clips": clips, "mean": mean}
    return document
