"""The encoders of FFmpeg: x264, x265, SVT-AV1, VP9; their settings are those of docs/bench.md."""

from __future__ import annotations

import re
import shutil
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from nvrc_bench.rd.bitstreams import annex_b_bytes, ivf_bytes, obu_bytes
from nvrc_bench.rd.codecs.base import Codec, UnavailableError, probe
from nvrc_bench.rd.config import option_words

__all__ = ["X264", "X265", "SvtAv1", "Vp9"]

_COUNTERS: dict[str, Callable[[bytes], int]] = {
    "h264": annex_b_bytes,
    "hevc": annex_b_bytes,
    "obu": obu_bytes,
    "ivf": ivf_bytes,
}


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
        # Only a trial encode shows whether the encoder works. Its log has the version, or, with x264, its stream.
        pattern = ["-f", "lavfi", "-i", "color=gray:size=128x128:rate=25", "-frames:v", "2", "-pix_fmt", "yuv420p"]
        texts = probe(
            [self.ffmpeg, "-hide_banner", "-nostdin", *pattern, "-c:v", self.encoder, "-f", self.format, "-"],
            self.spec.name,
        )
        banner = probe([self.ffmpeg, "-version"], self.spec.name)[0].split(" Copyright")[0]
        match = re.search(self.version_pattern, "\n".join(texts))
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
