"""Properties beyond samples are carried from a source through the stream to a video file, or reported as lost."""

from __future__ import annotations

import json
import logging
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from encoder_cases import ONE_GRID_WORDS
from source_cases import make

import nvrc_decoder
from nvrc_decoder.errors import InputError, InvalidStreamError, OutputError
from nvrc_decoder.picture.format import Colour, VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.picture.presentation import Orientation, Presentation
from nvrc_encoder import options
from nvrc_encoder.plan import Plan
from nvrc_encoder.source.video import Source, open_source
from nvrc_output import mp4
from nvrc_output.metadata_notes import turning_filter
from nvrc_output.writers import OutputKind, open_writer
from nvrc_ref.main import run

DRAFT = ("--preset", "draft", "--no-trials", "--threads", "1", *ONE_GRID_WORDS)
MASTERING = "13250,34500,7500,3000,34000,16000,15635,16450,10000000,1"
HDR = "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):cll=1000,400"
TURNS = [Orientation(degrees, flip) for degrees in (0, 90, 180, 270) for flip in (False, True) if degrees or flip]


@pytest.fixture(autouse=True)
def _short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(options.PRESETS, "draft", Plan(iterations=3, pretrain=2))


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def read(path: Path, **arguments: Any) -> Source:
    source = open_source(path, **arguments)
    assert list(source)
    return source


def test_a_plain_clip_carries_nothing(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.mov", "a.avi", "a.ts"):
        source = read(make(tmp_path / name, 12))
        assert (name, source.metadata, source.carried, source.losses) == (name, {}, [], [])
    demo = Path(__file__).resolve().parents[2] / "demo" / "city_352x200.mp4"
    source = read(demo)
    assert (source.metadata, source.losses, source.frame_count) == ({}, [], 32)


@pytest.mark.parametrize("turn", TURNS, ids=Orientation.text)
def test_rotation_is_read_and_its_filter_turns(tmp_path: Path, turn: Orientation) -> None:
    source = read(make(tmp_path / "a.mp4", turn=turn))
    assert source.metadata == {"nvrc.orientation": turn.text()}
    assert source.carried == [turn.describe()]
    assert "rotation" in source.carried[0]
    assert (source.width, source.height) == (32, 16)
    # FFmpeg's filter and the matrix move the corners to the same places.
    picture = np.arange(16 * 32, dtype=np.uint8).reshape(16, 32)
    graph = av.filter.Graph()
    last = graph.add_buffer(width=32, height=16, format=av.VideoFormat("gray"), time_base=Fraction(1, 25))
    first = last
    for part in turning_filter(turn).split(","):
        name, _, value = part.partition("=")
        following = graph.add(name, value)
        last.link_to(following)
        last = following
    sink = graph.add("buffersink")
    last.link_to(sink)
    graph.configure()
    frame = av.VideoFrame.from_ndarray(picture, format="gray")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    first.push(frame)
    turned = sink.pull().to_ndarray()
    expected = np.fliplr(picture) if turn.flip else picture
    assert np.array_equal(turned, np.rot90(expected, turn.degrees // 90))


def test_rotation_by_no_right_angle_is_reported(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", turn=Orientation(90))
    data = path.read_bytes()
    right = struct.pack(">9i", 0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)
    place = data.index(right[:16])
    half = struct.pack(">5i", 46341, -46341, 0, 46341, 46341)
    path.write_bytes(data[:place] + half + data[place + 20 :])
    source = read(path)
    assert source.metadata == {}
    assert "rotation, as it is by no multiple of 90 degrees: ffmpeg -i INPUT" in source.losses[0]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_uneven_time_stamps_are_carried(tmp_path: Path, name: str) -> None:
    stamps = [0, 20, 40, 1040, 2040, 2060]
    path = make(tmp_path / name, stamps=stamps, time_base=Fraction(1, 1000))
    source = read(path)
    assert list(source.metadata) == ["nvrc.times"]
    shown = source.findings._shown(source.window, source.rate)
    assert [round(1000 * shown.timeline.start(i)) for i in range(6)] == stamps
    assert source.carried[0].startswith("time stamps of 6 frames, 2.")
    part = read(path, skip=2, frames=3)
    cut = part.findings._shown(part.window, part.rate).timeline
    assert [round(1000 * cut.start(i)) for i in range(4)] == [0, 1000, 2000, 2020]


def test_a_gap_is_carried(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 12, 13]
    source = read(make(tmp_path / "a.mkv", stamps=stamps))
    assert "nvrc.times" in source.metadata
    assert read(tmp_path / "a.mkv", frames=2).metadata == {}, "the frames before the gap are even"
    assert read(tmp_path / "a.mkv", frames=3).metadata == {"nvrc.times": "1/25 1*2,10"}


def test_rounded_time_stamps_are_even(tmp_path: Path) -> None:
    for number, rate in enumerate((Fraction(24000, 1001), Fraction(60), Fraction(30000, 1001))):
        stamps = [round(i / rate * 1000) for i in range(40)]
        path = make(tmp_path / f"{number}.mkv", stamps=stamps, time_base=Fraction(1, 1000), framerate=rate)
        source = read(path)
        assert source.losses == []
        total = source.findings.duration(source.window, source.rate, 40)
        assert abs(total - 40 / rate) < Fraction(1, 50)


@pytest.mark.parametrize(("tag", "carried"), [(b"A64:45", True), (b"A1:1", False), (b"A0:0", False), (b"", False)])
def test_pixel_aspect_of_y4m(tmp_path: Path, tag: bytes, carried: bool) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W4 H2 F25:1 " + tag + b"\nFRAME\n" + bytes(12))
    assert read(tmp_path / "a.y4m").metadata == ({"nvrc.sar": "64:45"} if carried else {})


@pytest.mark.parametrize(
    ("tag", "words"), [("t", "top field"), ("b", "bottom field"), ("m", "some"), ("p", ""), ("?", "")]
)
def test_fields_of_y4m_are_reported(tmp_path: Path, tag: str, words: str) -> None:
    (tmp_path / "a.y4m").write_bytes(f"YUV4MPEG2 W4 H2 F25:1 I{tag}\nFRAME\n".encode() + bytes(12))
    lines = read(tmp_path / "a.y4m").losses
    assert len(lines) == bool(words)
    assert words in "".join(lines)


def test_everything_survives_a_stream(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    stamps = [0, 1, 2, 12, 13]
    path = make(tmp_path / "a.mp4", stamps=stamps, turn=Orientation(90), aspect=Fraction(64, 45), params=HDR)
    wanted = {
        "nvrc.sar": "64:45",
        "nvrc.orientation": "90",
        "nvrc.mastering": MASTERING,
        "nvrc.light": "1000,400",
        "nvrc.times": "1/25 1*2,10,1*2",
    }
    assert read(path).metadata == wanted
    with caplog.at_level(logging.INFO, "nvrc_encoder"):
        assert call("encode", path, "-o", tmp_path / "a.nvrc", *DRAFT) == 0
    (line,) = [message for message in caplog.messages if message.startswith("carried: ")]
    capsys.readouterr()
    for word in ("rotation 90", "pixel aspect 64:45", "HDR mastering", "HDR content light", "time stamps of 5 frames"):
        assert word in line
    assert call("info", tmp_path / "a.nvrc", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["metadata"] == wanted
    shown = document["presentation"]
    assert (shown["sample_aspect"], shown["rotation"], shown["mirrored"]) == ("64:45", 90, False)
    assert shown["frame_seconds"] == [0, 0.04, 0.08, 0.48, 0.52]
    assert shown["duration_seconds"] == 0.56
    assert document["kilobits_per_second"] == round(8 * document["bytes"]["total"] / 560, 3)
    assert call("info", tmp_path / "a.nvrc") == 0
    assert "rotation 90" in capsys.readouterr().out
    for name in ("b.mp4", "b.y4m", "b.yuv", "b"):
        assert call("decode", tmp_path / "a.nvrc", "-o", tmp_path / name, "--quiet") == 0
        notes = capsys.readouterr().err
        for word, carrier in (("rotation", "mp4"), ("HDR", "mp4"), ("time stamps", "mp4"), ("aspect", "mp4 y4m")):
            assert (word in notes) == (name.partition(".")[2] not in carrier.split()), (name, word)
    back = read(tmp_path / "b.mp4")
    assert back.metadata == wanted
    assert read(tmp_path / "b.y4m").metadata == {"nvrc.sar": "64:45"}
    with nvrc_decoder.open(tmp_path / "a.nvrc") as video:
        assert video.presentation.timeline.start(5) == Fraction(14, 25)


@pytest.mark.parametrize("with_pyav", [True, False])
def test_mp4_without_pyav_tells_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_pyav: bool) -> None:
    if not with_pyav:
        monkeypatch.setattr(mp4, "is_found", lambda name, purpose: False)
    video = VideoFormat(16, 16, Fraction(25), colour=Colour(1, 1, 1))
    shown = Presentation(video.rate)
    for key, value in (("sar", "4:3"), ("orientation", "90"), ("light", "9,9"), ("times", "1/25 1,2")):
        shown.add(f"nvrc.{key}", value.encode(), 0)
    notes: list[str] = []
    with open_writer(str(tmp_path / "a.mp4"), OutputKind.MP4, video, notes.append, shown) as write:
        write(Planes(*(np.full(shape, 99, np.uint8) for shape in video.plane_shapes)))
    told = [word for word in ("rotation", "aspect", "HDR", "time stamps", "colour") if word in " ".join(notes)]
    assert len(told) == (0 if with_pyav else 5)


def test_parts_of_a_clip_join_to_the_whole(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 12, 13, 14]
    path = make(tmp_path / "a.mp4", stamps=stamps, turn=Orientation(180))
    for name, words in (("p.nvrc", ("--frames", 3)), ("q.nvrc", ("--skip", 3))):
        assert call("encode", path, "-o", tmp_path / name, *DRAFT, "--quiet", *words) == 0
    assert call("join", tmp_path / "p.nvrc", tmp_path / "q.nvrc", "-o", tmp_path / "j.nvrc") == 0
    with nvrc_decoder.open(tmp_path / "j.nvrc") as video:
        assert video.presentation.orientation == Orientation(180)
        assert video.frame_count == 6
    assert call("encode", make(tmp_path / "b.mp4", stamps=stamps), "-o", tmp_path / "r.nvrc", *DRAFT, "--quiet") == 0
    words = ("join", tmp_path / "p.nvrc", tmp_path / "r.nvrc", "-o", tmp_path / "k.nvrc")
    assert call(*words) == 69
    assert call(*words, "--keep-first") == 0


def test_quiet_leaves_losses_but_not_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W4 H2 F25:1 It A64:45\nFRAME\n" + bytes(12))
    for words, carried in (((), 1), (("--quiet",), 0)):
        assert call("encode", tmp_path / "a.y4m", "-o", tmp_path / "a.nvrc", *DRAFT, *words) == 0
        lines = capsys.readouterr().err.splitlines()
        assert sum(line.startswith("carried: pixel aspect 64:45") for line in lines) == carried
        assert sum(line.startswith("dropped: interlacing") for line in lines) == 1


def test_corrupt_frames_are_reported(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ts", 20, noise=120, params="bframes=0:slices=4")
    data = path.read_bytes()
    for packets in range(1, 30):
        path.write_bytes(data[: -188 * packets - 100])
        with av.open(str(path)) as container:
            flags = [frame.is_corrupt for frame in container.decode(video=0)]
        if any(flags):
            break
    assert any(flags)
    source = read(path)
    assert source.findings.corrupt == [i for i, flag in enumerate(flags) if flag]
    count = "1 frame" if sum(flags) == 1 else f"{sum(flags)} frames"
    assert f"flags {count} of the input as corrupt" in " ".join(source.losses)
    assert read(path, frames=flags.index(True)).losses == []


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_file_that_ends_early_is_reported(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, 40, noise=120, codec="mpeg4")
    with (
        av.open(str(path), options={"movflags": "faststart"}) as source,
        av.open(str(tmp_path / f"fast{path.suffix}"), "w", options={"movflags": "faststart"}) as target,
    ):
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    path = tmp_path / f"fast{path.suffix}"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    opened = open_source(path)
    assert opened.frame_count is None
    count = len(list(opened))
    assert 5 < count < 40
    assert any(line.startswith("damaged: the input ends early: ") for line in opened.losses)
    assert open_source(path, frames=3).losses == []


def test_the_reason_of_ffmpeg_is_given(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", 20, noise=120)
    path.write_bytes(path.read_bytes()[:2000])
    for _ in range(2):
        with pytest.raises(InvalidStreamError, match="moov atom not found: the file was cut off"):
            open_source(path)


def test_untagged_grey_is_full_range(tmp_path: Path) -> None:
    for tag, full in (("", True), (" XCOLORRANGE=LIMITED", False), (" XCOLORRANGE=FULL", True)):
        (tmp_path / "a.y4m").write_bytes(f"YUV4MPEG2 W4 H2 Cmono{tag}\nFRAME\n".encode() + bytes(8))
        assert open_source(tmp_path / "a.y4m").colour.full_range == full
    make(tmp_path / "a.mkv", codec="ffv1")
    assert not open_source(tmp_path / "a.mkv").colour.full_range


def test_metadata_of_the_format_is_checked() -> None:
    with pytest.raises(ValueError, match=r"nvrc\.sar"):
        options.EncodeOptions(metadata={"nvrc.sar": "4/3"})
    with pytest.raises(ValueError, match=r"nvrc\.unknown"):
        options.EncodeOptions(metadata={"nvrc.unknown": "x"})
    options.EncodeOptions(metadata={"nvrc.sar": "4:3", "title": "x"})


def test_rate_of_input_that_has_none(tmp_path: Path) -> None:
    make(tmp_path / "a.mp4")
    with pytest.raises(InputError, match="of its own, 25"):
        open_source(tmp_path / "a.mp4", rate=Fraction(50))
    make(tmp_path / "a.h264")
    given = read(tmp_path / "a.h264", rate=Fraction(50))
    assert (given.rate, given.losses) == (50, [])
    assert [line.split(" as ")[0] for line in read(tmp_path / "a.h264").losses] == ["assumed: 25 frames a second,"]


def test_avi_of_reordered_frames_has_no_time_stamps(tmp_path: Path) -> None:
    source = read(make(tmp_path / "a.avi", 20, noise=60, params="bframes=3"))
    assert (source.metadata, source.losses, source.rate) == ({}, [], 25)


def test_announced_frames_are_those_that_come(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi", "a.ts", "a.h264"):
        path = make(tmp_path / name, 20, noise=60)
        for words in ({}, {"skip": 4}, {"skip": 4, "frames": 9}, {"skip": 18, "frames": 9}, {"skip": 30}):
            source = open_source(path, **words)
            assert source.frame_count in (None, len(list(source)))
    assert open_source(tmp_path / "a.mp4").frame_count == 20


def test_times_that_mp4_cannot_hold_are_an_error(tmp_path: Path) -> None:
    video = VideoFormat(16, 16, Fraction(25))
    frame = Planes(*(np.full(shape, 99, np.uint8) for shape in video.plane_shapes))

    def write_four(times: bytes) -> None:
        shown = Presentation(video.rate)
        shown.add("nvrc.times", times, 0)
        with open_writer(str(tmp_path / "a.mp4"), OutputKind.MP4, video, pytest.fail, shown) as write:
            for _ in range(4):
                write(frame)

    for times in (b"1/1 4294967295", b"2147483647/1 4294967295*2", b"1/90000 1*2,4294967295"):
        with pytest.raises(OutputError, match="y4m holds every video"):
            write_four(times)
    assert list(tmp_path.iterdir()) == []
