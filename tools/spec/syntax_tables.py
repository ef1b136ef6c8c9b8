"""The syntax, levels and limits as text for the specification; `generate.py` puts it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial

from nvrc_decoder.bitstream.syntax import Bits, Check, Derived, Field, Loop, Option, Table
from nvrc_decoder.bitstream.tables import PAYLOADS, Payload
from nvrc_decoder.limits import DEFAULT_LIMITS, LEVELS, Limits

__all__ = ["BLOCKS", "checks_of"]

_COLUMN = 44


def _line(depth: int, text: str, descriptor: str = "") -> str:
    return f"{'  ' * depth}{text}".ljust(_COLUMN if descriptor else 0) + descriptor


def _syntax(table: Table, depth: int) -> Iterator[str]:
    for element in table:
        if isinstance(element, Field):
            if element.descriptor == "bytes":
                length = "rest" if element.length is None else element.length
                yield _line(depth, element.name, f"bytes({length})")
            elif element.count is not None:
                yield _line(depth, f"for i = 0 .. {element.count} - 1")
                yield _line(depth + 1, f"{element.name}[i]", element.descriptor)
            else:
                yield _line(depth, element.name, element.descriptor)
        elif isinstance(element, Bits):
            yield _line(depth, element.name, f"{element.descriptor}, of which")
            for field in element.fields:
                last = field.first + field.width - 1
                bits = f"bit {field.first}" if field.width == 1 else f"bits {field.first}..{last}"
                yield _line(depth + 1, field.name, bits)
        elif isinstance(element, Derived):
            yield _line(depth, f"{element.name} = {element.meaning}")
        elif isinstance(element, Option):
            yield _line(depth, f"if {element.condition}")
            yield from _syntax(element.body, depth + 1)
        else:
            over = f"{element.index} = 0 .. {element.over} - 1" if element.over.islower() else _members(element)
            yield _line(depth, f"for {over}")
            yield from _syntax(element.body, depth + 1)


def _members(loop: Loop) -> str:
    return f"each {loop.index} of {loop.over}"


def _requirement(check: Check, depth: int) -> str:
    text = f"It is a requirement of bitstream conformance that {check.text}."
    return f"{'  ' * depth}- **{check.id}** {text} (`{check.code}`)"


def _semantics(table: Table) -> Iterator[str]:
    for element in table:
        if isinstance(element, Field):
            yield f"- `{element.name}`: {element.meaning}"
            yield from (_requirement(check, 1) for check in element.checks)
        elif isinstance(element, Bits):
            whole = "a byte" if element.descriptor == "u8" else "a number"
            yield f"- `{element.name}`: {whole} of these fields."
            for field in element.fields:
                yield f"  - `{field.name}`: {field.meaning}"
                yield from (_requirement(check, 2) for check in field.checks)
            yield from (_requirement(check, 1) for check in element.reserved_checks)
        elif isinstance(element, Derived):
            if element.checks:
                yield f"- `{element.name}` is derived."
                yield from (_requirement(check, 1) for check in element.checks)
        else:
            yield from _semantics(element.body)


def checks_of(table: Table) -> Iterator[Check]:
    """All requirements of a table, in order."""
    for element in table:
        if isinstance(element, Loop | Option):
            yield from checks_of(element.body)
        elif isinstance(element, Bits):
            yield from element.reserved_checks
            for field in element.fields:
                yield from field.checks
        else:
            yield from element.checks


def _payload(payload: Payload) -> str:
    syntax = "\n".join(_syntax(payload.table, 0))
    return f"```\n{syntax}\n```\n\n" + "\n".join(_semantics(payload.table)) + "\n"


def _levels() -> str:
    head = "| level | MaxFrameSize | MaxSide | MaxRate | MaxGopSymbols | MaxGopFrames |\n|--:|--:|--:|--:|--:|--:|\n"
    rows = (
        f"| {i} | {level.max_frame_size} | {level.max_side} | {level.max_rate} | {level.max_gop_symbols} "
        f"| {level.max_gop_frames} |\n"
        for i, level in enumerate(LEVELS)
    )
    return head + "".join(rows)


def _limits() -> str:
    rows = (f"| `{field.name}` | {getattr(DEFAULT_LIMITS, field.name)} |\n" for field in fields(Limits))
    return "| limit | default |\n|---|--:|\n" + "".join(rows)


BLOCKS: Mapping[str, Callable[[], str]] = {
    **{name: partial(_payload, payload) for name, payload in PAYLOADS.items()},
    "LEVELS": _levels,
    "LIMITS": _limits,
}
"""What makes each generated block, by its name."""
