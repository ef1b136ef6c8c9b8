"""The encoder's input: a video as native YUV planes, never through RGB.

y4m and headerless YUV are read here; every other container goes through PyAV, which the ``encoder`` extra brings.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from nvrc_decoder.errors import InputError, NvrcError, OutputError, UnsupportedError
from nvrc_decoder.frames import Planes
from nvrc_decoder.profiles import CHROMA_420
from nvrc_decoder.video_format import CHROMA_NAMES, Colour, VideoFormat
from nvrc_encoder.conversion import SUPPORTED
from nvrc_encoder.y4m import check_frame_size, read_raw_frames, read_y4m_frames, read_y4m_header

__all__ = ["RawFormat", "Source", "open_source"]

_RAW_SUFFIXES = {".yuv", ".raw", ".i420"}
_Y4M_MAGIC = b"YUV4MPEG2"
DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class RawFormat:
    """What a headerless file cannot say about itself."""

    width: int
    height: int
    rate: Fraction = DEFAULT_RATE
    chroma_format: int = CHROMA_420
    bit_depth: int = 8

    def picture(self) -> VideoFormat:
        """The same as a picture format.

        Raises:
            InputError: E_SOURCE, a dimension is outside 1..65535.
            UnsupportedError: E_PIXEL_FORMAT, a chroma format or bit depth that the codec does not have.
        """
        if self.chroma_format not in CHROMA_NAMES or self.bit_depth not in (8, 10):
            raise UnsupportedError("E_PIXEL_FORMAT", f"headerless YUV can have {SUPPORTED}")
        if not (1 <= self.width <= 65535 and 1 <= self.height <= 65535):
            raise InputError("E_SOURCE", f"the size {self.width}x{self.height} is outside 1x1 to 65535x65535")
        return VideoFormat(self.width, self.height, self.rate, self.chroma_format, self.bit_depth)


@dataclass(frozen=True)
class Source:
    """An opened input: its format, and its frames as often as they are iterated (once for stdin).

    Attributes:
        name: what the user called it.
        picture: format of every frame.
        frame_count: number of frames that iteration yields where it is known without reading them, otherwise None.
    """

    name: str
    picture: VideoFormat
    frame_count: int | None
    _open_frames: Callable[[], Iterator[Planes]] = field(repr=False)

    @property
    def width(self) -> int:
        """Luma samples in a row."""
        return self.picture.width

    @property
    def height(self) -> int:
        """Luma rows."""
        return self.picture.height

    @property
    def rate(self) -> Fraction:
        """Frames a second."""
        return self.picture.rate

    @property
    def chroma_format(self) -> int:
        """`CHROMA_400`, `CHROMA_420` or `CHROMA_444`."""
        return self.picture.chroma_format

    @property
    def bit_depth(self) -> int:
        """8 or 10."""
        return self.picture.bit_depth

    @property
    def colour(self) -> Colour:
        """Colour description (CICP)."""
        return self.picture.colour

    def __iter__(self) -> Iterator[Planes]:
        return self._open_frames()


def open_source(
    path: str | os.PathLike[str],
    *,
    raw: RawFormat | None = None,
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    recolour: Callable[[Colour], Colour] | None = None,
    frames: int | None = None,
    skip: int = 0,
) -> Source:
    """Open a video for the encoder.

    Args:
        path: a file, or ``-`` for y4m (or raw YUV with `size`) on stdin.
        raw: full format of headerless YUV.
        size: (width, height): shorthand for `raw` with 4:2:0 and 8 bits.
        rate: frames a second, in place of what the file says.
        recolour: makes the colour description of what the file says.
        frames: read at most this many.
        skip: leave out this many at the start.

    Raises:
        InputError: E_NO_INPUT, the file does not exist, is no file or cannot be read.
        InvalidStreamError: E_SOURCE, the file is malformed.
        UnsupportedError: E_PIXEL_FORMAT, a pixel format that the codec does not have.
        MissingExtraError: E_MISSING_EXTRA, PyAV is needed and not installed.
    """
    name = os.fspath(path)
    if raw is None and size is not None:
        raw = RawFormat(*size)
    if name == "-":
        source = _open_planar(name, raw)
    else:
        _check_readable(name)
        if raw is None and Path(name).suffix.lower() in _RAW_SUFFIXES:
            raise InputError("E_SOURCE", f"{name} is headerless YUV: give its size, such as --size 352x288")
        if raw is not None or _is_y4m(name):
            source = _open_planar(name, raw)
        else:
            from nvrc_encoder.pyav_source import open_with_pyav

            picture, count, opener = open_with_pyav(name)
            source = Source(name, picture, count, opener)
    picture = source.picture
    if rate is not None:
        picture = replace(picture, rate=rate)
    if recolour is not None:
        picture = replace(picture, colour=recolour(picture.colour))
    return _cut(source, picture, frames, skip)


def _cut(source: Source, picture: VideoFormat, frames: int | None, skip: int) -> Source:
    """The source with another description and its frames limited."""
    count = source.frame_count
    if count is not None:
        count = max(count - skip, 0)
        count = count if frames is None else min(count, frames)
    # More than any video has, and than `islice` counts to.
    first = min(skip, sys.maxsize)
    stop = None if frames is None else min(skip + frames, sys.maxsize)
    return Source(source.name, picture, count, lambda: itertools.islice(iter(source), first, stop))


def _check_readable(name: str) -> None:
    path = Path(name)
    if not path.exists():
        raise InputError("E_NO_INPUT", f"no such file: {name}")
    if path.is_dir():
        raise InputError("E_NO_INPUT", f"{name} is a directory, not a video file")
    if not os.access(path, os.R_OK):
        raise InputError("E_NO_INPUT", f"cannot read {name}: permission denied")


def _open_binary(name: str) -> AbstractContextManager[BinaryIO]:
    """The input as a binary file; stdin is left open by the returned context manager."""
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return open(name, "rb")
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot open {name}: {error.strerror}") from None


def _is_y4m(name: str) -> bool:
    with _open_binary(name) as file:
        return file.read(len(_Y4M_MAGIC)) == _Y4M_MAGIC or Path(name).suffix.lower() == ".y4m"


def _guard(frames: Iterator[Planes], name: str) -> Iterator[Planes]:
    """Pass frames on; a failing read becomes a typed error."""
    try:
        yield from frames
    except NvrcError:
        raise
    except OSError as error:
        raise OutputError("E_IO", f"reading {name} failed: {error.strerror or error}") from None


def _open_planar(name: str, raw: RawFormat | None) -> Source:
    """A source over y4m, or over headerless YUV if `raw` is given."""
    if raw is not None:
        picture = raw.picture()
        check_frame_size(picture)
        count = None if name == "-" else Path(name).stat().st_size // picture.frame_bytes
        start = 0
    else:
        stdin = name == "-"
        with _open_binary(name) as file:
            picture = read_y4m_header(file)
            start = 0 if stdin else file.tell()
        count = None

    def frames() -> Iterator[Planes]:
        with _open_binary(name) as file:
            if start:
                file.seek(start)
            yield from _guard(read_raw_frames(file, picture) if raw else read_y4m_frames(file, picture), name)

    return Source(name, picture, count, frames)
