"""Checkpoints of a training run: written whole or not at all, taken up only by the encode that they belong to."""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from nvrc_decoder.errors import InputError, OutputError
from nvrc_decoder.frames import Planes
from nvrc_decoder.video_format import VideoFormat

from .options import EncodeOptions
from .run import Progress, Run

__all__ = ["CHECKPOINT_SECONDS", "fingerprint", "load_checkpoint", "save_checkpoint", "train"]

CHECKPOINT_SECONDS = 30.0
"""Seconds of training between two checkpoints."""
_FORMAT = 6


def fingerprint(picture: VideoFormat, frames: Sequence[Planes], options: EncodeOptions) -> str:
    """What a checkpoint must agree on with the run that takes it up: format and samples, options, PyTorch's version."""
    digest = hashlib.sha256(f"{_FORMAT} {torch.__version__} {picture} {options} {options.plan()}".encode())
    for frame in frames:
        digest.update(str(frame.y.shape).encode())
        for chunk in frame.chunks():
            digest.update(chunk)
    return digest.hexdigest()


def save_checkpoint(path: Path, run: Run, key: str) -> None:
    """Replace the file at `path` by the run's state.

    Raises:
        OutputError: E_OUTPUT, it cannot be written; the earlier file stays.
    """
    name = ""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            name = file.name
            torch.save({"key": key, "state": run.state()}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError as error:
        if name:
            Path(name).unlink(missing_ok=True)
        raise OutputError("E_OUTPUT", f"cannot write the checkpoint {path}: {error.strerror or error}") from None


def load_checkpoint(path: Path, key: str) -> dict[str, Any]:
    """The state in a checkpoint.

    Raises:
        InputError: E_CHECKPOINT, it is no checkpoint, or one of another video, other options or another PyTorch.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found, state = content["key"], content["state"]
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError("E_CHECKPOINT", f"{path} is not a checkpoint that can be read: {reason}") from None
    if found != key:
        raise InputError(
            "E_CHECKPOINT",
            f"{path} belongs to another encode (other frames, options or PyTorch): remove it to start again",
        )
    if not isinstance(state, dict):
        raise InputError("E_CHECKPOINT", f"{path} holds no training state")
    return state


def train(
    run: Run,
    report: Callable[[Progress], None] | None = None,
    *,
    path: Path | None = None,
    key: str = "",
    every: float = CHECKPOINT_SECONDS,
) -> None:
    """Finish a run, with a checkpoint every so often and at its end.

    Args:
        run: fresh or restored.
        report: called with each `Progress`.
        path: where checkpoints go; None for none.
        key: of `fingerprint`.
        every: seconds between checkpoints.
    """
    saved = time.monotonic()
    while not run.done:
        progress = run.advance()
        if path is not None and (run.done or time.monotonic() - saved >= every):
            save_checkpoint(path, run, key)
            saved = time.monotonic()
        if progress is not None and report is not None:
            report(progress)
