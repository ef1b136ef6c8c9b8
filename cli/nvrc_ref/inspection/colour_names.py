"""Names of the code points of colour (ITU-T H.273)."""

from __future__ import annotations

from nvrc_decoder.picture.format import Colour

__all__ = ["describe_colour"]

_UNSPECIFIED = "unspecified"
_PRIMARIES = {
    1: "BT.709",
    2: _UNSPECIFIED,
    4: "BT.470 M",
    5: "BT.601 625",
    6: "BT.601 525",
    7: "SMPTE 240M",
    8: "film",
    9: "BT.2020",
    10: "XYZ",
    11: "DCI P3",
    12: "Display P3",
    22: "EBU 3213",
}
_TRANSFERS = {
    1: "BT.709",
    2: _UNSPECIFIED,
    4: "gamma 2.2",
    5: "gamma 2.8",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "linear",
    9: "log 100:1",
    10: "log 316:1",
    11: "xvYCC",
    12: "BT.1361",
    13: "sRGB",
    14: "BT.2020 10 bits",
    15: "BT.2020 12 bits",
    16: "PQ",
    17: "SMPTE ST 428",
    18: "HLG",
}
_MATRICES = {
    0: "RGB",
    1: "BT.709",
    2: _UNSPECIFIED,
    4: "FCC",
    5: "BT.601",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "YCgCo",
    9: "BT.2020",
    10: "BT.2020 constant luminance",
    14: "ICtCp",
}
_POSITIONS = {1: "left", 2: "centre", 3: "top left"}


def describe_colour(colour: Colour) -> str:
    """Text such as ``BT.709, limited range``; primaries, transfer and matrix are named one by one where they differ."""
    parts = {
        "primaries": _PRIMARIES.get(colour.primaries, f"code {colour.primaries}"),
        "transfer": _TRANSFERS.get(colour.transfer, f"code {colour.transfer}"),
        "matrix": _MATRICES.get(colour.matrix, f"code {colour.matrix}"),
    }
    words = set(parts.values())
    same = words.pop() if len(words) == 1 else ", ".join(f"{name} {value}" for name, value in parts.items())
    text = f"{same}, {'full' if colour.full_range else 'limited'} range"
    position = _POSITIONS.get(colour.sample_position)
    return text if position is None else f"{text}, chroma samples {position}"
