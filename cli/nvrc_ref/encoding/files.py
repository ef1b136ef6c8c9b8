"""The files of an encode: checked before the training, and kept safe however it ends."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from nvrc_decoder.errors import OutputError
from nvrc_output.files import (
    atomic_file,
    check_target,
    is_special,
    only_writer,
    prove_writable,
    spare_inputs,
    unfinished,
)
from nvrc_output.text import note
from nvrc_ref.signals import TerminatedError, signals_deferred

if TYPE_CHECKING:
    from nvrc_encoder.training.interruption import Interruption

__all__ = ["check_files", "open_joined_file", "open_stream_file", "write_report"]

_CONTINUE = "continue with the same command and --resume"


def check_files(
    source: str, output: str, report: str | None, checkpoint: str | None, *, resume: bool, as_json: bool
) -> Path | None:
    """Refuse outputs that cannot be written or would overwrite something, before a frame is read.

    Returns:
        The checkpoint's path; None if no checkpoint is written.

    Raises:
        click.UsageError: two outputs or a checkpoint would go to the standard output, or --resume has no checkpoint.
        OutputError: E_OUTPUT or E_IO, as for `spare_inputs` and `prove_writable`.
    """
    if (output == "-") + (report == "-") + as_json > 1:
        raise click.UsageError("the stream, --report and --json: only one of them can go to the standard output")
    if checkpoint == "-":
        raise click.UsageError("a checkpoint cannot go to the standard output: name a file")
    state = checkpoint
    if checkpoint is None and output != "-" and not is_special(Path(output)):
        state = f"{output}.checkpoint"
    if state is None and resume:
        raise click.UsageError("--resume with the stream on the standard output needs --checkpoint FILE")
    spare_inputs([output, report, state], [source])
    for target in (output, report, state):
        if target not in (None, "-"):
            prove_writable(Path(target))
    if state is None:
        return None
    check_target(Path(state))
    if is_special(Path(state)):
        raise OutputError("E_OUTPUT", f"{state} is a device, which cannot hold a checkpoint: name a file")
    return Path(state)


@contextmanager
def open_stream_file(output: str, checkpoint: Path | None) -> Iterator[tuple[BinaryIO, Interruption]]:
    """Yield a file for the stream and the interruption that signals go to; write `output` and remove the checkpoint.

    If the encode does not finish, the error says what is kept and how to resume.
    """
    from nvrc_encoder.training.checkpoint import partial_path
    from nvrc_encoder.training.interruption import Interruption

    interruption, stream = Interruption(), io.BytesIO()
    try:
        with (
            nullcontext() if checkpoint is None else only_writer(checkpoint),
            nullcontext() if checkpoint is None else unfinished(partial_path(checkpoint)),
        ):
            with atomic_file(output) as file, signals_deferred(interruption):
                yield stream, interruption
                file.write(stream.getbuffer())
            _discard(checkpoint)
    except OutputError as error:
        if not (stream.tell() and _second_try(stream, output, checkpoint)):
            raise OutputError(error.code, error.message + _left(stream, checkpoint, interruption.kept)) from error
    except (KeyboardInterrupt, TerminatedError) as stop:
        stop.args = (_ended(stop, interruption, checkpoint),)
        raise


@contextmanager
def open_joined_file(output: str, folder: Path, *, kept: bool) -> Iterator[tuple[BinaryIO, Interruption]]:
    """Yield a file that becomes `output`, and the interruption that signals go to.

    If the encode does not finish, the error says what is kept and how to resume.

    Args:
        output: the stream, or ``-``.
        folder: the folder of the segments, which no other process may use meanwhile.
        kept: whether the folder stays if the encode does not finish; when `output` is safe, it is removed.
    """
    from nvrc_encoder.segments.workspace import Workspace
    from nvrc_encoder.training.interruption import Interruption

    interruption = Interruption()
    try:
        with only_writer(folder, folder=True):
            with atomic_file(output) as file, signals_deferred(interruption):
                yield file, interruption
            if kept:  # while locked: from then on the folder may be another process's
                Workspace(folder, resume=True).remove()
    except OutputError as error:
        rest = f"; {folder} holds what is encoded: fix the cause, then {_CONTINUE}" if kept else ""
        raise OutputError(error.code, error.message + rest) from error
    except (KeyboardInterrupt, TerminatedError) as stop:
        if not kept:
            interruption.kept = None
        stop.args = (_ended(stop, interruption, folder if kept else None),)
        raise


def _ended(stop: BaseException, interruption: Interruption, checkpoint: Path | None) -> str:
    """The message of an interrupted encode: how it ended, and what is kept."""
    word = "interrupted" if isinstance(stop, KeyboardInterrupt) else "terminated"
    if interruption.kept is not None:
        return f"{word} at {interruption.kept}; {_CONTINUE}"
    if checkpoint is None:
        return f"{word}; nothing is kept: there was no --checkpoint"
    if interruption.failed:
        return f"{word}; nothing is kept: no checkpoint could be written, --checkpoint puts it elsewhere"
    return f"{word}; there was nothing worth keeping yet"


def _second_try(stream: io.BytesIO, output: str, checkpoint: Path | None) -> bool:
    """Remove the checkpoint, which may fill the disk, and write the stream again; whether that worked.

    A copy of the stream is made first.
    """
    if output == "-" or checkpoint is None or not checkpoint.exists():
        return False
    if checkpoint.stat().st_dev != Path(output).absolute().parent.stat().st_dev:
        return False
    copy = _copied(stream)
    if copy is None:
        return False
    checkpoint.unlink()
    try:
        with atomic_file(output) as file:
            file.write(stream.getbuffer())
    except OutputError as error:
        raise OutputError(error.code, f"{error.message}; the stream is in {copy} instead") from error
    copy.unlink()
    return True


def _copied(stream: io.BytesIO) -> Path | None:
    """A copy in the folder for temporary files; None if that is full too."""
    try:
        handle, name = tempfile.mkstemp(prefix="nvrc-ref-", suffix=".nvrc")
    except OSError:
        return None
    try:
        with open(handle, "wb") as file:
            file.write(stream.getbuffer())
    except OSError:
        Path(name).unlink()
        return None
    return Path(name)


def _left(stream: io.BytesIO, checkpoint: Path | None, kept: str | None) -> str:
    """What is kept of an encode whose stream could not be written, and how to get it."""
    if kept is not None and checkpoint is not None and checkpoint.exists():
        return f"; {checkpoint} holds the state at {kept}: fix the cause, then {_CONTINUE}"
    if not stream.tell():
        return ""
    copy = _copied(stream)
    return "; the stream is lost" if copy is None else f"; the stream is in {copy} instead"


def _discard(checkpoint: Path | None) -> None:
    if checkpoint is not None:
        try:
            checkpoint.unlink(missing_ok=True)
        except OSError as error:
            note(f"warning: cannot remove the checkpoint {checkpoint}, which is not needed any more: {error.strerror}")


def write_report(report: str | None, document: dict[str, Any]) -> None:
    """Write the report. The stream is complete by now, so a report that cannot be written is only a warning."""
    if report is None:
        return
    try:
        with atomic_file(report) as file:
            file.write(json.dumps(document, indent=2).encode())
    except OutputError as error:
        note(f"warning: the report was not written: {error.message}")
