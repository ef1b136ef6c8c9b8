"""Reads every container that PyAV (FFmpeg) knows; frames are the planes that its decoders return."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.bitstream.container import MAGIC
from nvrc_decoder.errors import InputError, InvalidStreamError, MissingExtraError, UnsupportedError
from nvrc_decoder.picture.format import RATE_MAX, UNSPECIFIED, Colour, VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.picture.presentation import SAMPLE_ASPECT
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_decoder.system.packages import load_package
from nvrc_encoder.source.conversion import SUPPORTED, advice_for_format
from nvrc_encoder.source.findings import Findings
from nvrc_encoder.source.side_data import find_side_data
from nvrc_encoder.source.tracks import (
    choose_track,
    cut_off,
    find_lost_tracks,
    find_missing,
    has_own_rate,
    has_time_stamps,
    sure_frame_count,
)
from nvrc_encoder.source.y4m import check_frame_size

__all__ = ["Opened", "is_video", "open_with_pyav"]

# FFmpeg's pixel format -> (chroma format, bit depth, full range by its name).
_PIXEL_FORMATS = {
    "gray": (CHROMA_400, 8, False),
    "gray10le": (CHROMA_400, 10, False),
    "yuv420p": (CHROMA_420, 8, False),
    "yuvj420p": (CHROMA_420, 8, True),
    "yuv420p10le": (CHROMA_420, 10, False),
    "yuv444p": (CHROMA_444, 8, False),
    "yuvj444p": (CHROMA_444, 8, True),
    "yuv444p10le": (CHROMA_444, 10, False),
}
_RANGE_UNSPECIFIED, _FULL_RANGE = 0, 2
_CODE_POINT_MAX = 255
_SIDE_MAX = (1 << 31) - 1
_DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class Opened:
    """A container that can be read.

    Attributes:
        picture: format of its frames.
        frame_count: number of its frames; None where it is not certain.
        has_rate: whether the rate of `picture` is the file's own.
        findings: its properties beyond samples.
        frames: starts reading its frames.
    """

    picture: VideoFormat
    frame_count: int | None
    has_rate: bool
    findings: Findings
    frames: Callable[[], Iterator[Planes]]


def _import_av() -> Any:
    return load_package("av", "reading this container (y4m and raw YUV need nothing)")


def _is_stream(name: str) -> bool:
    """Whether a file begins as streams of this format do."""
    if not os.path.isfile(name):  # reading from a pipe would consume bytes
        return False
    with open(name, "rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _open_container(av: Any, name: str) -> Any:
    """The container; where it cannot be opened, the error has the reason that FFmpeg logs."""
    if _is_stream(name):  # FFmpeg may mistake it for another format
        raise InvalidStreamError("E_SOURCE", f"{name} is a .nvrc stream already: nvrc-ref decode converts it")
    level, skipping = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # else the reason is missing for a second file with the same fault
    try:
        with av.logging.Capture() as logged:
            return av.open(name)
    except av.error.InvalidDataError:
        reasons = list(dict.fromkeys(line.strip() for _, _, line in logged if line.strip()))
        if any("moov atom not found" in reason for reason in reasons):
            reasons = ["moov atom not found: the file was cut off before its index was written; get the whole file"]
        why = f": {'; '.join(reasons)}" if reasons else ""
        raise InvalidStreamError("E_SOURCE", f"{name} is not a video file that FFmpeg can read{why}") from None
    except (av.error.FFmpegError, OSError) as error:
        raise InputError("E_NO_INPUT", f"cannot open {name}: {error}") from None
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skipping)


def is_video(name: str) -> bool:
    """Whether FFmpeg finds a video with a size of its own in a file; False without PyAV."""
    try:
        with _open_container(_import_av(), name) as container:
            contexts = [stream.codec_context for stream in container.streams.video]
            return any(context is not None and context.width > 0 for context in contexts)
    except (MissingExtraError, InvalidStreamError, InputError):
        return False


def _first_frame(av: Any, container: Any, stream: Any) -> Any:
    """The first frame; None where it cannot be decoded, which is reported when the frames are read."""
    try:
        return next(container.decode(stream), None)
    except av.error.FFmpegError:
        return None


def _code_point(frame: int | None, context: int) -> int:
    """FFmpeg's number as a CICP code point. They are equal, except for FFmpeg's own numbers above 255."""
    value = context if frame in (None, UNSPECIFIED) else int(frame or 0)
    return value if 0 <= value <= _CODE_POINT_MAX else UNSPECIFIED


def _rate(stream: Any) -> Fraction | None:
    """Frames per second by the container; None where it has no usable rate."""
    rate = Fraction(stream.average_rate or stream.guessed_rate or 0).limit_denominator(1_000_000)
    return rate if 1 <= rate.numerator <= RATE_MAX else None


def _picture(av: Any, stream: Any, first: Any, hdr: str, name: str) -> VideoFormat:
    """Format of a video stream, from its first frame and its codec context."""
    context = stream.codec_context
    full_range = int(context.color_range) == _FULL_RANGE
    pixel_format = context.pix_fmt
    if pixel_format is None:
        raise InvalidStreamError("E_SOURCE", f"FFmpeg cannot decode any frame of {name}: it is damaged or cut off")
    if pixel_format not in _PIXEL_FORMATS:
        advice = advice_for_format(av, pixel_format, full_range, hdr)
        message = f"{name} has pixel format {pixel_format}; supported are {SUPPORTED}: {advice}"
        raise UnsupportedError("E_PIXEL_FORMAT", message)
    if not (1 <= context.width <= 65535 and 1 <= context.height <= 65535):
        raise InvalidStreamError("E_SOURCE", f"{name} has a video stream of {context.width}x{context.height}")
    chroma_format, bit_depth, named_full = _PIXEL_FORMATS[pixel_format]
    tagged = int(getattr(first, "color_range", 0)) or int(context.color_range)
    # As in FFmpeg, untagged grey is full range, everything else limited.
    full_range = named_full or tagged == _FULL_RANGE or (tagged == _RANGE_UNSPECIFIED and chroma_format == CHROMA_400)
    colour = Colour(
        primaries=_code_point(getattr(first, "color_primaries", None), int(context.color_primaries)),
        transfer=_code_point(getattr(first, "color_trc", None), int(context.color_trc)),
        matrix=_code_point(getattr(first, "colorspace", None), int(context.colorspace)),
        full_range=full_range,
    )
    rate = _rate(stream) or _DEFAULT_RATE
    return VideoFormat(context.width, context.height, rate, chroma_format, bit_depth, colour)


def _planes(frame: Any, picture: VideoFormat) -> Planes:
    """The frame's planes, copied out of FFmpeg's padded rows."""
    planes: list[npt.NDArray[Any]] = []
    for plane, (rows, columns) in zip(frame.planes, picture.plane_shapes, strict=False):
        stride = plane.line_size // picture.dtype.itemsize
        samples = np.frombuffer(plane, picture.dtype, rows * stride).reshape(rows, stride)
        planes.append(np.ascontiguousarray(samples[:, :columns]).astype(picture.dtype.newbyteorder("="), copy=False))
    return Planes(*planes)


def _find_sample_aspect(stream: Any, findings: Findings) -> None:
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect > 0 and aspect != 1 and max(aspect.numerator, aspect.denominator) <= _SIDE_MAX:
        findings.entries[SAMPLE_ASPECT] = f"{aspect.numerator}:{aspect.denominator}"


def open_with_pyav(name: str) -> Opened:
    """Open `name` with PyAV.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, PyAV is not installed.
        InvalidStreamError: E_SOURCE, FFmpeg cannot read the file, or it has no video.
        UnsupportedError: E_PIXEL_FORMAT, a pixel format that the codec does not have; E_SOURCE, FFmpeg has no decoder.
    """
    av = _import_av()
    findings = Findings()
    with _open_container(av, name) as container:
        stream = choose_track(container, name)
        first = _first_frame(av, container, stream)
        if first is not None:
            find_side_data(first, findings)
        picture = _picture(av, stream, first, findings.hdr_options(), name)
        check_frame_size(picture)
        find_lost_tracks(container, stream, findings)
        _find_sample_aspect(stream, findings)
        count = sure_frame_count(stream, os.path.getsize(name))
        has_rate = has_own_rate(container) and _rate(stream) is not None

    def frames() -> Iterator[Planes]:
        with _open_container(av, name) as container:
            yield from _read(av, container, picture, findings, name)

    return Opened(picture, count, has_rate, findings, frames)


def _read(av: Any, container: Any, picture: VideoFormat, findings: Findings, name: str) -> Iterator[Planes]:
    """The frames of a container; their other properties go into `findings`."""
    stream = choose_track(container, name)
    findings.begin()
    stamped = stream.time_base and has_time_stamps(container, stream)
    findings.time_base = Fraction(stream.time_base) if stamped else None
    index = 0
    end = 0.0
    packets = container.demux()
    while True:
        try:
            packet = next(packets, None)
            # An empty packet with a time stamp prolongs the last frame; one without flushes the decoder.
            used = packet is not None and packet.stream is stream and (packet.size or packet.pts is None)
            decoded = packet.decode() if packet is not None and used else []
        except av.error.EOFError:
            break
        except av.error.FFmpegError as error:
            raise InvalidStreamError("E_SOURCE", _undecodable(index, name, stream, error)) from None
        if packet is None:
            break
        if packet.pts is not None and packet.time_base is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        for frame in decoded:
            chroma_format, bit_depth, _ = _PIXEL_FORMATS.get(frame.format.name, (-1, 0, False))
            expected = (picture.width, picture.height, picture.chroma_format, picture.bit_depth)
            if (frame.width, frame.height, chroma_format, bit_depth) != expected:
                message = f"{name} changes its picture size or pixel format at frame {index}"
                raise UnsupportedError("E_PIXEL_FORMAT", message)
            _note(frame, index, findings)
            yield _planes(frame, picture)
            index += 1
    findings.missing = find_missing(container, stream, index, end)


def _undecodable(index: int, name: str, stream: Any, error: Any) -> str:
    """A message: why reading ends at frame `index`, and what to do."""
    rest = f"--frames {index} takes those before it, and " if index else ""
    return (
        f"frame {index} of {name} cannot be decoded ({error.strerror}); "
        f"{cut_off(stream, os.path.getsize(name))}"
        f"{rest}ffmpeg -i INPUT -c:v ffv1 OUTPUT.mkv leaves out what cannot be decoded"
    )


def _note(frame: Any, index: int, findings: Findings) -> None:
    """Add the properties of a frame to `findings`."""
    start = frame.pts
    if start is not None and findings.time_base is not None and frame.time_base != findings.time_base:
        start = round(start * Fraction(frame.time_base) / findings.time_base)
    findings.starts.append(start)
    findings.last_duration = int(getattr(frame, "duration", 0) or 0)
    if frame.is_corrupt:
        findings.corrupt.append(index)
    if frame.interlaced_frame:
        findings.interlaced.append(index)
