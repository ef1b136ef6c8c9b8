"""One point of a run: encode, decode, measure; its result is a file of its own."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvrc_bench.rd.clips import Clip
from nvrc_bench.rd.codecs.base import Codec
from nvrc_bench.rd.process import Execution, Runner
from nvrc_bench.rd.quality import compare
from nvrc_decoder.errors import InvalidStreamError
from nvrc_encoder.source.video import open_source
from nvrc_output.files import atomic_file

__all__ = ["Task", "find_result", "run_task", "task_path"]

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


@dataclass(frozen=True)
class Task:
    """A point to encode.

    Attributes:
        clip: the clip.
        codec: the codec with its changes for this clip.
        point: value of the rate parameter.
        version: the codec's version.
    """

    clip: Clip
    codec: Codec
    point: str
    version: str

    @property
    def name(self) -> str:
        """The task's name for people."""
        return f"{self.clip.name}, {self.codec.spec.name}, {self.codec.label(self.point)}"

    @property
    def slug(self) -> str:
        """The path of its files without suffix: clip, codec, point."""
        parts = (self.clip.name, self.codec.spec.name, self.codec.label(self.point))
        return "/".join(_UNSAFE.sub("-", part) for part in parts)

    @property
    def key(self) -> str:
        """Hash of the user's choices and of the clip's samples; versions do not change it."""
        identity = [self.clip.md5, str(self.clip.rate), self.codec.spec.kind, self.commands]
        identity.append(sorted(self.codec.spec.environment.items()))
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    @property
    def commands(self) -> list[list[str]]:
        """Encoding and decoding, with placeholders for paths."""
        return [*self.codec.encode(self.point), self.codec.decode()]


def task_path(task: Task, folder: Path) -> Path:
    """The file of the point's result."""
    return folder / f"{task.slug}.json"


def find_result(task: Task, folder: Path) -> dict[str, Any] | None:
    """The result of an earlier run of the same task; None if there is none."""
    try:
        document = json.loads(task_path(task, folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or document.get("key") != task.key:
        return None
    return document


def _fill(command: Sequence[str], **places: Path) -> list[str]:
    words = []
    for word in command:
        for name, path in places.items():
            word = word.replace(f"{{{name}}}", str(path))
        words.append(word)
    return words


def run_task(task: Task, runner: Runner, out: Path, *, keep_stream: bool, key: str | None = None) -> dict[str, Any]:
    """Encode, decode and measure a point, and write its file.

    Args:
        task: the point.
        runner: runs the programs.
        out: folder of the results.
        keep_stream: whether to keep the stream.
        key: the task's key on the machine that asks, where paths of programs may be others; None for the one here.

    Raises:
        NvrcError: the codec failed, or the decoded frames do not fit the clip.
    """
    clip, codec = task.clip, task.codec
    log = out / "logs" / f"{task.slug}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="point-", dir=out) as name:
        folder = Path(name).resolve()
        stream, decoded = folder / f"stream.{codec.stream_suffix}", folder / "decoded.y4m"
        environment = codec.spec.environment
        encoding = Execution(0.0, 0.0, 0)
        for command in codec.encode(task.point):
            words = _fill(command, input=clip.path.resolve(), output=stream, folder=folder)
            encoding += runner.execute(words, folder, log, environment)
        words = _fill(codec.decode(), input=stream, output=decoded, folder=folder)
        decoding = runner.execute(words, folder, log, environment)
        source = open_source(decoded)
        if (source.bit_depth, source.chroma_format) != (clip.bit_depth, clip.chroma_format):
            raise InvalidStreamError("E_FRAMES", "the decoded frames have another pixel format than the clip")
        quality = compare(clip.open(), source, (clip.width, clip.height), clip.bit_depth)
        size = codec.count_bytes(stream)
        document = {
            "key": key or task.key,
            "clip": clip.name,
            "codec": codec.spec.name,
            "point": codec.label(task.point),
            "imported": False,
            "bytes": size,
            "file_bytes": stream.stat().st_size,
            "bpp": 8 * size / clip.pixels,
            **quality,
            "encode_seconds": encoding.seconds,
            "encode_cpu_seconds": encoding.cpu_seconds,
            "encode_peak_bytes": encoding.peak_bytes,
            "decode_seconds": decoding.seconds,
            "decode_cpu_seconds": decoding.cpu_seconds,
            "decode_peak_bytes": decoding.peak_bytes,
            "threads": codec.threads,
            "version": task.version,
            "commands": task.commands,
            "environment": dict(codec.spec.environment),
            **codec.details(folder, stream),
        }
        if keep_stream:
            kept = out / "streams" / f"{task.slug}.{codec.stream_suffix}"
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(stream, kept)
    _write(document, task_path(task, out / "points"))
    return document


def _write(document: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(str(path)) as file:
        file.write(json.dumps(document, indent=1).encode() + b"\n")
