"""Advice for inputs in other pixel formats: the FFmpeg command that converts them to one that the codec has."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["SUPPORTED", "advice_for_format", "conversion_advice", "raw_advice", "retiming_advice", "y4m_advice"]

SUPPORTED = "4:0:0, 4:2:0 and 4:4:4 with 8 or 10 bits"


def _encoder(hdr: str) -> str:
    """FFmpeg's options of a lossless encoder: FFV1, or one that keeps HDR metadata where there is any."""
    return f'-c:v libx265 -x265-params "lossless=1:{hdr}"' if hdr else "-c:v ffv1"


def conversion_advice(
    bits: int,
    *,
    grey: bool = False,
    half_chroma: bool = False,
    whole_chroma: bool = False,
    full_range: bool = False,
    hdr: str = "",
) -> str:
    """One clause with a command that converts, without loss where the codec has such a format.

    Args:
        bits: bits of a sample of the input.
        grey: whether it has luma only.
        half_chroma: whether its chroma is that of 4:2:0.
        whole_chroma: whether its chroma is that of 4:4:4, or it is RGB.
        full_range: whether it is full-range YUV. FFV1 has no yuvj formats, and FFmpeg converts them to limited range
            unless an option forbids it.
        hdr: its HDR metadata as options of x265; empty for none.
    """
    ten = "10le" if bits > 8 else ""
    if grey:
        wanted, other = f"gray{ten}", ""
    elif whole_chroma:
        wanted, other = f"yuv444p{ten}", f" (yuv420p{ten} is smaller)"
    else:
        wanted = f"yuv420p{ten}"
        other = "" if half_chroma else f" (yuv444p{ten} keeps all of the chroma)"
    keep, tag = ("-vf scale=out_range=full ", "-color_range pc ") if full_range and not grey else ("", "")
    return f"convert it first: ffmpeg -i INPUT {keep}{_encoder(hdr)} -pix_fmt {wanted} {tag}OUTPUT.mkv{other}"


def advice_for_format(av: Any, pixel_format: str | None, full_range: bool = False, hdr: str = "") -> str:
    """`conversion_advice` for a pixel format of FFmpeg.

    Args:
        av: PyAV.
        pixel_format: its name; None where FFmpeg does not know it.
        full_range: whether the video is tagged as full range.
        hdr: its HDR metadata as options of x265; empty for none.
    """
    try:
        known = av.VideoFormat(pixel_format)
    except (ValueError, TypeError):
        return conversion_advice(8)
    components = [component for component in known.components if not component.is_alpha]
    rgb = known.is_rgb or known.has_palette or known.name.startswith(("bayer", "xyz"))
    chroma = known.chroma_width(4), known.chroma_height(4)
    # The components of a Bayer pattern are parts of a sample.
    bits = 16 if known.name.startswith("bayer") and "16" in known.name else max((c.bits for c in components), default=8)
    advice = conversion_advice(
        bits,
        grey=not rgb and len(components) == 1,
        half_chroma=not rgb and chroma == (2, 2),
        whole_chroma=rgb or chroma == (4, 4),
        full_range=not rgb and (full_range or known.name.startswith("yuvj")),
        hdr=hdr,
    )
    if len(components) < len(known.components):
        advice += "; alpha is left out: ffmpeg -i INPUT -vf alphaextract -c:v ffv1 ALPHA.mkv takes it out"
    return advice


def y4m_advice(space: str, full_range: bool = False) -> str:
    """`conversion_advice` for a y4m colour space, such as ``422p10``."""
    match = re.search(r"(?:p|mono)([0-9]{1,2})$", space)
    bits = int(match[1]) if match else 8
    return conversion_advice(
        bits,
        grey=space.startswith("mono"),
        half_chroma=space.startswith("420"),
        whole_chroma=space.startswith("444"),
        full_range=full_range,
    )


def raw_advice() -> str:
    """One clause with a command that makes a y4m file of the frames that `encode` reads: not turned, none repeated."""
    return (
        "ffmpeg -noautorotate -i INPUT -fps_mode passthrough -pix_fmt yuv420p OUTPUT.y4m makes one "
        "(-pix_fmt yuv420p10le -strict -1 for 10 bits)"
    )


def retiming_advice(rate: object, hdr: str = "") -> str:
    """One clause with a command that gives all frames another rate; `hdr` is HDR metadata as options of x265."""
    return f"ffmpeg -r {rate} -i INPUT {_encoder(hdr)} OUTPUT.mkv shows the same frames at another rate"
