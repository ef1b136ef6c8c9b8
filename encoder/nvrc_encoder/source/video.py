"""The encoder's input: a video as native YUV planes, never through RGB.

y4m and headerless YUV are read here; every other container goes through PyAV, which the ``encoder`` extra brings.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from nvrc_decoder.errors import InputError, NvrcError, OutputError, UnsupportedError
from nvrc_decoder.picture.format import CHROMA_NAMES, Colour, VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.picture.presentation import SAMPLE_ASPECT
from nvrc_decoder.profiles import CHROMA_420
from nvrc_encoder.source.conversion import SUPPORTED, retiming_advice
from nvrc_encoder.source.findings import Findings, Window, interlacing_line
from nvrc_encoder.source.png import is_png_input, open_png
from nvrc_encoder.source.y4m import check_frame_size, read_raw_frames, read_y4m_description, read_y4m_frames

__all__ = ["RawFormat", "Source", "has_header", "open_source", "refuse_raw_format"]

_RAW_SUFFIXES = {".yuv", ".raw", ".i420"}
_Y4M_MAGIC = b"YUV4MPEG2"
DEFAULT_RATE = Fraction(25)
# Offset and first bytes of files that are not headerless, whatever their names: y4m, mp4 and mov, Matroska, AVI, Ogg,
# FLV, MPEG program streams, Windows Media, PNG, GIF, JPEG.
_MAGICS = (
    (0, _Y4M_MAGIC),
    (4, b"ftyp"),
    (4, b"moov"),
    (0, b"\x1a\x45\xdf\xa3"),
    (0, b"RIFF"),
    (0, b"OggS"),
    (0, b"FLV\x01"),
    (0, b"\x00\x00\x01\xba"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"GIF8"),
    (0, b"\xff\xd8\xff"),
)


@dataclass(frozen=True)
class RawFormat:
    """The format of headerless YUV: size in luma samples, frames per second, chroma format and bit depth."""

    width: int
    height: int
    rate: Fraction = DEFAULT_RATE
    chroma_format: int = CHROMA_420
    bit_depth: int = 8

    def picture(self) -> VideoFormat:
        """The same as a `VideoFormat`.

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
        name: its name as the user gave it.
        picture: format of every frame.
        frame_count: number of frames that iteration yields; None where it is not known before they are read.
        findings: properties of the input beyond samples; complete when its frames have been read.
        window: the input's frames that iteration yields.
        once: whether they can be iterated only once, as those of a pipe.
    """

    name: str
    picture: VideoFormat
    frame_count: int | None
    _open_frames: Callable[[], Iterator[Planes]] = field(repr=False)
    findings: Findings = field(default_factory=Findings, repr=False, compare=False)
    window: Window = field(default_factory=Window)
    once: bool = False

    @property
    def metadata(self) -> dict[str, str]:
        """METADATA for the presentation of the frames (spec 3.6.1), key -> value; complete when they have been read."""
        return self.findings.metadata(self.window, self.rate)

    @property
    def carried(self) -> list[str]:
        """The same in words, such as ``rotation 90``."""
        return self.findings.carried(self.window, self.rate)

    @property
    def losses(self) -> list[str]:
        """One line for each property that a stream cannot carry, and for each defect of the input, with a remedy."""
        return self.findings.losses(self.window, self.rate)

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
        """Frames per second."""
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
    chroma_format: int | None = None,
) -> Source:
    """Open a video for the encoder.

    Args:
        path: a file, a folder of PNGs or a name such as ``%04d.png``, or ``-`` for y4m (or raw YUV with `size`) on
            stdin.
        raw: full format of headerless YUV.
        size: (width, height): shorthand for `raw` with 4:2:0 and 8 bits.
        rate: frames per second of an input without a rate of its own.
        recolour: makes the colour description from the file's own.
        frames: largest number of frames to read; None for all.
        skip: number of frames to leave out at the start.
        chroma_format: chroma format that RGB PNGs are converted to; None for `CHROMA_444`.

    Raises:
        InputError: E_NO_INPUT, the file does not exist, is no file or cannot be read; E_SOURCE, `raw`, `size` or
            `rate` is given for an input that has its own.
        InvalidStreamError: E_SOURCE, the file is malformed, or no video.
        UnsupportedError: E_PIXEL_FORMAT, a pixel format that the codec does not have.
        MissingExtraError: E_MISSING_EXTRA, PyAV is needed and not installed.
    """
    name = os.fspath(path)
    if raw is None and size is not None:
        raw = RawFormat(*size)
    pictures = name != "-" and is_png_input(name)
    if name != "-" and not pictures:
        _check_readable(name)
    if raw is not None:
        refuse_raw_format(name)
    if pictures:
        source, has_rate = Source(name, *open_png(name, chroma_format, recolour)), False
    elif raw is not None:
        source, has_rate = _open_raw(name, raw), False
    else:
        source, has_rate = _open_with_header(name)
    picture = source.picture
    if rate is not None:
        picture = _with_rate(source, rate, has_rate)
    elif not has_rate and raw is None and not pictures:
        source.findings.lost["rate"] = (
            f"assumed: {picture.rate} frames a second, as the input does not say it; "
            "--rate (in Python, rate) gives another"
        )
    if recolour is not None:
        picture = replace(picture, colour=recolour(picture.colour))
    return _cut(source, picture, frames, skip)


def _open_with_header(name: str) -> tuple[Source, bool]:
    """A source over a file that has a header, and whether the header has a rate."""
    if name != "-" and Path(name).suffix.lower() in _RAW_SUFFIXES and not has_header(name):
        raise InputError("E_SOURCE", f"{name} is headerless YUV: give its size, such as --size 352x288")
    if name == "-" or _is_y4m(name):
        return _open_y4m(name)
    from nvrc_encoder.source.pyav import open_with_pyav

    opened = open_with_pyav(name)
    source = Source(name, opened.picture, opened.frame_count, opened.frames, opened.findings)
    return source, opened.has_rate


def _with_rate(source: Source, rate: Fraction, has_rate: bool) -> VideoFormat:
    """The format of a source with another rate, which is an error if the source has a rate of its own."""
    picture = source.picture
    if has_rate:
        message = f"{source.name} has a frame rate of its own, {picture.rate}: leave out --rate (in Python, rate)"
        if rate != picture.rate:
            message += f"; {retiming_advice(rate, source.findings.hdr_options())}"
        raise InputError("E_SOURCE", message)
    return replace(picture, rate=rate)


def refuse_raw_format(name: str) -> None:
    """Refuse an input that has a header, or is PNG, where headerless YUV is expected.

    Raises:
        InputError: E_SOURCE, it is not headerless.
    """
    if (name != "-" and is_png_input(name)) or has_header(name):
        message = f"{name} has a size and a sample format of its own"
        rest = "" if name == "-" else "; if it is headerless YUV that resembles another format, name it .yuv"
        raise InputError(
            "E_SOURCE", f"{message}: leave out --size, --chroma and --bit-depth (in Python, raw and size){rest}"
        )


def _cut(source: Source, picture: VideoFormat, frames: int | None, skip: int) -> Source:
    """The source with another format and fewer frames."""
    count = source.frame_count
    if count is not None:
        count = max(count - skip, 0)
        count = count if frames is None else min(count, frames)
    # `islice` counts no further, and no video has as many frames.
    skip = min(skip, sys.maxsize)
    frames = None if frames is None else min(frames, sys.maxsize - skip)
    window = Window(skip, frames)
    once = source.name == "-" or Path(source.name).is_fifo()
    return Source(source.name, picture, count, lambda: _windowed(source, window), source.findings, window, once)


def _windowed(source: Source, window: Window) -> Iterator[Planes]:
    """The frames of a window. With time stamps the next frame is read as well: its start is the end of the last."""
    frames = iter(source)
    stop = None if window.frames is None else window.skip + window.frames
    yield from itertools.islice(frames, window.skip, stop)
    if stop is not None and source.findings.time_base is not None:
        with suppress(NvrcError):
            next(frames, None)


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
        if sys.stdin is None:
            raise InputError("E_NO_INPUT", "the standard input is closed")
        return nullcontext(sys.stdin.buffer)
    try:
        return open(name, "rb")
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot open {name}: {error.strerror}") from None


def _is_y4m(name: str) -> bool:
    with _open_binary(name) as file:
        return file.read(len(_Y4M_MAGIC)) == _Y4M_MAGIC or Path(name).suffix.lower() == ".y4m"


def has_header(name: str) -> bool:
    """Whether an input is of a format with a header; on stdin only y4m is recognised, and nothing is consumed."""
    if name == "-":
        peek = getattr(sys.stdin.buffer, "peek", None)
        return peek is not None and peek(len(_Y4M_MAGIC)).startswith(_Y4M_MAGIC)
    if not Path(name).is_file():
        return False  # a named pipe can be read only once
    with _open_binary(name) as file:
        head = file.read(16)
    if any(head[place:].startswith(magic) for place, magic in _MAGICS):
        return True
    if Path(name).suffix.lower() in _RAW_SUFFIXES:
        return False
    from nvrc_encoder.source.pyav import is_video

    return is_video(name)


def _guard(frames: Iterator[Planes], name: str) -> Iterator[Planes]:
    """Yield the frames; a failing read becomes a typed error."""
    try:
        yield from frames
    except NvrcError:
        raise
    except OSError as error:
        raise OutputError("E_IO", f"reading {name} failed: {error.strerror or error}") from None


def _open_raw(name: str, raw: RawFormat) -> Source:
    """A source over headerless YUV."""
    picture = raw.picture()
    check_frame_size(picture)
    path = Path(name)
    count = path.stat().st_size // picture.frame_bytes if name != "-" and path.is_file() else None

    def frames() -> Iterator[Planes]:
        with _open_binary(name) as file:
            yield from _guard(read_raw_frames(file, picture), name)

    return Source(name, picture, count, frames)


def _open_y4m(name: str) -> tuple[Source, bool]:
    """A source over y4m, and whether its header has a rate."""
    with _open_binary(name) as file:
        header = read_y4m_description(file)
        start = 0 if name == "-" else file.tell()
    findings = Findings()
    if header.sample_aspect not in (None, 1):
        findings.entries[SAMPLE_ASPECT] = f"{header.sample_aspect.numerator}:{header.sample_aspect.denominator}"
    if header.interlaced is not None:
        findings.lost["interlacing"] = interlacing_line(header.interlaced)

    def frames() -> Iterator[Planes]:
        with _open_binary(name) as file:
            if start:
                file.seek(start)
            yield from _guard(read_y4m_frames(file, header.picture), name)

    return Source(name, header.picture, None, frames, findings), header.has_rate
