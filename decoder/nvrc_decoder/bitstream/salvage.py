"""What can still be read of a damaged stream: the GOPs that are whole, and what became of the others.

A unit with a wrong CRC is skipped by its length, as long as the units behind it show that the length is right. Where
they do not, an INDEX can still lead to the GOPs (`salvage_table`); without one the rest of the stream is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from nvrc_decoder.bitstream.container import unit_name
from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.gops import GopRecord
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import (
    check_tail,
    read_checked_gop,
    read_checked_index,
    read_checked_network,
    read_checked_sequence,
)
from nvrc_decoder.bitstream.source import ByteSource, RawUnit, read_any_unit, read_stream_header, read_unit
from nvrc_decoder.bitstream.units import (
    End,
    Gop,
    IndexEntry,
    NetworkHeader,
    SequenceHeader,
    UnitType,
    parse_digest,
    parse_end,
    parse_metadata,
)
from nvrc_decoder.errors import InvalidStreamError, LimitError, NvrcError
from nvrc_decoder.limits import DEFAULT_LIMITS, LEVELS, Limits, check_limit

__all__ = ["Damage", "SalvageReader", "salvage_table"]

_KNOWN = frozenset(int(kind) for kind in UnitType)
# Errors of one GOP that others do not share.
_Lost = (InvalidStreamError, LimitError)


@dataclass(frozen=True)
class Damage:
    """A part of a stream that could not be decoded.

    Attributes:
        error: why.
        gop: the number of the GOP that is lost; None where no GOP is, or nobody knows which.
        first_frame: number of its first frame, or of the first frame that is lost; None where no frame is.
        frame_count: number of lost frames; None where it is not known.
    """

    error: NvrcError
    gop: int | None = None
    first_frame: int | None = None
    frame_count: int | None = None

    def __post_init__(self) -> None:
        # Tracebacks would keep the lost GOP in memory for as long as somebody keeps this.
        self.error.__traceback__ = self.error.__context__ = self.error.__cause__ = None

    def __str__(self) -> str:
        if self.first_frame is None:
            return f"damaged: {self.error}"
        if self.frame_count is None:
            frames = f"frames from {self.first_frame} on"
        elif self.frame_count == 1:
            frames = f"frame {self.first_frame}"
        else:
            frames = f"frames {self.first_frame}-{self.first_frame + self.frame_count - 1}"
        return f"lost {frames if self.gop is None else f'GOP {self.gop}, {frames}'}: {self.error}"


def salvage_table(table: RandomAccess, first: int = 0) -> Iterator[GopRecord | Damage]:
    """The GOPs of a table from number `first` on; only what they need is read."""
    for number in range(first, table.gop_count):
        try:
            yield table.gop(number)
        except _Lost as error:
            yield Damage(error, number, table.index.entries[number].first_frame, table.gop_frames(number))


@dataclass
class _Held:
    """A GOP whose DIGEST comes next; `gop` is None where the GOP is lost and has been reported."""

    offset: int
    gop: Gop | None
    first_frame: int


class SalvageReader:
    """Reads a stream forward, as `UnitReader` does, and continues after damaged units. It never seeks.

    Attributes:
        sequence: the SEQUENCE, without which nothing can be decoded.
        note: called with key and value of each METADATA, and the number of frames before it.

    Raises:
        InvalidStreamError, UnsupportedError, LimitError: the stream does not begin with a valid SEQUENCE.
    """

    def __init__(self, fileobj: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> None:
        self._source = ByteSource(fileobj)
        self._limits = limits
        read_stream_header(self._source)
        raw = read_unit(self._source, limits)
        if raw.type != UnitType.SEQUENCE:
            message = "SEQUENCE is the first unit of a stream, and comes once"
            unit = unit_name(raw.type)
            raise InvalidStreamError("E_ORDER", message, offset=raw.offset, unit=unit, section="2.5, R2.8")
        self.sequence: SequenceHeader = read_checked_sequence(raw, limits)
        self.note: Callable[[str, bytes, int], None] | None = None
        self._network: NetworkHeader | NvrcError | None = None
        self._network_offset = 0
        self._networks = self._gops = self._frames = 0
        self._held: _Held | None = None
        self._nameless = False
        self._index_offset: int | None = None
        self._entries: list[IndexEntry] = []
        self._whole = True

    def __iter__(self) -> Iterator[GopRecord | Damage]:
        """The GOPs that can be read, and every damage, in the order of the stream.

        Raises:
            UnsupportedError: a critical unit of unknown type. OutputError: the operating system could not read.
        """
        suspect: InvalidStreamError | None = None
        while True:
            try:
                raw = read_any_unit(self._source, self._limits, self._next_name)
            except _Lost as error:
                yield self._rest(suspect or error)
                return
            if raw.fault is not None and suspect is not None:
                yield self._rest(suspect)
                return
            # One unit of no known type may have lost its type byte; two in a row are no units.
            suspect = raw.fault if raw.type not in _KNOWN else None
            # Not kept here when it goes out, as in `_finish`.
            yield from map(self._noted, self._take(raw))
            if raw.type == UnitType.END:
                return

    def _next_name(self, kind: int) -> str:
        numbers: dict[int, int] = {UnitType.NETWORK: self._networks, UnitType.GOP: self._gops}
        if self._held is not None:
            numbers[UnitType.DIGEST] = self._gops - 1
        return unit_name(kind, numbers.get(kind))

    def _noted(self, item: GopRecord | Damage) -> GopRecord | Damage:
        self._whole = self._whole and not isinstance(item, Damage)
        return item

    def _rest(self, error: NvrcError) -> Damage:
        """Everything from here on is lost."""
        first = self._frames
        if self._held is not None and self._held.gop is not None:
            first = self._held.first_frame
        return Damage(error, None, first)

    def _take(self, raw: RawUnit) -> Iterator[GopRecord | Damage]:
        if self._held is not None:
            held, self._held = self._held, None
            if raw.type == UnitType.DIGEST or (raw.fault is not None and raw.type not in _KNOWN):
                yield from self._finish(held, raw)
                return
            if held.gop is not None:
                yield self._lost(held, _order_error(raw, "DIGEST follows each GOP at once", "R2.10"))
        if raw.type == UnitType.GOP:
            yield from self._take_gop(raw)
        elif raw.type == UnitType.NETWORK:
            yield from self._take_network(raw)
        elif raw.type == UnitType.DIGEST:
            yield self._orphan(raw)
        elif raw.fault is not None:
            self._nameless = raw.type not in _KNOWN
            yield Damage(raw.fault)
        else:
            try:
                self._check_other(raw)
            except _Lost as error:
                yield Damage(error)

    def _take_network(self, raw: RawUnit) -> Iterator[Damage]:
        unit = unit_name(raw.type, self._networks)
        self._networks += 1
        self._network_offset = raw.offset
        try:
            _raise_fault(raw)
            self._network = read_checked_network(raw, self.sequence, self._limits, unit)
        except _Lost as error:
            self._network = error
            yield Damage(error)

    def _take_gop(self, raw: RawUnit) -> Iterator[Damage]:
        number, self._gops = self._gops, self._gops + 1
        first = self._frames
        self._nameless = False
        try:
            _raise_fault(raw)
            check_limit("max_gops", self._gops, self._limits, offset=raw.offset, unit=unit_name(raw.type, number))
            network = self._network
            if network is None:
                _raise_order(raw, "a NETWORK comes before the first GOP", "R2.9")
            if isinstance(network, NvrcError):
                raise network
            gop = read_checked_gop(raw, self.sequence, network, first, self._limits, unit_name(raw.type, number))
        except _Lost as error:
            count = self._stated_frames(raw)
            self._frames += count or 0
            self._held = _Held(raw.offset, None, first)
            yield Damage(error, number, first, count)
            return
        self._entries.append(IndexEntry(raw.offset, first, self._network_offset))
        self._frames += gop.frame_count
        self._held = _Held(raw.offset, gop, first)

    def _stated_frames(self, raw: RawUnit) -> int | None:
        """The length that a lost GOP gives itself, if it is a possible one."""
        try:
            count = ByteReader(raw.payload or b"", raw.payload_offset, "GOP").unsigned("leb128")
        except InvalidStreamError:
            return None
        most = min(LEVELS[self.sequence.level].max_gop_frames, self._limits.max_gop_frames)
        return count if 1 <= count <= most else None

    def _finish(self, held: _Held, raw: RawUnit) -> Iterator[GopRecord | Damage]:
        """What becomes of a GOP when the unit behind it, a DIGEST or what is left of one, was read."""
        if held.gop is None:
            return
        number = self._gops - 1
        try:
            _raise_fault(raw)
            digest = parse_digest(raw.payload or b"", raw.payload_offset, unit_name(raw.type, number))
        except _Lost as error:
            yield self._lost(held, error)
            return
        if isinstance(self._network, NetworkHeader):
            unit = unit_name(UnitType.NETWORK, self._networks - 1)
            place = self._network, self._network_offset
            # Not kept here when it goes out: its payloads are as large as the unit.
            gops, held.gop = [held.gop], None
            yield GopRecord(number, held.first_frame, held.offset, *place, gops.pop(), digest, unit)

    def _lost(self, held: _Held, error: NvrcError) -> Damage:
        count = held.gop.frame_count if held.gop is not None else None
        return Damage(error, self._gops - 1, held.first_frame, count)

    def _orphan(self, raw: RawUnit) -> Damage:
        """A DIGEST that follows no GOP: that of one whose type byte was damaged, or one too many."""
        error = _order_error(raw, "DIGEST follows each GOP at once, and comes nowhere else", "R2.10")
        if not self._nameless:
            return Damage(error)
        self._nameless = False
        number, self._gops = self._gops, self._gops + 1
        return Damage(error, number, self._frames)

    def _check_other(self, raw: RawUnit) -> None:
        """The units that no frame depends on; totals and places mean something only while nothing is missing."""
        payload = raw.payload or b""
        if raw.type == UnitType.SEQUENCE:
            _raise_order(raw, "SEQUENCE is the first unit of a stream, and comes once", "R2.8")
        elif raw.type == UnitType.METADATA:
            entry = parse_metadata(payload, raw.payload_offset, unit_name(raw.type))
            if self.note is not None:
                self.note(entry.key, entry.value, self._frames)
        elif raw.type == UnitType.INDEX:
            self._index_offset = raw.offset
            index = read_checked_index(raw, self._limits)
            if self._whole and list(index.entries) != self._entries:
                message = "INDEX does not agree with the units that the stream has"
                raise InvalidStreamError("E_INDEX", message, offset=raw.offset, unit="INDEX", section="2.7, R2.15")
        elif raw.type == UnitType.END:
            end = parse_end(payload, raw.payload_offset, "END")
            if self._whole and end != End(self._frames, self._gops):
                message = f"END counts {end.frame_count} frames in {end.gop_count} GOPs, the stream has others"
                raise InvalidStreamError("E_TOTALS", message, offset=raw.offset, unit="END", section="2.6, R2.13")
            if self._whole:
                check_tail(self._source, self._index_offset)


def _raise_fault(raw: RawUnit) -> None:
    if raw.fault is not None:
        raise raw.fault


def _order_error(raw: RawUnit, message: str, requirement: str) -> InvalidStreamError:
    where = f"2.5, {requirement}"
    return InvalidStreamError("E_ORDER", message, offset=raw.offset, unit=unit_name(raw.type), section=where)


def _raise_order(raw: RawUnit, message: str, requirement: str) -> NoReturn:
    raise _order_error(raw, message, requirement)
