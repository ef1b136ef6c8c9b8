"""Options that several sub-commands share."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

import nvrc_decoder
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_ref.options.groups import gathered

if TYPE_CHECKING:
    from nvrc_decoder.decode.engines import Engine
    from nvrc_decoder.synthesis.cuda.providers import Provider

__all__ = [
    "DecodingOptions",
    "decoding_options",
    "decoding_options_without_provider",
    "json_option",
    "limit_option",
    "quiet_option",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_LIMIT_NAMES = [field.name for field in dataclasses.fields(Limits)]


@dataclass(frozen=True)
class DecodingOptions:
    """How a command decodes.

    Attributes:
        engine, threads, limits, provider: as in `nvrc_decoder.open`.

    Raises:
        click.UsageError: the reference engine on CUDA.
    """

    engine: Engine
    threads: int | None
    limits: Limits
    provider: Provider = "auto"

    def __post_init__(self) -> None:
        if self.engine == "reference" and self.provider == "cuda":
            raise click.UsageError("the reference engine does not run on CUDA")

    def open(
        self,
        file: BinaryIO,
        *,
        verify: bool = True,
        on_damage: Callable[[nvrc_decoder.Damage], None] | None = None,
    ) -> nvrc_decoder.Video:
        """The stream in `file`, as `nvrc_decoder.open` opens it."""
        return nvrc_decoder.open(
            file,
            engine=self.engine,
            provider=self.provider,
            threads=self.threads,
            limits=self.limits,
            verify=verify,
            on_damage=on_damage,
        )


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


_engine = click.option(
    "--engine",
    type=click.Choice(["auto", "reference", "onnxruntime"]),
    default="auto",
    show_default=True,
    help="What runs the synthesis: ONNX Runtime, or the NumPy reference; the frames are the same.",
)
_threads = click.option(
    "--threads",
    type=click.IntRange(1, 256),
    help="Threads of ONNX Runtime and of motion on the CPU.  [default: about one for each core]",
)
_provider = click.option(
    "--provider",
    type=click.Choice(["auto", "cuda", "cpu"]),
    default="auto",
    show_default=True,
    help="Where ONNX Runtime runs; auto is CUDA where it can be used. The frames are the same.",
)

decoding_options = gathered("decoding", DecodingOptions, _engine, _threads, _provider, limit_option)
"""``--engine``, ``--threads``, ``--provider`` and ``--limit``, as the argument `decoding`."""
decoding_options_without_provider = gathered("decoding", DecodingOptions, _engine, _threads, limit_option)
"""The same without ``--provider``."""


def json_option(function: _Function) -> _Function:
    """``--json``, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)


def quiet_option(function: _Function) -> _Function:
    """``--quiet``."""
    return click.option("--quiet", is_flag=True, help="No progress.")(function)
