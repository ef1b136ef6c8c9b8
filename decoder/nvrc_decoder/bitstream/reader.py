"""Forward-only reading of a stream, unit by unit (spec chapter 2). Works on pipes: it never seeks.

The reader holds one unit at a time, plus three integers a GOP to hold an INDEX against.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from nvrc_decoder.bitstream.container import FOOTER_BYTES, FOOTER_MAGIC, unit_name
from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.source import ByteSource, RawUnit, read_stream_header, read_unit
from nvrc_decoder.bitstream.units import (
    Digest,
    End,
    Gop,
    Index,
    IndexEntry,
    Metadata,
    NetworkHeader,
    SequenceHeader,
    UnitType,
    gop_symbols,
    parameter_count,
    parse_digest,
    parse_end,
    parse_gop,
    parse_index,
    parse_metadata,
    parse_network,
    parse_sequence,
)
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.limits import (
    DEFAULT_LIMITS,
    Limits,
    check_gop_level,
    check_limit,
    check_sequence_level,
    check_sequence_limits,
)

__all__ = [
    "Content",
    "Unit",
    "UnitReader",
    "check_tail",
    "read_checked_gop",
    "read_checked_index",
    "read_checked_network",
    "read_checked_sequence",
]

Content = SequenceHeader | NetworkHeader | Gop | Digest | Metadata | Index | End | None


@dataclass(frozen=True)
class Unit:
    """A unit as it was read.

    Attributes:
        type: its type byte.
        number: how many units of its type came before it.
        offset: absolute offset of its first byte.
        payload_offset, payload_length: where its payload lies.
        payload: the payload, None where the type is optional and unknown.
        content: the parsed payload, None likewise.
    """

    type: int
    number: int
    offset: int
    payload_offset: int
    payload_length: int
    payload: bytes | None
    content: Content

    @property
    def size(self) -> int:
        """Bytes of the whole unit, type and CRC included."""
        return self.payload_offset - self.offset + self.payload_length + 4

    @property
    def name(self) -> str:
        """Such as ``GOP 3``; the units that come once have no number."""
        return unit_name(self.type, self.number)


def _payload(raw: RawUnit) -> bytes:
    return raw.payload or b""


def read_checked_sequence(raw: RawUnit, limits: Limits) -> SequenceHeader:
    """SEQUENCE of a unit, checked against its own level (R9.1 to R9.3) and the local limits."""
    sequence = parse_sequence(_payload(raw), raw.payload_offset, "SEQUENCE")
    size = (sequence.width, sequence.height)
    check_sequence_level(sequence.level, *size, sequence.rate_numerator, sequence.rate_denominator, offset=raw.offset)
    check_sequence_limits(limits, *size, offset=raw.offset)
    return sequence


def read_checked_network(raw: RawUnit, sequence: SequenceHeader, limits: Limits, unit: str) -> NetworkHeader:
    """NETWORK of a unit, checked against the local limits."""
    network = parse_network(_payload(raw), sequence, raw.payload_offset, unit)
    count = parameter_count(sequence, network)
    check_limit("max_network_parameters", count, limits, offset=raw.offset, unit=unit)
    return network


def read_checked_gop(
    raw: RawUnit, sequence: SequenceHeader, network: NetworkHeader, first_frame: int, limits: Limits, unit: str
) -> Gop:
    """GOP of a unit, checked against the stream's level (R9.4, R9.5) and the local limits.

    `first_frame` is the number of frames in the GOPs before it.
    """
    gop = parse_gop(_payload(raw), network, sequence.profile_spec, raw.payload_offset, unit)
    symbols = gop_symbols(sequence, network, gop.frame_count)
    check_gop_level(sequence.level, gop.frame_count, symbols, offset=raw.offset, unit=unit)
    check_limit("max_gop_frames", gop.frame_count, limits, offset=raw.offset, unit=unit)
    check_limit("max_gop_symbols", symbols, limits, offset=raw.offset, unit=unit)
    surplus = first_frame + gop.frame_count - (raw.offset + raw.size)
    check_limit("max_surplus_frames", surplus, limits, offset=raw.offset, unit=unit)
    return gop


def read_checked_index(raw: RawUnit, limits: Limits) -> Index:
    """INDEX of a unit; the number of entries meets `max_gops` before they are read."""
    payload = _payload(raw)
    count = ByteReader(payload, raw.payload_offset, "INDEX").unsigned("leb128")
    check_limit("max_gops", count, limits, offset=raw.offset, unit="INDEX")
    return parse_index(payload, raw.payload_offset, "INDEX")


class UnitReader:
    """Iterates over the units of a stream, enforcing order, totals, INDEX and footer.

    Iteration ends after END (and the footer); it can be done once. Everything it yields has a right CRC, is parsed
    and keeps chapters 2, 3 and 9; the coded payloads inside NETWORK and GOP are not decoded here.

    Attributes:
        sequence: the SEQUENCE, None before it was read.
        network: the NETWORK in force, None before the first.
        network_offset: offset of its unit.
        gop_count, frame_count: GOPs and frames so far.
    """

    def __init__(self, fileobj: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> None:
        self._source = ByteSource(fileobj)
        self._limits = limits
        self._entries: list[IndexEntry] = []
        self._counts: dict[int, int] = {}
        self._awaits_digest = False
        self._index_offset: int | None = None
        self.sequence: SequenceHeader | None = None
        self.network: NetworkHeader | None = None
        self.network_offset = 0
        self.gop_count = 0
        self.frame_count = 0

    def __iter__(self) -> Iterator[Unit]:
        """The units in order.

        Raises:
            InvalidStreamError, UnsupportedError, LimitError, OutputError: at the first fault, with its offset.
        """
        read_stream_header(self._source)
        while True:
            raw = read_unit(self._source, self._limits, self._next_name)
            number = self._counts.get(raw.type, 0)
            self._counts[raw.type] = number + 1
            self._check_order(raw)
            content = self._take(raw, unit_name(raw.type, number))
            if isinstance(content, End):
                # Read to the end of the file first: whoever gets END may rely on the whole stream.
                check_tail(self._source, self._index_offset)
            yield Unit(raw.type, number, raw.offset, raw.payload_offset, raw.payload_length, raw.payload, content)
            if isinstance(content, End):
                return

    def _next_name(self, kind: int) -> str:
        return unit_name(kind, self._counts.get(kind, 0))

    def _check_order(self, raw: RawUnit) -> None:
        def fail(requirement: str, message: str) -> NoReturn:
            where = f"2.5, {requirement}"
            raise InvalidStreamError("E_ORDER", message, offset=raw.offset, unit=unit_name(raw.type), section=where)

        if (self.sequence is None) != (raw.type == UnitType.SEQUENCE):
            fail("R2.8", "SEQUENCE is the first unit of a stream, and comes once")
        if self._awaits_digest != (raw.type == UnitType.DIGEST):
            fail("R2.10", "DIGEST follows each GOP at once, and comes nowhere else")
        if self._index_offset is not None and raw.type != UnitType.END:
            fail("R2.11", "only END follows INDEX")
        if raw.type == UnitType.GOP and self.network is None:
            fail("R2.9", "a NETWORK comes before the first GOP")
        if raw.type == UnitType.END and self.gop_count == 0:
            fail("R2.12", "the stream has no GOP")

    def _take(self, raw: RawUnit, unit: str) -> Content:
        """Parses a unit and moves the reader's state on."""
        limits = self._limits
        if raw.type == UnitType.SEQUENCE:
            self.sequence = read_checked_sequence(raw, limits)
            return self.sequence
        if raw.type == UnitType.DIGEST:
            self._awaits_digest = False
            return parse_digest(_payload(raw), raw.payload_offset, unit)
        if raw.type == UnitType.METADATA:
            return parse_metadata(_payload(raw), raw.payload_offset, unit)
        if raw.type == UnitType.INDEX:
            return self._take_index(raw)
        if raw.type == UnitType.END:
            return self._take_end(raw)
        if raw.type == UnitType.NETWORK and self.sequence is not None:
            self.network = read_checked_network(raw, self.sequence, limits, unit)
            self.network_offset = raw.offset
            return self.network
        if raw.type == UnitType.GOP and self.sequence is not None and self.network is not None:
            check_limit("max_gops", self.gop_count + 1, limits, offset=raw.offset, unit=unit)
            gop = read_checked_gop(raw, self.sequence, self.network, self.frame_count, limits, unit)
            self._entries.append(IndexEntry(raw.offset, self.frame_count, self.network_offset))
            self._awaits_digest = True
            self.gop_count += 1
            self.frame_count += gop.frame_count
            return gop
        return None

    def _take_index(self, raw: RawUnit) -> Index:
        index = read_checked_index(raw, self._limits)
        if list(index.entries) != self._entries:
            message = "INDEX does not agree with the units that the stream has"
            raise InvalidStreamError("E_INDEX", message, offset=raw.offset, unit="INDEX", section="2.7, R2.15")
        self._index_offset = raw.offset
        return index

    def _take_end(self, raw: RawUnit) -> End:
        end = parse_end(_payload(raw), raw.payload_offset, "END")
        if end != End(self.frame_count, self.gop_count):
            message = (
                f"END counts {end.frame_count} frames in {end.gop_count} GOPs, "
                f"the stream has {self.frame_count} in {self.gop_count}"
            )
            raise InvalidStreamError("E_TOTALS", message, offset=raw.offset, unit="END", section="2.6, R2.13")
        return end


def check_tail(source: ByteSource, index_offset: int | None) -> None:
    """Reads what follows END: the footer of a stream whose INDEX is at `index_offset`, then nothing.

    Raises:
        InvalidStreamError: E_TRUNCATED, E_FOOTER (R2.16, R2.17), E_TRAILING (R2.14).
    """
    if index_offset is not None:
        offset = source.offset
        _check_footer(source.read_exact(FOOTER_BYTES, "footer"), offset, index_offset)
    offset = source.offset
    if source.read_some(1):
        message = "bytes follow the end of the stream"
        raise InvalidStreamError("E_TRAILING", message, offset=offset, section="2.6, R2.14")


def _check_footer(footer: bytes, offset: int, index_offset: int) -> None:
    """Holds the 12 bytes of the footer at `offset` against where INDEX lies."""
    stored = int.from_bytes(footer[:8], "little")
    if footer[8:] != FOOTER_MAGIC:
        message = "the footer does not end in its magic"
        raise InvalidStreamError("E_FOOTER", message, offset=offset, unit="footer", section="2.7, R2.17")
    if stored != index_offset:
        message = f"the footer says that INDEX is at {stored:#x}; it is at {index_offset:#x}"
        raise InvalidStreamError("E_FOOTER", message, offset=offset, unit="footer", section="2.7, R2.16")
