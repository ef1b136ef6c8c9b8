"""PNGs as input: their order, what they are converted to, and what is no picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from nvrc_decoder.errors import InputError, InvalidStreamError, NvrcError, UnsupportedError
from nvrc_decoder.picture.format import Colour
from nvrc_decoder.picture.frame import to_bgr
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_encoder.source.png import PNG_COLOUR, is_png_input
from nvrc_encoder.source.video import Source, open_source


def picture(seed: int = 0, width: int = 13, height: int = 9) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def save(path: Path, pixels: npt.NDArray[Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
    return path


def shades(source: Source) -> list[int]:
    return [int(frame.y[0, 0]) for frame in source]


def grey(level: int) -> npt.NDArray[np.uint8]:
    return np.full((4, 6), level, np.uint8)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100, 2):
        save(tmp_path / "in" / f"frame{number}.png", grey(number))
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    source = open_source(tmp_path / "in")
    assert (source.frame_count, source.rate, source.chroma_format) == (5, Fraction(25), CHROMA_400)
    assert shades(source) == [1, 2, 9, 10, 100]
    assert shades(open_source(tmp_path / "in", frames=2, skip=1)) == [2, 9]
    assert open_source(tmp_path / "in", rate=Fraction(30)).rate == 30


def test_a_pattern_names_numbered_files(tmp_path: Path) -> None:
    for number in (3, 4, 5):
        save(tmp_path / f"a{number:04d}.png", grey(number))
    save(tmp_path / "a6.png", grey(6))
    save(tmp_path / "b0001.png", grey(1))
    assert shades(open_source(tmp_path / "a%04d.png")) == [3, 4, 5]
    assert shades(open_source(tmp_path / "a%d.png")) == [6]
    save(tmp_path / "a0007.png", grey(7))
    with pytest.raises(InputError, match=r"a0006\.png is missing"):
        open_source(tmp_path / "a%04d.png")
    with pytest.raises(InputError, match="no such file"):
        open_source(tmp_path / "c%04d.png")
    assert not is_png_input(str(tmp_path / "c%04d.y4m"))


def test_one_png_is_one_frame(tmp_path: Path) -> None:
    assert shades(open_source(save(tmp_path / "a%d.png", grey(77)))) == [77]


@pytest.mark.parametrize("full", [True, False], ids=["full", "limited"])
@pytest.mark.parametrize("matrix", [0, 1, 6, 9])
@pytest.mark.parametrize("bits", [8, 16])
def test_decoded_views_show_the_png_again(tmp_path: Path, matrix: int, bits: int, full: bool) -> None:
    pixels = picture() if bits == 8 else picture().astype(np.uint16) * 257
    save(tmp_path / "a.png", pixels)
    source = open_source(tmp_path / "a.png", recolour=lambda colour: Colour(1, 13, matrix, full))
    assert (source.chroma_format, source.bit_depth) == (CHROMA_444, 8 if bits == 8 else 10)
    assert (source.colour.matrix, source.colour.full_range) == (matrix, full)
    (frame,) = source
    error = np.abs(to_bgr(frame, source.picture).astype(int) - picture())
    assert error.max() <= (2 if bits == 8 else 1)


def test_the_samples_are_those_of_bt_709(tmp_path: Path) -> None:
    blue_green_red = np.array([[[0, 0, 255], [0, 255, 0], [255, 0, 0], [255, 255, 255], [10, 200, 90]]], np.uint8)
    source = open_source(save(tmp_path / "a.png", blue_green_red))
    assert source.colour == PNG_COLOUR
    (frame,) = source
    assert frame.y.tolist() == [[54, 182, 18, 255, 163]]
    assert frame.u is not None
    assert frame.v is not None
    assert frame.u.tolist() == [[99, 30, 255, 128, 46]]
    assert frame.v.tolist() == [[255, 12, 116, 128, 82]]


def test_4_2_0_has_the_mean_of_four(tmp_path: Path) -> None:
    save(tmp_path / "a.png", picture())
    source = open_source(tmp_path / "a.png", chroma_format=CHROMA_420)
    assert source.colour.sample_position == 2
    (frame,), (whole,) = source, open_source(tmp_path / "a.png")
    assert np.array_equal(frame.y, whole.y)
    assert frame.u is not None
    assert whole.u is not None
    assert frame.u.shape == (5, 7)
    assert abs(float(frame.u[1, 1]) - whole.u[2:4, 2:4].mean()) <= 1


def test_grey_among_colour_is_colour(tmp_path: Path) -> None:
    save(tmp_path / "in" / "0.png", picture(1, 6, 4))
    save(tmp_path / "in" / "1.png", grey(50))
    frames: list[Planes] = list(open_source(tmp_path / "in"))
    assert frames[1].u is not None
    assert (int(frames[1].y[0, 0]), int(frames[1].u[0, 0])) == (50, 128)


def test_an_opaque_alpha_is_no_matter_a_transparent_one_is(tmp_path: Path) -> None:
    alpha = np.full((9, 13, 1), 255, np.uint8)
    save(tmp_path / "a.png", np.concatenate([picture(), alpha], 2))
    assert open_source(tmp_path / "a.png").chroma_format == CHROMA_444
    alpha[3, 3] = 254
    save(tmp_path / "a.png", np.concatenate([picture(), alpha], 2))
    with pytest.raises(UnsupportedError, match="transparent"):
        open_source(tmp_path / "a.png")


@pytest.mark.parametrize(
    "other", [picture(0, 14), picture().astype(np.uint16), grey(3)], ids=["size", "depth", "size and colour"]
)
def test_frames_have_to_be_alike(tmp_path: Path, other: npt.NDArray[Any]) -> None:
    save(tmp_path / "in" / "0.png", picture())
    save(tmp_path / "in" / "1.png", other)
    with pytest.raises(UnsupportedError, match="make them the same"):
        list(open_source(tmp_path / "in"))


@pytest.mark.parametrize("matrix", [8, 14, 77])
def test_a_matrix_for_which_there_is_no_conversion_is_refused(tmp_path: Path, matrix: int) -> None:
    save(tmp_path / "a.png", picture())
    with pytest.raises(UnsupportedError, match="matrix"):
        open_source(tmp_path / "a.png", recolour=lambda colour: Colour(1, 1, matrix))


def test_no_broken_png_becomes_a_frame(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.png", picture()).read_bytes()
    rng = np.random.default_rng(3)
    broken = [whole[:n] for n in range(0, len(whole), 7)]
    for _ in range(60):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        broken.append(bytes(data))
    for data in broken:
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(InvalidStreamError):
            open_source(tmp_path / "a.png")


def test_a_huge_header_takes_no_memory(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.png", picture()).read_bytes()
    import zlib

    header = b"IHDR" + (65535).to_bytes(4, "big") * 2 + whole[24:29]
    (tmp_path / "a.png").write_bytes(whole[:12] + header + zlib.crc32(header).to_bytes(4, "big") + whole[33:])
    with pytest.raises(NvrcError, match="65535x65535"):
        open_source(tmp_path / "a.png")


def test_an_empty_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without PNGs"):
        open_source(tmp_path)
