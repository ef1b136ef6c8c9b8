"""Encodes that end early or meet a full disk or a closed terminal: what is kept, and how to resume."""

from __future__ import annotations

import errno
import os
import pty
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from case_choice import full_except

from nvrc_ref.main import run
from nvrc_ref.signals import TerminatedError, terminable

pytest.importorskip("torch")
import torch
from encoder_cases import ONE_GRID_WORDS

loop = pytest.importorskip("nvrc_encoder.training.loop")
choose = pytest.importorskip("nvrc_encoder.training.structure_search")
run_module = pytest.importorskip("nvrc_encoder.training.run")

MODULE = [sys.executable, "-m", "nvrc_ref"]
SHORT = ["--iterations", "8", "--quiet", "--threads", "1", *ONE_GRID_WORDS]


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a.y4m"
    frames = (b"FRAME\n" + bytes((7 * i * i + 31 * t) % 256 for i in range(384)) for t in range(3))
    path.write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n" + b"".join(frames))
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def handlers() -> Iterator[None]:
    """The signal handlers that `main` installs."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    # A background job, or one under nohup, ignores some signals.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in numbers[1:]:
        signal.signal(number, signal.SIG_DFL)
    terminable()
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def encode(*more: object) -> int:
    return run(["encode", "a.y4m", "-o", "b.nvrc", *SHORT, *map(str, more)])


def names() -> set[str]:
    return {path.name for path in Path.cwd().iterdir()}


def at_iteration(monkeypatch: pytest.MonkeyPatch, iteration: int, act: Callable[[], object]) -> None:
    """Call a function in the middle of a training step."""
    honest = run_module.Run.advance

    def advance(self: Any) -> object:
        if self.iteration == iteration:
            act()
        return honest(self)

    monkeypatch.setattr(run_module.Run, "advance", advance)


def full_disk(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def replace_but_the_stream(source: Path, target: Path) -> None:
    """A disk that has no space for the stream while the checkpoint exists."""
    if str(target) == "b.nvrc" and Path("b.nvrc.checkpoint").exists():
        full_disk()
    os.rename(source, target)


@pytest.mark.parametrize(
    ("sent", "code"),
    full_except([(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], (signal.SIGINT, 130)),
)
def test_a_signal_saves_a_checkpoint_to_resume(
    clip: Path,
    handlers: None,
    sent: signal.Signals,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert encode("--no-trials") == 0
    whole = Path("b.nvrc").read_bytes()
    Path("b.nvrc").unlink()
    with monkeypatch.context() as patch:
        at_iteration(patch, 4, lambda: signal.raise_signal(sent))
        capsys.readouterr()
        assert encode("--no-trials") == code
    assert capsys.readouterr().err.endswith("ed at 5/8; continue with the same command and --resume\n")
    assert names() == {"a.y4m", "b.nvrc.checkpoint"}
    assert encode("--no-trials", "--resume") == 0
    assert Path("b.nvrc").read_bytes() == whole
    assert names() == {"a.y4m", "b.nvrc"}


def test_a_second_interrupt_ends_at_once(
    clip: Path, handlers: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def impatient(content: object, file: Any) -> None:
        file.write(b"half")
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:

        def interrupt() -> None:
            patch.setattr(torch, "save", impatient)
            signal.raise_signal(signal.SIGINT)

        at_iteration(patch, 4, interrupt)
        assert encode("--no-trials") == 130
    assert capsys.readouterr().err.endswith("interrupted at 1/8; continue with the same command and --resume\n")
    assert names() == {"a.y4m", "b.nvrc.checkpoint"}
    assert encode("--no-trials", "--resume") == 0


def test_an_interrupt_on_a_full_disk_reports_the_loss(
    clip: Path, handlers: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(content: object, file: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    at_iteration(monkeypatch, 4, lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(torch, "save", full)
    assert encode("--no-trials") == 130
    said = capsys.readouterr().err
    assert "No space left on device\n" in said
    assert "goes on" not in said
    assert said.endswith("nothing is kept: no checkpoint could be written, --checkpoint puts it elsewhere\n")
    assert names() == {"a.y4m"}


def test_an_interrupt_during_trials_keeps_nothing(
    clip: Path, handlers: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(choose, "_tried", lambda *arguments: signal.raise_signal(signal.SIGINT))
    assert encode() == 130
    assert capsys.readouterr().err == "interrupted; there was nothing worth keeping yet\n"
    assert names() == {"a.y4m"}
    # The pilot is kept.
    assert encode("--target-psnr", 30) == 130
    assert capsys.readouterr().err == (
        "interrupted at the end of the pilot; continue with the same command and --resume\n"
    )
    assert names() == {"a.y4m", "b.nvrc.checkpoint"}


def test_an_interrupt_without_checkpoint_says_so(
    clip: Path, handlers: None, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    at_iteration(monkeypatch, 4, lambda: signal.raise_signal(signal.SIGINT))
    assert run(["encode", "a.y4m", "-o", "-", *SHORT, "--no-trials"]) == 130
    assert capsysbinary.readouterr() == (b"", b"interrupted; nothing is kept: there was no --checkpoint\n")


def test_a_signal_ignored_by_the_parent_is_ignored(handlers: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    terminable()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with pytest.raises(TerminatedError) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.exit_code == 143


def test_a_full_disk_only_costs_the_checkpoint(
    clip: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "save", full_disk)
    train = loop.train
    monkeypatch.setattr("nvrc_encoder.encoding.train", lambda *args, **more: train(*args, **{**more, "every": 1e-9}))
    assert encode("--no-trials") == 0
    assert caplog.text.count("cannot write the checkpoint b.nvrc.checkpoint: No space left on device") == 1
    assert names() == {"a.y4m", "b.nvrc"}


def test_a_failed_stream_leaves_the_checkpoint(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace_but_the_stream)
        patch.setattr(tempfile, "mkstemp", full_disk)
        assert encode("--no-trials") == 74
    error = capsys.readouterr().err
    assert (
        "No space left on device; b.nvrc.checkpoint holds the state at the end of the training: "
        "fix the cause, then continue with" in error
    )
    assert names() == {"a.y4m", "b.nvrc.checkpoint"}
    at_iteration(monkeypatch, 8, lambda: pytest.fail("nothing is left to train"))
    assert encode("--no-trials", "--resume") == 0
    assert names() == {"a.y4m", "b.nvrc"}


def test_a_checkpoint_yields_its_space_to_the_stream(
    clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    monkeypatch.setattr(os, "replace", replace_but_the_stream)
    assert encode("--no-trials") == 0
    assert names() == {"a.y4m", "b.nvrc"}
    assert list(other.iterdir()) == []


def test_a_stream_survives_its_removed_folder(
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path_factory.mktemp("other")
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    Path("out").mkdir()
    at_iteration(monkeypatch, 4, lambda: os.rename("out", "away"))
    assert run(["encode", "a.y4m", "-o", "out/b.nvrc", *SHORT, "--no-trials"]) == 74
    (kept,) = other.iterdir()
    assert f"the stream is in {kept} instead" in capsys.readouterr().err
    assert run(["verify", str(kept)]) == 0


def test_an_unwritable_report_is_a_warning(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    at_iteration(monkeypatch, 4, lambda: Path("out").rmdir())
    assert encode("--no-trials", "--report", "out/x.json") == 0
    assert "warning: the report was not written: the folder out does not exist" in capsys.readouterr().err
    assert names() == {"a.y4m", "b.nvrc"}


@pytest.mark.full
def test_an_encode_survives_a_closed_terminal(clip: Path) -> None:
    terminal, end = pty.openpty()

    def deaf() -> None:  # as under `nohup`
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    words = ["encode", "a.y4m", "-o", "b.nvrc", "--iterations", "30", "--threads", "1", "--no-trials"]
    process = subprocess.Popen([*MODULE, *words], stdin=end, stdout=end, stderr=end, preexec_fn=deaf)
    os.close(end)
    os.close(terminal)
    assert process.wait(120) == 0
    assert names() == {"a.y4m", "b.nvrc"}


@pytest.mark.full
def test_an_encode_survives_a_closed_stderr(clip: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = ["encode", "a.y4m", "-o", "b.nvrc", "--iterations", "3", "--threads", "1", "--no-trials"]
    assert subprocess.run([*MODULE, *words], stdout=subprocess.DEVNULL, stderr=writer).returncode == 0
    os.close(writer)
    assert names() == {"a.y4m", "b.nvrc"}


def test_a_missed_target_is_reported_with_its_cause(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert encode("--no-trials", "--target-size", 90) == 0
    error = capsys.readouterr().err
    assert "warning: the target of 90 bytes is missed by +" in error
    assert "headers and networks alone take" in error
