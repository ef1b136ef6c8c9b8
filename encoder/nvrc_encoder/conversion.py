"""What to do with a pixel format that the codec does not have: the FFmpeg command that makes one that it has."""

from __future__ import annotations

import re

__all__ = ["SUPPORTED", "conversion_advice", "y4m_advice"]

SUPPORTED = "4:0:0, 4:2:0 and 4:4:4 with 8 or 10 bits"


def conversion_advice(bits: int, *, grey: bool = False, half_chroma: bool = False, full_range: bool = False) -> str:
    """One clause with a command that converts without a loss where there is such a format.

    Args:
        bits: of a sample of the input.
        grey: it has luma only.
        half_chroma: its chroma is that of 4:2:0.
        full_range: its name says that samples use the whole range.
    """
    ten = "10le" if bits > 8 else ""
    letter = "j" if full_range and not ten else ""
    if grey:
        wanted, other = f"gray{ten}", ""
    else:
        wanted = f"yuv{letter}420p{ten}"
        other = "" if half_chroma else f" (yuv{letter}444p{ten} keeps all of the chroma)"
    return f"convert it first: ffmpeg -i INPUT -c:v ffv1 -pix_fmt {wanted} OUTPUT.mkv{other}"


def y4m_advice(space: str) -> str:
    """The same for the name of a y4m colour space."""
    match = re.search(r"(?:p|mono)([0-9]{1,2})$", space)
    bits = int(match[1]) if match else 8
    return conversion_advice(bits, grey=space.startswith("mono"), half_chroma=space.startswith("420"))
