"""Options that several sub-commands share."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import click

from nvrc_decoder.errors import InputError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "check_provider",
    "engine_options",
    "json_option",
    "limit_option",
    "open_stream",
    "provider_option",
    "quiet_option",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_LIMIT_NAMES = [field.name for field in dataclasses.fields(Limits)]


def open_stream(path: str) -> BinaryIO:
    """Open a stream for reading; ``-`` is stdin.

    Raises:
        InputError: E_NO_INPUT, there is no such file, or it cannot be read.
    """
    if path == "-":
        if sys.stdin is None:
            raise InputError("E_NO_INPUT", "the standard input is closed")
        return sys.stdin.buffer
    if os.path.isdir(path):
        raise InputError("E_NO_INPUT", f"{path} is a directory, not a stream")
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot open {path}: {error.strerror}") from None


def _parse_limits(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Limits:
    changes = {}
    for item in values:
        name, _, value = item.partition("=")
        if name not in _LIMIT_NAMES or re.fullmatch(r"[0-9]{1,18}", value) is None:
            raise click.BadParameter(f"{item!r} is not NAME=INTEGER with NAME one of {', '.join(_LIMIT_NAMES)}")
        changes[name] = int(value)
    return dataclasses.replace(DEFAULT_LIMITS, **changes)


def limit_option(function: _Function) -> _Function:
    """``--limit NAME=N``, as the argument `limits`."""
    option = click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="NAME=N",
        callback=_parse_limits,
        help=f"Change a local limit ({', '.join(_LIMIT_NAMES)}).",
    )
    return option(function)


def engine_options(function: _Function) -> _Function:
    """``--engine`` and ``--threads``."""
    engine = click.option(
        "--engine",
        type=click.Choice(["auto", "reference", "onnxruntime"]),
        default="auto",
        show_default=True,
        help="What runs the synthesis: ONNX Runtime, or the NumPy reference; the frames are the same.",
    )
    text = "Threads of ONNX Runtime and of motion on the CPU.  [default: about one for each core]"
    threads = click.option("--threads", type=click.IntRange(1, 256), help=text)
    return engine(threads(function))


def provider_option(function: _Function) -> _Function:
    """``--provider``."""
    option = click.option(
        "--provider",
        type=click.Choice(["auto", "cuda", "cpu"]),
        default="auto",
        show_default=True,
        help="Where ONNX Runtime runs; auto is CUDA where it can be used. The frames are the same.",
    )
    return option(function)


def check_provider(engine: str, provider: str) -> None:
    """Refuse an engine and a provider that contradict each other.

    Raises:
        click.UsageError: CUDA for the reference engine.
    """
    if engine == "reference" and provider == "cuda":
        raise click.UsageError("the reference engine does not run on CUDA")


def json_option(function: _Function) -> _Function:
    """``--json``, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)


def quiet_option(function: _Function) -> _Function:
    """``--quiet``."""
    return click.option("--quiet", is_flag=True, help="No progress.")(function)
