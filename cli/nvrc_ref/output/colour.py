"""Decoded planes as 8-bit pictures for viewing: conversion to RGB and to 4:2:0."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.frames import Planes
from nvrc_decoder.video_format import UNSPECIFIED, VideoFormat

__all__ = ["eight_bit_420", "luma_weights", "to_bgr"]

_IDENTITY = 0
_BT709 = 1
_BT601 = 6
# Matrix code point (CICP) -> weights of red and blue in luma.
_WEIGHTS = {
    _BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    _BT601: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
_HD_HEIGHT = 720


def luma_weights(video: VideoFormat) -> tuple[float, float]:
    """Weights of red and blue; an unspecified matrix is BT.709 from 720 rows up, otherwise BT.601."""
    matrix = video.colour.matrix
    if matrix == UNSPECIFIED or matrix not in _WEIGHTS:
        matrix = _BT709 if video.height >= _HD_HEIGHT else _BT601
    return _WEIGHTS[matrix]


def _normalise(plane: npt.NDArray[Any], video: VideoFormat, *, chroma: bool) -> npt.NDArray[np.float32]:
    """Samples as 0..1 (luma) or -0.5..0.5 (chroma)."""
    top = float((1 << video.bit_depth) - 1)
    unit = float(1 << (video.bit_depth - 8))
    samples = plane.astype(np.float32)
    if video.colour.full_range:
        return (samples - 128 * unit) / top if chroma else samples / top
    return (samples - 128 * unit) / (224 * unit) if chroma else (samples - 16 * unit) / (219 * unit)


def to_bgr(frame: Planes, video: VideoFormat) -> npt.NDArray[np.uint8]:
    """The frame as uint8 [height, width, 3] in the order blue, green, red, as OpenCV writes it."""
    import cv2

    if frame.u is None or frame.v is None:
        grey = _normalise(frame.y, video, chroma=False)
        planes = [grey, grey, grey]
    elif video.colour.matrix == _IDENTITY:
        # The planes are green, blue, red.
        green, blue, red = (_normalise(plane, video, chroma=False) for plane in frame.planes())
        planes = [blue, green, red]
    else:
        size = (video.width, video.height)
        y = _normalise(frame.y, video, chroma=False)
        cb, cr = (
            cv2.resize(_normalise(plane, video, chroma=True), size, interpolation=cv2.INTER_LINEAR)
            for plane in (frame.u, frame.v)
        )
        red_weight, blue_weight = luma_weights(video)
        red = y + 2 * (1 - red_weight) * cr
        blue = y + 2 * (1 - blue_weight) * cb
        green = (y - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
        planes = [blue, green, red]
    return np.clip(np.rint(np.stack(planes, axis=-1) * 255), 0, 255).astype(np.uint8)


def eight_bit_420(frame: Planes, video: VideoFormat) -> npt.NDArray[np.uint8]:
    """The frame as one uint8 array [3/2 height, width] of planar 4:2:0 with even sides, edges repeated.

    10 bits are rounded to 8, 4:4:4 chroma is averaged over 2x2, 4:0:0 gets neutral chroma.
    """
    rows, columns = -(-video.height // 2), -(-video.width // 2)

    def eight(plane: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        if video.bit_depth == 8:
            return plane.astype(np.uint8, copy=False)
        return np.minimum((plane.astype(np.int32) + 2) >> 2, 255).astype(np.uint8)

    def even(plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return np.pad(plane, ((0, 2 * rows - plane.shape[0]), (0, 2 * columns - plane.shape[1])), mode="edge")

    parts = [even(eight(frame.y))]
    for plane in (frame.u, frame.v):
        if plane is None:
            parts.append(np.full((rows, columns), 128, np.uint8))
        elif plane.shape == (rows, columns):
            parts.append(eight(plane))
        else:
            four = even(eight(plane)).astype(np.uint16)
            total = four[0::2, 0::2] + four[0::2, 1::2] + four[1::2, 0::2] + four[1::2, 1::2]
            parts.append(((total + 2) >> 2).astype(np.uint8))
    return np.concatenate([part.reshape(-1) for part in parts]).reshape(3 * rows, 2 * columns)
