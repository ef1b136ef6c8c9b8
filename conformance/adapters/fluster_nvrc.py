"""Decoders of NVRC for fluster, Fluendo's harness for decoders; conformance/README.md says how to run it.

Copy this file to ``fluster/decoders/``, and add ``NVRC = "NVRC"`` to the class `Codec` in ``fluster/codec.py``.
For your own decoder, add a class like the two below; `binary` is a program in PATH, or the path of one.
"""

import os
from subprocess import CalledProcessError
from typing import Any

from fluster.codec import Codec, OutputFormat
from fluster.decoder import Decoder, NotSupportedError, register_decoder
from fluster.utils import file_checksum, run_command

UNSUPPORTED = 69


class NvrcDecoder(Decoder):
    """A program that writes raw planar frames, and exits with 69 where it lacks what a stream needs."""

    codec = Codec.NVRC

    def command(self, stream: str, output: str) -> list[str]:
        """The program and its arguments for one stream."""
        return [self.binary, stream, "-o", output]

    def decode(
        self,
        input_filepath: str,
        output_filepath: str,
        output_format: OutputFormat,
        timeout: int,
        verbose: bool,
        keep_files: bool,
        optional_params: dict[str, Any] | None = None,
    ) -> str:
        """Decode a stream; the MD5 of all its frames."""
        try:
            run_command(self.command(input_filepath, output_filepath), timeout=timeout, verbose=verbose)
        except CalledProcessError as error:
            if error.returncode == UNSUPPORTED:
                raise NotSupportedError from error
            raise
        return file_checksum(output_filepath)


@register_decoder
class NvrcC(NvrcDecoder):
    """The decoder in C of the conformance suite."""

    name = "nvrc-c"
    description = "NVRC decoder in C99"
    binary = os.environ.get("NVRC_C", "nvrc-c")


@register_decoder
class NvrcRef(NvrcDecoder):
    """The reference decoder."""

    name = "nvrc-ref"
    description = "NVRC reference decoder"
    binary = "nvrc-ref"

    def command(self, stream: str, output: str) -> list[str]:
        """Raw frames, whatever the name of the output."""
        return [self.binary, "decode", stream, "-o", output, "--format", "yuv", "--quiet"]
