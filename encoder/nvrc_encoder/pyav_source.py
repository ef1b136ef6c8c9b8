"""Reading every container that PyAV (FFmpeg) knows, as the planes that its decoder produced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InputError, InvalidStreamError, UnsupportedError
from nvrc_decoder.frames import Planes
from nvrc_decoder.packages import load_package
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_decoder.video_format import UNSPECIFIED, Colour, VideoFormat
from nvrc_encoder.conversion import SUPPORTED, conversion_advice
from nvrc_encoder.y4m import check_frame_size

__all__ = ["open_with_pyav"]

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
_FULL_RANGE = 2
_CODE_POINT_MAX = 255
_RATE_MAX = (1 << 31) - 1
_DEFAULT_RATE = Fraction(25)


def _import_av() -> Any:
    return load_package("av", "reading this container (y4m and raw YUV need nothing)")


def _advice(av: Any, pixel_format: str | None) -> str:
    """How to convert from FFmpeg's `pixel_format` to one that the codec has."""
    try:
        known = av.VideoFormat(pixel_format)
    except (ValueError, TypeError):
        return conversion_advice(8)
    components = known.components
    rgb = known.is_rgb or known.has_palette
    return conversion_advice(
        max(component.bits for component in components),
        grey=not rgb and not any(component.is_chroma for component in components),
        half_chroma=not rgb and (known.chroma_width(4), known.chroma_height(4)) == (2, 2),
        full_range=known.name.startswith("yuvj"),
    )


def _code_point(value: int) -> int:
    """FFmpeg's number as a CICP code point: they are the same, but for FFmpeg's own beyond a byte."""
    return value if 0 <= value <= _CODE_POINT_MAX else UNSPECIFIED


def _picture(av: Any, stream: Any, name: str) -> VideoFormat:
    """Format of a video stream, from its codec context."""
    context = stream.codec_context
    pixel_format = context.pix_fmt
    if pixel_format not in _PIXEL_FORMATS:
        raise UnsupportedError(
            "E_PIXEL_FORMAT",
            f"{name} has pixel format {pixel_format}; supported are {SUPPORTED}: {_advice(av, pixel_format)}",
        )
    chroma_format, bit_depth, full_range = _PIXEL_FORMATS[pixel_format]
    rate = stream.average_rate or stream.guessed_rate or _DEFAULT_RATE
    rate = Fraction(rate).limit_denominator(1_000_000)
    if not 1 <= rate.numerator <= _RATE_MAX:
        rate = _DEFAULT_RATE
    colour = Colour(
        primaries=_code_point(int(context.color_primaries)),
        transfer=_code_point(int(context.color_trc)),
        matrix=_code_point(int(context.colorspace)),
        full_range=full_range or int(context.color_range) == _FULL_RANGE,
    )
    if not (1 <= context.width <= 65535 and 1 <= context.height <= 65535):
        raise InvalidStreamError("E_SOURCE", f"{name} has a video stream of {context.width}x{context.height}")
    return VideoFormat(context.width, context.height, rate, chroma_format, bit_depth, colour)


def _planes(frame: Any, picture: VideoFormat) -> Planes:
    """The frame's planes, copied out of FFmpeg's padded rows."""
    planes: list[npt.NDArray[Any]] = []
    for plane, (rows, columns) in zip(frame.planes, picture.plane_shapes, strict=False):
        stride = plane.line_size // picture.dtype.itemsize
        samples = np.frombuffer(plane, picture.dtype, rows * stride).reshape(rows, stride)
        planes.append(np.ascontiguousarray(samples[:, :columns]).astype(picture.dtype.newbyteorder("="), copy=False))
    return Planes(*planes)


def open_with_pyav(name: str) -> tuple[VideoFormat, int | None, Callable[[], Iterator[Planes]]]:
    """Open `name` with PyAV.

    Returns:
        Its format, its number of frames if the container says it, and a function that starts reading frames.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, PyAV is not installed.
        InvalidStreamError: E_SOURCE, FFmpeg cannot make sense of the file.
        UnsupportedError: E_PIXEL_FORMAT, a pixel format that the codec does not have.
    """
    av = _import_av()

    def open_container() -> Any:
        try:
            container = av.open(name)
        except av.error.InvalidDataError:
            raise InvalidStreamError("E_SOURCE", f"{name} is not a video file that FFmpeg can read") from None
        except (av.error.FFmpegError, OSError) as error:
            raise InputError("E_NO_INPUT", f"cannot open {name}: {error}") from None
        if not container.streams.video:
            container.close()
            raise InvalidStreamError("E_SOURCE", f"{name} has no video stream")
        return container

    with open_container() as container:
        stream = container.streams.video[0]
        picture = _picture(av, stream, name)
        check_frame_size(picture)
        count = stream.frames or None

    def frames() -> Iterator[Planes]:
        with open_container() as container:
            decoded = container.decode(container.streams.video[0])
            index = 0
            while True:
                try:
                    frame = next(decoded)
                except (StopIteration, av.error.EOFError):
                    return
                except av.error.FFmpegError as error:
                    raise InvalidStreamError(
                        "E_SOURCE", f"frame {index} of {name} cannot be decoded: {error}"
                    ) from None
                chroma_format, bit_depth, _ = _PIXEL_FORMATS.get(frame.format.name, (-1, 0, False))
                expected = (picture.width, picture.height, picture.chroma_format, picture.bit_depth)
                if (frame.width, frame.height, chroma_format, bit_depth) != expected:
                    raise UnsupportedError(
                        "E_PIXEL_FORMAT", f"{name} changes its picture size or pixel format at frame {index}"
                    )
                yield _planes(frame, picture)
                index += 1

    return picture, count, frames
