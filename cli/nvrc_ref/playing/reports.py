"""Reports that the player shows: of `nvrc-ref encode --report`, and of `nvrc-ref compare --json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvrc_decoder.errors import InputError

__all__ = ["Report", "read_report"]

_KEYS = ("frames", "width", "height", "bytes", "components", "psnr", "ms_ssim_y", "per_frame", "segments")
_DIGESTS = "frame_md5s"
_BYTES_MAX = 1 << 26


@dataclass(frozen=True)
class Report:
    """A report about a stream.

    Attributes:
        name: its name for people.
        document: what the player shows of it.
    """

    name: str
    document: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The document as JSON."""
        return json.dumps(self.document, separators=(",", ":"))

    def check(self, **known: int) -> None:
        """Refuse a report that is of another stream.

        Args:
            known: what is known of the stream: bytes, frames, width, height.

        Raises:
            InputError: E_REPORT.
        """
        for key, value in known.items():
            said = self.document.get(key, value)
            if said != value:
                self._refuse(f"it says {key} {said}, this stream has {value}")

    def check_frames(self, digests: Sequence[str]) -> None:
        """Refuse a report that has other frames, of which these are the MD5s.

        Raises:
            InputError: E_REPORT.
        """
        said = self.document.get(_DIGESTS)
        if said is None:
            return
        for number, (one, other) in enumerate(zip(said, digests, strict=True)):
            if one != other:
                self._refuse(f"frame {number} has another MD5")

    def without_digests(self) -> Report:
        """The same, for a stream that was checked against it."""
        return Report(self.name, {key: value for key, value in self.document.items() if key != _DIGESTS})

    def _refuse(self, reason: str) -> None:
        raise InputError("E_REPORT", f"the report {self.name} is of another stream: {reason}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_number(value) and value > 0


def _is_psnr(value: object) -> bool:
    """Whether this is the PSNR of the planes; those of u and v are None for 4:0:0."""
    return (
        isinstance(value, dict)
        and _is_number(value.get("y"))
        and all(value.get(plane) is None or _is_number(value[plane]) for plane in ("u", "v", "yuv"))
    )


def _are_parts(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(_is_number(size) and size >= 0 for size in value.values())


def _each_has_psnr(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and _is_psnr(one.get("psnr")) for one in value)


def _fault(document: Any) -> str | None:
    """Why this is no report; None if it is one."""
    if not isinstance(document, dict) or not _is_count(document.get("frames")):
        return "it has no number of frames"
    frames, segments = document["frames"], document.get("segments")
    if "components" not in document and "psnr" not in document:
        return "it has neither components nor psnr"
    for key, is_right in _CHECKS.items():
        if key in document and not is_right(document[key]):
            return f"{key} is malformed"
    for key in ("per_frame", _DIGESTS):
        if key in document and len(document[key]) != frames:
            return f"{key} has not {frames} entries"
    if segments is not None and sum(one["frames"] for one in segments) != frames:
        return f"the segments have not {frames} frames"
    return None


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("width", "height", "bytes"), _is_count),
    "components": _are_parts,
    "psnr": _is_psnr,
    "ms_ssim_y": lambda value: value is None or _is_number(value),
    "per_frame": _each_has_psnr,
    "segments": lambda value: _each_has_psnr(value) and all(_is_count(one.get("frames")) for one in value),
    _DIGESTS: lambda value: isinstance(value, list),
}


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    """What the player shows of a report, and what tells which stream it is of."""
    found = {key: document[key] for key in (*_KEYS, _DIGESTS) if key in document}
    if "per_frame" in found:
        found["per_frame"] = [{"psnr": {"y": one["psnr"]["y"]}} for one in found["per_frame"]]
    if "segments" in found:
        found["segments"] = [{"frames": one["frames"], "psnr": {"y": one["psnr"]["y"]}} for one in found["segments"]]
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def read_report(path: str) -> Report:
    """Read a report.

    Raises:
        InputError: E_NO_INPUT, it cannot be read; E_REPORT, it is no report.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_BYTES_MAX + 1)
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot open {path}: {error.strerror}") from None
    if len(data) > _BYTES_MAX:
        raise InputError("E_REPORT", f"{path} is too large for a report: over {_BYTES_MAX} bytes")
    try:
        document = json.loads(data, parse_constant=_refuse_constant)
        fault = _fault(document)
    except (ValueError, RecursionError) as error:
        fault = f"it is not JSON ({error})"
    if fault is not None:
        raise InputError("E_REPORT", f"{path} is no report of encode or compare: {fault}")
    return Report(Path(path).name, _shown(document))
