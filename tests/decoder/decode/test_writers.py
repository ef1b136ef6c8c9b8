"""Writers: what they write, and that nothing half-written gets its final name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nvrc_decoder.errors import OutputError
from nvrc_decoder.picture.format import Colour, VideoFormat
from nvrc_decoder.picture.frame import to_bgr
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_encoder.source.video import open_source
from nvrc_output import mp4
from nvrc_output.files import atomic_directory, atomic_file
from nvrc_output.viewing import eight_bit_420, viewing_colour
from nvrc_output.writers import OutputKind, guess_kind, open_writer

GREY = VideoFormat(9, 5, Fraction(25))


def flat(video: VideoFormat, y: int, u: int, v: int) -> Planes:
    dtype = np.uint8 if video.bit_depth == 8 else np.uint16
    values = (y, u, v)
    return Planes(*(np.full(shape, value, dtype) for shape, value in zip(video.plane_shapes, values, strict=False)))


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("a.y4m", OutputKind.Y4M),
        ("a.YUV", OutputKind.YUV),
        ("a.mp4", OutputKind.MP4),
        ("frames", OutputKind.PNG),
        ("frames.d/", OutputKind.PNG),
        ("-", OutputKind.Y4M),
        ("/dev/null", OutputKind.Y4M),
        ("a.avi", None),
    ],
)
def test_kind_by_name(target: str, kind: OutputKind | None) -> None:
    assert guess_kind(target) is kind


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("full_range", [False, True])
def test_grey_stays_grey_in_rgb(bit_depth: int, full_range: bool) -> None:
    video = VideoFormat(4, 4, Fraction(25), CHROMA_420, bit_depth, Colour(full_range=full_range))
    unit = 1 << (bit_depth - 8)
    low, high = (0, (1 << bit_depth) - 1) if full_range else (16 * unit, 235 * unit)
    for y, expected in ((low, 0), (high, 255)):
        assert np.all(to_bgr(flat(video, y, 128 * unit, 128 * unit), video) == expected)


@pytest.mark.parametrize(("matrix", "y", "u", "v"), [(6, 81, 90, 240), (1, 63, 102, 240)])
def test_red_by_matrix(matrix: int, y: int, u: int, v: int) -> None:
    video = VideoFormat(4, 4, Fraction(25), CHROMA_444, 8, Colour(matrix=matrix))
    blue, green, red = to_bgr(flat(video, y, u, v), video)[0, 0].astype(int)
    assert red >= 252
    assert green <= 3
    assert blue <= 3


def test_identity_matrix_is_gbr() -> None:
    video = VideoFormat(2, 2, Fraction(25), CHROMA_444, 8, Colour(matrix=0, full_range=True))
    assert to_bgr(flat(video, 10, 20, 30), video)[0, 0].tolist() == [20, 10, 30]


@pytest.mark.parametrize("chroma_format", [CHROMA_400, CHROMA_420, CHROMA_444])
def test_viewing_copy_has_even_sides(chroma_format: int) -> None:
    video = VideoFormat(5, 3, Fraction(25), chroma_format, 10)
    picture = eight_bit_420(flat(video, 400, 512, 1023), video)
    assert picture.shape == (6, 6)
    assert np.all(picture[:4] == 100)
    expected = 128 if chroma_format == CHROMA_400 else 255
    assert np.all(picture.reshape(-1)[-6:] == expected)


def test_png_folder(tmp_path: Path) -> None:
    import cv2

    with open_writer(str(tmp_path / "frames"), OutputKind.PNG, GREY, pytest.fail) as write:
        for y in (16, 235):
            write(flat(GREY, y, 128, 128))
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == ["frame_00000.png", "frame_00001.png"]
    picture = cv2.imread(str(tmp_path / "frames" / names[1]))
    assert picture.shape == (5, 9, 3)
    assert np.all(picture == 255)


@pytest.mark.parametrize("chroma_format", [CHROMA_400, CHROMA_420, CHROMA_444])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("size", [(1, 1), (9, 5)])
def test_png_depth_and_channels(tmp_path: Path, chroma_format: int, bit_depth: int, size: tuple[int, int]) -> None:
    import cv2

    video = VideoFormat(*size, Fraction(25), chroma_format, bit_depth)
    unit = 1 << (bit_depth - 8)
    # A step of one 10-bit level has to be seen in 16 bits.
    lumas = (100 * unit, 100 * unit + 1, 235 * unit)
    with open_writer(str(tmp_path / "frames"), OutputKind.PNG, video, pytest.fail) as write:
        for y in lumas:
            write(flat(video, y, 128 * unit, 128 * unit))
    pictures = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((tmp_path / "frames").iterdir())]
    top = 255 if bit_depth == 8 else 65535
    for y, picture in zip(lumas, pictures, strict=True):
        assert picture.dtype == (np.uint8 if bit_depth == 8 else np.uint16)
        assert picture.shape == (size[::-1] if chroma_format == CHROMA_400 else (*size[::-1], 3))
        assert np.abs(picture.astype(float) - top * (y - 16 * unit) / (219 * unit)).max() <= 0.51


@pytest.mark.parametrize("chroma_format", [CHROMA_400, CHROMA_420, CHROMA_444])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("with_pyav", [True, False])
def test_mp4_of_every_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chroma_format: int, bit_depth: int, with_pyav: bool
) -> None:
    if not with_pyav:
        monkeypatch.setattr(mp4, "is_found", lambda name, purpose: False)
    colour = Colour(1, 13, 1, full_range=True)
    video = VideoFormat(1, 7, Fraction(24000, 1001), chroma_format, bit_depth, colour)
    unit = 1 << (bit_depth - 8)
    with open_writer(str(tmp_path / "a.mp4"), OutputKind.MP4, video, lambda line: None) as write:
        for _ in range(2):
            write(flat(video, 150 * unit, 128 * unit, 128 * unit))
    source = open_source(tmp_path / "a.mp4")
    frames = list(source)
    assert len(frames) == 2
    # OpenCV takes a rate with three decimals.
    assert abs(source.rate - video.rate) <= (0 if with_pyav else Fraction(1, 1000))
    if with_pyav:
        assert frames[0].y.shape == (8, 2)
        assert abs(int(frames[0].y.mean()) - 150) <= 2
        assert (source.colour.primaries, source.colour.transfer, source.colour.matrix) == (1, 13, 1)
        assert source.colour.full_range


@pytest.mark.parametrize("code", [0, 3, 15, 23, 99, 255])
def test_mp4_of_code_points_without_a_meaning(tmp_path: Path, code: int) -> None:
    video = VideoFormat(4, 4, Fraction(25), CHROMA_444, 8, Colour(code, code, code, full_range=True))
    with open_writer(str(tmp_path / "a.mp4"), OutputKind.MP4, video, pytest.fail) as write:
        write(flat(video, 120, 130, 130))
    assert len(list(open_source(tmp_path / "a.mp4"))) == 1


def test_red_green_and_blue_are_converted_for_viewing() -> None:
    video = VideoFormat(2, 2, Fraction(25), CHROMA_444, 10, Colour(matrix=0, full_range=True))
    colour = viewing_colour(video)
    assert (colour.matrix, colour.full_range) == (1, False)
    # Planes are green, blue, red; this is pure red.
    picture = eight_bit_420(flat(video, 0, 0, 1023), video)
    assert picture[0].tolist() == [63, 63]
    assert picture[2].tolist() == [102, 240]


def test_frame_rates_for_viewing(tmp_path: Path) -> None:
    for rate in (Fraction(1, 600), Fraction(1000), Fraction((1 << 31) - 1, (1 << 31) - 2)):
        video = VideoFormat(2, 2, rate)
        with open_writer(str(tmp_path / "a.mp4"), OutputKind.MP4, video, pytest.fail) as write:
            write(flat(video, 120, 128, 128))
        assert abs(open_source(tmp_path / "a.mp4").rate / rate - 1) < 1e-3


def test_rate_that_mp4_does_not_have_is_an_output_error(tmp_path: Path) -> None:
    def write_one() -> None:
        video = VideoFormat(2, 2, Fraction(1, (1 << 31) - 1))
        with open_writer(str(tmp_path / "a.mp4"), OutputKind.MP4, video, pytest.fail) as write:
            write(flat(video, 120, 128, 128))

    with pytest.raises(OutputError, match="y4m"):
        write_one()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("with_pyav", [True, False])
def test_mp4_can_be_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_pyav: bool) -> None:
    if not with_pyav:
        monkeypatch.setattr(mp4, "is_found", lambda name, purpose: False)
    notes: list[str] = []
    video = VideoFormat(33, 17, Fraction(25))
    with open_writer(str(tmp_path / "a.mp4"), OutputKind.MP4, video, notes.append) as write:
        for _ in range(3):
            write(flat(video, 120, 128, 128))
    frames = list(open_source(tmp_path / "a.mp4"))
    assert len(frames) == 3
    assert frames[0].y.shape == (18, 34)
    assert abs(int(frames[0].y.mean()) - 120) <= 3
    assert "even sizes" in notes[-1]
    assert len(notes) == (1 if with_pyav else 2)


@pytest.mark.parametrize("kind", list(OutputKind))
def test_an_error_leaves_nothing(tmp_path: Path, kind: OutputKind) -> None:
    def fail_after_one_frame() -> None:
        with open_writer(str(tmp_path / "out"), kind, GREY, lambda line: None) as write:
            write(flat(GREY, 16, 128, 128))
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail_after_one_frame()
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.yuv"
    target.write_bytes(b"old")

    def fail() -> None:
        with atomic_file(str(target)) as file:
            file.write(b"new")
            raise KeyError("stop")

    with pytest.raises(KeyError):
        fail()
    assert target.read_bytes() == b"old"
    with atomic_file(str(target)) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.yuv"]


def test_existing_folder_keeps_other_files(tmp_path: Path) -> None:
    target = tmp_path / "frames"
    target.mkdir()
    (target / "keep").write_text("x")
    with atomic_directory(target) as folder:
        (folder / "new").write_text("y")
    assert sorted(path.name for path in target.iterdir()) == ["keep", "new"]
    assert list(tmp_path.iterdir()) == [target]


def test_bad_targets(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for kind, target in (
        (OutputKind.Y4M, tmp_path),
        (OutputKind.Y4M, tmp_path / "none" / "a.y4m"),
        (OutputKind.PNG, tmp_path / "file"),
        (OutputKind.PNG, tmp_path / "none" / "frames"),
        (OutputKind.MP4, tmp_path),
    ):
        with pytest.raises(OutputError), open_writer(str(target), kind, GREY, pytest.fail):
            pytest.fail("the target was accepted")


def test_full_disk_is_an_output_error() -> None:
    def fill() -> None:
        with open_writer("/dev/full", OutputKind.YUV, GREY, pytest.fail) as write:
            write(flat(GREY, 16, 128, 128))

    with pytest.raises(OutputError, match="No space left"):
        fill()


def test_pictures_do_not_go_to_stdout() -> None:
    with pytest.raises(OutputError):
        open_writer("-", OutputKind.PNG, GREY, pytest.fail)
