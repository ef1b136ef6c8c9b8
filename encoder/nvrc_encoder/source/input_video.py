"""The input of `nvrc-ref encode`, opened as the command's options describe it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from nvrc_decoder.errors import InputError
from nvrc_decoder.picture.format import Colour
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444

if TYPE_CHECKING:
    from nvrc_encoder.source.video import RawFormat, Source

__all__ = ["CHROMA", "InputFormat", "open_input"]

CHROMA = {"400": CHROMA_400, "420": CHROMA_420, "444": CHROMA_444}


@dataclass(frozen=True)
class InputFormat:
    """The command's options on the input's format; None where one is not given.

    Attributes:
        size: (width, height) of headerless YUV.
        rate: frames per second of an input without a rate of its own.
        chroma: chroma format, a key of `CHROMA`: of headerless YUV, or to convert RGB PNGs to.
        bit_depth: bit depth of headerless YUV, 8 or 10 as text.
        cicp: code points of primaries, transfer and matrix, in place of the input's.
        sample_range: limited or full, in place of the input's.
    """

    size: tuple[int, int] | None
    rate: Fraction | None
    chroma: str | None
    bit_depth: str | None
    cicp: tuple[int, int, int] | None
    sample_range: str | None

    def recolour(self, colour: Colour) -> Colour:
        """The colour description with the given parts replaced."""
        if self.cicp is not None:
            primaries, transfer, matrix = self.cicp
            colour = dataclasses.replace(colour, primaries=primaries, transfer=transfer, matrix=matrix)
        if self.sample_range is not None:
            colour = dataclasses.replace(colour, full_range=self.sample_range == "full")
        return colour


def open_input(path: str, wanted: InputFormat, *, frames: int | None, skip: int) -> Source:
    """Open the input of an encode.

    Raises:
        InputError: E_SOURCE, an option gives a property that the input has itself.
        NvrcError: whatever `open_source` raises.
    """
    from nvrc_encoder.source.png import is_png_input
    from nvrc_encoder.source.video import open_source, refuse_raw_format

    raw = _raw_format(wanted)
    of_pictures = raw is None and path != "-" and is_png_input(path) and wanted.bit_depth is None
    if raw is None and not of_pictures and (wanted.chroma is not None or wanted.bit_depth is not None):
        refuse_raw_format(path)
        raise InputError("E_SOURCE", "--chroma and --bit-depth describe headerless YUV: give its --size as well")
    return open_source(
        path,
        raw=raw,
        rate=wanted.rate,
        recolour=wanted.recolour,
        frames=frames,
        skip=skip,
        chroma_format=CHROMA[wanted.chroma] if of_pictures and wanted.chroma is not None else None,
    )


def _raw_format(wanted: InputFormat) -> RawFormat | None:
    """The format of headerless input; None without --size."""
    if wanted.size is None:
        return None
    from nvrc_encoder.source.video import RawFormat

    chroma, depth = CHROMA[wanted.chroma or "420"], int(wanted.bit_depth or 8)
    return RawFormat(*wanted.size, wanted.rate or Fraction(25), chroma, depth)
