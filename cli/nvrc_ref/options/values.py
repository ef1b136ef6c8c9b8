"""Values on the command line: sizes, rates, lists. Each parser is a callback of click; None stays None."""

from __future__ import annotations

import re
from fractions import Fraction

import click

from nvrc_decoder.picture.format import RATE_MAX
from nvrc_decoder.system.threads import cores

__all__ = [
    "cores_here",
    "parse_bitrate",
    "parse_bytes",
    "parse_code_points",
    "parse_duration",
    "parse_frame_rate",
    "parse_jobs",
    "parse_numbers",
    "parse_segment",
    "parse_size",
]

_UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}
_SIDE_MAX = 65535
_JOBS_MAX = 256


def _number(text: str) -> tuple[float, str] | None:
    """The number and its suffix, such as ``12.5k``; None if it is neither."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})([kKM]?)", text)
    return None if match is None else (float(match[1]), match[2])


def parse_bytes(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Bytes: ``12500``, ``12.5k`` or ``3M``; k and M are 1000 and 1000000."""
    if value is None:
        return None
    found = _number(value)
    size = 0 if found is None else round(found[0] * _UNITS[found[1]])
    if size < 1:
        raise click.BadParameter(f"{value!r} is not a size in bytes, such as 12500, 12.5k or 3M")
    return size


def parse_bitrate(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """kbit/s: ``60``, which is ``60k``, or ``1.5M``."""
    if value is None:
        return None
    found = _number(value)
    rate = 0.0 if found is None else found[0] * _UNITS[found[1] or "k"] / 1000
    if rate <= 0:
        raise click.BadParameter(f"{value!r} is not a rate, such as 60 (kbit/s), 60k or 1.5M")
    return rate


def parse_duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Seconds: ``90``, ``90s``, ``10m``, ``1.5h`` or ``1h30m``."""
    if value is None:
        return None
    number = r"[0-9]{1,7}(?:\.[0-9]{1,3})?"
    match = re.fullmatch(rf"(?:({number})h)?(?:({number})m)?(?:({number})s?)?", value)
    seconds = (
        sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    )
    if seconds <= 0:
        raise click.BadParameter(f"{value!r} is not a time, such as 90s, 10m, 2h or 1h30m")
    return seconds


def parse_size(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Width and height of a picture: ``352x288``."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,5})[xX]([0-9]{1,5})", value)
    if match is None or not all(1 <= int(side) <= _SIDE_MAX for side in match.groups()):
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, such as 352x288")
    return int(match[1]), int(match[2])


def parse_frame_rate(context: click.Context, parameter: click.Parameter, value: str | None) -> Fraction | None:
    """Frames a second: ``25``, ``29.97``, ``30000/1001`` or ``30000:1001``."""
    if value is None:
        return None
    try:
        # An exponent is refused: Fraction would compute its power of ten, however large.
        rate = Fraction(value.replace(":", "/") if re.fullmatch(r"[0-9./:]{1,40}", value) else "")
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{value!r} is not a frame rate, such as 25 or 30000/1001") from None
    if rate <= 0 or rate.numerator > RATE_MAX or rate.denominator > RATE_MAX:
        raise click.BadParameter(f"{value!r} is not a frame rate that the format can carry")
    return rate


def parse_numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Numbers of up to three digits: ``0,0,3,4``."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})*", value) is None:
        raise click.BadParameter(f"{value!r} is not a list of numbers, such as 0,0,0,0,3,4,3,3,3,0,0")
    return tuple(int(part) for part in value.split(","))


def parse_segment(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Frames of a segment: ``64``; 0 for ``whole``."""
    if value is None:
        return None
    if value == "whole":
        return 0
    if re.fullmatch(r"[0-9]{1,9}", value) is None:
        raise click.BadParameter(f"{value!r} is neither a number of frames nor whole")
    return int(value)


def parse_jobs(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Number of jobs: ``4``; 0 for ``auto``."""
    if value is None:
        return None
    if value == "auto":
        return 0
    if re.fullmatch(r"[0-9]{1,3}", value) is None or not 1 <= int(value) <= _JOBS_MAX:
        raise click.BadParameter(f"{value!r} is neither 1 to {_JOBS_MAX} nor auto")
    return int(value)


def cores_here() -> int:
    """Number of the cores that this process may use, at most as many as there can be jobs."""
    return min(_JOBS_MAX, cores())


def parse_code_points(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int, int] | None:
    """Code points (H.273) of primaries, transfer and matrix: ``1/1/1``."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})/([0-9]{1,3})", value)
    if match is None or any(int(part) > 255 for part in match.groups()):
        raise click.BadParameter(f"{value!r} is not PRIMARIES/TRANSFER/MATRIX, such as 1/1/1 for BT.709")
    return int(match[1]), int(match[2]), int(match[3])
