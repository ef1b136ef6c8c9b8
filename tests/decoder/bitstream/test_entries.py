"""What a reader reports that goes by INDEX, for a wrong INDEX and for damage behind its entries (spec 2.8)."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from stream_builders import assemble, make_stream, read_all, split

from nvrc_decoder.bitstream.container import HEADER_BYTES, encode_footer, encode_unit
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import Unit
from nvrc_decoder.bitstream.units import End, Index, IndexEntry, UnitType, serialise_end, serialise_index
from nvrc_decoder.errors import InvalidStreamError, NvrcError, UnsupportedError

STREAM = make_stream()
UNITS = {unit.name: unit for unit in read_all(STREAM)}


def entries() -> list[IndexEntry]:
    index = UNITS["INDEX"].content
    assert isinstance(index, Index)
    return list(index.entries)


def with_index(payload: bytes, end: bytes | None = None) -> bytes:
    """The stream with another INDEX, CRCs and footer right."""
    head = assemble([unit for unit in split(STREAM) if unit[0] not in (UnitType.INDEX, UnitType.END)])
    end = serialise_end(End(5, 2)) if end is None else end
    return head + encode_unit(UnitType.INDEX, payload) + encode_unit(UnitType.END, end) + encode_footer(len(head))


def listing(*listed: IndexEntry) -> bytes:
    return with_index(serialise_index(Index(listed), check=False))


def first(**changes: int) -> bytes:
    return listing(replace(entries()[0], **changes), entries()[1])


def last(**changes: int) -> bytes:
    return listing(entries()[0], replace(entries()[1], **changes))


RIGHT = serialise_index(Index(tuple(entries())))
WRONG_INDEX: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "no-entry": (lambda: listing(), "E_INDEX", "R3.35"),
    "entries-fall": (lambda: listing(*reversed(entries())), "E_INDEX", "R3.36"),
    "cut": (lambda: with_index(RIGHT[:-1]), "E_LENGTH", "R2.6"),
    "a-byte-more": (lambda: with_index(RIGHT + b"\x00"), "E_LENGTH", "R2.7"),
    "padded-leb128": (lambda: with_index(b"\x82\x00" + RIGHT[1:]), "E_LEB128", "R1.2"),
    "an-entry-missing": (lambda: listing(entries()[0]), "E_INDEX", "R2.15"),
    "frames-over-end": (lambda: last(first_frame=5), "E_INDEX", "R2.15"),
    "network-in-header": (lambda: first(network_offset=HEADER_BYTES - 1), "E_INDEX", "R2.15"),
    "gop-behind-index": (lambda: last(offset=len(STREAM)), "E_INDEX", "R2.15"),
    "end-too-long": (lambda: with_index(RIGHT, serialise_end(End(5, 2)) + b"\x00"), "E_LENGTH", "R2.7"),
}


@pytest.mark.parametrize("name", WRONG_INDEX)
def test_a_wrong_index_is_an_error_not_a_hop(name: str) -> None:
    make, code, requirement = WRONG_INDEX[name]
    with pytest.raises(InvalidStreamError) as caught:
        RandomAccess(io.BytesIO(make()))
    assert caught.value.code == code
    assert (caught.value.section or "").endswith(requirement)


def changed(unit: str, place: Callable[[Unit], int], value: int | None = None) -> bytes:
    """The stream with one byte of a unit changed, and nothing repaired."""
    data = bytearray(STREAM)
    position = place(UNITS[unit])
    data[position] = data[position] ^ 1 if value is None else value
    return bytes(data)


def resealed(unit: str, kind: int, payload: bytes) -> bytes:
    """The stream with another unit of the same size in the place of one."""
    old = UNITS[unit]
    new = encode_unit(kind, payload)
    assert len(new) == old.size
    return STREAM[: old.offset] + new + STREAM[old.offset + old.size :]


def in_payload(unit: Unit) -> int:
    return unit.payload_offset + 1


def in_crc(unit: Unit) -> int:
    return unit.offset + unit.size - 1


def in_type(unit: Unit) -> int:
    return unit.offset


def in_length(unit: Unit) -> int:
    return unit.offset + 1


DAMAGE: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "network-type": (lambda: changed("NETWORK 1", in_type), "E_INDEX", "R2.15"),
    "network-payload": (lambda: changed("NETWORK 1", in_payload), "E_CRC", "R2.4"),
    "gop-type": (lambda: changed("GOP 1", in_type), "E_INDEX", "R2.15"),
    "gop-payload": (lambda: changed("GOP 1", in_payload), "E_CRC", "R2.4"),
    "gop-crc": (lambda: changed("GOP 1", in_crc), "E_CRC", "R2.4"),
    "gop-length": (lambda: changed("GOP 1", in_length, 0x7F), "E_TRUNCATED", "R2.3"),
    "gop-frames": (lambda: resealed("GOP 1", UnitType.GOP, with_frames(3)), "E_INDEX", "R2.15"),
    "gop-no-frames": (lambda: resealed("GOP 1", UnitType.GOP, with_frames(0)), "E_RANGE", "R3.31"),
    "digest-type": (lambda: changed("DIGEST 1", in_type), "E_CRC", "R2.4"),
    "digest-payload": (lambda: changed("DIGEST 1", in_payload), "E_CRC", "R2.4"),
    "digest-is-other": (lambda: resealed("DIGEST 1", UnitType.METADATA, b"\x01k" + bytes(14)), "E_ORDER", "R2.10"),
    "inside-sequence": (lambda: first(network_offset=HEADER_BYTES + 3), "E_INDEX", "R2.15"),
    "another-byte": (lambda: first(offset=entries()[0].offset + 1), "E_INDEX", "R2.15"),
    "other-frames": (lambda: last(first_frame=2), "E_INDEX", "R2.15"),
}


def with_frames(count: int) -> bytes:
    payload = UNITS["GOP 1"].payload
    assert payload is not None
    return bytes([count]) + payload[1:]


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_behind_an_entry_has_its_own_code(name: str) -> None:
    make, code, requirement = DAMAGE[name]
    table = RandomAccess(io.BytesIO(make()))
    assert table.has_index
    with pytest.raises(NvrcError) as caught:
        table.gop(0 if name in ("inside-sequence", "another-byte") else 1)
    assert caught.value.code == code
    assert (caught.value.section or "").endswith(requirement)


def test_an_unknown_unit_for_a_digest_is_unsupported() -> None:
    table = RandomAccess(io.BytesIO(resealed("DIGEST 1", 0x06, bytes(16))))
    with pytest.raises(UnsupportedError):
        table.gop(1)


def test_a_damaged_index_is_hopped_over() -> None:
    table = RandomAccess(io.BytesIO(changed("INDEX", in_payload)))
    assert not table.has_index
    assert [gop.first_frame for gop in table.gops()] == [0, 3]
