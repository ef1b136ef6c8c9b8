"""Random access into whole streams: INDEX, the footer, scanning."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from stream_builders import SEQUENCE, assemble, make_network, make_stream, read_all, split

from nvrc_decoder.bitstream.container import encode_unit
from nvrc_decoder.bitstream.descriptors import encode_leb128
from nvrc_decoder.bitstream.random_access import RandomAccess, read_index, scan_index
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import (
    Gop,
    UnitType,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.errors import InvalidStreamError, NvrcError
from nvrc_decoder.limits import Limits


class Watched(io.BytesIO):
    """Counts the bytes that are read."""

    touched = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.touched += len(data)
        return data


@pytest.mark.parametrize("index", [True, False])
def test_random_access(index: bool) -> None:
    stream = make_stream(index=index, gops=(3, 5, 1, 4))
    access = RandomAccess(io.BytesIO(stream))
    assert access.has_index is index
    assert (access.sequence, access.frame_count, access.gop_count) == (SEQUENCE, 13, 4)
    assert [access.gop_of_frame(n) for n in (0, 2, 3, 7, 8, 9, 12)] == [0, 0, 1, 1, 2, 3, 3]
    with pytest.raises(ValueError, match="outside"):
        access.gop_of_frame(13)
    records = [access.gop(i) for i in (3, 1, 2, 0)]
    assert [(r.number, r.first_frame, r.gop.frame_count, r.digest.digest[0]) for r in records] == [
        (3, 9, 4, 3),
        (1, 3, 5, 1),
        (2, 8, 1, 2),
        (0, 0, 3, 0),
    ]
    assert records[1].network is records[2].network
    assert records[0].network != records[1].network
    units = list(UnitReader(io.BytesIO(stream)))
    assert len(units) == 14 - (not index)
    assert all(unit.content == access.index for unit in units if unit.name == "INDEX")
    assert scan_index(io.BytesIO(stream))[0] == access.index


def test_random_access_reads_no_other_gop() -> None:
    stream = make_stream(gops=(3,) * 10, payload=bytes(40_000))
    file = Watched(stream)
    access = RandomAccess(file)
    access.gop(7)
    assert file.touched < 42_000
    file = Watched(make_stream(index=False, gops=(3,) * 10, payload=bytes(40_000)))
    RandomAccess(file)
    assert file.touched < 1_000


def read_both_gops(stream: bytes) -> None:
    access = RandomAccess(io.BytesIO(stream))
    for i in range(2):
        access.gop(i)


@pytest.mark.parametrize("field", ["offset", "first_frame", "network_offset"])
@pytest.mark.parametrize("delta", [-1, 1, 1 << 40])
def test_a_lying_index(field: str, delta: int) -> None:
    """The INDEX of a valid stream with one number changed, its CRC and the footer right."""
    stream = make_stream()
    found = read_index(io.BytesIO(stream))
    assert found is not None
    entries = [[e.offset, e.first_frame, e.network_offset] for e in found[0].entries]
    entries[1][("offset", "first_frame", "network_offset").index(field)] += delta
    payload = encode_leb128(2) + b"".join(encode_leb128(max(0, n)) for entry in entries for n in entry)
    units = read_all(stream)
    head = stream[: units[-2].offset]
    liar = head + encode_unit(UnitType.INDEX, payload) + stream[units[-1].offset :]
    with pytest.raises(InvalidStreamError) as caught:
        read_both_gops(liar)
    assert caught.value.code == "E_INDEX"


@pytest.mark.parametrize("offset", [0, 9, 10, 1 << 63, (1 << 64) - 1])
def test_a_footer_that_points_elsewhere(offset: int) -> None:
    stream = make_stream()[:-12] + offset.to_bytes(8, "little") + b"NVRX"
    with pytest.raises(InvalidStreamError) as caught:
        RandomAccess(io.BytesIO(stream))
    assert caught.value.code == "E_FOOTER"


def test_a_footer_to_an_enormous_unit_is_ignored() -> None:
    """Bytes inside a METADATA look like the start of an INDEX of 2^60 bytes."""
    false = bytes([UnitType.INDEX]) + b"\x80" * 8 + b"\x10"
    metadata = encode_unit(UnitType.METADATA, b"\x01k" + false)
    sequence = read_all(make_stream(index=False))[0]
    whole = make_stream(index=False)
    start = sequence.offset + sequence.size
    stream = whole[:start] + metadata + whole[start:]
    place = stream.index(false)
    assert read_index(io.BytesIO(stream + place.to_bytes(8, "little") + b"NVRX")) is None


def test_the_crc_of_end_may_look_like_a_footer() -> None:
    """A valid stream without INDEX whose END has the CRC "NVRX": 601 GOPs of 4830952 pictures together."""
    file = io.BytesIO()
    writer = StreamWriter(file, replace(SEQUENCE, level=6))
    writer.network(make_network())
    frames = [8038] * 600 + [8152]
    for number, count in enumerate(frames):
        writer.gop(Gop(count, (b"", b"")), number.to_bytes(16, "little"))
    writer.finish(index=False)
    stream = file.getvalue()
    assert stream[-4:] == b"NVRX"
    unlimited = Limits(
        max_gop_frames=1 << 16, max_gop_symbols=1 << 40, max_surplus_frames=1 << 23, max_memory_bytes=1 << 50
    )
    assert len(read_all(stream, unlimited)) == 2 * 601 + 3
    assert read_index(io.BytesIO(stream)) is None
    access = RandomAccess(io.BytesIO(stream), unlimited)
    assert (access.has_index, access.gop_count, access.frame_count) == (False, 601, sum(frames))
    record = access.gop(600)
    assert (record.first_frame, record.gop.frame_count) == (600 * 8038, 8152)
    assert record.digest.digest == (600).to_bytes(16, "little")


def test_a_footer_without_an_intact_index_is_ignored() -> None:
    stream = make_stream()
    for name, code in (("INDEX", "E_CRC"), ("END", "E_CRC")):
        unit = next(unit for unit in read_all(stream) if unit.name == name)
        broken = bytearray(stream)
        broken[unit.offset + unit.size - 1] ^= 1
        assert read_index(io.BytesIO(broken)) is None
        with pytest.raises(InvalidStreamError) as caught:
            read_all(bytes(broken))
        assert caught.value.code == code
        if name == "INDEX":
            access = RandomAccess(io.BytesIO(broken))
            assert (access.has_index, access.gop(1).first_frame) == (False, 3)
        else:
            with pytest.raises(InvalidStreamError, match="CRC"):
                RandomAccess(io.BytesIO(broken))
    for tail in (bytes(8), (10).to_bytes(8, "little")):
        with pytest.raises(InvalidStreamError) as caught:
            RandomAccess(io.BytesIO(make_stream(index=False) + tail + b"NVRX"))
        assert caught.value.code == "E_TRAILING"


def test_a_broken_leb128_is_not_an_index() -> None:
    """The footer leads into a payload, to a byte like INDEX's type that a length of no end follows."""
    stream = make_stream(payload=b"\x82" + b"\xff" * 11)
    place = stream.index(b"\x82" + b"\xff" * 11)
    with pytest.raises(InvalidStreamError) as caught:
        RandomAccess(io.BytesIO(stream[:-12] + place.to_bytes(8, "little") + b"NVRX"))
    assert caught.value.code == "E_FOOTER"


def test_no_footer_no_index() -> None:
    assert read_index(io.BytesIO(make_stream(index=False))) is None
    assert read_index(io.BytesIO(b"")) is None


def test_the_scan_meets_broken_headers() -> None:
    units = split(make_stream(index=False))
    for change, code in (
        (units[:2] + units[3:], "E_ORDER"),
        (units[:3] + units[-1:], "E_ORDER"),
        ([*units[:3], (0x40, b""), *units[3:]], "E_UNSUPPORTED"),
        (units[:5] + units[-1:], "E_TOTALS"),
        ([*units[:3], (UnitType.GOP, b""), *units[3:]], "E_LENGTH"),
        ([*units[:3], (UnitType.GOP, b"\0"), *units[3:]], "E_RANGE"),
        ([*units[:3], (UnitType.GOP, b"\x81\x80\x04"), *units[3:]], "E_RANGE"),
    ):
        with pytest.raises(NvrcError) as caught:
            scan_index(io.BytesIO(assemble(change)))
        assert caught.value.code == code
    with pytest.raises(InvalidStreamError) as caught:
        RandomAccess(io.BytesIO(assemble(units[1:])))
    assert caught.value.code == "E_ORDER"
