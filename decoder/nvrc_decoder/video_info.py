"""What is known of a stream from its first unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from nvrc_decoder.bitstream.reader import Unit
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.errors import InternalError
from nvrc_decoder.picture.format import Colour, VideoFormat

__all__ = ["VideoInfo", "read_sequence", "video_format"]


def video_format(sequence: SequenceHeader) -> VideoFormat:
    """The format of the frames that a SEQUENCE announces."""
    colour = Colour(
        sequence.colour_primaries,
        sequence.transfer_characteristics,
        sequence.matrix_coefficients,
        bool(sequence.full_range),
        sequence.chroma_sample_position,
    )
    rate = Fraction(sequence.rate_numerator, sequence.rate_denominator)
    return VideoFormat(sequence.width, sequence.height, rate, sequence.chroma_format, sequence.bit_depth, colour)


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a stream from its first unit.

    Attributes:
        format: size, rate, sample format and colour of every frame.
        profile: name of the profile.
        level: the level that the stream keeps to.
    """

    format: VideoFormat
    profile: str
    level: int


def read_sequence(units: Iterator[Unit]) -> SequenceHeader:
    """The SEQUENCE, which is the first unit."""
    first = next(units)
    if not isinstance(first.content, SequenceHeader):
        raise InternalError("E_INTERNAL", "the reader let a stream begin with another unit than SEQUENCE")
    return first.content
