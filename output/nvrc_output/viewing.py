"""Conversion of decoded planes to 8-bit 4:2:0 for viewing; that to RGB is in the decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.format import UNSPECIFIED, Colour, VideoFormat
from nvrc_decoder.picture.frame import luma_weights, to_bgr
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_420, CHROMA_444

__all__ = ["eight_bit_420", "viewing_colour"]

_IDENTITY = 0
_BT709 = 1
# Code points (CICP) that H.264 has a meaning for.
_PRIMARIES = frozenset({1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22})
_TRANSFERS = frozenset({1, *range(4, 19)})
_MATRICES = frozenset({1, *range(4, 15)})
_CENTRE = 2


def viewing_colour(video: VideoFormat) -> Colour:
    """The colour description of `eight_bit_420`: the video's own, without code points that H.264 lacks.

    Red, green and blue planes are converted to BT.709, since 4:2:0 is not possible for them.
    """
    colour = video.colour
    matrix = _BT709 if colour.matrix == _IDENTITY else colour.matrix
    return replace(
        colour,
        primaries=colour.primaries if colour.primaries in _PRIMARIES else UNSPECIFIED,
        transfer=colour.transfer if colour.transfer in _TRANSFERS else UNSPECIFIED,
        matrix=matrix if matrix in _MATRICES else UNSPECIFIED,
        full_range=colour.full_range and colour.matrix != _IDENTITY,
        sample_position=colour.sample_position if video.chroma_format == CHROMA_420 else _CENTRE,
    )


def _from_rgb(frame: Planes, video: VideoFormat) -> tuple[Planes, VideoFormat]:
    """A frame of red, green and blue planes as BT.709 YCbCr 4:4:4, 8 bits, video range."""
    converted = replace(video, chroma_format=CHROMA_444, bit_depth=8, colour=viewing_colour(video))
    blue, green, red = (to_bgr(frame, video)[..., i].astype(np.float32) / 255 for i in range(3))
    red_weight, blue_weight = luma_weights(converted)
    y = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    cb, cr = (blue - y) / (2 * (1 - blue_weight)), (red - y) / (2 * (1 - red_weight))
    scaled = (16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr)
    planes = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in scaled)
    return Planes(*planes), converted


def eight_bit_420(frame: Planes, video: VideoFormat) -> npt.NDArray[np.uint8]:
    """The frame as one uint8 array [3/2 height, width] of planar 4:2:0 with even sides, edges repeated.

    10 bits are rounded to 8, 4:4:4 chroma is averaged over 2x2, 4:0:0 gets neutral chroma, red, green and blue planes
    become YCbCr; `viewing_colour` describes the result.
    """
    if video.colour.matrix == _IDENTITY and frame.u is not None:
        frame, video = _from_rgb(frame, video)
    rows, columns = -(-video.height // 2), -(-video.width // 2)

    def eight(plane: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        if video.bit_depth == 8:
            return plane.astype(np.uint8, copy=False)
        rounded: npt.NDArray[np.int32] = (plane.astype(np.int32) + 2) >> 2
        return np.minimum(rounded, 255).astype(np.uint8)

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
