"""The kinds of codecs by name, and the one that is any program."""

from __future__ import annotations

import shutil

from nvrc_bench.rd.codecs.base import Codec, UnavailableError
from nvrc_bench.rd.codecs.ffmpeg import X264, X265, SvtAv1, Vp9
from nvrc_bench.rd.codecs.nvrc import Nvrc
from nvrc_bench.rd.config import CodecSpec, option_words

__all__ = ["make_codec"]


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


_KINDS: dict[str, type[Codec]] = {
    "nvrc": Nvrc,
    "x264": X264,
    "x265": X265,
    "svt-av1": SvtAv1,
    "vp9": Vp9,
    "command": CommandCodec,
}


def make_codec(spec: CodecSpec, ffmpeg: str = "ffmpeg", threads: int = 1) -> Codec:
    """The codec of a spec.

    Args:
        spec: the codec, and what differs from its defaults.
        ffmpeg: the program.
        threads: threads of one encode or decode.
    """
    return _KINDS[spec.kind](spec, ffmpeg, threads)
