"""Frames as RGB: matrices, ranges, depths, and where chroma samples lie."""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.picture.format import Colour, VideoFormat
from nvrc_decoder.picture.frame import Frame, to_bgr, to_rgb
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444


def make(video: VideoFormat, *planes: Any) -> Planes:
    dtype = np.uint8 if video.bit_depth == 8 else np.uint16
    return Planes(*(np.array(plane, dtype) for plane in planes))


def rgb_by_hand(video: VideoFormat, y: int, u: int, v: int, red: float, blue: float) -> list[float]:
    """One pixel by the formulas of H.273, as 0..255."""
    unit = 1 << (video.bit_depth - 8)
    if video.colour.full_range:
        top = (1 << video.bit_depth) - 1
        luma, cb, cr = y / top, (u - 128 * unit) / top, (v - 128 * unit) / top
    else:
        luma, cb, cr = (y / unit - 16) / 219, (u / unit - 128) / 224, (v / unit - 128) / 224
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return [min(max(255 * value, 0), 255) for value in (r, g, b)]


@pytest.mark.parametrize("matrix", [(1, 0.2126, 0.0722), (5, 0.299, 0.114), (6, 0.299, 0.114), (9, 0.2627, 0.0593)])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("full_range", [False, True])
def test_by_the_formula(matrix: tuple[int, float, float], bit_depth: int, full_range: bool) -> None:
    code, red, blue = matrix
    video = VideoFormat(3, 2, Fraction(25), CHROMA_444, bit_depth, Colour(matrix=code, full_range=full_range))
    unit = 1 << (bit_depth - 8)
    for y, u, v in ((100, 110, 150), (180, 140, 100), (40, 128, 128), (235, 16, 240)):
        samples = [np.full((2, 3), value * unit) for value in (y, u, v)]
        picture = to_rgb(make(video, *samples), video)
        assert picture.dtype == np.uint8
        expected = rgb_by_hand(video, y * unit, u * unit, v * unit, red, blue)
        assert np.abs(picture[1, 2] - np.array(expected)).max() <= 0.51


def test_unspecified_matrix_goes_by_height() -> None:
    for height, code in ((719, 6), (720, 1)):
        unspecified = VideoFormat(1, height, Fraction(25), CHROMA_444)
        stated = VideoFormat(1, height, Fraction(25), CHROMA_444, colour=Colour(matrix=code))
        frame = make(stated, *(np.full((height, 1), value) for value in (90, 60, 200)))
        assert np.array_equal(to_bgr(frame, unspecified), to_bgr(frame, stated))


def test_ycgco_and_identity() -> None:
    video = VideoFormat(1, 1, Fraction(25), CHROMA_444, colour=Colour(matrix=8, full_range=True))
    assert to_rgb(make(video, [[100]], [[138]], [[148]]), video).tolist() == [[[110, 110, 70]]]
    video = VideoFormat(1, 1, Fraction(25), CHROMA_444, colour=Colour(matrix=0, full_range=True))
    assert to_rgb(make(video, [[10]], [[20]], [[30]]), video).tolist() == [[[30, 10, 20]]]


def test_identity_with_small_chroma_is_no_fault() -> None:
    video = VideoFormat(3, 3, Fraction(25), CHROMA_420, colour=Colour(matrix=0, full_range=True))
    frame = make(video, np.full((3, 3), 10), np.full((2, 2), 20), np.full((2, 2), 30))
    assert to_rgb(frame, video)[2, 2].tolist() == [30, 10, 20]


def test_sixteen_bits() -> None:
    video = VideoFormat(2, 1, Fraction(25), CHROMA_400, 10)
    picture = to_rgb(make(video, [[64, 940]]), video, 16)
    assert picture.dtype == np.uint16
    assert picture.tolist() == [[[0, 0, 0], [65535, 65535, 65535]]]
    with pytest.raises(ValueError, match="bits"):
        to_rgb(make(video, [[64, 940]]), video, 7)


@pytest.mark.parametrize(
    ("position", "expected"),
    [(0, [0, 28, 84, 112, 112]), (1, [0, 56, 112, 112, 112]), (2, [0, 28, 84, 112, 112]), (3, [0, 56, 112, 112, 112])],
)
def test_where_chroma_lies(position: int, expected: list[int]) -> None:
    video = VideoFormat(
        5, 1, Fraction(25), CHROMA_420, colour=Colour(matrix=8, full_range=True, sample_position=position)
    )
    # Cg is 0, so red - blue is 2 Co: Co at each luma sample can be read off; 128 is its zero.
    frame = make(video, np.full((1, 5), 128), np.full((1, 3), 128), [[128, 184, 184]])
    picture = to_rgb(frame, video).astype(int)
    assert (picture[0, :, 0] - picture[0, :, 2]).tolist() == expected


def test_a_frame_converts_itself() -> None:
    video = VideoFormat(2, 2, Fraction(25), CHROMA_444, colour=Colour(matrix=1))
    planes = make(video, [[16, 235], [81, 120]], [[128, 90], [90, 200]], [[128, 240], [240, 30]])
    frame = Frame(planes.y, planes.u, planes.v, number=7, format=video)
    assert np.array_equal(frame.to_rgb(), to_rgb(planes, video))
    assert np.array_equal(frame.to_bgr(), frame.to_rgb()[..., ::-1])
    assert frame.md5() == planes.md5()


def test_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    video = VideoFormat(1, 1, Fraction(25), CHROMA_444)
    with pytest.raises(MissingExtraError, match="opencv-python-headless"):
        to_rgb(make(video, [[64]], [[64]], [[64]]), video)
