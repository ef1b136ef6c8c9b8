"""Codecs as command lines: how to encode a clip at a point, decode it again, and count its bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from nvrc_bench.rd.bitstreams import annex_b_bytes, ivf_bytes, obu_bytes
from nvrc_bench.rd.config import CodecSpec, option_words
from nvrc_decoder.errors import NvrcError

__all__ = ["Codec", "UnavailableError", "make_codec"]

_PROBE_SECONDS = 60
_COUNTERS: dict[str, Callable[[bytes], int]] = {
    "h264": annex_b_bytes,
    "hevc": annex_b_bytes,
    "obu": obu_bytes,
    "ivf": ivf_bytes,
}


class UnavailableError(NvrcError):
    """A codec cannot be used here; the message says why."""

    exit_code = 69


class Codec(ABC):
    """A codec, as a run wants it for one clip.

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
        """Of the stream's file name."""
        return self.suffix

    @abstractmethod
    def version(self) -> str:
        """What to record as the version.

        Raises:
            UnavailableError: E_UNAVAILABLE, it is not there, or does not work.
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
        """What else the codec tells of a point: keys of the results, such as ``component_bits``, ``kmac_per_pixel``."""
        del folder, stream
        return {}


def _output(command: Sequence[str], name: str) -> str:
    """What a program prints.

    Raises:
        UnavailableError: E_UNAVAILABLE, it cannot be run or fails.
    """
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = error.strerror if isinstance(error, OSError) else "no answer"
        raise UnavailableError("E_UNAVAILABLE", f"{name}: cannot run {command[0]}: {reason}") from None
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        last = (text.strip().splitlines() or [""])[-1]
        raise UnavailableError("E_UNAVAILABLE", f"{name}: {Path(command[0]).name} failed: {last[:200]}")
    return text


class FfmpegCodec(Codec):
    """An encoder of FFmpeg: one key frame, then no other; raw streams."""

    parameter = "crf"
    encoder: ClassVar[str]
    format: ClassVar[str]
    default_preset: ClassVar[str]
    version_pattern: ClassVar[str]

    def version(self) -> str:
        if shutil.which(self.ffmpeg) is None:
            raise UnavailableError("E_UNAVAILABLE", f"{self.spec.name}: there is no {self.ffmpeg}")
        # A picture of its own, with the encoder's greeting: the only way to learn that it works and which one it is.
        pattern = ["-f", "lavfi", "-i", "color=gray:size=128x128:rate=25", "-frames:v", "2", "-pix_fmt", "yuv420p"]
        text = _output(
            [self.ffmpeg, "-hide_banner", "-nostdin", *pattern, "-c:v", self.encoder, "-f", self.format, "-"],
            self.spec.name,
        )
        banner = _output([self.ffmpeg, "-version"], self.spec.name).split(" Copyright")[0]
        match = re.search(self.version_pattern, text)
        return f"{self.encoder} {match[1] if match else '(version unknown)'}, {banner}"

    @abstractmethod
    def encoder_words(self, preset: str, point: str) -> list[str]:
        """Options of the encoder."""

    def encode(self, point: str) -> list[list[str]]:
        words = [self.ffmpeg, "-hide_banner", "-v", "error", "-nostdin", "-y", "-i", "{input}", "-c:v", self.encoder]
        words += self.encoder_words(self.spec.preset or self.default_preset, point)
        words += [*option_words(self.spec.options, "-"), *self.spec.arguments]
        return [[*words, "-f", self.format, "{output}"]]

    def decode(self) -> list[str]:
        head = [self.ffmpeg, "-hide_banner", "-v", "error", "-nostdin", "-y", "-threads", str(self.threads)]
        # The decoded file is read as y4m again: samples pass through, only rate and tags may differ.
        return [*head, "-i", "{input}", "-fps_mode", "passthrough", "-strict", "-1", "-f", "yuv4mpegpipe", "{output}"]

    def count_bytes(self, stream: Path) -> int:
        return _COUNTERS[self.format](stream.read_bytes())


class X264(FfmpegCodec):
    """libx264, veryslow, tuned for PSNR."""

    suffix, encoder, format, default_preset = "h264", "libx264", "h264", "veryslow"
    default_points = ("26", "30", "34", "38")
    version_pattern = r"x264 - (core [0-9]+( r[0-9]+)?)"

    def encoder_words(self, preset: str, point: str) -> list[str]:
        words = ["-preset", preset, "-tune", "psnr", "-crf", point, "-g", "99999", "-sc_threshold", "0"]
        # SEI has the encoder's settings as text, several hundred bytes that no decoder needs.
        return [*words, "-threads", str(self.threads), "-bsf:v", "filter_units=remove_types=6"]


class X265(FfmpegCodec):
    """libx265, veryslow, tuned for PSNR."""

    suffix, encoder, format, default_preset = "h265", "libx265", "hevc", "veryslow"
    default_points = ("26", "30", "34", "38")
    version_pattern = r"HEVC encoder version ([^\s\x1b]+)"

    def encoder_words(self, preset: str, point: str) -> list[str]:
        pools = "none" if self.threads == 1 else str(self.threads)
        settings = f"keyint=-1:scenecut=0:info=0:frame-threads=1:pools={pools}:log-level=error"
        return ["-preset", preset, "-tune", "psnr", "-crf", point, "-x265-params", settings]


class SvtAv1(FfmpegCodec):
    """SVT-AV1, preset 2, tune=1, which is PSNR."""

    suffix, encoder, format, default_preset = "obu", "libsvtav1", "obu", "2"
    default_points = ("36", "44", "52", "60")
    version_pattern = r"SVT-AV1 Encoder Lib (\S+)"

    def encoder_words(self, preset: str, point: str) -> list[str]:
        settings = f"tune=1:keyint=-1:scd=0:lp={self.threads}"
        return ["-preset", preset, "-crf", point, "-g", "-1", "-svtav1-params", settings]


class Vp9(FfmpegCodec):
    """libvpx-vp9, two passes, deadline good at speed 0, tuned for PSNR (its default)."""

    suffix, encoder, format, default_preset = "ivf", "libvpx-vp9", "ivf", "0"
    default_points = ("32", "42", "52", "60")
    version_pattern = r"\[libvpx-vp9 @ [^\]]*\] (v\S+)"

    def encoder_words(self, preset: str, point: str) -> list[str]:
        words = ["-deadline", "good", "-cpu-used", preset, "-crf", point, "-b:v", "0", "-g", "99999", "-tune", "psnr"]
        return [*words, "-auto-alt-ref", "1", "-lag-in-frames", "25", "-threads", str(self.threads)]

    def encode(self, point: str) -> list[list[str]]:
        [words] = super().encode(point)
        passes = ["-passlogfile", "{folder}/pass"]
        first = [*words[:-3], "-pass", "1", *passes, "-f", "null", "-"]
        return [first, [*words[:-3], "-pass", "2", *passes, *words[-3:]]]


class CommandCodec(Codec):
    """Any program."""

    parameter = "point"

    @property
    def stream_suffix(self) -> str:
        return self.spec.suffix

    def version(self) -> str:
        for word in (self.spec.command[0], self.spec.decode[0]):
            if shutil.which(word) is None:
                raise UnavailableError("E_UNAVAILABLE", f"{self.spec.name}: there is no {word}")
        return self.spec.version or "not known"

    def encode(self, point: str) -> list[list[str]]:
        words = [word.replace("{point}", point) for word in self.spec.command]
        return [[*words, *option_words(self.spec.options, "--"), *self.spec.arguments]]

    def decode(self) -> list[str]:
        return list(self.spec.decode)


def make_codec(spec: CodecSpec, ffmpeg: str = "ffmpeg", threads: int = 1) -> Codec:
    """The codec of a spec."""
    from nvrc_bench.rd.ours import Nvrc

    kinds: dict[str, type[Codec]] = {
        "nvrc": Nvrc,
        "x264": X264,
        "x265": X265,
        "svt-av1": SvtAv1,
        "vp9": Vp9,
        "command": CommandCodec,
    }
    return kinds[spec.kind](spec, ffmpeg, threads)
