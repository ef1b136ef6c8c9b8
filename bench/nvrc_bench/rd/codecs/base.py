"""What every codec of a run can do, and how a program is probed."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from nvrc_bench.rd.config import CodecSpec
from nvrc_decoder.errors import NvrcError

__all__ = ["Codec", "UnavailableError", "probe"]

_PROBE_SECONDS = 60


class UnavailableError(NvrcError):
    """A codec cannot be used here; the message says why."""

    exit_code = 69


class Codec(ABC):
    """A codec as a run uses it for one clip.

    Command lines have ``{input}`` (the clip, or the stream), ``{output}`` (the stream, or a y4m file) and ``{folder}``
    (a folder of the point's own) in place of paths.
    """

    suffix: ClassVar[str] = "bin"
    default_points: ClassVar[tuple[str, ...]] = ()
    parameter: ClassVar[str] = ""

    def __init__(self, spec: CodecSpec, ffmpeg: str, threads: int) -> None:
        self.spec = spec
        self.ffmpeg = ffmpeg
        self.threads = threads

    @property
    def points(self) -> tuple[str, ...]:
        """Values of the rate parameter."""
        return self.spec.points or self.default_points

    def label(self, point: str) -> str:
        """The point's name, such as ``crf 30``."""
        return f"{(self.spec.parameter or self.parameter).lstrip('-')} {point}"

    @property
    def stream_suffix(self) -> str:
        """The suffix of the stream's file name."""
        return self.suffix

    @abstractmethod
    def version(self) -> str:
        """The version to record.

        Raises:
            UnavailableError: E_UNAVAILABLE, the codec is not installed, or does not work.
        """

    @abstractmethod
    def encode(self, point: str) -> list[list[str]]:
        """The commands that encode."""

    @abstractmethod
    def decode(self) -> list[str]:
        """The command that decodes into y4m."""

    def count_bytes(self, stream: Path) -> int:
        """Bytes of the video."""
        return stream.stat().st_size

    def details(self, folder: Path, stream: Path) -> dict[str, Any]:
        """More results of a point that the codec reports, such as ``component_bits`` and ``kmac_per_pixel``."""
        del folder, stream
        return {}


def probe(command: Sequence[str], name: str, environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Run a program that only says something.

    Args:
        command: the program and its arguments.
        name: the codec's name, for the message.
        environment: variables to set besides those of this process.

    Returns:
        Its standard output and its standard error.

    Raises:
        UnavailableError: E_UNAVAILABLE, it cannot be run, fails, or takes more than a minute.
    """
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else f"no answer in {_PROBE_SECONDS} s"
        raise UnavailableError("E_UNAVAILABLE", f"{name}: cannot run {command[0]}: {reason}") from None
    output, messages = (data.decode("utf-8", "replace") for data in (done.stdout, done.stderr))
    if done.returncode:
        last = ((output + messages).strip().splitlines() or [""])[-1]
        raise UnavailableError("E_UNAVAILABLE", f"{name}: {Path(command[0]).name} failed: {last[:200]}")
    return output, messages
