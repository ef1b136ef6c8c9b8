"""Random access in seekable files (spec 2.8): a GOP costs its headers, its NETWORK and itself.

The table of GOPs comes from INDEX where the stream ends in a footer that leads to one, else from a scan over the unit
headers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from nvrc_decoder.bitstream.container import FOOTER_BYTES, FOOTER_MAGIC, HEADER_BYTES, OPTIONAL_TYPE, unit_name
from nvrc_decoder.bitstream.descriptors import LEB128_MAX_BYTES, read_leb128
from nvrc_decoder.bitstream.gops import GopRecord
from nvrc_decoder.bitstream.reader import (
    check_tail,
    read_checked_gop,
    read_checked_index,
    read_checked_network,
    read_checked_sequence,
)
from nvrc_decoder.bitstream.source import ByteSource, RawUnit, read_stream_header, read_unit
from nvrc_decoder.bitstream.units import (
    End,
    Index,
    IndexEntry,
    NetworkHeader,
    SequenceHeader,
    UnitType,
    parse_digest,
    parse_end,
    parse_frame_count,
)
from nvrc_decoder.errors import InvalidStreamError, LimitError, UnsupportedError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits, check_limit

__all__ = ["RandomAccess", "read_index", "scan_index"]


def _index_error(message: str, offset: int, requirement: str = "2.7, R2.15") -> NoReturn:
    raise InvalidStreamError("E_INDEX", message, offset=offset, unit="INDEX", section=requirement)


def read_index(fileobj: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> tuple[Index, End] | None:
    """INDEX and END of a seekable file, by its footer.

    None where the file does not end in a footer, or in one that does not lead to an intact INDEX and END: what looks
    like a footer may be the CRC of END in a stream without one. A scan tells the two apart.

    Raises:
        InvalidStreamError: E_INDEX where INDEX contradicts itself or END. LimitError: INDEX is over `limits`.
    """
    source = ByteSource(fileobj)
    length = source.length()
    if length < HEADER_BYTES + FOOTER_BYTES:
        return None
    footer_offset = length - FOOTER_BYTES
    source.seek(footer_offset)
    footer = source.read_exact(FOOTER_BYTES)
    if footer[8:] != FOOTER_MAGIC:
        return None
    offset = int.from_bytes(footer[:8], "little")
    if not HEADER_BYTES <= offset < footer_offset:
        return None
    try:
        raw = _unit_if(source, offset, UnitType.INDEX, limits)
        last = raw and _unit_if(source, offset + raw.size, UnitType.END, limits)
    except (InvalidStreamError, LimitError):  # a footer that leads elsewhere, or one that is none
        return None
    if raw is None or last is None or source.offset != footer_offset:
        return None
    index = read_checked_index(raw, limits)
    end = parse_end(last.payload or b"", last.payload_offset, "END")
    _check_entries(index, end, offset)
    return index, end


def _unit_if(
    source: ByteSource, offset: int, kind: UnitType, limits: Limits, number: int | None = None
) -> RawUnit | None:
    """The unit at `offset`, None where the byte there is not that of its type."""
    source.seek(offset)
    if source.read_exact(1)[0] != kind:
        return None
    source.seek(offset)
    return read_unit(source, limits, lambda kind: unit_name(kind, number))


def _check_entries(index: Index, end: End, offset: int) -> None:
    entries = index.entries
    if end.gop_count != len(entries) or entries[-1].first_frame >= end.frame_count:
        _index_error("INDEX does not agree with the totals of END", offset)
    if entries[0].network_offset < HEADER_BYTES or entries[-1].offset >= offset:
        _index_error("an entry of INDEX points outside of the units before it", offset)


def scan_index(fileobj: BinaryIO, limits: Limits = DEFAULT_LIMITS) -> tuple[Index, End]:
    """What `read_index` returns, for a file without a footer that leads to INDEX: hops from unit header to unit header.

    Payloads are skipped and CRCs not checked, except those of END; a GOP is checked when it is read.

    Raises:
        InvalidStreamError, UnsupportedError, LimitError: the unit headers, END or the footer are broken.
    """
    source = ByteSource(fileobj)
    length = source.length()
    source.seek(0)
    read_stream_header(source)
    entries: list[IndexEntry] = []
    frames = 0
    network_offset: int | None = None
    index_offset: int | None = None
    while True:
        offset = source.offset
        kind = source.read_exact(1)[0]
        name = unit_name(kind)
        if kind == UnitType.END:
            break
        if kind < OPTIONAL_TYPE and kind not in UnitType.__members__.values():
            message = f"the unit type {kind:#04x} is critical and unknown to this decoder"
            raise UnsupportedError("E_UNSUPPORTED", message, offset=offset, unit=name, section="2.3, R2.5")
        size = _scan_leb128(source, name)
        end_of_unit = source.offset + size + 4
        if end_of_unit > length:
            message = f"the file ends where {end_of_unit - length} more bytes are needed"
            raise InvalidStreamError("E_TRUNCATED", message, offset=length, unit=name, section="2.3, R2.3")
        if kind == UnitType.NETWORK:
            network_offset = offset
        elif kind == UnitType.GOP:
            if network_offset is None:
                message = "a NETWORK comes before the first GOP"
                raise InvalidStreamError("E_ORDER", message, offset=offset, unit=name, section="2.5, R2.9")
            check_limit("max_gops", len(entries) + 1, limits, offset=offset, unit=name)
            entries.append(IndexEntry(offset, frames, network_offset))
            frames += _scan_frame_count(source, end_of_unit - 4)
        elif kind == UnitType.INDEX:
            index_offset = offset
        source.seek(end_of_unit)
    source.seek(offset)
    raw = read_unit(source, limits)
    end = parse_end(raw.payload or b"", raw.payload_offset, "END")
    if not entries:
        message = "the stream has no GOP"
        raise InvalidStreamError("E_ORDER", message, offset=offset, unit="END", section="2.5, R2.12")
    if end != End(frames, len(entries)):
        message = f"END counts {end.frame_count} frames in {end.gop_count} GOPs, not {frames} in {len(entries)}"
        raise InvalidStreamError("E_TOTALS", message, offset=offset, unit="END", section="2.6, R2.13")
    check_tail(source, index_offset)
    return Index(tuple(entries)), end


def _scan_leb128(source: ByteSource, unit: str) -> int:
    return read_leb128(lambda: source.read_exact(1, unit)[0], source.offset, unit)


def _scan_frame_count(source: ByteSource, end: int) -> int:
    """frame_count of the GOP whose payload begins here and ends at `end`."""
    start = source.read_exact(min(end - source.offset, LEB128_MAX_BYTES), "GOP")
    return parse_frame_count(start, source.offset - len(start))


class RandomAccess:
    """The GOPs of a seekable file in any order.

    Attributes:
        sequence: the stream's SEQUENCE.
        index: offsets and first frames of all GOPs.
        frame_count, gop_count: totals of the stream.
        has_index: True where the table was read from an INDEX, False where it was scanned.

    Args:
        fileobj: a seekable file.
        limits: what may be spent.
        salvage: scan also where there is an INDEX, but a broken one.
    """

    def __init__(self, fileobj: BinaryIO, limits: Limits = DEFAULT_LIMITS, *, salvage: bool = False) -> None:
        self._limits = limits
        self._source = ByteSource(fileobj)
        self._source.seek(0)
        read_stream_header(self._source)
        raw = read_unit(self._source, limits)
        if raw.type != UnitType.SEQUENCE:
            message = "SEQUENCE is the first unit of a stream, and comes once"
            unit = unit_name(raw.type)
            raise InvalidStreamError("E_ORDER", message, offset=raw.offset, unit=unit, section="2.5, R2.8")
        self.sequence: SequenceHeader = read_checked_sequence(raw, limits)
        self._first_unit_end = self._source.offset
        try:
            found = read_index(fileobj, limits)
        except InvalidStreamError:
            if not salvage:
                raise
            found = None
        self.has_index = found is not None
        self.index, end = found if found is not None else scan_index(fileobj, limits)
        self.frame_count = end.frame_count
        self.gop_count = end.gop_count
        self._first_frames = [entry.first_frame for entry in self.index.entries]
        self._network: tuple[int, NetworkHeader] | None = None

    def gop_of_frame(self, frame: int) -> int:
        """Number of the GOP that holds frame `frame`, 0..frame_count-1; ValueError outside of that."""
        if not 0 <= frame < self.frame_count:
            raise ValueError(f"frame {frame} is outside of 0..{self.frame_count - 1}")
        return bisect_right(self._first_frames, frame) - 1

    def gop_frames(self, number: int) -> int:
        """Frames of GOP `number`, by the table."""
        following = number + 1 < self.gop_count
        return (self._first_frames[number + 1] if following else self.frame_count) - self._first_frames[number]

    def gops(self, first: int = 0) -> Iterator[GopRecord]:
        """The GOPs from number `first` on; reads only those, their NETWORKs and DIGESTs."""
        for number in range(first, self.gop_count):
            yield self.gop(number)

    def gop(self, number: int) -> GopRecord:
        """Reads GOP `number`, its DIGEST and, unless it is the one in hand, its NETWORK.

        Raises:
            InvalidStreamError: E_INDEX (R2.15) where INDEX does not say the truth about them, and all that
                `UnitReader` raises for a unit.
        """
        entry = self.index.entries[number]
        unit = unit_name(UnitType.GOP, number)
        network = self._network_at(entry.network_offset)
        raw = self._read_at(entry.offset, UnitType.GOP, number)
        gop = read_checked_gop(raw, self.sequence, network, entry.first_frame, self._limits, unit)
        if gop.frame_count != self.gop_frames(number):
            message = f"INDEX gives {unit} {self.gop_frames(number)} frames, it has {gop.frame_count}"
            _index_error(message, raw.offset)
        following = read_unit(self._source, self._limits, lambda kind: unit_name(kind, number))
        if following.type != UnitType.DIGEST:
            message = "DIGEST follows each GOP at once, and comes nowhere else"
            raise InvalidStreamError("E_ORDER", message, offset=following.offset, unit=unit, section="2.5, R2.10")
        digest = parse_digest(following.payload or b"", following.payload_offset, f"DIGEST {number}")
        return GopRecord(number, entry.first_frame, raw.offset, network, entry.network_offset, gop, digest)

    def _network_at(self, offset: int) -> NetworkHeader:
        if self._network is not None and self._network[0] == offset:
            return self._network[1]
        raw = self._read_at(offset, UnitType.NETWORK)
        network = read_checked_network(raw, self.sequence, self._limits, unit_name(UnitType.NETWORK))
        self._network = (offset, network)
        return network

    def _read_at(self, offset: int, kind: UnitType, number: int | None = None) -> RawUnit:
        """The unit at `offset`, which the table says is of type `kind`."""
        if offset < self._first_unit_end:
            _index_error(f"INDEX says that a {kind.name} is at {offset:#x}, inside of SEQUENCE", offset)
        raw = _unit_if(self._source, offset, kind, self._limits, number)
        if raw is None:
            _index_error(f"INDEX says that a {kind.name} is at {offset:#x}; another byte is there", offset)
        return raw
