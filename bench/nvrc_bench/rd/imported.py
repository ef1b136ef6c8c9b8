"""Points imported from elsewhere: another codec, another machine, a published curve (schema: docs/bench.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from nvrc_bench.rd.clips import Clip
from nvrc_decoder.errors import InputError

__all__ = ["FORMAT", "load_curves", "points_for", "published_names"]

FORMAT = "nvrc-ref points 1"
_PUBLISHED = "published:"
_METRICS = ("y", "u", "v", "yuv", "rgb")
_COPIED = ("encode_seconds", "decode_seconds", "peak_bytes", "kmac_per_pixel", "settings", "ms_ssim_y", "device")


def published_names() -> list[str]:
    """Names of the shipped curves."""
    folder = resources.files("nvrc_bench.rd") / "published"
    return sorted(item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))


def _wrong(name: str, message: str) -> InputError:
    return InputError("E_CONFIG", f"{name}: {message}")


def _number(value: Any, name: str, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise _wrong(name, f"{what} is {value!r}, not a positive number")
    return float(value)


def load_curves(source: str) -> list[dict[str, Any]]:
    """The curves of a file, or of ``published:NAME``, with their points checked.

    Raises:
        InputError: E_NO_INPUT, there is no such file; E_CONFIG, it does not follow the schema.
    """
    if source.startswith(_PUBLISHED):
        name = source.removeprefix(_PUBLISHED)
        if name not in published_names():
            raise _wrong(source, f"published are {', '.join(published_names()) or 'none'}")
        folder = resources.files("nvrc_bench.rd") / "published"
        text = (folder / f"{name}.json").read_text(encoding="utf-8")
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError("E_NO_INPUT", f"cannot read {source}: {error.strerror}") from None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise _wrong(source, f"not JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _wrong(source, f'the format is not "{FORMAT}"')
    curves = document.get("curves")
    if not isinstance(curves, list) or not curves:
        raise _wrong(source, "there is no list of curves")
    return [_curve(curve, source, document.get("source")) for curve in curves]


def _curve(curve: Any, name: str, source: Any) -> dict[str, Any]:
    if not isinstance(curve, dict):
        raise _wrong(name, "a curve is no object")
    for key in ("codec", "clip"):
        if not isinstance(curve.get(key), str) or not curve[key]:
            raise _wrong(name, f"a curve has no {key}")
    where = f"{name}, {curve['codec']} on {curve['clip']}"
    if not isinstance(curve.get("source", source), str):
        raise _wrong(where, "there is no source")
    for key in ("width", "height", "frames"):
        if key in curve:
            _number(curve[key], where, key)
    points = curve.get("points")
    if not isinstance(points, list) or not points:
        raise _wrong(where, "there are no points")
    for point in points:
        if not isinstance(point, dict) or not isinstance(point.get("psnr"), dict) or not point["psnr"]:
            raise _wrong(where, "a point has no psnr")
        if ("bpp" in point) == ("bytes" in point):
            raise _wrong(where, "a point needs bpp or bytes, and not both")
        _number(point.get("bpp", point.get("bytes")), where, "a rate")
        for key, value in point["psnr"].items():
            if key not in _METRICS:
                raise _wrong(where, f"psnr of {key!r}: known are {', '.join(_METRICS)}")
            if value is not None:
                _number(value, where, f"psnr of {key}")
    return {**curve, "source": curve.get("source", source)}


def _mismatch(curve: dict[str, Any], clip: Clip) -> str | None:
    """Why a curve is not of this clip, although it has its name; None if it is."""
    for key in ("width", "height", "frames"):
        if key in curve and curve[key] != getattr(clip, key):
            return f"it is of {key} {curve[key]}, the clip's is {getattr(clip, key)}"
    return None


def points_for(curves: Sequence[dict[str, Any]], clip: Clip, skipped: list[str]) -> Iterator[dict[str, Any]]:
    """The points of a clip in the form of results; curves that do not fit add a line to `skipped`."""
    for curve in curves:
        if curve["clip"] != clip.name:
            continue
        reason = _mismatch(curve, clip)
        if reason is not None:
            skipped.append(f"{curve['codec']} on {clip.name} is not imported: {reason}")
            continue
        for number, point in enumerate(curve["points"]):
            bpp = point["bpp"] if "bpp" in point else 8 * point["bytes"] / clip.pixels
            yield {
                "clip": clip.name,
                "codec": curve["codec"],
                "point": str(point.get("label", number + 1)),
                "imported": True,
                "source": curve["source"],
                "bytes": point.get("bytes"),
                "bpp": float(bpp),
                "psnr": {key: point["psnr"].get(key) for key in _METRICS},
                **{key: point.get(key, curve.get(key)) for key in _COPIED},
            }
