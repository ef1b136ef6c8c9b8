"""Names of outputs: those that overwrite a file or cannot be written are refused before any work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nvrc_decoder.errors import OutputError
from nvrc_output.files import (
    atomic_directory,
    atomic_file,
    atomic_path,
    only_writer,
    remove_unfinished,
    spare_inputs,
    unfinished,
)
from nvrc_ref.main import run

STREAM = Path(__file__).parents[2] / "conformance" / "streams" / "nano-two-gops.nvrc"
LATE = ["--iterations", "1000000", "--quiet"]


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n" + 4 * (b"FRAME\n" + bytes(range(128)) * 3))
    monkeypatch.chdir(tmp_path)
    return path


def _alias(path: Path, kind: str) -> str:
    """Another name of a file in the current folder."""
    if kind == "dot":
        return f"./{path.name}"
    if kind == "up":
        return f"../{path.parent.name}/{path.name}"
    link = path.with_name("link")
    if kind == "symbolic":
        link.symlink_to(path)
    elif kind == "folder":
        link.symlink_to(path.parent)
        return f"link/{path.name}"
    else:
        path.touch()
        os.link(path, link)
    return link.name


@pytest.mark.parametrize("kind", ["dot", "up", "symbolic", "folder", "hard"])
@pytest.mark.parametrize("option", ["--report", "--checkpoint"])
def test_two_outputs_need_two_files(clip: Path, option: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    stream = clip.with_name("b.nvrc")
    assert call("encode", clip, "-o", "b.nvrc", option, _alias(stream, kind), *LATE) == 74
    assert "two outputs would go to" in capsys.readouterr().err


def test_the_default_checkpoint_is_an_output(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert call("encode", clip, "-o", "b.nvrc", "--report", "./b.nvrc.checkpoint", *LATE) == 74
    assert "two outputs would go to" in capsys.readouterr().err
    clip.rename("b.nvrc.checkpoint")
    assert call("encode", "b.nvrc.checkpoint", "-o", "b.nvrc", *LATE) == 74
    assert "is an input" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["dot", "symbolic", "hard"])
def test_join_and_bench_keep_their_inputs(clip: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    stream = clip.with_name("a.nvrc")
    shutil.copy(STREAM, stream)
    other = _alias(stream, kind)
    assert call("join", STREAM, "a.nvrc", "-o", other) == 74
    assert call("bench", "decode", "a.nvrc", "--json", other) == 74
    assert capsys.readouterr().err.count("is an input") == 2
    assert stream.read_bytes() == STREAM.read_bytes()
    assert call("bench", "decode", "a.nvrc", "--json", "x.json", "--baseline-video", "./x.json") == 74


def test_bench_keeps_the_files_it_reads(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    Path("out").mkdir()
    Path("out/results.json").write_text("{}")
    assert call("bench", clip, "-o", "out", "--import", "out/results.json") == 74
    assert "is an input" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["decode", str(STREAM), "-o", ""],
        ["decode", str(STREAM), "--output="],
        ["export", str(STREAM), "-o", ""],
        ["join", str(STREAM), "-o", ""],
        ["encode", "a.y4m", "-o", ""],
        ["encode", "a.y4m", "-o", "b.nvrc", "--report", ""],
        ["encode", "a.y4m", "-o", "b.nvrc", "--checkpoint="],
        ["bench", "decode", str(STREAM), "--json", ""],
        ["bench", "decode", str(STREAM), "--plot="],
        ["bench", "a.y4m", "-o", ""],
        ["verify", ""],
    ],
)
def test_an_empty_name_is_refused(clip: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*words) == 2
    assert "is empty" in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == [clip]


@pytest.mark.parametrize("option", ["-o", "--report", "--checkpoint"])
@pytest.mark.parametrize("name", ["no/x", "folder", "file/x"])
def test_every_output_is_checked_before_training(
    clip: Path, option: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    Path("folder").mkdir()
    Path("file").touch()
    more = [] if option == "-o" else ["-o", "b.nvrc"]
    assert call("encode", clip, option, name, *more, *LATE) == 74
    assert capsys.readouterr().err.startswith("error[E_OUTPUT]")
    assert {path.name for path in Path.cwd().iterdir()} == {"a.y4m", "folder", "file"}


@pytest.mark.parametrize("option", ["-o", "--report", "--checkpoint"])
def test_unwritable_folders_are_refused_at_once(clip: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    if not os.path.isdir("/sys"):
        pytest.skip("needs a folder in which nobody can make a file")
    more = [] if option == "-o" else ["-o", "b.nvrc"]
    assert call("encode", clip, option, "/sys/x.nvrc", *more, *LATE) == 74
    assert capsys.readouterr().err.startswith("error[E_IO] writing /sys/x.nvrc failed")
    assert list(Path.cwd().iterdir()) == [clip]


def test_a_device_cannot_hold_a_checkpoint(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert call("encode", clip, "-o", "b.nvrc", "--checkpoint", "/dev/null", *LATE) == 74
    assert "is a device" in capsys.readouterr().err
    assert Path("/dev/null").is_char_device()
    assert call("encode", clip, "-o", "b.nvrc", "--checkpoint", "-", *LATE) == 2
    assert call("encode", clip, "-o", "-", "--report", "-", *LATE) == 2


def test_the_second_writer_of_a_file_is_refused(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    for name in ("b.nvrc", "b.nvrc.checkpoint"):
        with only_writer(Path(name)):
            assert call("encode", clip, "-o", "./b.nvrc", "--resume", *LATE) == 74
            assert f"another process is writing {name}" in capsys.readouterr().err
    with only_writer(Path("b.y4m")):
        assert call("decode", STREAM, "-o", "b.y4m") == 74
    with only_writer(Path("frames"), folder=True):
        assert call("decode", STREAM, "-o", "frames") == 74
    assert list(Path.cwd().iterdir()) == [clip]


def test_a_lock_of_a_killed_process_is_void(clip: Path) -> None:
    Path(".b.y4m.lock").touch()
    Path(".b.partial.y4m").write_bytes(b"half")
    Path(".frames.partial").mkdir()
    Path(".frames.partial/x").touch()
    assert call("decode", STREAM, "-o", "b.y4m") == 0
    assert call("decode", STREAM, "-o", "frames") == 0
    assert {path.name for path in Path.cwd().iterdir()} == {"a.y4m", "b.y4m", "frames"}
    assert all(path.name.startswith("frame_") for path in Path("frames").iterdir())


def test_a_lock_stays_with_its_next_owner(tmp_path: Path) -> None:
    target = tmp_path / "x"
    with only_writer(target):
        with pytest.raises(OutputError, match="another process"), only_writer(target):
            pass
        with pytest.raises(OutputError, match="another process"), atomic_path(target):
            pass
    with only_writer(target):
        assert (tmp_path / ".x.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_exit_removes_unfinished_outputs(tmp_path: Path) -> None:
    left, folder = unfinished(tmp_path / "a"), unfinished(tmp_path / "b")
    left.__enter__().touch()
    folder.__enter__().mkdir()
    (tmp_path / "b" / "c").touch()
    remove_unfinished()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_name_is_refused_for_a_file(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("join", STREAM, "-o", "new/") == 74
    assert "is the name of a folder" in capsys.readouterr().err
    assert list(Path.cwd().iterdir()) == [clip]
    with pytest.raises(OutputError), atomic_directory(Path("/")):
        pass


def test_names_of_open_files_are_written_in_place(tmp_path: Path) -> None:
    with open(tmp_path / "x", "wb") as target, atomic_file(f"/proc/self/fd/{target.fileno()}") as file:
        file.write(b"abc")
    assert (tmp_path / "x").read_bytes() == b"abc"
    spare_inputs(["/dev/stdout", "/dev/stdout"], ["/dev/stdin"])


@pytest.mark.parametrize("words", [["-o", "/dev/stdout"], ["--output=/dev/stdout"], ["-o", "/dev/fd/1"]])
def test_device_names_of_stdout_mean_stdout(clip: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "nvrc_ref", "join", str(STREAM), *words]
    with open("out.nvrc", "wb") as file:
        assert subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL).returncode == 0
    assert call("join", STREAM, "-o", "b.nvrc") == 0
    assert Path("out.nvrc").read_bytes() == Path("b.nvrc").read_bytes()


@pytest.mark.parametrize(("name", "kind"), [("a.mp4", "yuv"), ("a.yuv", "y4m"), ("a.y4m", "png"), ("a.PNG", "mp4")])
def test_a_format_must_match_the_suffix(
    tmp_path: Path, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("decode", STREAM, "-o", tmp_path / name, "--format", kind) == 2
    assert "contradicts" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", [3, 4])
def test_a_start_after_the_last_frame_exits_with_66(
    tmp_path: Path, start: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for output in (tmp_path / "a.y4m", tmp_path / "frames"):
        assert call("decode", STREAM, "-o", output, "--start", start) == 66
        assert f"there is no frame {start}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
