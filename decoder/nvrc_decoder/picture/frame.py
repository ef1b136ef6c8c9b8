"""Frames with what is needed to show them: number, format, and conversion to RGB through OpenCV.

Nothing here is part of decoding: the samples are the format's, and RGB is a rendering of them for people.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.format import UNSPECIFIED, VideoFormat
from nvrc_decoder.picture.planes import Plane, Planes
from nvrc_decoder.profiles import CHROMA_420
from nvrc_decoder.system.opencv import import_cv2
from nvrc_decoder.system.out_of_memory import memory_errors

__all__ = ["Frame", "Picture", "luma_weights", "to_bgr", "to_grey", "to_rgb"]

Picture = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_IDENTITY = 0
_BT709 = 1
_BT601 = 6
_YCGCO = 8
# Matrix code point (CICP) -> weights of red and blue in luma.
_WEIGHTS = {
    _BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    _BT601: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),  # constant luminance, for which these are close enough to look at
}
_HD_HEIGHT = 720
# Sample position -> where the first chroma sample lies, in luma samples (x, y); unknown counts as centre.
_CENTRE = (0.5, 0.5)
_ORIGINS = {1: (0.0, 0.5), 2: _CENTRE, 3: (0.0, 0.0)}


@dataclass(frozen=True, eq=False)
class Frame(Planes):
    """A decoded frame of a stream.

    Attributes:
        y: luma, uint8 (8 bits) or uint16 (10 bits) [height, width].
        u, v: Cb and Cr of the same dtype, at the chroma format's size; None for 4:0:0.
        number: 0 for the first frame of the stream.
        format: size, rate, sample format and colour.
        start: time stamp in seconds; None where the stream has none.
    """

    number: int = field(kw_only=True)
    format: VideoFormat = field(kw_only=True)
    start: Fraction | None = field(default=None, kw_only=True)

    @property
    def time(self) -> Fraction:
        """Seconds from the first frame of the stream to this one, exactly: `start`, or `number` over the frame rate."""
        return self.number / self.format.rate if self.start is None else self.start

    def to_rgb(self, bits: int = 8) -> Picture:
        """The frame as [height, width, 3] in the order red, green, blue; see `to_bgr`."""
        return to_rgb(self, self.format, bits)

    def to_bgr(self, bits: int = 8) -> Picture:
        """The frame as [height, width, 3] in the order blue, green, red, as OpenCV has it.

        Args:
            bits: 8 for uint8, 9 to 16 for uint16.

        Raises:
            MissingExtraError: E_MISSING_EXTRA, OpenCV is not installed.
        """
        return to_bgr(self, self.format, bits)


def luma_weights(video: VideoFormat) -> tuple[float, float]:
    """Weights of red and blue in luma; an unspecified matrix counts as BT.709 from 720 rows up, else as BT.601."""
    matrix = video.colour.matrix
    if matrix == UNSPECIFIED or matrix not in _WEIGHTS:
        matrix = _BT709 if video.height >= _HD_HEIGHT else _BT601
    return _WEIGHTS[matrix]


def to_rgb(frame: Planes, video: VideoFormat, bits: int = 8) -> Picture:
    """As `to_bgr`, in the order red, green, blue."""
    return _convert(frame, video, bits, (2, 1, 0))


def to_bgr(frame: Planes, video: VideoFormat, bits: int = 8) -> Picture:
    """A frame as [height, width, 3] in full range, in the order blue, green, red.

    Matrix and range are those of `video`. Chroma is interpolated linearly from where its samples lie. Primaries and
    transfer characteristics are left as they are.

    Args:
        frame: the planes.
        video: their format.
        bits: 8 for uint8, 9 to 16 for uint16.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, OpenCV is not installed.
    """
    return _convert(frame, video, bits, (0, 1, 2))


def to_grey(frame: Planes, video: VideoFormat, bits: int = 8) -> Picture:
    """Luma as uint8 or uint16 [height, width] in full range; arguments as in `to_bgr`."""
    return _samples(_grey(frame, video, bits), bits)


def _grey(frame: Planes, video: VideoFormat, bits: int) -> npt.NDArray[np.float32]:
    _check_bits(bits)
    scale, offset = _normalisation(video, [False])
    return (frame.y.astype(np.float32) - np.float32(offset[0])) * np.float32(scale[0] * _top(bits))


def _convert(frame: Planes, video: VideoFormat, bits: int, order: tuple[int, int, int]) -> Picture:
    _check_bits(bits)
    if frame.u is None or frame.v is None:
        return _samples(np.stack([_grey(frame, video, bits)] * 3, axis=-1), bits)
    cv2 = import_cv2("conversion to RGB")
    with memory_errors("use smaller pictures"):
        return _convert_colour(cv2, frame, (frame.u, frame.v), video, bits, order)


def _convert_colour(
    cv2: Any, frame: Planes, chroma: tuple[Plane, Plane], video: VideoFormat, bits: int, order: tuple[int, int, int]
) -> Picture:
    full = video.plane_shapes[0]
    planes = [frame.y.astype(np.float32)]
    planes += [_to_full(cv2, plane, video, full) for plane in chroma]
    scale, offset = _normalisation(video, [False] + [video.colour.matrix != _IDENTITY] * 2)
    rows = _bgr_matrix(video) * scale * _top(bits)
    affine = np.concatenate([rows, (rows @ -offset)[:, None]], axis=1)[list(order)]
    return _samples(cv2.transform(cv2.merge(planes), affine.astype(np.float32)), bits)


def _check_bits(bits: int) -> None:
    if not 8 <= bits <= 16:
        raise ValueError(f"a picture has 8 to 16 bits, not {bits}")


def _top(bits: int) -> int:
    return (1 << bits) - 1


def _samples(picture: npt.NDArray[np.float32], bits: int) -> Picture:
    """Samples of the requested depth; rounds and clips `picture` in place."""
    np.clip(np.rint(picture, out=picture), 0, _top(bits), out=picture)
    return picture.astype(np.uint8) if bits == 8 else picture.astype(np.uint16)


def _normalisation(video: VideoFormat, chroma: list[bool]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Scale and offset of the three planes: (sample - offset) * scale is 0..1, or -0.5..0.5 for chroma."""
    unit = float(1 << (video.bit_depth - 8))
    top = float((1 << video.bit_depth) - 1)
    full = video.colour.full_range
    scale = [1 / top if full else 1 / ((224 if is_chroma else 219) * unit) for is_chroma in chroma]
    offset = [128 * unit if is_chroma else 0 if full else 16 * unit for is_chroma in chroma]
    return np.array(scale), np.array(offset)


def _bgr_matrix(video: VideoFormat) -> npt.NDArray[Any]:
    """The matrix from normalised planes to blue, green and red."""
    if video.colour.matrix == _IDENTITY:
        # The planes are green, blue, red.
        return np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    if video.colour.matrix == _YCGCO:
        return np.array([[1.0, -1.0, -1.0], [1.0, 1.0, 0.0], [1.0, -1.0, 1.0]])
    red, blue = luma_weights(video)
    green = 1 - red - blue
    from_red, from_blue = 2 * (1 - red), 2 * (1 - blue)
    return np.array(
        [[1.0, from_blue, 0.0], [1.0, -blue * from_blue / green, -red * from_red / green], [1.0, 0.0, from_red]]
    )


def _to_full(cv2: Any, plane: Plane, video: VideoFormat, full: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A chroma plane interpolated to luma size."""
    samples = plane.astype(np.float32)
    if video.chroma_format != CHROMA_420:
        return samples
    x, y = _ORIGINS.get(video.colour.sample_position, _CENTRE)
    # Destination -> source: luma sample n lies at (n - origin) / 2 of the chroma samples.
    inverse = np.array([[0.5, 0.0, -x / 2], [0.0, 0.5, -y / 2]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(samples, inverse, (full[1], full[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    )
