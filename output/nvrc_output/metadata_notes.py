"""Stream metadata that an output cannot carry: a note for each, with the FFmpeg command that adds it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from nvrc_decoder.picture.format import UNSPECIFIED, Colour, VideoFormat, pixel_format
from nvrc_decoder.picture.presentation import Orientation, Presentation

__all__ = ["not_written", "turning_filter"]

# Code points (CICP): BT.2020 and the P3 kinds; PQ and HLG.
_WIDE_PRIMARIES, _HDR_TRANSFERS = frozenset({9, 11, 12}), frozenset({16, 18})
_TURNS = {
    (90, False): "transpose=cclock",
    (180, False): "hflip,vflip",
    (270, False): "transpose=clock",
    (0, True): "hflip",
    (90, True): "transpose=cclock_flip",
    (180, True): "vflip",
    (270, True): "transpose=clock_flip",
}


def turning_filter(orientation: Orientation) -> str:
    """FFmpeg's filter that turns stored frames upright."""
    return _TURNS[orientation.degrees, orientation.flip]


def _is_wide(colour: Colour) -> bool:
    """Whether RGB of this colour looks wrong in a file without a colour description, such as PNG."""
    return colour.primaries in _WIDE_PRIMARIES or colour.transfer in _HDR_TRANSFERS


def _read_again(kind: str, target: str, video: VideoFormat) -> str:
    """Options of FFmpeg that read an output."""
    name = shlex.quote("OUTPUT.y4m" if target == "-" else target)
    if kind == "png":
        return f"-framerate {video.rate} -i {name.rstrip('/')}/frame_%05d.png"
    if kind == "yuv":
        pixels = pixel_format(video.chroma_format, video.bit_depth)
        size = f"{video.width}x{video.height}"
        return f"-f rawvideo -pixel_format {pixels} -video_size {size} -framerate {video.rate} -i {name}"
    return f"-i {name}"


def not_written(
    kind: str, target: str, video: VideoFormat, shown: Presentation, carries: frozenset[str]
) -> Iterator[str]:
    """One line for each thing that an output does not carry, with the command that adds it.

    Args:
        kind: kind of the output, such as `y4m`.
        target: name of the output.
        video, shown: the stream's format, and how it is to be shown.
        carries: metadata that the output carries, of `aspect`, `orientation`, `hdr`, `times` and `colour`.
    """
    ffmpeg = f"ffmpeg {_read_again(kind, target, video)}"
    if shown.orientation is not None and "orientation" not in carries:
        turn = f"{ffmpeg} -vf {turning_filter(shown.orientation)} -c:v ffv1 TURNED.mkv"
        yield f"{kind} does not carry {shown.orientation.describe()}, frames stay as they are stored: {turn} turns them"
    if shown.sample_aspect is not None and "aspect" not in carries:
        aspect = f"{shown.sample_aspect.numerator}/{shown.sample_aspect.denominator}"
        add = f"{ffmpeg} -vf setsar={aspect} -c:v ffv1 WITH_ASPECT.mkv"
        yield f"{kind} does not carry pixel aspect {aspect.replace('/', ':')}: {add} adds it"
    if (shown.mastering is not None or shown.light is not None) and "hdr" not in carries:
        add = f'{ffmpeg} -c:v libx265 -x265-params "{shown.hdr_options()}" WITH_HDR.mp4'
        yield f"{kind} does not carry HDR metadata: {add} adds it"
    if not shown.timeline.constant and "times" not in carries:
        keep = 'pip install "nvrc-ref[encoder]" lets it' if kind == "mp4" else "decode to .mp4 to keep them"
        yield f"{kind} does not carry time stamps, all frames are shown at {video.rate} a second: {keep}"
    colour = video.colour
    codes = (colour.primaries, colour.transfer, colour.matrix)
    told = _is_wide(colour) if kind == "png" else any(code != UNSPECIFIED for code in codes)
    if told and "colour" not in carries:
        words = f"-color_primaries {codes[0]} -color_trc {codes[1]} -colorspace {codes[2]}"
        add = f"{ffmpeg} {words} -c:v ffv1 WITH_COLOUR.mkv"
        yield f"{kind} does not carry colour description {'/'.join(map(str, codes))}: {add} adds it"
