"""A source of arrays in memory."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InputError, UnsupportedError
from nvrc_decoder.picture.format import CHROMA_NAMES, RATE_MAX, Colour, VideoFormat
from nvrc_decoder.picture.planes import Planes, plane_shapes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_encoder.source.conversion import SUPPORTED
from nvrc_encoder.source.video import DEFAULT_RATE, Source
from nvrc_encoder.source.y4m import check_frame_size

__all__ = ["array_source"]

_SIDE_MAX = 65535
_DTYPES = {8: np.uint8, 10: np.uint16}

Array = npt.NDArray[Any]


def array_source(
    frames: Iterable[Planes | Array | Sequence[Array]],
    *,
    rate: Fraction | float | str = DEFAULT_RATE,
    bit_depth: int | None = None,
    colour: Colour | None = None,
    name: str = "arrays",
) -> Source:
    """A source for `encode`, made of arrays.

    Every frame is a grey array Y, or (Y, U, V), or the `Planes` or `Frame` of a decoder. Y is [height, width]; U and V
    are of the same size (4:4:4) or of half of it, rounded up (4:2:0). Arrays are copied.

    Args:
        frames: at least one, all of the same shapes; uint8 for 8 bits, uint16 with values up to 1023 for 10.
        rate: frames per second, such as 25, ``Fraction(30000, 1001)`` or ``"30000/1001"``.
        bit_depth: 8 or 10; None for that of the dtype.
        colour: colour description; None for unspecified, in video range.
        name: name of the source in messages.

    Raises:
        InputError: E_SOURCE, there are no frames, or one that is not as described; the message says which.
        UnsupportedError: E_PIXEL_FORMAT, a chroma format or bit depth that the codec does not have.
        LimitError: E_LIMIT, frames too large to hold.
        TypeError, ValueError: `frames` cannot be iterated, or `rate` is no frame rate.
    """
    exact = _rate(rate)
    picture: VideoFormat | None = None
    kept: list[Planes] = []
    for number, frame in enumerate(frames):
        planes = _planes(frame, number)
        if picture is None:
            picture = _picture(planes, exact, bit_depth, Colour() if colour is None else colour)
        _check(planes, picture, number)
        kept.append(Planes(*(np.array(plane, order="C") for plane in planes)))
    if picture is None:
        raise InputError("E_SOURCE", f"{name} has no frames")
    return Source(name, picture, len(kept), lambda: iter(kept))


def _rate(rate: Fraction | float | str) -> Fraction:
    if not isinstance(rate, str | numbers.Real):
        raise TypeError(f"rate is {type(rate).__name__}: it must be a number, such as 25 or Fraction(30000, 1001)")
    try:
        if isinstance(rate, str) and "e" in rate.lower():  # the power of ten may be huge
            raise ValueError
        exact = Fraction(str(rate) if isinstance(rate, float) else rate)
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ValueError(f"rate is {rate!r}: it must be a number, such as 25 or '30000/1001'") from None
    if exact <= 0 or max(exact.numerator, exact.denominator) > RATE_MAX:
        raise ValueError(f"rate is {rate!r}: it must be positive, with a numerator and denominator below 2^31")
    return exact


def _wrong(number: int, what: str) -> InputError:
    return InputError("E_SOURCE", f"frame {number} {what}")


def _planes(frame: Any, number: int) -> tuple[Array, ...]:
    """The planes of a frame in any of the forms that `array_source` takes."""
    planes = frame.planes() if isinstance(frame, Planes) else (frame,) if isinstance(frame, np.ndarray) else frame
    if not isinstance(planes, tuple | list) or len(planes) not in (1, 3):
        raise _wrong(number, "is neither an array nor (Y, U, V)")
    for plane in planes:
        if not isinstance(plane, np.ndarray) or plane.dtype not in (np.uint8, np.uint16):
            kind = plane.dtype if isinstance(plane, np.ndarray) else type(plane).__name__
            raise _wrong(number, f"has a plane of {kind}: planes are NumPy arrays of uint8 or uint16")
        if plane.ndim != 2:
            hint = "; RGB has to be converted to YUV first" if plane.ndim == 3 else ""
            raise _wrong(number, f"has a plane of shape {plane.shape}: planes are [rows, columns]{hint}")
    return tuple(planes)


def _picture(planes: tuple[Array, ...], rate: Fraction, bit_depth: int | None, colour: Colour) -> VideoFormat:
    """The format of the first frame."""
    height, width = planes[0].shape
    if not (1 <= width <= _SIDE_MAX and 1 <= height <= _SIDE_MAX):
        raise _wrong(0, f"is {width}x{height}: the size is 1x1 to {_SIDE_MAX}x{_SIDE_MAX}")
    if bit_depth is None:
        bit_depth = 8 if planes[0].dtype == np.uint8 else 10
    if bit_depth not in _DTYPES:
        raise UnsupportedError("E_PIXEL_FORMAT", f"arrays of {bit_depth} bits cannot be encoded: there is {SUPPORTED}")
    shapes = tuple(plane.shape for plane in planes)
    for chroma_format in (CHROMA_400, CHROMA_444, CHROMA_420):
        if shapes == plane_shapes(width, height, chroma_format):
            picture = VideoFormat(width, height, rate, chroma_format, bit_depth, colour)
            check_frame_size(picture)
            return picture
    message = f"planes of {', '.join(map(str, shapes))} (rows, columns) cannot be encoded: there is {SUPPORTED}"
    raise UnsupportedError("E_PIXEL_FORMAT", message)


def _check(planes: tuple[Array, ...], picture: VideoFormat, number: int) -> None:
    if tuple(plane.shape for plane in planes) != picture.plane_shapes:
        first = f"{picture.width}x{picture.height} {CHROMA_NAMES[picture.chroma_format]}"
        raise _wrong(number, f"has other planes than the first, which is {first}")
    for plane in planes:
        if plane.dtype != _DTYPES[picture.bit_depth]:
            raise _wrong(
                number, f"has {plane.dtype} samples for {picture.bit_depth} bits: 8 bits are uint8, 10 bits are uint16"
            )
        if int(plane.max()) >> picture.bit_depth:
            raise _wrong(number, f"has the sample {int(plane.max())}, which is over {picture.bit_depth} bits")
