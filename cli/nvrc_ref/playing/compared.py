"""The video that the player shows beside a stream."""

from __future__ import annotations

from pathlib import Path

from nvrc_decoder.bitstream.container import MAGIC
from nvrc_decoder.errors import UnsupportedError
from nvrc_encoder.source.conversion import raw_advice
from nvrc_ref.decoding.stream_input import open_stream

__all__ = ["check_compared", "is_y4m"]

_Y4M_MAGIC = b"YUV4MPEG2"


def is_y4m(path: str) -> bool:
    """Whether a file begins as y4m does.

    Raises:
        InputError: E_NO_INPUT, it cannot be read.
    """
    with open_stream(path) as file:
        return file.read(len(_Y4M_MAGIC)) == _Y4M_MAGIC


def check_compared(path: str) -> None:
    """Refuse a file that is neither a stream nor y4m. What else is wrong with it, the page tells.

    Raises:
        InputError: E_NO_INPUT, it cannot be read.
        UnsupportedError: E_SOURCE, it is a video that the player cannot read; says how to convert it.
    """
    if is_y4m(path) or Path(path).suffix.lower() in (".nvrc", ".y4m"):
        return
    with open_stream(path) as file:
        if file.read(len(MAGIC)) == MAGIC:
            return
    raise UnsupportedError("E_SOURCE", f"the player compares with .nvrc and .y4m, which {path} is not: {raw_advice()}")
