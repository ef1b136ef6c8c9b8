"""Writers: what they write, and that nothing half-written gets its final name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nvrc_decoder.errors import OutputError
from nvrc_decoder.frames import Planes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_decoder.video_format import Colour, VideoFormat
from nvrc_encoder.source import open_source
from nvrc_ref.output import writers
from nvrc_ref.output.colour import eight_bit_420, to_bgr
from nvrc_ref.output.files import atomic_directory, atomic_file
from nvrc_ref.output.writers import OutputKind, guess_kind, open_writer

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


@pytest.mark.parametrize("with_pyav", [True, False])
def test_mp4_can_be_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_pyav: bool) -> None:
    if not with_pyav:
        monkeypatch.setattr(writers.importlib.util, "find_spec", lambda name: None)
    notes: list[str] = []
    video = VideoFormat(33, 17, Fraction(25))
    with open_writer(str(tmp_path / "a.mp4"), OutputKind.MP4, video, notes.append) as write:
        for _ in range(3):
            write(flat(video, 120, 128, 128))
    frames = list(open_source(tmp_path / "a.mp4"))
    assert len(frames) == 3
    assert frames[0].y.shape == (18, 34)
    assert abs(int(frames[0].y.mean()) - 120) <= 3
    assert bool(notes) != with_pyav


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
