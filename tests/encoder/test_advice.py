"""Every FFmpeg command that is printed as advice works on an input for which it is printed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import pytest
from case_choice import full_except

from nvrc_decoder.errors import NvrcError
from nvrc_decoder.picture.format import Colour, VideoFormat
from nvrc_decoder.picture.presentation import ContentLight, MasteringDisplay, Orientation, Presentation
from nvrc_decoder.profiles import CHROMA_400
from nvrc_encoder.source.conversion import advice_for_format, conversion_advice, y4m_advice
from nvrc_encoder.source.pyav import _PIXEL_FORMATS
from nvrc_encoder.source.video import Source, open_source
from nvrc_output.metadata_notes import not_written
from nvrc_output.writers import OutputKind, open_writer

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="the program ffmpeg is not installed")
RESULT = re.compile(r"ffmpeg (.*?(?:OUTPUT|OTHER|ALPHA|TURNED|WITH_[A-Z]+)\.(?:mkv|mp4|mov))")
WANTED = re.compile(r"-pix_fmt (\S+)")
# Formats of device memory, and formats that no decoder emits.
KNOWN = [name for name in sorted(av.video.format.names) if av.VideoFormat(name).components]


def ffmpeg(*words: object) -> None:
    done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run_advice(line: str, folder: Path, number: int = 0, **files: Path) -> Path:
    """Run the command of a line with `files` in place of its names; the path of its output."""
    command = RESULT.findall(line)[number]
    words = [str(files.get(word.partition(".")[0], word)) for word in shlex.split(command)]
    words[-1] = str(folder / words[-1])
    ffmpeg(*words)
    return Path(words[-1])


def refusal(path: Path) -> str:
    with pytest.raises(NvrcError) as caught:
        open_source(path)
    return caught.value.message


def clip(path: Path, *words: object, source: str = "testsrc2=size=64x48:rate=25", frames: int = 4) -> Path:
    ffmpeg("-f", "lavfi", "-i", source, "-frames:v", frames, *words, path)
    return path


@pytest.mark.parametrize("full_range", [False, True])
def test_advice_keeps_colour_depth_and_range(full_range: bool) -> None:
    assert len(KNOWN) > 200
    for name in KNOWN:
        form = av.VideoFormat(name)
        parts = [part for part in form.components if not part.is_alpha]
        colour = len(parts) > 1 or form.has_palette or form.is_rgb
        line = advice_for_format(av, name, full_range)
        match = WANTED.search(line)
        assert match is not None
        chroma, depth, _ = _PIXEL_FORMATS[match[1]]
        assert (chroma == CHROMA_400) == (not colour), name
        assert depth >= min(max(part.bits for part in parts), 10) or depth == 8 >= max(part.bits for part in parts), (
            name
        )
        yuv = colour and not (form.is_rgb or form.has_palette or name.startswith(("bayer", "xyz")))
        assert ("out_range=full" in line) == (yuv and (full_range or name.startswith("yuvj"))), name
        assert ("alpha is left out" in line) == any(part.is_alpha for part in form.components), name


@needs_ffmpeg
@pytest.mark.parametrize(
    ("pixel_format", "codec", "tag", "expected", "full_range"),
    full_except(
        [
            ("yuvj422p", "mjpeg", None, "yuv420p", True),
            ("yuv422p", "ffv1", "pc", "yuv420p", True),
            ("yuv422p10le", "ffv1", "pc", "yuv420p10le", True),
            ("yuv422p", "ffv1", None, "yuv420p", False),
            ("yuv411p", "ffv1", "tv", "yuv420p", False),
            ("yuv420p12le", "ffv1", None, "yuv420p10le", False),
            ("yuv444p12le", "ffv1", "pc", "yuv444p10le", True),
            ("yuva420p", "ffv1", "pc", "yuv420p", True),
            ("yuva444p10le", "ffv1", None, "yuv444p10le", False),
            ("bgr0", "ffv1", None, "yuv444p", False),
            ("gbrp12le", "ffv1", None, "yuv444p10le", False),
            ("bgra", "ffv1", None, "yuv444p", False),
            ("pal8", "gif", None, "yuv444p", False),
            ("gray12le", "ffv1", None, "gray10le", True),
            ("ya8", "ffv1", None, "gray", True),
        ],
        ("yuvj422p", "mjpeg", None, "yuv420p", True),
        ("yuv422p10le", "ffv1", "pc", "yuv420p10le", True),
        ("yuva444p10le", "ffv1", None, "yuv444p10le", False),
        ("bgr0", "ffv1", None, "yuv444p", False),
        ("gray12le", "ffv1", None, "gray10le", True),
        ("ya8", "ffv1", None, "gray", True),
    ),
)
def test_conversion(
    tmp_path: Path, pixel_format: str, codec: str, tag: str | None, expected: str, full_range: bool
) -> None:
    name = "in.gif" if codec == "gif" else "in.avi" if codec == "mjpeg" else "in.mkv"
    # Luma from 0 to 255 shows whether the range was changed.
    source = "color=white:size=64x48:rate=25,format=yuv444p,geq=lum=X*4:cb=200:cr=90"
    words = ["-pix_fmt", pixel_format]
    if tag is not None:
        source += f",scale=in_range={tag}:out_range={tag},format={pixel_format},setparams=range={tag}"
        words = ["-color_range", tag]
    made = clip(tmp_path / name, "-c:v", codec, *words, source=source)
    with av.open(str(made)) as container:
        before = next(container.decode(video=0)).reformat(format="gray16le", dst_color_range=2).to_ndarray()
    line = refusal(made)
    converted = run_advice(line, tmp_path, INPUT=made)
    result = open_source(converted)
    assert _PIXEL_FORMATS[expected][:2] == (result.chroma_format, result.bit_depth)
    assert result.colour.full_range == full_range
    with av.open(str(converted)) as container:
        first = next(container.decode(video=0))
        assert first.format.name == expected
        after = first.reformat(format="gray16le", dst_color_range=2).to_ndarray()
    if not pixel_format.startswith("g") and pixel_format != "ya8":
        assert abs(before.astype(float) - after).mean() < 3 * 257
    if result.chroma_format != CHROMA_400:
        u, v = (float(plane.mean()) for plane in next(iter(result)).planes()[1:])
        assert abs(u - v) > 20, "the colour is gone"
    if "alphaextract" in line:
        assert open_source(run_advice(line, tmp_path, 1, INPUT=made)).chroma_format == CHROMA_400


@needs_ffmpeg
@pytest.mark.parametrize(
    ("space", "expected"), [("422", "yuv420p"), ("444alpha", "yuv444p"), ("420p12", "yuv420p10le"), ("411", "yuv420p")]
)
def test_conversion_of_y4m(tmp_path: Path, space: str, expected: str) -> None:
    pixels = {"422": "yuv422p", "444alpha": "yuva444p", "420p12": "yuv420p12le", "411": "yuv411p"}[space]
    made = clip(tmp_path / "in.y4m", "-strict", "-1", "-pix_fmt", pixels)
    head, _, rest = made.read_bytes().partition(b"\n")
    made.write_bytes(re.sub(rb" C\S+", b" C" + space.encode(), head) + b"\n" + rest)
    result = open_source(run_advice(refusal(made), tmp_path, INPUT=made))
    assert _PIXEL_FORMATS[expected][:2] == (result.chroma_format, result.bit_depth)
    assert "out_range=full" in y4m_advice(space, full_range=True)
    assert conversion_advice(8) in y4m_advice("nonsense")


@needs_ffmpeg
@pytest.mark.parametrize("pixel_format", ["yuv422p10le", "yuv420p10le"])
def test_commands_keep_hdr_metadata(tmp_path: Path, pixel_format: str) -> None:
    hdr = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    words = ("-c:v", "libx265", "-pix_fmt", pixel_format, "-x265-params", f"log-level=none:hdr10=1:{hdr}")
    try:
        made = clip(tmp_path / "a.mp4", *words, "-color_primaries", 9, "-color_trc", 16, "-colorspace", 9)
    except AssertionError:
        pytest.skip("this ffmpeg has no libx265 with 10 bits")
    with pytest.raises(NvrcError) as caught:
        open_source(made, rate=Fraction(50))
    result = open_source(run_advice(caught.value.message, tmp_path, INPUT=made))
    assert result.metadata["nvrc.mastering"].startswith("13250,34500,7500,3000")
    assert result.metadata["nvrc.light"] == "1000,400"
    assert (result.colour.primaries, result.bit_depth) == (9, 10)
    if pixel_format == "yuv420p10le":
        assert [frame.md5() for frame in result] == [frame.md5() for frame in open_source(made)]


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.mp4", "a.y4m", "a.mkv"])
def test_retiming(tmp_path: Path, name: str) -> None:
    made = clip(tmp_path / name, frames=5)
    with pytest.raises(NvrcError, match="of its own, 25") as caught:
        open_source(made, rate=Fraction(30000, 1001))
    result = open_source(run_advice(caught.value.message, tmp_path, INPUT=made))
    assert result.rate == Fraction(30000, 1001)
    assert [frame.md5() for frame in result] == [frame.md5() for frame in open_source(made)]
    assert "nvrc.times" not in result.metadata


@needs_ffmpeg
def test_still_pictures_become_a_video_of_one_frame(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.webp"):
        made = clip(tmp_path / name, frames=1)
        assert len(list(open_source(run_advice(refusal(made), tmp_path, INPUT=made)))) == 1


def losses(source: Source) -> list[str]:
    assert list(source)
    return source.losses


@needs_ffmpeg
def test_sound_and_subtitles_are_put_back(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nwords\n")
    for suffix, subtitles in (("mp4", "mov_text"), ("mkv", "srt")):
        made = tmp_path / f"in.{suffix}"
        picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.4"]
        sound = ["-f", "lavfi", "-i", "sine=duration=0.4", "-i", tmp_path / "a.srt", "-map", 0, "-map", 1, "-map", 2]
        ffmpeg(*picture, *sound, "-c:s", subtitles, made)
        lines = losses(open_source(made, skip=5))
        assert [line.split(";")[0] for line in lines] == ["dropped: audio (1 track)", "dropped: subtitles (1 track)"]
        assert " -ss 0.200 -i INPUT" in lines[0]
        decoded = clip(tmp_path / "decoded.mp4", "-an")
        for line, kind in zip(lines, ("audio", "subtitle"), strict=True):
            with av.open(str(run_advice(line, tmp_path, DECODED=decoded, INPUT=made))) as container:
                assert [stream.type for stream in container.streams] == ["video", kind]


@needs_ffmpeg
@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mov", "pcm_s16le")])
def test_sound_put_back_keeps_rotation_and_length(tmp_path: Path, suffix: str, codec: str) -> None:
    flat, made = tmp_path / f"flat.{suffix}", tmp_path / f"in.{suffix}"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=2"]
    ffmpeg(*picture, "-f", "lavfi", "-i", "sine=duration=2", "-c:a", codec, flat)
    ffmpeg("-i", flat, "-metadata:s:v", "rotate=90", "-c", "copy", made)
    (line,) = losses(open_source(made, skip=5, frames=10))
    assert " -ss 0.200 -t 0.400 -i INPUT" in line
    decoded = clip(tmp_path / "still.mp4", frames=10)
    turned = tmp_path / "decoded.mp4"
    ffmpeg("-i", decoded, "-metadata:s:v", "rotate=90", "-c", "copy", turned)
    result = run_advice(line, tmp_path, DECODED=turned, INPUT=made)
    assert open_source(result).carried == ["rotation 90 (counter-clockwise)"]
    with av.open(str(result)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        assert container.duration < 600_000


@needs_ffmpeg
def test_alpha_beside_the_video_is_taken_out(tmp_path: Path) -> None:
    source = "testsrc2=size=64x48:rate=25,format=yuva420p,geq=lum=128:cb=90:cr=90:a=X*4"
    try:
        made = clip(tmp_path / "a.webm", "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", source=source)
    except AssertionError:
        pytest.skip("this ffmpeg has no libvpx-vp9")
    (line,) = losses(open_source(made))
    assert line.startswith("dropped: alpha")
    alpha = next(iter(open_source(run_advice(line, tmp_path, INPUT=made))))
    assert int(alpha.y[:, -4:].mean()) - int(alpha.y[:, :4].mean()) > 200


@needs_ffmpeg
def test_other_video_tracks_are_taken_out(tmp_path: Path) -> None:
    first = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=0.2"]
    second = ["-f", "lavfi", "-i", "testsrc2=size=32x16:rate=25:duration=0.2"]
    ffmpeg(*first, *second, "-map", 0, "-map", 1, tmp_path / "two.mkv")
    (line,) = losses(open_source(tmp_path / "two.mkv"))
    assert line.startswith("dropped: video (1 track besides the first)")
    assert open_source(run_advice(line, tmp_path, INPUT=tmp_path / "two.mkv")).width == 32


@needs_ffmpeg
def test_fields_become_whole_frames(tmp_path: Path) -> None:
    for name in ("a.mpg", "a.y4m"):
        fields = ("-vf", "setfield=tff", "-flags", "+ildct+ilme", "-top", 1, "-field_order", "tt", "-c:v", "mpeg2video")
        made = clip(tmp_path / name, *(fields if name == "a.mpg" else ()), frames=6)
        if name == "a.y4m":
            made.write_bytes(made.read_bytes().replace(b" Ip", b" It", 1))
        (line,) = losses(open_source(made))
        assert line.startswith("dropped: interlacing")
        result = open_source(run_advice(line, tmp_path, INPUT=made))
        assert (len(list(result)), result.losses, result.rate) == (6, [], 25)


@needs_ffmpeg
def test_uncarried_time_stamps_are_made_even(tmp_path: Path) -> None:
    made = clip(tmp_path / "a.mkv", "-vf", "setpts=N*N/25/TB,settb=1/1000", "-fps_mode", "passthrough", frames=5)
    source = open_source(made)
    assert "nvrc.times" in source.metadata or list(source)
    source.findings.starts[1] = source.findings.starts[2]
    (line,) = source.losses
    result = open_source(run_advice(line, tmp_path, INPUT=made))
    assert losses(result) == []
    assert "nvrc.times" not in result.metadata


@needs_ffmpeg
def test_undecodable_frames_are_left_out(tmp_path: Path) -> None:
    source = "testsrc2=size=64x48:rate=25,noise=alls=60:allf=t"
    made = clip(tmp_path / "a.mp4", "-movflags", "faststart", source=source, frames=20)
    made.write_bytes(made.read_bytes()[: made.stat().st_size * 3 // 4])
    with pytest.raises(NvrcError, match="cannot be decoded") as caught:
        list(open_source(made))
    assert len(list(open_source(run_advice(caught.value.message, tmp_path, INPUT=made)))) >= 10
    count = re.search(r"--frames ([0-9]+)", caught.value.message)
    assert count is not None
    assert len(list(open_source(made, frames=int(count[1])))) == int(count[1])


@needs_ffmpeg
def test_outputs_get_what_they_do_not_carry(tmp_path: Path) -> None:
    video = VideoFormat(32, 16, Fraction(25), colour=Colour(9, 16, 9))
    shown = Presentation(video.rate)
    shown.orientation, shown.sample_aspect = Orientation(90), Fraction(64, 45)
    shown.mastering = MasteringDisplay((13250, 34500), (7500, 3000), (34000, 16000), (15635, 16450), (10_000_000, 1))
    shown.light = ContentLight(1000, 400)
    frames = list(open_source(clip(tmp_path / "in.y4m", source="testsrc2=size=32x16:rate=25")))
    for kind, target in ((OutputKind.Y4M, "a.y4m"), (OutputKind.YUV, "a b.yuv"), (OutputKind.PNG, "frames")):
        with open_writer(str(tmp_path / target), kind, video, lambda line: None, shown) as write:
            for frame in frames:
                write(frame)
        lines = list(not_written(str(kind), str(tmp_path / target), video, shown, frozenset()))
        assert len(lines) == 4
        turned, aspect, hdr, colour = (run_advice(line, tmp_path) for line in lines)
        assert probe(turned)[:2] == (16, 32)
        assert probe(aspect)[2] == Fraction(64, 45)
        assert probe(colour)[3:] == (9, 16, 9)
        carried = open_source(hdr) if kind is not OutputKind.PNG else None
        if carried is not None:
            assert carried.metadata["nvrc.mastering"] == shown.mastering.text()
            assert carried.metadata["nvrc.light"] == "1000,400"


def probe(path: Path) -> tuple[int, int, Fraction | None, int, int, int]:
    """Width, height, pixel aspect and colour of a file."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        c = stream.codec_context
        colour = int(c.color_primaries), int(c.color_trc), int(c.colorspace)
        return (c.width, c.height, stream.sample_aspect_ratio, *colour)
