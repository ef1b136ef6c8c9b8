"""Side data of FFmpeg's frames: the part that METADATA carries, and the losses."""

from __future__ import annotations

import struct
from typing import Any

from nvrc_decoder.picture.presentation import LIGHT, MASTERING, ORIENTATION, ContentLight, MasteringDisplay, Orientation
from nvrc_encoder.source.findings import Findings

__all__ = ["find_side_data"]

# FFmpeg's name -> our name, of side data that a stream cannot carry.
_LOST = {
    "A53_CC": "closed captions",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata of each frame",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata of each frame",
    "DOVI_METADATA": "Dolby Vision metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "ICC_PROFILE": "an ICC profile",
    "STEREO3D": "that it is stereoscopic",
    "SPHERICAL": "that it is spherical",
}
_CHROMATICITY, _LUMINANCE = 50_000, 10_000
_ONE = 1 << 16
_TOLERANCE = 1e-3


def _orientation(matrix: tuple[int, ...]) -> Orientation | None:
    """The orientation of FFmpeg's display matrix; None where it does not turn by a multiple of 90 degrees.

    Its numbers 0, 1, 3 and 4 are `Orientation.matrix` in units of 1/65536.
    """
    found = [matrix[i] / _ONE for i in (0, 1, 3, 4)]
    for degrees in (0, 90, 180, 270):
        for orientation in (Orientation(degrees), Orientation(degrees, flip=True)):
            if all(abs(x - y) < _TOLERANCE for x, y in zip(found, orientation.matrix(), strict=True)):
                return orientation
    return None


def _mastering(data: bytes) -> MasteringDisplay | None:
    """AVMasteringDisplayMetadata in the units of the SEI message; None where a value is out of range."""
    numbers = struct.unpack_from("=22i", data)
    units = [_CHROMATICITY] * 8 + [_LUMINANCE] * 2
    values = [
        round(unit * numbers[2 * i] / numbers[2 * i + 1]) if numbers[2 * i + 1] else 0 for i, unit in enumerate(units)
    ]
    if min(values) < 0 or max(values[:8]) > _CHROMATICITY or max(values) >= 1 << 32:
        return None
    red, green, blue, white, (least, most) = ((values[i], values[i + 1]) for i in range(0, 10, 2))
    return MasteringDisplay(green, blue, red, white, (most, least))


def find_side_data(frame: Any, findings: Findings) -> None:
    """Add the side data of a frame to `findings`."""
    for item in frame.side_data:
        name = getattr(item.type, "name", str(item.type))
        data = bytes(item)
        if name == "DISPLAYMATRIX" and len(data) >= 36:
            orientation = _orientation(struct.unpack_from("=9i", data))
            if orientation is None:
                findings.lost["rotation"] = (
                    "dropped: rotation, as it is by no multiple of 90 degrees: "
                    "ffmpeg -i INPUT -c:v ffv1 OUTPUT.mkv turns the frames first"
                )
            elif orientation != Orientation(0):
                findings.entries[ORIENTATION] = orientation.text()
        elif name == "MASTERING_DISPLAY_METADATA" and len(data) >= 88:
            mastering = _mastering(data)
            if mastering is not None:
                findings.entries[MASTERING] = mastering.text()
        elif name == "CONTENT_LIGHT_LEVEL" and len(data) >= 8:
            maximum, average = struct.unpack_from("=2I", data)
            if max(maximum, average) < 1 << 16:
                findings.entries[LIGHT] = ContentLight(maximum, average).text()
        elif name in _LOST:
            findings.lost[_LOST[name]] = f"dropped: {_LOST[name]}"
