"""What users name by mistake is not lost: inputs as outputs, folders with other frames, reports without a folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nvrc_ref.main import run
from nvrc_ref.output.files import spare_inputs

STREAM = Path(__file__).parents[2] / "conformance" / "streams" / "nano-sparse.nvrc"
HEADER = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n"
FRAME = b"FRAME\n" + bytes(range(128)) * 3


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "a.y4m"
    path.write_bytes(HEADER + 8 * FRAME)
    return path


def test_a_stream_is_not_decoded_over_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream, link = tmp_path / "a.nvrc", tmp_path / "b.nvrc"
    shutil.copy(STREAM, stream)
    link.symlink_to(stream)
    for output in (stream, link):
        assert call("decode", stream, "-o", output, "--format", "yuv") == 74
        assert "is the input" in capsys.readouterr().err
    assert stream.read_bytes() == STREAM.read_bytes()


@pytest.mark.parametrize("option", ["-o", "--report", "--checkpoint"])
def test_a_clip_is_not_encoded_over_itself(clip: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    before = clip.read_bytes()
    more = [] if option == "-o" else ["-o", clip.with_suffix(".nvrc")]
    assert call("encode", clip, option, clip, *more, "--iterations", 1, "--quiet") == 74
    assert "is the input" in capsys.readouterr().err
    assert clip.read_bytes() == before


def test_other_files_and_pipes_are_no_inputs(tmp_path: Path) -> None:
    spare_inputs([str(tmp_path / "new"), "-", None, "/dev/null"], [str(STREAM), "-", "/dev/null"])


def test_a_report_without_a_folder_is_refused_before_the_training(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    output = tmp_path / "a.nvrc"
    assert call("encode", clip, "-o", output, "--iterations", 10**6, "--report", tmp_path / "no" / "x.json") == 74
    assert "does not exist" in capsys.readouterr().err
    assert not output.exists()


def test_nodes_farther_apart_than_keys_are_refused(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("encode", clip, "-o", clip.with_suffix(".nvrc"), "--key-spacing", 4, "--node-spacing", 8) == 2
    assert "no larger than key_spacing" in capsys.readouterr().err


def test_frames_of_two_streams_do_not_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    assert call("decode", STREAM, "-o", folder) == 0
    before = sorted(folder.iterdir())
    assert call("decode", STREAM, "-o", folder, "--frames", 1) == 74
    assert "already has frames" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_a_folder_with_the_name_of_a_file_gets_no_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a.y4m"
    folder.mkdir()
    assert call("decode", STREAM, "-o", folder) == 74
    assert "is a directory" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_an_interrupt_in_the_middle_of_an_import_has_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "from nvrc_ref import main\nmain.group.invoke = lambda context: exec('raise KeyboardInterrupt')\nmain.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "interrupted", "info", str(STREAM)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_nothing_but_the_checkpoint(clip: Path, sent: signal.Signals, code: int) -> None:
    pytest.importorskip("torch")
    words = ["encode", str(clip), "-o", str(clip.with_suffix(".nvrc")), "--iterations", "1000000", "--no-trials"]

    def heed() -> None:  # a background job inherits a deaf ear
        signal.signal(sent, signal.SIG_DFL)

    process = subprocess.Popen([sys.executable, "-m", "nvrc_ref", *words], stderr=subprocess.DEVNULL, preexec_fn=heed)
    try:
        deadline = time.monotonic() + 60
        while not list(clip.parent.glob(".a.*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(sent)
        assert process.wait(60) == code
    finally:
        process.kill()
        process.wait()
    assert {path.name for path in clip.parent.iterdir()} <= {"a.y4m", "a.nvrc.checkpoint"}
