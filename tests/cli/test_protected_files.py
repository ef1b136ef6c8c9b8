"""Files named by mistake are not overwritten: inputs as outputs, folders with other frames."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from case_choice import full_except
from waiting import wait_until

from nvrc_output.files import spare_inputs
from nvrc_ref.main import run

STREAM = Path(__file__).parents[2] / "conformance" / "streams" / "nano-sparse.nvrc"
TWO_GOPS = STREAM.with_name("nano-two-gops.nvrc")
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
        assert "is an input" in capsys.readouterr().err
    assert stream.read_bytes() == STREAM.read_bytes()


@pytest.mark.parametrize("option", ["-o", "--report", "--checkpoint"])
def test_a_clip_is_not_encoded_over_itself(clip: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    before = clip.read_bytes()
    more = [] if option == "-o" else ["-o", clip.with_suffix(".nvrc")]
    assert call("encode", clip, option, clip, *more, "--iterations", 1, "--quiet") == 74
    assert "is an input" in capsys.readouterr().err
    assert clip.read_bytes() == before


def test_devices_and_pipes_are_not_inputs(tmp_path: Path) -> None:
    spare_inputs([str(tmp_path / "new"), "-", None, "/dev/null"], [str(STREAM), "-", "/dev/null"])


def test_a_report_needs_an_existing_folder(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_folder_named_like_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a.y4m"
    folder.mkdir()
    assert call("decode", STREAM, "-o", folder) == 74
    assert "is a directory" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_an_interrupted_import_exits_with_130(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "from nvrc_ref import main\nmain.group.invoke = lambda context: exec('raise KeyboardInterrupt')\nmain.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "interrupted", "info", str(STREAM)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("raised", "code"), [("os.kill(os.getpid(), signal.SIGTERM)", 143), ("raise KeyboardInterrupt", 130)]
)
def test_a_signal_hidden_by_a_library_still_ends_it(tmp_path: Path, raised: str, code: int) -> None:
    (tmp_path / "hidden.py").write_text(
        "import os, signal\nfrom nvrc_ref import main\n\ndef hide(context):\n"
        f"    try:\n        {raised}\n    except BaseException:\n        raise ImportError('cv2')\n\n"
        "main.group.invoke = hide\nmain.main()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-m", "hidden", "info", str(STREAM)], capture_output=True, env=environment)
    assert done.returncode == code


# Says when the training has begun; the small encode behind the estimate has fewer iterations.
TOLD_ENCODE = """
import sys
from nvrc_encoder.training.run import Run
from nvrc_ref.main import main

honest = Run.advance

def advance(run):
    progress = honest(run)
    if run.iteration == 30:
        print("trained", file=sys.stderr, flush=True)
    return progress

Run.advance = advance
main()
"""


@pytest.mark.parametrize(
    ("sent", "code"),
    full_except([(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)], (signal.SIGINT, 130)),
)
def test_a_signal_leaves_the_checkpoint_only(clip: Path, sent: signal.Signals, code: int) -> None:
    pytest.importorskip("torch")
    words = ["encode", str(clip), "-o", str(clip.with_suffix(".nvrc")), "--iterations", "1000000", "--no-trials"]

    def heed() -> None:  # a background job inherits ignored signals
        signal.signal(sent, signal.SIG_DFL)

    process = subprocess.Popen(
        [sys.executable, "-c", TOLD_ENCODE, *words], stderr=subprocess.PIPE, text=True, preexec_fn=heed
    )
    try:
        assert process.stderr is not None
        while (line := process.stderr.readline()) != "trained\n":
            assert line
        process.send_signal(sent)
        last = process.communicate(timeout=60)[1].splitlines()[-1]
        assert process.returncode == code
    finally:
        process.kill()
        process.wait()
    assert last.endswith("/1000000; continue with the same command and --resume")
    assert {path.name for path in clip.parent.iterdir()} == {"a.y4m", "a.nvrc.checkpoint"}


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "words", [["decode", "-", "-o", "a.y4m"], ["decode", "-", "-o", "a"], ["export", "-", "-o", "a"]]
)
def test_a_signal_leaves_no_partial_output(tmp_path: Path, words: list[str], sent: signal.Signals) -> None:
    def heed() -> None:
        signal.signal(sent, signal.SIG_DFL)

    command = [sys.executable, "-m", "nvrc_ref", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed)
    try:
        assert process.stdin is not None
        process.stdin.write(TWO_GOPS.read_bytes()[:-200])
        process.stdin.flush()
        wait_until(lambda: list(tmp_path.glob(".a.partial*")))
        process.send_signal(sent)
        assert process.wait(60) == 128 + sent
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.iterdir()) == []


def _closed(*descriptors: int) -> Callable[[], None]:
    return lambda: [os.close(descriptor) for descriptor in descriptors] and None


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_do_not_harm_files(tmp_path: Path, closed: tuple[int, ...]) -> None:
    command = [sys.executable, "-m", "nvrc_ref", "decode", str(STREAM), "-o", str(tmp_path / "a.y4m")]
    assert subprocess.run(command, preexec_fn=_closed(*closed)).returncode == 0
    assert run(["decode", str(STREAM), "-o", str(tmp_path / "b.y4m")]) == 0
    assert (tmp_path / "a.y4m").read_bytes() == (tmp_path / "b.y4m").read_bytes()


@pytest.mark.parametrize(
    ("words", "closed", "code", "told"),
    [
        (["info", str(STREAM)], 1, 74, "error[E_IO] the standard output is closed\n"),
        (["decode", str(STREAM), "-o", "-"], 1, 74, "error[E_IO] the standard output is closed\n"),
        (["verify", str(STREAM)], 1, 0, ""),
        (["verify", str(STREAM)], 2, 0, ""),
        (["info", "-"], 0, 66, "error[E_NO_INPUT] the standard input is closed\n"),
        (["encode", "-", "-o", "a.nvrc"], 0, 66, "error[E_NO_INPUT] the standard input is closed\n"),
        (["nonsense"], 2, 2, ""),
    ],
)
def test_closed_streams_are_not_internal_errors(
    tmp_path: Path, words: list[str], closed: int, code: int, told: str
) -> None:
    if words[0] == "encode":
        pytest.importorskip("torch")
    command = [sys.executable, "-m", "nvrc_ref", *words]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=_closed(closed), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (code, told)


def test_a_full_stdout_after_writing_is_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nvrc_ref", "decode", str(STREAM), "-o", str(tmp_path / "a.y4m")]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert done.stderr == "warning: cannot write to the standard output: No space left on device\n"
