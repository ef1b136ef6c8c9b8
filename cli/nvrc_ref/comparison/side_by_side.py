"""A frame of both videos and their difference, side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InternalError
from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.frame import to_bgr
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.system.opencv import import_cv2
from nvrc_ref.comparison.measure import FrameQuality

__all__ = ["side_by_side"]

_GAIN = 4
"""Factor on the difference, which is shown around the middle grey."""
_GAP, _STRIP = 4, 18
_FONT_SIZE = 0.4
_INK = (235, 235, 235)


def _difference(a: Planes, b: Planes, bit_depth: int) -> npt.NDArray[np.uint8]:
    """Luma of `b` less that of `a`, times `_GAIN`: grey where they are equal, [H, W, 3]."""
    error = (b.y.astype(np.float32) - a.y.astype(np.float32)) / (1 << (bit_depth - 8))
    grey = np.clip(np.rint(128 + _GAIN * error), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def side_by_side(
    quality: FrameQuality, source: Planes, decoded: Planes, formats: tuple[VideoFormat, VideoFormat]
) -> bytes:
    """A PNG of a source frame, the decoded one and the difference of luma, under a strip that names them.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, OpenCV is not installed.
    """
    cv2 = import_cv2("--png")
    pictures = (
        (f"source, frame {quality.number}", to_bgr(source, formats[0])),
        (f"decoded, Y {quality.psnr_y:.2f} dB", to_bgr(decoded, formats[1])),
        (f"difference of Y, x{_GAIN}", _difference(source, decoded, formats[0].bit_depth)),
    )
    height, width = source.y.shape
    sheet = np.zeros((_STRIP + height, 3 * width + 2 * _GAP, 3), np.uint8)
    for i, (title, picture) in enumerate(pictures):
        left = i * (width + _GAP)
        sheet[_STRIP:, left : left + width] = picture
        _write(cv2, sheet[:_STRIP, left : left + width], title)
    done, data = cv2.imencode(".png", sheet)
    if not done:
        raise InternalError("E_RUNTIME", "OpenCV could not write a PNG")
    return bytes(data)


def _write(cv2: Any, strip: npt.NDArray[np.uint8], text: str) -> None:
    """Write a title, smaller where the picture is narrow; none where it would be unreadable."""
    font = cv2.FONT_HERSHEY_SIMPLEX
    (wide, _), _ = cv2.getTextSize(text, font, _FONT_SIZE, 1)
    scale = _FONT_SIZE * min(1.0, (strip.shape[1] - 4) / wide)
    if scale < _FONT_SIZE / 2:
        return
    part = np.ascontiguousarray(strip)
    cv2.putText(part, text, (2, _STRIP - 6), font, scale, _INK, 1, cv2.LINE_AA)
    strip[:] = part
