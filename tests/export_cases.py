"""What the tests of `export` share: models of golden streams, and the MD5s of their frames."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.export import Exported, export_video
from nvrc_decoder.synthesis.cuda.providers import import_onnxruntime
from nvrc_ref.main import run

MANIFEST = load_manifest()


def call(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


def path_of(name: str) -> Path:
    return MANIFEST.file(MANIFEST.stream(name))


def export(name: str, **options: Any) -> tuple[bytes, Exported]:
    output = io.BytesIO()
    exported = export_video(io.BytesIO(MANIFEST.read(name)), output, threads=1, **options)
    return output.getvalue(), exported


def session_of(model: bytes) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 2  # an unused initializer prints a warning
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def md5s(session: Any, frames: Iterable[int]) -> list[str]:
    """MD5 of each frame of one call."""
    planes = session.run(None, {"frame": np.array(list(frames))})
    return [hashlib.md5(b"".join(part.tobytes() for part in parts)).hexdigest() for parts in zip(*planes, strict=True)]
