"""Sources that cannot be encoded as requested, and the advice in the message."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from source_cases import make

pytest.importorskip("torch")

from nvrc_decoder.errors import InputError, InvalidStreamError
from nvrc_encoder.source.video import open_source
from nvrc_ref.main import run


@pytest.mark.parametrize(("rate", "advised"), [(25, False), (50, True)])
def test_only_another_rate_is_told_how(tmp_path: Path, rate: int, advised: bool) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W4 H2 F25:1 Cmono\nFRAME\n" + bytes(8))
    with pytest.raises(InputError, match="a frame rate of its own, 25: leave out --rate") as caught:
        open_source(tmp_path / "a.y4m", rate=rate)
    assert ("ffmpeg" in str(caught.value)) == advised


def test_a_stream_is_no_video_to_encode(tmp_path: Path) -> None:
    (tmp_path / "a.nvrc").write_bytes(bytes.fromhex("894e5652430d0a1a") + bytes(99))
    with pytest.raises(InvalidStreamError, match="stream already: nvrc-ref decode"):
        open_source(tmp_path / "a.nvrc")


def test_a_skip_of_all_frames_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.y4m").write_bytes(b"YUV4MPEG2 W4 H2 F25:1 Cmono\nFRAME\n" + bytes(8))
    assert run(["encode", str(tmp_path / "a.y4m"), "-o", str(tmp_path / "a.nvrc"), "--skip", "5"]) == 66
    assert "a.y4m has no frames after the first 5" in capsys.readouterr().err


def test_pictures_that_are_no_video_are_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.bmp", "noext"):
        data = cv2.imencode(Path(name).suffix or ".jpg", np.full((16, 16, 3), 99, np.uint8))[1].tobytes()
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InvalidStreamError, match="still picture, not a video: ffmpeg -i INPUT"):
            open_source(tmp_path / name)
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    with pytest.raises(InvalidStreamError, match="has no video stream"):
        open_source(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.y4m", "a.yuv", "noext"])
@pytest.mark.parametrize("words", [("--size", "32x16"), ("--chroma", "444"), ("--bit-depth", "10"), ("--rate", "50")])
def test_options_that_the_input_settles_are_refused(
    tmp_path: Path, name: str, words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "a.y4m":
        (tmp_path / name).write_bytes(b"YUV4MPEG2 W4 H2 F25:1\nFRAME\n" + bytes(12))
    else:
        (tmp_path / name).write_bytes(make(tmp_path / "made.mp4").read_bytes())
    assert run(["encode", str(tmp_path / name), "-o", str(tmp_path / "o.nvrc"), *words]) == 66
    line = capsys.readouterr().err
    assert "ffmpeg -r 50 -i INPUT" in line if words[0] == "--rate" else "leave out --size, --chroma and --bit" in line
    assert not (tmp_path / "o.nvrc").exists()


def test_chroma_and_depth_need_a_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yuv").write_bytes(bytes(48))
    words = ["encode", str(tmp_path / "a.yuv"), "-o", str(tmp_path / "o.nvrc"), "--chroma", "444"]
    assert run(words) == 66
    assert "--size" in capsys.readouterr().err
    training = ("--preset", "draft", "--iterations", "3", "--no-trials", "--threads", "1")
    assert run([*words, "--size", "4x4", "--rate", "12", *training]) == 0


def test_headerless_input_through_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(bytes(range(48))))
    writer.start()
    source = open_source(tmp_path / "pipe", size=(4, 4))
    assert source.frame_count is None
    assert len(list(source)) == 2
    writer.join()
