"""The encoder's input: y4m, headerless YUV, containers through PyAV, and what is wrong with them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from nvrc_decoder.errors import (
    InputError,
    InvalidStreamError,
    LimitError,
    MissingExtraError,
    UnsupportedError,
)
from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_encoder.source import pyav as pyav_source
from nvrc_encoder.source.video import RawFormat, Source, open_source
from nvrc_encoder.source.y4m import read_y4m_description, read_y4m_frames
from nvrc_output.writers import OutputKind, open_writer

ROOT = Path(__file__).resolve().parents[3]
CLIP = ROOT / "demo" / "city_352x200.mp4"
CLIP_MD5 = "5d21b1d872d3318bf18d5dea8b07c6d0"
HEADER = b"YUV4MPEG2 W4 H2 F25:1 C420jpeg\n"
FRAME = b"FRAME\n" + bytes(range(12))


def frames_of(video: VideoFormat, count: int) -> list[Planes]:
    rng = np.random.default_rng(7)
    dtype = np.uint8 if video.bit_depth == 8 else np.uint16
    return [
        Planes(*(rng.integers(0, 1 << video.bit_depth, shape).astype(dtype) for shape in video.plane_shapes))
        for _ in range(count)
    ]


def md5(frames: Iterable[Planes]) -> str:
    total = hashlib.md5(usedforsecurity=False)
    for frame in frames:
        for chunk in frame.chunks():
            total.update(chunk)
    return total.hexdigest()


def write(path: Path, kind: OutputKind, video: VideoFormat, frames: list[Planes]) -> None:
    with open_writer(str(path), kind, video, pytest.fail) as writer:
        for frame in frames:
            writer(frame)


def from_bytes(tmp_path: Path, data: bytes) -> Source:
    path = tmp_path / "clip.y4m"
    path.write_bytes(data)
    return open_source(path)


@pytest.mark.parametrize("chroma_format", [CHROMA_400, CHROMA_420, CHROMA_444])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 8)])
def test_y4m_round_trip(tmp_path: Path, chroma_format: int, bit_depth: int, size: tuple[int, int]) -> None:
    video = VideoFormat(*size, Fraction(30000, 1001), chroma_format, bit_depth)
    frames = frames_of(video, 3)
    write(tmp_path / "a.y4m", OutputKind.Y4M, video, frames)
    source = open_source(tmp_path / "a.y4m")
    assert (source.width, source.height, source.rate) == (*size, Fraction(30000, 1001))
    assert (source.chroma_format, source.bit_depth) == (chroma_format, bit_depth)
    assert md5(source) == md5(frames)
    assert md5(source) == md5(frames), "a source can be read twice"


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_raw_round_trip(tmp_path: Path, bit_depth: int) -> None:
    video = VideoFormat(5, 3, Fraction(50), CHROMA_444, bit_depth)
    frames = frames_of(video, 2)
    write(tmp_path / "a.yuv", OutputKind.YUV, video, frames)
    source = open_source(tmp_path / "a.yuv", raw=RawFormat(5, 3, Fraction(50), CHROMA_444, bit_depth))
    assert (source.frame_count, source.picture) == (2, video)
    assert md5(source) == md5(frames)


def test_demo_clip_is_read_exactly() -> None:
    source = open_source(CLIP)
    assert (source.width, source.height, source.rate, source.frame_count) == (352, 200, Fraction(25), 32)
    assert md5(source) == CLIP_MD5


def test_frames_and_skip() -> None:
    every = [frame.md5() for frame in open_source(CLIP, frames=6)]
    part = open_source(CLIP, frames=3, skip=2)
    assert [frame.md5() for frame in part] == every[2:5]
    assert (part.frame_count, part.rate) == (3, Fraction(25))


def test_frame_parameters_and_colour_range(tmp_path: Path) -> None:
    source = from_bytes(
        tmp_path, HEADER[:-1] + b" XCOLORRANGE=FULL\n" + FRAME.replace(b"FRAME\n", b"FRAME Ip\n") + FRAME
    )
    assert source.colour.full_range
    assert len(list(source)) == 2


def test_unknown_rate_is_a_default(tmp_path: Path) -> None:
    assert from_bytes(tmp_path, b"YUV4MPEG2 W4 H2 F0:0\n").rate == Fraction(25)
    assert open_source(tmp_path / "clip.y4m", rate=Fraction(50)).rate == Fraction(50)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not start"),
        (b"YUV4MPEG3 W4 H2\n", "does not start"),
        (b"YUV4MPEG2 W4 H2", "cut off"),
        (b"YUV4MPEG2 W4\n", "no height"),
        (b"YUV4MPEG2 W0 H2\n", "width"),
        (b"YUV4MPEG2 W4 H70000\n", "height"),
        (b"YUV4MPEG2 W-4 H2\n", "width"),
        (b"YUV4MPEG2 W4 H2 F25\n", "frame rate"),
        (b"YUV4MPEG2 W4 H2 F25:0\n", "frame rate"),
        (b"YUV4MPEG2 W4 H2 \xff\n", "ASCII"),
        (b"YUV4MPEG2 " + b"X" * 5000, "no end"),
    ],
)
def test_malformed_header(data: bytes, words: str) -> None:
    with pytest.raises(InvalidStreamError, match=words) as caught:
        read_y4m_description(io.BytesIO(data))
    assert caught.value.code == "E_SOURCE"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (FRAME[:-1], "cut off"),
        (b"FRAME\n", "cut off"),
        (b"FRAMES\n" + FRAME, "does not start with FRAME"),
        (FRAME + b"\n", "frame 1 does not start with FRAME"),
        (FRAME + b"FRA", "cut off"),
    ],
)
def test_malformed_frame(data: bytes, words: str) -> None:
    file = io.BytesIO(HEADER + data)
    with pytest.raises(InvalidStreamError, match=words):
        list(read_y4m_frames(file, read_y4m_description(file).picture))


def test_ten_bit_sample_out_of_range() -> None:
    file = io.BytesIO(b"YUV4MPEG2 W1 H1 Cmono10\nFRAME\n\x00\x04")
    with pytest.raises(InvalidStreamError, match="1023"):
        list(read_y4m_frames(file, read_y4m_description(file).picture))


def test_frame_too_large_to_hold() -> None:
    with pytest.raises(LimitError):
        read_y4m_description(io.BytesIO(b"YUV4MPEG2 W65535 H65535\n"))


@pytest.mark.parametrize("space", [b"422", b"411", b"420p12", b"444alpha"])
def test_unsupported_colour_space(space: bytes) -> None:
    with pytest.raises(UnsupportedError):
        read_y4m_description(io.BytesIO(b"YUV4MPEG2 W4 H2 C" + space + b"\n"))


def test_missing_directory_and_garbage(tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 8)
    for name, kind in (("none.y4m", InputError), (".", InputError), ("noise.mp4", InvalidStreamError)):
        with pytest.raises(kind):
            open_source(tmp_path / name)


def test_headerless_needs_a_size(tmp_path: Path) -> None:
    (tmp_path / "a.yuv").write_bytes(bytes(12))
    with pytest.raises(InputError, match="--size"):
        open_source(tmp_path / "a.yuv")
    with pytest.raises(InvalidStreamError, match="cut off"):
        list(open_source(tmp_path / "a.yuv", size=(4, 4)))
    with pytest.raises(InputError, match="outside"):
        open_source(tmp_path / "a.yuv", size=(0, 4))


def test_without_pyav_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"nvrc-ref\[encoder\]"):
        pyav_source.open_with_pyav(str(CLIP))


def test_every_truncation_of_y4m_is_typed(tmp_path: Path) -> None:
    data = HEADER + FRAME + FRAME
    whole = {len(HEADER): 0, len(HEADER + FRAME): 1, len(data): 2}
    for length in range(len(data) + 1):
        if length in whole:
            assert len(list(from_bytes(tmp_path, data[:length]))) == whole[length]
        else:
            with pytest.raises(InvalidStreamError):
                list(from_bytes(tmp_path, data[:length]))
