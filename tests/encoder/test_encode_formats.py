"""Every sample format, size and colour description survives from a video file through a stream to a video file."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from case_choice import full_except, pairwise
from encoder_cases import ONE_GRID_WORDS, gradient_source

import nvrc_decoder
from nvrc_decoder.picture.format import CHROMA_NAMES, Colour, VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444
from nvrc_encoder import EncodeOptions, encode, options
from nvrc_encoder.plan import Plan
from nvrc_encoder.source.pyav import _PIXEL_FORMATS
from nvrc_encoder.source.video import Source, open_source
from nvrc_output.writers import OutputKind, open_writer
from nvrc_ref.main import run

FORMATS = [(chroma, depth) for chroma in CHROMA_NAMES for depth in (8, 10)]
DRAFT = ("--preset", "draft", "--no-trials", "--quiet", *ONE_GRID_WORDS)
NAMES = {
    (CHROMA_400, 8): "gray",
    (CHROMA_400, 10): "gray10le",
    (CHROMA_420, 8): "yuv420p",
    (CHROMA_420, 10): "yuv420p10le",
    (CHROMA_444, 8): "yuv444p",
    (CHROMA_444, 10): "yuv444p10le",
}


@pytest.fixture(autouse=True)
def _short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(options.PRESETS, "draft", Plan(iterations=3, pretrain=2))


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def write(path: Path, source: Source, colour: Colour | None = None) -> None:
    """The source as y4m."""
    picture = source.picture if colour is None else dataclasses.replace(source.picture, colour=colour)
    with open_writer(str(path), OutputKind.Y4M, picture, pytest.fail) as writer:
        for frame in source:
            writer(frame)


def test_unused_checkpoint_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "a.y4m", gradient_source(16, 16, 1))
    command = ("encode", tmp_path / "a.y4m", "-o", tmp_path / "a.nvrc", *DRAFT)
    assert call(*command) == 0
    assert "resume" not in caplog.text
    checkpoint = tmp_path / "a.nvrc.checkpoint"
    checkpoint.write_bytes(b"of another encode")
    assert call(*command) == 0
    assert f"checkpoint {checkpoint} will be overwritten" in caplog.text
    assert not checkpoint.exists()


def write_with_pyav(path: Path, pixel_format: str, frames: list[Planes], colour: Colour, codec: str = "ffv1") -> None:
    """Write planes into a container of FFmpeg with a lossless codec."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(24000, 1001))
        stream.height, stream.width = frames[0].y.shape
        stream.pix_fmt = pixel_format
        context = stream.codec_context
        context.color_range = 2 if colour.full_range else 1
        context.color_primaries, context.color_trc, context.colorspace = (
            colour.primaries,
            colour.transfer,
            colour.matrix,
        )
        for planes in frames:
            picture = av.VideoFrame(stream.width, stream.height, pixel_format)
            for target, plane in zip(picture.planes, planes.planes(), strict=False):
                rows = np.zeros((plane.shape[0], target.line_size), np.uint8)
                rows[:, : plane.shape[1] * plane.itemsize] = np.ascontiguousarray(plane).view(np.uint8)
                target.update(rows.tobytes())
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


FORMATS_AND_SIZES = pairwise(list(CHROMA_NAMES), (8, 10), [(1, 1), (1, 7), (2, 2), (17, 9), (33, 31)])


@pytest.mark.parametrize(("chroma", "depth", "size"), full_except(FORMATS_AND_SIZES, *FORMATS_AND_SIZES[::3]))
def test_every_format_and_odd_size(chroma: int, depth: int, size: tuple[int, int]) -> None:
    source = gradient_source(*size, 2, chroma, depth)
    output = io.BytesIO()
    report = encode(source, output, EncodeOptions(preset="draft", device="cpu", trials=False))
    with nvrc_decoder.open(output) as video:
        assert video.info.format == source.picture
        frames = list(video)
    assert [frame.md5() for frame in frames] == list(report.frame_md5)
    for a, b in zip(frames, source, strict=True):
        assert [(p.shape, p.dtype) for p in a.planes()] == [(p.shape, p.dtype) for p in b.planes()]
        assert max(int(p.max()) for p in a.planes()) < 1 << depth


@pytest.mark.full
@pytest.mark.parametrize(("chroma", "depth"), FORMATS)
def test_quality_of_a_short_training(chroma: int, depth: int) -> None:
    """29.1 dB and more was measured for each; a wrong scale, offset or row costs far more than the margin."""
    source = gradient_source(48, 32, 4, chroma, depth)
    options = EncodeOptions(preset="draft", iterations=60, lagrangian=2e-3, device="cpu", trials=False)
    report = encode(source, io.BytesIO(), options)
    for value in (report.quality.y, report.quality.u, report.quality.v):
        assert value is None or value > 28


@pytest.mark.parametrize(
    ("space", "rate", "sample_range"),
    [
        ("420", "30000:1001", "LIMITED"),
        ("420jpeg", "25:1", "FULL"),
        ("420mpeg2", "1:3", "LIMITED"),
        ("420paldv", "120:1", "FULL"),
        ("420p10 XYSCSS=420P10", "24000:1001", "LIMITED"),
        ("444", "999999:1000", "FULL"),
        ("444p10 XYSCSS=444P10", "50:1", "FULL"),
        ("mono", "25:1", "LIMITED"),
        ("mono10", "12:1", "FULL"),
    ],
)
def test_y4m_header_comes_back(tmp_path: Path, space: str, rate: str, sample_range: str) -> None:
    header = f"YUV4MPEG2 W3 H5 F{rate} Ip A1:1 C{space} XCOLORRANGE={sample_range}\n".encode()
    chroma = CHROMA_444 if "444" in space else CHROMA_400 if "mono" in space else CHROMA_420
    picture = VideoFormat(3, 5, Fraction(25), chroma, 10 if "10" in space.split()[0] else 8)
    (tmp_path / "a.y4m").write_bytes(header + 2 * (b"FRAME\n" + bytes(picture.frame_bytes)))
    assert call("encode", tmp_path / "a.y4m", "-o", tmp_path / "a.nvrc", *DRAFT) == 0
    assert call("decode", tmp_path / "a.nvrc", "-o", tmp_path / "b.y4m") == 0
    decoded = (tmp_path / "b.y4m").read_bytes()
    assert decoded[: len(header)] == header
    assert len(decoded) == (tmp_path / "a.y4m").stat().st_size


@pytest.mark.parametrize(("chroma", "depth"), FORMATS)
def test_containers_are_read_as_they_are(tmp_path: Path, chroma: int, depth: int) -> None:
    colour = Colour(9, 16, 9, full_range=depth == 8)
    frames = list(gradient_source(17, 9, 3, chroma, depth))
    write_with_pyav(tmp_path / "a.mkv", NAMES[chroma, depth], frames, colour)
    source = open_source(tmp_path / "a.mkv")
    assert source.picture == VideoFormat(17, 9, Fraction(24000, 1001), chroma, depth, colour)
    assert [frame.md5() for frame in source] == [frame.md5() for frame in frames]


def test_full_range_by_the_name_of_the_pixel_format(tmp_path: Path) -> None:
    frames = list(gradient_source(16, 16, 2))
    write_with_pyav(tmp_path / "a.mp4", "yuvj420p", frames, Colour(full_range=True), "libx264")
    source = open_source(tmp_path / "a.mp4")
    assert source.colour.full_range
    assert (source.chroma_format, source.bit_depth) == (CHROMA_420, 8)
    assert len(list(source)) == 2


@pytest.mark.parametrize("depth", [8, 10])
def test_colour_from_container_to_container(tmp_path: Path, depth: int, capsys: pytest.CaptureFixture[str]) -> None:
    colour = Colour(9, 18, 9, full_range=depth == 10)
    frames = list(gradient_source(18, 10, 2, CHROMA_420, depth))
    write_with_pyav(tmp_path / "a.mkv", NAMES[CHROMA_420, depth], frames, colour)
    assert call("encode", tmp_path / "a.mkv", "-o", tmp_path / "a.nvrc", *DRAFT) == 0
    capsys.readouterr()
    assert call("info", tmp_path / "a.nvrc", "--json") == 0
    assert json.loads(capsys.readouterr().out)["colour"] == {
        "primaries": 9,
        "transfer": 18,
        "matrix": 9,
        "full_range": colour.full_range,
        "chroma_sample_position": 0,
    }
    assert call("decode", tmp_path / "a.nvrc", "-o", tmp_path / "b.mp4") == 0
    assert open_source(tmp_path / "b.mp4").colour == colour


def test_colour_in_place_of_the_input_s_and_rate(tmp_path: Path) -> None:
    write(tmp_path / "a.y4m", gradient_source(4, 4, 1))
    data = (tmp_path / "a.y4m").read_bytes()
    (tmp_path / "a.y4m").write_bytes(data.replace(b" F25:1", b"", 1))
    words = (*DRAFT, "--cicp", "1/13/1", "--range", "full", "--rate", "1/7")
    assert call("encode", tmp_path / "a.y4m", "-o", tmp_path / "a.nvrc", *words) == 0
    with nvrc_decoder.open(tmp_path / "a.nvrc") as video:
        assert video.info.format.colour == Colour(1, 13, 1, full_range=True)
        assert video.info.format.rate == Fraction(1, 7)


@pytest.mark.parametrize("words", [("--cicp", "1/2"), ("--cicp", "1/2/256"), ("--range", "tv"), ("--bit-depth", "12")])
def test_usage(words: tuple[str, str]) -> None:
    assert call("encode", "a.y4m", "-o", "a.nvrc", *words) == 2


@pytest.mark.parametrize(("chroma", "depth"), [("400", 10), ("444", 8), ("444", 10)])
def test_headerless_input(tmp_path: Path, chroma: str, depth: int) -> None:
    code = {"400": CHROMA_400, "444": CHROMA_444}[chroma]
    frames = list(gradient_source(5, 3, 2, code, depth))
    (tmp_path / "a.yuv").write_bytes(b"".join(chunk for frame in frames for chunk in frame.chunks()))
    words = ("--size", "5x3", "--chroma", chroma, "--bit-depth", depth, *DRAFT)
    assert call("encode", tmp_path / "a.yuv", "-o", tmp_path / "a.nvrc", *words) == 0
    with nvrc_decoder.open(tmp_path / "a.nvrc") as video:
        assert video.info.format == VideoFormat(5, 3, Fraction(25), code, depth)
        assert len(list(video)) == 2


def assert_refused(path: Path, capsys: pytest.CaptureFixture[str], wanted: str) -> None:
    assert call("encode", path, "-o", path.with_suffix(".nvrc"), "--quiet") == 69
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error[E_PIXEL_FORMAT] ")
    assert re.search(rf"ffmpeg -i INPUT (-vf scale=out_range=full )?-c:v ffv1 -pix_fmt {wanted} ", line)
    assert wanted in _PIXEL_FORMATS
    assert not path.with_suffix(".nvrc").exists()


@pytest.mark.parametrize(
    ("space", "wanted"),
    [
        ("422", "yuv420p"),
        ("422p10 XYSCSS=422P10", "yuv420p10le"),
        ("420p12 XYSCSS=420P12", "yuv420p10le"),
        ("444p16", "yuv444p10le"),
        ("444alpha", "yuv444p"),
        ("411", "yuv420p"),
        ("mono16", "gray10le"),
        ("nonsense", "yuv420p"),
    ],
)
def test_y4m_that_the_codec_does_not_have(
    tmp_path: Path, space: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.y4m").write_bytes(f"YUV4MPEG2 W4 H4 F25:1 C{space}\nFRAME\n".encode() + bytes(128))
    assert_refused(tmp_path / "a.y4m", capsys, wanted)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "wanted"),
    [
        ("yuv422p", "ffv1", "yuv420p"),
        ("yuv422p10le", "ffv1", "yuv420p10le"),
        ("yuv420p12le", "ffv1", "yuv420p10le"),
        ("yuva420p", "ffv1", "yuv420p"),
        ("gray12le", "ffv1", "gray10le"),
        ("gbrp10le", "ffv1", "yuv444p10le"),
        ("bgr0", "ffv1", "yuv444p"),
        ("yuvj422p", "mjpeg", "yuv420p"),
    ],
)
def test_containers_that_the_codec_does_not_have(
    tmp_path: Path, pixel_format: str, codec: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    full = Colour(full_range=pixel_format.startswith("yuvj"))
    write_with_pyav(tmp_path / "a.mkv", pixel_format, [Planes(np.zeros((16, 16), np.uint8))], full, codec)
    assert_refused(tmp_path / "a.mkv", capsys, wanted)
