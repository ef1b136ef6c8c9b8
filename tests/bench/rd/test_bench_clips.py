"""Clips of a run: formats by their names, cuts, and wrong ones."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nvrc_bench.rd.clips import clip_name, prepare, raw_format
from nvrc_bench.rd.config import ClipSpec
from nvrc_bench.rd.process import Runner
from nvrc_decoder.errors import InputError
from nvrc_decoder.profiles import CHROMA_420, CHROMA_444
from nvrc_encoder.source.video import open_source

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Beauty_1920x1080_120fps_420_8bit_YUV.yuv", (1920, 1080, 120, CHROMA_420, 8)),
        ("ShakeNDry_1920x1080_120fps_420_10bit_YUV.yuv", (1920, 1080, 120, CHROMA_420, 10)),
        ("Beauty_3840x2160_120fps_420_10bit_YUV_RAW.yuv", (3840, 2160, 120, CHROMA_420, 10)),
        ("ReadySteadyGo_1920x1080_120fps_420_8bit_YUV.yuv", (1920, 1080, 120, CHROMA_420, 8)),
        ("Some_title_640x360_25fps_444_8bit.yuv", (640, 360, 25, CHROMA_444, 8)),
        ("BasketballDrive_1920x1080_50.yuv", (1920, 1080, 50, CHROMA_420, 8)),
    ],
)
def test_a_raw_file_tells_its_format_by_its_name(name: str, expected: tuple[int, int, int, int, int]) -> None:
    raw = raw_format(ClipSpec(f"/videos/{name}"))
    assert raw is not None
    assert (raw.width, raw.height, raw.rate, raw.chroma_format, raw.bit_depth) == expected


def test_a_given_size_wins_over_the_name() -> None:
    raw = raw_format(ClipSpec("Beauty_1920x1080_120fps_420_8bit_YUV.yuv", size="64x32", rate="24000/1001"))
    assert raw is not None
    assert (raw.width, raw.height, raw.rate) == (64, 32, Fraction(24000, 1001))


def test_raw_video_without_a_size_is_refused() -> None:
    with pytest.raises(InputError, match="does not state its size"):
        raw_format(ClipSpec("clip.yuv"))
    assert raw_format(ClipSpec("clip.mp4")) is None


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (ClipSpec("Beauty_1920x1080_120fps_420_8bit_YUV.yuv"), "Beauty"),
        (ClipSpec("Beauty_1920x1080_120fps_420_8bit_YUV.yuv", frames=96), "Beauty_96f"),
        (ClipSpec("dir/city.mpg", crop="704x400+8+2", scale="352x200", frames=64), "city_352x200_64f"),
        (ClipSpec("city.mpg", name="a b/c"), "a-b-c"),
    ],
)
def test_a_clip_is_named_after_its_file_and_cuts(spec: ClipSpec, name: str) -> None:
    assert clip_name(spec) == name


@pytest.mark.parametrize(
    "values",
    [
        {"crop": "704:400"},
        {"scale": "352x"},
        {"frames": 0},
        {"skip": -1},
        {"bit_depth": 12},
        {"filter": "lanczos,null"},
    ],
)
def test_wrong_cuts_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ClipSpec("clip.mp4", **values)


def raw_clip(folder: Path, bits: int = 8) -> tuple[Path, np.ndarray]:
    """Five frames of 16x8, named like the files of UVG."""
    kind = np.uint8 if bits == 8 else np.dtype("<u2")
    data = np.random.default_rng(bits).integers(0, 1 << bits, (5, 16 * 8 * 3 // 2)).astype(kind)
    path = folder / f"Tiny_16x8_120fps_420_{bits}bit_YUV.yuv"
    path.write_bytes(data.tobytes())
    return path, data


@pytest.mark.parametrize("bits", [8, 10])
def test_a_raw_clip_is_cut_exactly(tmp_path: Path, bits: int) -> None:
    path, data = raw_clip(tmp_path, bits)
    clip = prepare(ClipSpec(str(path), frames=2, skip=1), tmp_path, Runner(1), "no-ffmpeg")
    assert (clip.width, clip.height, clip.frames, clip.rate, clip.bit_depth) == (16, 8, 2, 120, bits)
    frames = [b"".join(bytes(chunk) for chunk in frame.chunks()) for frame in clip.open()]
    assert frames == [data[1].tobytes(), data[2].tobytes()]


def test_a_prepared_clip_is_reused(tmp_path: Path) -> None:
    path, _ = raw_clip(tmp_path)
    first = prepare(ClipSpec(str(path), frames=2), tmp_path, Runner(1), "no-ffmpeg")
    state = first.path.stat().st_mtime_ns
    assert prepare(ClipSpec(str(path), frames=2), tmp_path, Runner(1), "no-ffmpeg") == first
    assert first.path.stat().st_mtime_ns == state
    other = prepare(ClipSpec(str(path), frames=3), tmp_path, Runner(1), "no-ffmpeg")
    assert other.path != first.path
    assert other.md5 != first.md5


def test_too_few_frames_are_refused(tmp_path: Path) -> None:
    path, _ = raw_clip(tmp_path)
    with pytest.raises(InputError, match="only 5 of 6 frames"):
        prepare(ClipSpec(str(path), frames=6), tmp_path, Runner(1), "no-ffmpeg")
    with pytest.raises(InputError, match="no such file"):
        prepare(ClipSpec(str(tmp_path / "other.y4m")), tmp_path, Runner(1), "no-ffmpeg")


@pytest.mark.parametrize(("crop", "left", "top"), [("8x4+4+2", 4, 2), ("8x4", 4, 2), ("6x2", 4, 2), ("16x8", 0, 0)])
def test_a_crop_keeps_the_right_samples(tmp_path: Path, crop: str, left: int, top: int) -> None:
    path, data = raw_clip(tmp_path)
    clip = prepare(ClipSpec(str(path), frames=2, skip=2, crop=crop), tmp_path, Runner(1), "no-ffmpeg")
    width, height = clip.width, clip.height
    assert f"{width}x{height}" == crop.split("+")[0]
    frame = next(clip.open())
    luma, u = data[2][:128].reshape(8, 16), data[2][128:160].reshape(4, 8)
    assert np.array_equal(frame.y, luma[top : top + height, left : left + width])
    assert np.array_equal(frame.u, u[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2])


@pytest.mark.parametrize("crop", ["18x8", "8x4+10+0", "7x4", "8x4+1+0", "0x4"])
def test_wrong_crops_are_refused(tmp_path: Path, crop: str) -> None:
    path, _ = raw_clip(tmp_path)
    with pytest.raises(InputError, match="crop"):
        prepare(ClipSpec(str(path), crop=crop), tmp_path, Runner(1), "no-ffmpeg")
    assert not [*tmp_path.glob("*.y4m")]


def test_an_odd_picture_keeps_its_last_samples(tmp_path: Path) -> None:
    path = tmp_path / "Odd_5x3_25fps_420_8bit.yuv"
    data = bytes(range(2 * (15 + 2 * 6)))
    path.write_bytes(data)
    clip = prepare(ClipSpec(str(path)), tmp_path, Runner(1), "no-ffmpeg")
    assert b"".join(bytes(chunk) for frame in clip.open() for chunk in frame.chunks()) == data


@needs_ffmpeg
def test_ffmpeg_scales_a_clip(tmp_path: Path) -> None:
    path, data = raw_clip(tmp_path)
    spec = ClipSpec(str(path), frames=2, skip=2, crop="8x4+4+2", scale="8x4")
    clip = prepare(spec, tmp_path, Runner(1), "ffmpeg")
    assert (clip.width, clip.height, clip.frames, clip.rate) == (8, 4, 2, 120)
    assert np.array_equal(next(clip.open()).y, data[2][:128].reshape(8, 16)[2:6, 4:12])
    assert "crop=8:4:4:2,scale=8:4" in clip.made
    small = prepare(ClipSpec(str(path), scale="8x4"), tmp_path, Runner(1), "ffmpeg")
    assert (small.width, small.height, small.frames) == (8, 4, 5)


@needs_ffmpeg
def test_a_clip_has_the_samples_that_encode_reads(tmp_path: Path) -> None:
    """Rotation is not applied, and the range stays; the same size makes the same samples."""
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuvj420p"
        stream.set_display_matrix((0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
        for number in range(4):
            planes = np.full((24, 32), 250 - number, np.uint8)
            planes[:16] = np.arange(0, 256, 8, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuvj420p")))
        container.mux(stream.encode(None))
    source = open_source(path, frames=2, skip=1)
    assert "nvrc.orientation" in source.metadata
    seen = [frame.md5() for frame in source]
    for spec in (ClipSpec(str(path), frames=2, skip=1), ClipSpec(str(path), frames=2, skip=1, scale="32x16")):
        clip = prepare(spec, tmp_path, Runner(1), "ffmpeg")
        assert open_source(clip.path).colour.full_range
        assert [frame.md5() for frame in clip.open()] == seen
    with pytest.raises(InputError, match="of its own"):
        prepare(ClipSpec(str(path), rate="50", scale="32x16"), tmp_path, Runner(1), "ffmpeg")
    with pytest.raises(InputError, match="of its own"):
        prepare(ClipSpec(str(path), size="16x8", scale="32x16"), tmp_path, Runner(1), "ffmpeg")
