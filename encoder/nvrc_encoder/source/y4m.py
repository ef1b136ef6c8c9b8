"""Reading YUV4MPEG2 (y4m) and headerless planar YUV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from nvrc_decoder.errors import InvalidStreamError, LimitError, UnsupportedError
from nvrc_decoder.picture.format import RATE_MAX, Colour, VideoFormat
from nvrc_decoder.picture.planes import Plane, Planes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_encoder.source.conversion import SUPPORTED, y4m_advice

__all__ = [
    "MAX_FRAME_BYTES",
    "Y4mHeader",
    "check_frame_size",
    "read_raw_frames",
    "read_y4m_description",
    "read_y4m_frames",
]

MAX_FRAME_BYTES = 1 << 30
_MAX_HEADER = 4096
_MAX_DIMENSION = 65535
_DEFAULT_RATE = Fraction(25)
_LEFT, _CENTRE, _TOP_LEFT = 1, 2, 3

# Tag -> (chroma format, bit depth, position of the chroma samples).
_COLOUR_SPACES = {
    "420": (CHROMA_420, 8, 0),
    "420jpeg": (CHROMA_420, 8, _CENTRE),
    "420mpeg2": (CHROMA_420, 8, _LEFT),
    "420paldv": (CHROMA_420, 8, _TOP_LEFT),
    "420p10": (CHROMA_420, 10, 0),
    "444": (CHROMA_444, 8, 0),
    "444p10": (CHROMA_444, 10, 0),
    "mono": (CHROMA_400, 8, 0),
    "mono10": (CHROMA_400, 10, 0),
}


_INTERLACED = {"t": "top field first", "b": "bottom field first", "m": "some frames"}


@dataclass(frozen=True)
class Y4mHeader:
    """The header line of a y4m stream.

    Attributes:
        picture: the format of the frames.
        has_rate: whether the header has a rate; else that of `picture` is a default.
        sample_aspect: width of a sample over its height; None where the header does not state it.
        interlaced: which field comes first, or `some frames`; None for progressive video.
    """

    picture: VideoFormat
    has_rate: bool
    sample_aspect: Fraction | None
    interlaced: str | None


def _malformed(message: str) -> InvalidStreamError:
    return InvalidStreamError("E_SOURCE", f"malformed y4m input: {message}")


def _read_line(file: BinaryIO, what: str) -> bytes | None:
    """One line without its newline; None at the end of the file."""
    line = file.readline(_MAX_HEADER)
    if not line:
        return None
    if not line.endswith(b"\n"):
        problem = "has no end" if len(line) == _MAX_HEADER else "is cut off"
        raise _malformed(f"the {what} {problem}")
    return line[:-1]


def _number(text: str, what: str, high: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or not 1 <= int(text) <= high:
        raise _malformed(f"the {what} is {text!r}, expected 1 to {high}")
    return int(text)


def check_frame_size(picture: VideoFormat) -> None:
    """Refuse a frame that is too large, before memory is allocated for it.

    Raises:
        LimitError: E_LIMIT, above `MAX_FRAME_BYTES`.
    """
    if picture.frame_bytes > MAX_FRAME_BYTES:
        raise LimitError("E_LIMIT", f"a frame of {picture.width}x{picture.height} is over {MAX_FRAME_BYTES} bytes")


def _ratio(value: str, what: str) -> Fraction | None:
    """The value of ``N:D``; None for 0:0, which means unknown."""
    numerator, _, denominator = value.partition(":")
    if numerator == denominator == "0":
        return None
    return Fraction(_number(numerator, what, RATE_MAX), _number(denominator, what, RATE_MAX))


def _read_fields(file: BinaryIO) -> tuple[dict[str, str], str]:
    """The fields of the header line by tag, and its sample range; empty where it has none."""
    fields = (_read_line(file, "header") or b"").split(b" ")
    if fields[0] != b"YUV4MPEG2":
        raise _malformed("the first line does not start with YUV4MPEG2")
    values: dict[str, str] = {}
    sample_range = ""
    for raw in fields[1:]:
        try:
            tag, value = raw[:1].decode("ascii"), raw[1:].decode("ascii")
        except UnicodeDecodeError:
            raise _malformed("the header is not ASCII") from None
        if tag != "X":
            values[tag] = value
        elif value.startswith("COLORRANGE="):
            sample_range = value.partition("=")[2]
    return values, sample_range


def read_y4m_description(file: BinaryIO) -> Y4mHeader:
    """Read the header line of a y4m stream; the file is left at the first frame.

    Raises:
        InvalidStreamError: E_SOURCE, the header is malformed.
        UnsupportedError: E_PIXEL_FORMAT, a chroma format or depth that the codec does not have.
        LimitError: E_LIMIT, the frames are too large.
    """
    values, sample_range = _read_fields(file)
    width = _number(values["W"], "width", _MAX_DIMENSION) if "W" in values else 0
    height = _number(values["H"], "height", _MAX_DIMENSION) if "H" in values else 0
    rate = _ratio(values.get("F", "0:0"), "frame rate")
    aspect = _ratio(values.get("A", "0:0"), "pixel aspect")
    if not width or not height:
        raise _malformed("the header has no width or no height")
    space = values.get("C", "420jpeg")
    if space not in _COLOUR_SPACES:
        advice = y4m_advice(space, sample_range == "FULL")
        message = f"the y4m input has colour space {space[:40]!r}; supported are {SUPPORTED}: {advice}"
        raise UnsupportedError("E_PIXEL_FORMAT", message)
    chroma_format, bit_depth, position = _COLOUR_SPACES[space]
    # As in FFmpeg, untagged grey is full range, everything else limited.
    full_range = sample_range == "FULL" or (not sample_range and chroma_format == CHROMA_400)
    colour = Colour(full_range=full_range, sample_position=position)
    picture = VideoFormat(width, height, rate or _DEFAULT_RATE, chroma_format, bit_depth, colour)
    check_frame_size(picture)
    return Y4mHeader(picture, rate is not None, aspect, _INTERLACED.get(values.get("I", "p")))


def _read_frame(file: BinaryIO, picture: VideoFormat, index: int) -> Planes | None:
    """The next frame's planes; None at the end of the file."""
    size = picture.frame_bytes
    data = file.read(size)
    if not data:
        return None
    if len(data) < size:
        raise InvalidStreamError(
            "E_SOURCE", f"frame {index} of the input is cut off: {len(data)} bytes of {size} (wrong size or format?)"
        )
    planes: list[Plane] = []
    offset = 0
    for rows, columns in picture.plane_shapes:
        stored = np.frombuffer(data, picture.dtype, rows * columns, offset).reshape(rows, columns)
        eight = picture.bit_depth == 8
        planes.append(stored.astype(np.uint8, copy=False) if eight else stored.astype(np.uint16, copy=False))
        offset += stored.nbytes
    if picture.bit_depth == 10 and any(int(plane.max()) > 1023 for plane in planes):
        raise InvalidStreamError("E_SOURCE", f"frame {index} of the input has samples above 1023 in 10 bits")
    return Planes(*planes)


def read_raw_frames(file: BinaryIO, picture: VideoFormat) -> Iterator[Planes]:
    """Frames of headerless planar YUV in order.

    Raises:
        InvalidStreamError: E_SOURCE, the last frame is cut off or a 10-bit sample is out of range.
    """
    index = 0
    while (frame := _read_frame(file, picture, index)) is not None:
        yield frame
        index += 1


def read_y4m_frames(file: BinaryIO, picture: VideoFormat) -> Iterator[Planes]:
    """Frames of a y4m stream whose header has been read.

    Raises:
        InvalidStreamError: E_SOURCE, a frame header is missing, or a frame is cut off.
    """
    index = 0
    while (line := _read_line(file, f"header of frame {index}")) is not None:
        if line != b"FRAME" and not line.startswith(b"FRAME "):
            raise _malformed(f"frame {index} does not start with FRAME")
        frame = _read_frame(file, picture, index)
        if frame is None:
            raise _malformed(f"frame {index} is cut off: no samples")
        yield frame
        index += 1
