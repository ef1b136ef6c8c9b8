"""Sizes and rates on the command line: ``12500``, ``12.5k``, ``3M``; k and M are 1000 and 1000000."""

from __future__ import annotations

import re

import click

__all__ = ["parse_bitrate", "parse_size"]

_UNITS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6}


def _number(text: str) -> tuple[float, str] | None:
    """The number and its suffix; None if it is neither."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})([kKM]?)", text)
    return None if match is None else (float(match[1]), match[2])


def parse_size(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Bytes of ``12500``, ``12.5k`` or ``3M``."""
    if value is None:
        return None
    found = _number(value)
    size = 0 if found is None else round(found[0] * _UNITS[found[1]])
    if size < 1:
        raise click.BadParameter(f"{value!r} is not a size in bytes, such as 12500, 12.5k or 3M")
    return size


def parse_bitrate(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """kbit/s of ``60``, which is ``60k``, or ``1.5M``."""
    if value is None:
        return None
    found = _number(value)
    rate = 0.0 if found is None else found[0] * _UNITS[found[1] or "k"] / 1000
    if rate <= 0:
        raise click.BadParameter(f"{value!r} is not a rate, such as 60 (kbit/s), 60k or 1.5M")
    return rate
