"""The two videos of a comparison: streams of this codec, y4m, headerless YUV, PNGs, or what FFmpeg reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nvrc_decoder
from nvrc_decoder.bitstream.container import MAGIC
from nvrc_decoder.errors import MismatchError
from nvrc_decoder.picture.format import CHROMA_NAMES, UNSPECIFIED, VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.source.video import RawFormat, open_source
from nvrc_ref.decoding.stream_input import open_stream
from nvrc_ref.options.shared import DecodingOptions

__all__ = ["OpenVideo", "check_formats", "open_either"]

_HEADERLESS = ("", ".yuv", ".raw", ".i420")


@dataclass(frozen=True)
class OpenVideo:
    """A video that is open.

    Attributes:
        name: its name on the command line.
        picture: the format of its frames.
        frames: the frames; they can be read once.
        bytes: size of the file; None for the standard input and for uncompressed video.
        headerless: whether its format is from options, which do not include the rate.
        video: its decoder, if it is a stream of this codec; else None.
    """

    name: str
    picture: VideoFormat
    frames: Iterator[Planes]
    bytes: int | None = None
    headerless: bool = False
    video: nvrc_decoder.Video | None = None


def _is_stream(name: str) -> bool:
    if name == "-":
        peek = getattr(getattr(sys.stdin, "buffer", None), "peek", None)
        return peek is not None and peek(len(MAGIC))[: len(MAGIC)] == MAGIC
    path = Path(name)
    if not path.is_file():
        return path.suffix.lower() == ".nvrc"  # opening it as a stream says why it cannot be read
    with open_stream(name) as file:
        return file.read(len(MAGIC)) == MAGIC


@contextmanager
def open_either(
    name: str, raw: RawFormat | None, chroma_format: int | None, skip: int, decoding: DecodingOptions
) -> Iterator[OpenVideo]:
    """Open a stream of this codec or any other video.

    Args:
        name: a file, or ``-``.
        raw: format of headerless YUV; used for the standard input and for suffixes of headerless files only.
        chroma_format: chroma format that PNGs are converted to; None for their own.
        skip: frames to leave out at the start.
        decoding: how a stream of this codec is decoded.

    Raises:
        NvrcError: as `nvrc_decoder.open` and `nvrc_encoder.source.video.open_source`.
    """
    if not _is_stream(name):
        bare = raw is not None and (name == "-" or Path(name).suffix.lower() in _HEADERLESS)
        source = open_source(name, raw=raw if bare else None, skip=skip, chroma_format=chroma_format)
        coded = Path(name).is_file() and Path(name).suffix.lower() not in (*_HEADERLESS, ".y4m", ".png")
        yield OpenVideo(name, source.picture, iter(source), Path(name).stat().st_size if coded else None, bare)
        return
    with open_stream(name) as file, decoding.open(file) as video:
        if skip:
            video.seek(skip)
        size = None if name == "-" else Path(name).stat().st_size
        yield OpenVideo(name, video.info.format, iter(video), size, video=video)


def check_formats(source: OpenVideo, decoded: OpenVideo) -> list[str]:
    """Notes about differences that do not prevent a comparison: range, matrix, rate.

    Raises:
        MismatchError: E_FORMAT, size, chroma format or bit depth differ.
    """
    a, b = source.picture, decoded.picture
    sizes = tuple(f"{x.width}x{x.height} {CHROMA_NAMES[x.chroma_format]} {x.bit_depth} bits" for x in (a, b))
    if sizes[0] != sizes[1]:
        raise MismatchError(
            "E_FORMAT",
            f"{source.name} is {sizes[0]}, {decoded.name} is {sizes[1]}: convert one of them first, "
            "since samples are compared one by one",
        )
    notes = []
    if a.colour.full_range != b.colour.full_range:
        ranges = ["full" if x.colour.full_range else "limited" for x in (a, b)]
        notes.append(f"note: the range of {source.name} is {ranges[0]}, that of {decoded.name} {ranges[1]}")
    matrices = a.colour.matrix, b.colour.matrix
    if UNSPECIFIED not in matrices and matrices[0] != matrices[1]:
        notes.append(f"note: the matrix of {source.name} is code {matrices[0]}, that of {decoded.name} {matrices[1]}")
    if a.rate != b.rate and not (source.headerless or decoded.headerless):
        rates = [f"{float(x.rate):.6g}" for x in (a, b)]
        notes.append(f"note: {source.name} has {rates[0]} frames a second, {decoded.name} {rates[1]}")
    return notes
