"""A golden stream taken apart, and put together again with one fault.

CRCs, INDEX and footer are made anew after the change, so that the intended check is the one that fires.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from nvrc_decoder.bitstream.container import MINOR, encode_footer, encode_header, encode_unit
from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import (
    End,
    Gop,
    Index,
    IndexEntry,
    NetworkHeader,
    SequenceHeader,
    UnitType,
    serialise_end,
    serialise_gop,
    serialise_index,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.errors import InvalidStreamError

__all__ = ["NEW_OPTIONAL", "SMALL", "Break", "Fault", "Parts", "assemble", "rejected", "unsupported"]

SMALL = "nano-sparse"
"""The golden stream that most of them are made of."""
NEW_OPTIONAL = 0x99
"""An optional unit_type that no version defines yet."""


def assemble(
    units: Iterable[tuple[int, bytes]], minor: int = MINOR, remade: Collection[int] = (UnitType.INDEX, UnitType.END)
) -> bytes:
    """A stream of any units: lengths and CRCs are right, and where there is an INDEX, the footer points at it.

    Args:
        units: type and payload of each, which need not be valid.
        minor: of the stream header.
        remade: INDEX, END or both: the payload of each is made anew, to agree with the GOPs before it.
    """
    data = encode_header(minor)
    entries: list[IndexEntry] = []
    network, frames, index = 0, 0, 0
    for kind, payload in units:
        chosen = payload
        if kind == UnitType.NETWORK:
            network = len(data)
        elif kind == UnitType.GOP:
            entries.append(IndexEntry(len(data), frames, network))
            frames += _frame_count(payload)
        elif kind == UnitType.INDEX:
            index = len(data)
        if kind == UnitType.INDEX and kind in remade:
            chosen = serialise_index(Index(tuple(entries)), check=False)
        elif kind == UnitType.END and kind in remade:
            chosen = serialise_end(End(frames, len(entries)))
        data += encode_unit(kind, chosen)
    return data + encode_footer(index) if index else data


def _frame_count(payload: bytes) -> int:
    """frame_count of a GOP, 0 where it cannot be read; at most 2^32, so that sums remain small."""
    try:
        return min(ByteReader(payload).unsigned("leb128"), 1 << 32)
    except InvalidStreamError:
        return 0


class Parts:
    """A golden stream taken apart.

    Attributes:
        data: the whole stream.
        units: type and payload of each unit.
        crc_offsets: offset of the crc of each unit.
        sequence: its SEQUENCE.
        network: its first NETWORK.
        gop: its first GOP.
        index: its INDEX; empty where it has none.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        units = list(UnitReader(io.BytesIO(data)))
        self.crc_offsets = [unit.offset + unit.size - 4 for unit in units]
        ends = zip(units, self.crc_offsets, strict=True)
        self.units = [(unit.type, data[unit.payload_offset : end]) for unit, end in ends]
        first: dict[type, Any] = {}
        for unit in units:
            first.setdefault(type(unit.content), unit.content)
        self.sequence: SequenceHeader = first[SequenceHeader]
        self.network: NetworkHeader = first[NetworkHeader]
        self.gop: Gop = first[Gop]
        self.index: Index = first.get(Index, Index(()))

    def place(self, kind: int) -> int:
        """Place of the first unit of a type among the units."""
        return [unit for unit, _ in self.units].index(kind)

    def payload(self, kind: int) -> bytes:
        """Payload of the first unit of a type."""
        return self.units[self.place(kind)][1]

    def rebuilt(self, units: list[tuple[int, bytes]]) -> bytes:
        """A stream of these units with right CRCs; an INDEX that nobody changed, and the footer, are made anew."""
        changed = any(kind == UnitType.INDEX and payload != self.payload(kind) for kind, payload in units)
        return assemble(units, self.data[9], () if changed else (UnitType.INDEX,))

    def with_payload(self, kind: int, payload: bytes) -> bytes:
        """The stream with another payload of the first unit of a type."""
        units = list(self.units)
        units[self.place(kind)] = (kind, payload)
        return self.rebuilt(units)

    def with_bytes(self, kind: int, start: int, values: bytes) -> bytes:
        """The stream with bytes from `start` of the payload of the first unit of a type replaced."""
        payload = self.payload(kind)
        return self.with_payload(kind, payload[:start] + values + payload[start + len(values) :])

    def with_unit(self, place: int, kind: int, payload: bytes = b"") -> bytes:
        """The stream with one more unit."""
        return self.rebuilt([*self.units[:place], (kind, payload), *self.units[place:]])

    def with_index(self, entries: Iterable[IndexEntry]) -> bytes:
        """The stream with other entries of INDEX."""
        return self.with_payload(UnitType.INDEX, serialise_index(Index(tuple(entries)), check=False))

    def with_sequence(self, **changes: int) -> bytes:
        """The stream with elements of SEQUENCE changed."""
        return self.with_payload(UnitType.SEQUENCE, serialise_sequence(replace(self.sequence, **changes), check=False))

    def with_network(self, **changes: Any) -> bytes:
        """The stream with elements of its first NETWORK changed."""
        network = replace(self.network, **changes)
        return self.with_payload(UnitType.NETWORK, serialise_network(network, self.sequence, check=False))

    def with_gop(self, **changes: Any) -> bytes:
        """The stream with elements of its first GOP changed."""
        gop, profile = replace(self.gop, **changes), self.sequence.profile_spec
        return self.with_payload(UnitType.GOP, serialise_gop(gop, self.network, profile, check=False))


Break = Callable[[Parts], bytes]


@dataclass(frozen=True)
class Fault:
    """A recipe of a stream that must be refused.

    Attributes:
        id: immutable name.
        requirement: the one that it breaks; None where it is over a limit.
        sibling: id of the golden stream that it is made of, which is valid.
        description: the fault.
        why: what a decoder without the check would do.
        make: makes it of its sibling.
        expect: how a decoder must end.
        also: other ways in which it may end.
    """

    id: str
    requirement: str | None
    sibling: str
    description: str
    why: str
    make: Break
    expect: str = "reject"
    also: tuple[str, ...] = ()


def rejected(
    number: str, name: str, fault: str, why: str, make: Break, sibling: str = SMALL, also: tuple[str, ...] = ()
) -> Fault:
    """The recipe of an invalid stream; its id is made of the requirement's number and a name."""
    return Fault(_id("reject", number, name), number, sibling, fault, why, make, also=also)


def unsupported(number: str, name: str, fault: str, why: str, make: Break, sibling: str = SMALL) -> Fault:
    """The recipe of an unsupported stream, with an id like those of `rejected`."""
    return Fault(_id("unsupported", number, name), number, sibling, fault, why, make, "unsupported")


def _id(expect: str, number: str, name: str) -> str:
    return f"{expect}-{number[1:].replace('.', '-')}-{name}"
