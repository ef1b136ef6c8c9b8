"""Checkpoints of a training run: written whole or not at all, and only for the encode that wrote them."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nvrc_decoder.errors import InputError, OutputError
from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.training.run import Run

__all__ = [
    "Checkpoint",
    "checkpoint_to_resume",
    "fingerprint",
    "partial_path",
    "read_checkpoint",
    "save_checkpoint",
]

log = logging.getLogger("nvrc_encoder")

_FORMAT = "7"
_VERSION, _SAMPLES = "version", "samples"
_LONGEST_VALUE = 60


def fingerprint(picture: VideoFormat, frames: Sequence[Planes], options: EncodeOptions) -> dict[str, str]:
    """Properties that a checkpoint and the encode that resumes from it must share: name -> value.

    These are the versions of checkpoints and of PyTorch, the format and samples of the video, and all options but
    METADATA, which is only written at the end.
    """
    samples = hashlib.sha256()
    for frame in frames:
        samples.update(str(frame.y.shape).encode())
        for chunk in frame.chunks():
            samples.update(chunk)
    chosen = {name: repr(value) for name, value in vars(options).items() if name != "metadata"}
    chosen["lambda"] = chosen.pop("lagrangian")
    return {
        _VERSION: _FORMAT,
        "PyTorch": str(torch.__version__),
        "size": f"{picture.width}x{picture.height}",
        "rate": str(picture.rate),
        "video format": repr(picture),
        "frames": str(len(frames)),
        _SAMPLES: samples.hexdigest(),
        **chosen,
        "plan": repr(options.plan(len(frames))),
    }


def _differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """The differences of two fingerprints, in words."""
    if found.get(_VERSION) != wanted.get(_VERSION):
        return ["another version of nvrc-ref wrote it"]
    different = []
    for name in dict.fromkeys([*wanted, *found]):
        before, now = found.get(name, "absent"), wanted.get(name, "absent")
        if before == now:
            continue
        if name == _SAMPLES or max(len(before), len(now)) > _LONGEST_VALUE:
            different.append(f"other {name}")
        else:
            different.append(f"{name} {before}, now {now}")
    return different


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read.

    Attributes:
        path: its file.
        key: the `fingerprint` of the encode that wrote it.
        state: the run's state, as of `Run.state`.
    """

    path: Path
    key: Mapping[str, str]
    state: dict[str, Any]

    @property
    def stage(self) -> str | None:
        """Stage of the encode in which it was written."""
        stage: str | None = self.state["memo"].get("stage")
        return stage

    @property
    def place(self) -> str:
        """Position of the run, in words."""
        return str(self.state.get("place", ""))

    def check(self, key: Mapping[str, str]) -> None:
        """Refuse to resume another encode; `key` is the present encode's `fingerprint`.

        Raises:
            InputError: E_CHECKPOINT, it is of another video, other options or other versions.
        """
        different = _differences(self.key, key)
        if different:
            raise InputError(
                "E_CHECKPOINT",
                f"{self.path} belongs to another encode ({'; '.join(different)}): resume with the same frames and "
                "options, or remove it to start again",
            )

    def restore(self, run: Run) -> None:
        """Let `run` continue from here.

        Raises:
            InputError: E_CHECKPOINT, the state does not fit.
        """
        try:
            run.restore(self.state)
        except Exception:
            message = f"{self.path} is damaged: its state does not fit; remove it to start again"
            raise InputError("E_CHECKPOINT", message) from None


def partial_path(path: Path) -> Path:
    """The temporary file that is renamed to `path` when it is complete."""
    return path.with_name(f".{path.name}.partial")


def _open_private(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def save_checkpoint(path: Path, run: Run, key: Mapping[str, str]) -> None:
    """Replace the file at `path` with the run's state. Only one process may do so.

    Raises:
        OutputError: E_OUTPUT, it cannot be written; the earlier file stays.
    """
    partial = partial_path(path)
    try:
        with open(partial, "wb", opener=_open_private) as file:
            torch.save({"key": dict(key), "state": run.state()}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # PyTorch's writer turns a full disk into a RuntimeError
        cause = error if isinstance(error, OSError) else error.__context__
        reason = (cause.strerror or str(cause)) if isinstance(cause, OSError) else "the disk may be full"
        raise OutputError("E_OUTPUT", f"cannot write the checkpoint {path}: {reason}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _check_archive(path: Path) -> None:
    """Check that a file is a sound archive of PyTorch: a ZIP with a checksum for each part."""
    try:
        with open(path, "rb") as file:
            begins = file.read(4) == b"PK\x03\x04"
        with zipfile.ZipFile(path) as archive:
            intact = archive.testzip() is None
    except OSError as error:
        raise InputError("E_CHECKPOINT", f"cannot read the checkpoint {path}: {error.strerror or error}") from None
    except Exception:
        intact = False
    if not begins:
        raise InputError("E_CHECKPOINT", f"{path} is no checkpoint of nvrc-ref: remove it, or name another")
    if not intact:
        raise InputError("E_CHECKPOINT", f"{path} is damaged or cut short: remove it to start again")


def read_checkpoint(path: Path) -> Checkpoint:
    """The content of a checkpoint.

    Raises:
        InputError: E_CHECKPOINT, it is no checkpoint, or damaged.
    """
    _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        key, state = content["key"], content["state"]
        if isinstance(key, str):  # up to version 6
            key = {_VERSION: "6"}
        if not (isinstance(key, dict) and isinstance(state["memo"], dict)):
            raise TypeError
    except Exception:
        raise InputError("E_CHECKPOINT", f"{path} is no checkpoint of nvrc-ref: remove it, or name another") from None
    return Checkpoint(path, key, state)


def checkpoint_to_resume(checkpoint: Path | None, resume: bool) -> Checkpoint | None:
    """The checkpoint to resume from; None to start at the beginning, which is logged where it may surprise.

    Raises:
        InputError: E_CHECKPOINT, as for `read_checkpoint`.
    """
    if checkpoint is None:
        return None
    if not checkpoint.exists():
        if resume:
            log.info("there is no checkpoint %s: the encode starts at the beginning", checkpoint)
        return None
    if resume:
        return read_checkpoint(checkpoint)
    log.warning(
        "checkpoint %s will be overwritten; use --resume to continue it (same frames and options)",
        checkpoint,
    )
    return None
