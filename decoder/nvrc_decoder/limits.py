"""Local limits and the format's levels (spec 9.3, 9.4).

`Limits` say what this machine is willing to spend on a stream. A stream over them may well be valid: it is a
`LimitError` (exit 77). A `Level` is what the stream itself promises; a stream over it is an `InvalidStreamError`
(E_LEVEL). Both are checked before memory is allocated. All arithmetic is on Python integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from nvrc_decoder.errors import InternalError, InvalidStreamError, LimitError

__all__ = [
    "DEFAULT_LIMITS",
    "LEVELS",
    "Level",
    "Limits",
    "check_gop_level",
    "check_limit",
    "check_sequence_level",
    "check_sequence_limits",
    "minimum_level",
]


@dataclass(frozen=True)
class Limits:
    """What a decoder is willing to spend on one stream; every default is finite.

    A value that is not an integer is a TypeError, a negative one a ValueError.

    Attributes:
        max_width, max_height: luma samples.
        max_pixels: luma samples of a frame.
        max_gop_frames: frames of a GOP.
        max_gop_symbols: grid values of a GOP.
        max_gops: GOP units of a stream.
        max_unit_bytes: payload bytes of a unit other than METADATA, known or not.
        max_metadata_bytes: payload bytes of a METADATA.
        max_network_parameters: weights and biases of a NETWORK.
        max_surplus_frames: frames of a stream in excess of one for each of its bytes so far.
        max_memory_bytes: memory of the process to decode a GOP, as `decode.plan.estimate_gop_memory` computes it.
    """

    max_width: int = 8192
    max_height: int = 8192
    max_pixels: int = 1 << 24
    max_gop_frames: int = 1024
    max_gop_symbols: int = 1 << 27
    max_gops: int = 1 << 16
    max_unit_bytes: int = 1 << 25
    max_metadata_bytes: int = 1 << 20
    max_network_parameters: int = 1 << 20
    max_surplus_frames: int = 256
    max_memory_bytes: int = 900_000_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int):
                raise TypeError(f"{name} is {type(value).__name__}: it must be an integer")
            if value < 0:
                raise ValueError(f"{name} is {value}: it must not be negative")


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Level:
    """Caps of one level: luma samples of a frame, of a side and per second; grid values and frames of a GOP."""

    max_frame_size: int
    max_side: int
    max_rate: int
    max_gop_symbols: int
    max_gop_frames: int


LEVELS: tuple[Level, ...] = (
    Level(1 << 17, 1024, 1 << 22, 1 << 24, 1024),
    Level(1 << 19, 2048, 1 << 25, 1 << 25, 1024),
    Level(1 << 20, 2048, 1 << 26, 1 << 26, 1024),
    Level(1 << 21, 4096, 1 << 27, 1 << 27, 1024),
    Level(9 << 20, 8192, 1 << 29, 1 << 29, 2048),
    Level(9 << 22, 16384, 1 << 31, 1 << 31, 4096),
    Level(65535 * 65535, 65535, 1 << 40, 1 << 40, 65536),
)


def check_limit(name: str, value: int, limits: Limits, *, offset: int | None = None, unit: str | None = None) -> None:
    """Checks `value` against the attribute `name` of `limits`.

    Raises:
        LimitError: E_LIMIT, the value is over the limit.
    """
    limit: int = getattr(limits, name)
    if value > limit:
        message = f"the stream needs {value}, over the local limit {name} = {limit}; raise the limit to decode it"
        raise LimitError("E_LIMIT", message, offset=offset, unit=unit, section="9.3")


def check_sequence_limits(limits: Limits, width: int, height: int, *, offset: int | None = None) -> None:
    """Checks the size of a frame against `limits`.

    Raises:
        LimitError: E_LIMIT.
    """
    check_limit("max_width", width, limits, offset=offset, unit="SEQUENCE")
    check_limit("max_height", height, limits, offset=offset, unit="SEQUENCE")
    check_limit("max_pixels", width * height, limits, offset=offset, unit="SEQUENCE")


def _over(level: int, what: str, value: int, cap: int, requirement: str, offset: int | None, unit: str) -> NoReturn:
    message = f"{what} {value} is over {cap}, the cap of level {level}"
    raise InvalidStreamError("E_LEVEL", message, offset=offset, unit=unit, section=f"9.4, {requirement}")


def check_sequence_level(
    level: int, width: int, height: int, rate_numerator: int, rate_denominator: int, *, offset: int | None = None
) -> None:
    """Checks the size and rate of the frames against the declared level, 0..6.

    Raises:
        InvalidStreamError: E_LEVEL (R9.1, R9.2, R9.3).
    """
    caps, unit = LEVELS[level], "SEQUENCE"
    if width * height > caps.max_frame_size:
        _over(level, "frame size", width * height, caps.max_frame_size, "R9.1", offset, unit)
    if max(width, height) > caps.max_side:
        _over(level, "frame side", max(width, height), caps.max_side, "R9.2", offset, unit)
    if width * height * rate_numerator > caps.max_rate * rate_denominator:
        rate = -(-width * height * rate_numerator // rate_denominator)
        _over(level, "luma sample rate", rate, caps.max_rate, "R9.3", offset, unit)


def check_gop_level(level: int, frames: int, symbols: int, *, offset: int | None = None, unit: str = "GOP") -> None:
    """Checks a GOP's frames and grid values against the declared level, 0..6.

    Raises:
        InvalidStreamError: E_LEVEL (R9.4, R9.5).
    """
    caps = LEVELS[level]
    if frames > caps.max_gop_frames:
        _over(level, "number of frames", frames, caps.max_gop_frames, "R9.4", offset, unit)
    if symbols > caps.max_gop_symbols:
        _over(level, "number of grid values", symbols, caps.max_gop_symbols, "R9.5", offset, unit)


def minimum_level(
    width: int, height: int, rate_numerator: int, rate_denominator: int, gop_frames: int, gop_symbols: int
) -> int:
    """The lowest level that admits the frames and the largest GOP of a stream.

    Raises:
        InvalidStreamError: E_LEVEL, no level admits them.
    """
    for level in range(len(LEVELS)):
        try:
            check_sequence_level(level, width, height, rate_numerator, rate_denominator)
            check_gop_level(level, gop_frames, gop_symbols)
        except InvalidStreamError:
            if level == len(LEVELS) - 1:
                raise
        else:
            return level
    raise InternalError("E_LEVEL", "the table of levels is empty")
