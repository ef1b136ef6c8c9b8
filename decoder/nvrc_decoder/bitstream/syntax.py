"""The engine of the declarative syntax: elements, checks, and the two interpreters (spec 3.1).

A payload's syntax is a tuple of elements (`tables.py`). `parse` and `serialise` walk the same tuple in the two
directions, and `render.py` prints it into the specification, so the three cannot drift apart.

Names in a scope follow the specification: lower_case is read from the stream, MixedCase is derived.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from nvrc_decoder.bitstream.descriptors import ByteReader, ByteWriter
from nvrc_decoder.errors import InternalError, InvalidStreamError, NvrcError, UnsupportedError

__all__ = [
    "BitField",
    "Bits",
    "Check",
    "Derived",
    "Element",
    "Field",
    "Loop",
    "Option",
    "Scope",
    "Table",
    "evaluate",
    "in_range",
    "multiple_of_4",
    "number_field",
    "parse",
    "serialise",
]

Scope = ChainMap[str, Any]
Bound = int | str

_REFERENCE = re.compile(r"([A-Za-z_0-9]+)\[([a-z_]+)\]")
_UNSUPPORTED_CODES = {"E_UNSUPPORTED", "E_VERSION"}


def evaluate(bound: Bound, scope: Mapping[str, Any]) -> int:
    """The integer that a bound stands for: itself, a name in the scope, or ``Name[index]``."""
    if isinstance(bound, int):
        return bound
    match = _REFERENCE.fullmatch(bound)
    if match:
        return int(scope[match[1]][scope[match[2]]])
    return int(scope[bound])


@dataclass(frozen=True)
class Check:
    """A numbered requirement on one element.

    Attributes:
        id: number, such as ``"R3.1"``.
        code: the error code that breaking it raises.
        text: the requirement, a clause that follows "it is a requirement of bitstream conformance that".
        holds: True where the value keeps it; gets the value and the scope.
    """

    id: str
    code: str
    text: str
    holds: Callable[[Any, Scope], bool]


def in_range(name: str, identifier: str, low: Bound, high: Bound, code: str = "E_RANGE") -> Check:
    """The check that an element lies in low..high, inclusive."""

    def holds(value: int, scope: Scope) -> bool:
        return evaluate(low, scope) <= value <= evaluate(high, scope)

    return Check(identifier, code, f"{name} is in the range {low}..{high}", holds)


def multiple_of_4(name: str, identifier: str) -> Check:
    """A length of whole 32-bit words."""
    return Check(identifier, "E_LENGTH", f"{name} is a multiple of 4", lambda value, _: value % 4 == 0)


def number_field(name: str, descriptor: str, identifier: str, low: int | str, high: int | str, meaning: str) -> Field:
    """A number with one requirement, its range."""
    return Field(name, descriptor, meaning, (in_range(name, identifier, low, high),))


@dataclass(frozen=True)
class Field:
    """One syntax element, or an array of them.

    Attributes:
        name: lower_case name.
        descriptor: u8, u16, u24, u32, u64, leb128 or bytes.
        meaning: its semantics, for the specification.
        checks: requirements on each value.
        count: number of values of an array (index ``i``), None for a scalar.
        length: number of bytes where the descriptor is bytes; None = the rest of the payload.
    """

    name: str
    descriptor: str
    meaning: str
    checks: tuple[Check, ...] = ()
    count: Bound | None = None
    length: Bound | None = None


@dataclass(frozen=True)
class BitField:
    """Bits `first` .. `first + width - 1` of a `Bits` element; bit 0 is the least significant."""

    name: str
    first: int
    width: int
    meaning: str
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Bits:
    """An element that is split into named bits; bits that no field covers are reserved and 0.

    Attributes:
        name: of the whole.
        fields: from bit 0 up.
        reserved_id: number of the requirement on reserved bits; None where there are none.
        descriptor: of the whole, u8 or u24.
    """

    name: str
    fields: tuple[BitField, ...]
    reserved_id: str | None
    descriptor: str = "u8"

    @property
    def reserved_mask(self) -> int:
        """The bits that no field covers."""
        used = 0
        for field in self.fields:
            used |= ((1 << field.width) - 1) << field.first
        return (1 << int(self.descriptor[1:])) - 1 & ~used

    @property
    def reserved_checks(self) -> tuple[Check, ...]:
        """The requirement on the reserved bits, if there are any."""
        if self.reserved_id is None:
            return ()
        bits = [str(i) for i in range(24) if self.reserved_mask >> i & 1]
        if len(bits) == 1:
            text = f"reserved bit {bits[0]} of {self.name} is 0"
        elif len(bits) == int(bits[-1]) - int(bits[0]) + 1:
            text = f"reserved bits {bits[0]} to {bits[-1]} of {self.name} are 0"
        else:
            text = f"reserved bits {' and '.join(bits)} of {self.name} are 0"
        return (Check(self.reserved_id, "E_RESERVED", text, lambda value, _: value & self.reserved_mask == 0),)


@dataclass(frozen=True)
class Derived:
    """A MixedCase value that is computed, not read; later elements refer to it."""

    name: str
    meaning: str
    compute: Callable[[Scope], Any]
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Loop:
    """A repeated group. `over` names an integer n (index 0..n-1) or a sequence of the index's values in the scope."""

    name: str
    index: str
    over: str
    body: Table


@dataclass(frozen=True)
class Option:
    """A group that is there only under a condition; its values join those of the group around it.

    Attributes:
        condition: in words, for the specification.
        holds: True where the group is there.
        body: its elements.
    """

    condition: str
    holds: Callable[[Scope], bool]
    body: Table


Element = Field | Bits | Derived | Loop | Option
Table = tuple[Element, ...]


def _fail(check: Check, section: str, value: object, reader: ByteReader | None, offset: int | None) -> NoReturn:
    shown = f"; it is {value}" if isinstance(value, int) else ""
    message = f"required: {check.text}{shown}"
    where = f"{section}, {check.id}"
    if reader is None:
        raise InternalError(check.code, message, section=where)
    kind: type[NvrcError] = UnsupportedError if check.code in _UNSUPPORTED_CODES else InvalidStreamError
    raise kind(check.code, message, offset=offset, unit=reader.unit, section=where)


def _check(
    checks: Iterable[Check], value: Any, scope: Scope, section: str, reader: ByteReader | None, offset: int | None
) -> None:
    for check in checks:
        if not check.holds(value, scope):
            _fail(check, section, value, reader, offset)


def _indices(loop: Loop, scope: Scope) -> Iterable[int]:
    over = scope[loop.over]
    return range(over) if isinstance(over, int) else over


def parse(table: Table, section: str, reader: ByteReader, scope: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values of a payload.

    Args:
        table: its syntax.
        section: section of the specification, for errors.
        reader: the payload; the caller ends it with `ByteReader.finish`.
        scope: derived values that the syntax refers to.

    Returns:
        Each element's value by name: int, bytes, a list of ints for an array, a list of such dicts for a loop.

    Raises:
        InvalidStreamError, UnsupportedError: a requirement is broken; offset is that of the element.
    """
    values: dict[str, Any] = {}
    inner: Scope = ChainMap(values, dict(scope or {}))
    _parse_into(values, table, section, reader, inner)
    return values


def _parse_into(values: dict[str, Any], table: Table, section: str, reader: ByteReader, scope: Scope) -> None:
    for element in table:
        offset = reader.offset
        if isinstance(element, Field):
            values[element.name] = _parse_field(element, section, reader, scope)
        elif isinstance(element, Bits):
            whole = reader.unsigned(element.descriptor)
            _check(element.reserved_checks, whole, scope, section, reader, offset)
            for field in element.fields:
                value = whole >> field.first & ((1 << field.width) - 1)
                values[field.name] = value
                _check(field.checks, value, scope, section, reader, offset)
        elif isinstance(element, Derived):
            values[element.name] = value = element.compute(scope)
            _check(element.checks, value, scope, section, reader, offset)
        elif isinstance(element, Option):
            if element.holds(scope):
                _parse_into(values, element.body, section, reader, scope)
        else:
            records: list[dict[str, Any]] = []
            values[element.name] = records
            for index in _indices(element, scope):
                record: dict[str, Any] = {}
                records.append(record)
                child = scope.new_child({element.index: index}).new_child(record)
                _parse_into(record, element.body, section, reader, child)


def _parse_field(field: Field, section: str, reader: ByteReader, scope: Scope) -> Any:
    if field.descriptor == "bytes":
        offset = reader.offset
        data = reader.raw(reader.remaining if field.length is None else evaluate(field.length, scope))
        _check(field.checks, data, scope, section, reader, offset)
        return data
    if field.count is None:
        offset = reader.offset
        value = reader.unsigned(field.descriptor)
        _check(field.checks, value, scope, section, reader, offset)
        return value
    array: list[int] = []
    for i in range(evaluate(field.count, scope)):
        offset = reader.offset
        array.append(reader.unsigned(field.descriptor))
        _check(field.checks, array[-1], scope.new_child({"i": i}), section, reader, offset)
    return array


def serialise(
    table: Table,
    section: str,
    values: Mapping[str, Any],
    scope: Mapping[str, Any] | None = None,
    *,
    check: bool = True,
) -> bytes:
    """The payload of `values`, which are laid out as `parse` returns them (derived values may be left out).

    With `check` off, broken requirements are written as they are, which is how must-reject streams are made.

    Raises:
        InternalError: a requirement is broken, with its code and number, or a value does not fit its descriptor.
    """
    writer = ByteWriter()
    inner: Scope = ChainMap({}, dict(values), dict(scope or {}))
    _serialise_into(writer, table, section, inner, check)
    return writer.getvalue()


def _serialise_into(writer: ByteWriter, table: Table, section: str, scope: Scope, check: bool) -> None:
    def verify(checks: Iterable[Check], value: Any, at: Scope) -> None:
        if check:
            _check(checks, value, at, section, None, None)

    for element in table:
        if isinstance(element, Field):
            value = scope[element.name]
            if element.descriptor == "bytes":
                if check and element.length is not None and len(value) != evaluate(element.length, scope):
                    raise InternalError("E_LENGTH", f"{element.name} has {len(value)} bytes", section=section)
                verify(element.checks, value, scope)
                writer.raw(value)
                continue
            items = [value] if element.count is None else value
            if check and element.count is not None and len(items) != evaluate(element.count, scope):
                raise InternalError("E_LENGTH", f"{element.name} has {len(items)} values", section=section)
            for i, item in enumerate(items):
                verify(element.checks, item, scope if element.count is None else scope.new_child({"i": i}))
                writer.unsigned(element.descriptor, item)
        elif isinstance(element, Bits):
            whole = 0
            for field in element.fields:
                value = scope[field.name]
                if not 0 <= value < 1 << field.width:
                    message = f"{field.name} = {value} does not fit in {field.width} bits"
                    raise InternalError("E_RANGE", message, section=section)
                verify(field.checks, value, scope)
                whole |= value << field.first
            writer.unsigned(element.descriptor, whole)
        elif isinstance(element, Derived):
            scope.maps[0][element.name] = value = element.compute(scope)
            verify(element.checks, value, scope)
        elif isinstance(element, Option):
            if element.holds(scope):
                _serialise_into(writer, element.body, section, scope, check)
        else:
            records = scope[element.name]
            indices = list(_indices(element, scope))
            if check and len(records) != len(indices):
                raise InternalError("E_LENGTH", f"{element.name} has {len(records)} records", section=section)
            for index, record in zip(indices, records, strict=False):
                child = scope.new_child({element.index: index}).new_child(dict(record)).new_child({})
                _serialise_into(writer, element.body, section, child, check)
