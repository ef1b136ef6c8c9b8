"""Reading, random access, writing and joining of whole streams."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import pytest
from stream_builders import SEQUENCE, assemble, make_network, make_stream, read_all, split

from nvrc_decoder.bitstream.container import encode_header, encode_unit
from nvrc_decoder.bitstream.descriptors import encode_leb128
from nvrc_decoder.bitstream.join import join
from nvrc_decoder.bitstream.random_access import RandomAccess, read_index, scan_index
from nvrc_decoder.bitstream.reader import UnitReader, list_units
from nvrc_decoder.bitstream.units import (
    Digest,
    Gop,
    IndexEntry,
    Metadata,
    SequenceHeader,
    UnitType,
    serialise_network,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.errors import InternalError, InvalidStreamError, LimitError, NvrcError, OutputError, UnsupportedError
from nvrc_decoder.limits import DEFAULT_LIMITS, LEVELS, Limits, minimum_level

# The stream header, then type, length and payload of SEQUENCE for 48x32 at 25/1, profile nano, level 0: by hand.
GOLDEN_START = bytes.fromhex("894e5652430d0a1a 0200 01 0d 30 20 19 01 01 08 02 02 02 00 00 00 00")


def crc_by_the_book(data: bytes) -> int:
    """CRC-32 bit by bit, as spec 2.3 words it."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xEDB88320 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


class OneByteAtATime(io.RawIOBase):
    """A pipe at its most awkward: not seekable, one byte a read."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._data.read(min(1, len(view)))
        view[: len(data)] = data
        return len(data)


class Watched(io.BytesIO):
    """Counts the bytes that are read."""

    touched = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.touched += len(data)
        return data


def test_golden_start() -> None:
    stream = make_stream()
    assert crc_by_the_book(b"123456789") == 0xCBF43926
    crc = crc_by_the_book(GOLDEN_START[10:]).to_bytes(4, "little")
    assert stream[: len(GOLDEN_START) + 4] == GOLDEN_START + crc


def test_units_in_order() -> None:
    units = read_all(make_stream())
    names = "SEQUENCE|METADATA 0|NETWORK 0|GOP 0|DIGEST 0|NETWORK 1|GOP 1|DIGEST 1|INDEX|END"
    assert [unit.name for unit in units] == names.split("|")
    assert units[0].content == SEQUENCE
    assert units[1].content == Metadata("title", "straße".encode())
    assert units[2].content == make_network()
    assert units[3].content == Gop(3, (b"gopgopgo", b""))
    assert units[7].content == Digest(b"\x01" * 16)
    assert units[0].offset == 10
    for before, after in pairwise(units):
        assert after.offset == before.offset + before.size


def test_pipes() -> None:
    stream = make_stream()
    assert list(UnitReader(OneByteAtATime(stream))) == read_all(stream)  # type: ignore[arg-type]
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb") as file:
            file.write(stream)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(read_end, "rb") as file:
        units = list(UnitReader(file))
    feeder.join()
    assert units == read_all(stream)


def test_every_truncation_is_called_one() -> None:
    for index in (True, False):
        stream = make_stream(index=index)
        for length in range(len(stream)):
            for read in (read_all, lambda data: RandomAccess(io.BytesIO(data))):
                with pytest.raises(InvalidStreamError) as caught:
                    read(stream[:length])
                assert (caught.value.code, caught.value.section) == ("E_TRUNCATED", "2.3, R2.3"), length


def test_end_is_not_yielded_before_the_tail_was_read() -> None:
    reader = iter(UnitReader(io.BytesIO(make_stream() + b"x")))
    seen = []
    with pytest.raises(InvalidStreamError, match="goes on"):
        seen.extend(unit.type for unit in reader)
    assert UnitType.END not in seen


def test_unknown_optional_units_are_skipped() -> None:
    units = split(make_stream(index=False))
    units.insert(1, (0xFF, b"whatever"))
    found = read_all(assemble(units))
    assert (found[1].name, found[1].payload, found[1].content) == ("unit type 0xff 0", None, None)
    broken = bytearray(assemble(units))
    broken[found[1].payload_offset] ^= 1
    with pytest.raises(InvalidStreamError, match="CRC"):
        read_all(bytes(broken))


def test_every_minor_is_accepted() -> None:
    stream = bytearray(make_stream())
    stream[9] = 255
    assert len(read_all(bytes(stream))) == 10


@pytest.mark.parametrize("kind", [UnitType.SEQUENCE, UnitType.METADATA, 0x7F, 0xF0])
def test_a_huge_declared_length_allocates_nothing(kind: int) -> None:
    def open_and_fail(length: int) -> NvrcError:
        stream = encode_header() + bytes([kind]) + encode_leb128(length) + bytes(100)
        tracemalloc.start()
        with pytest.raises(NvrcError) as caught:
            read_all(stream)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1 << 20
        return caught.value

    assert isinstance(open_and_fail((1 << 63) - 1), LimitError)
    fits = DEFAULT_LIMITS.max_metadata_bytes if kind == UnitType.METADATA else DEFAULT_LIMITS.max_unit_bytes
    assert open_and_fail(fits).code == "E_TRUNCATED"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_width", 47),
        ("max_height", 31),
        ("max_pixels", 48 * 32 - 1),
        ("max_gop_frames", 2),
        ("max_gop_symbols", 10),
        ("max_gops", 1),
        ("max_unit_bytes", 20),
        ("max_metadata_bytes", 10),
        ("max_network_parameters", 100),
        ("max_memory_bytes", 1000),
    ],
)
def test_local_limits(name: str, value: int) -> None:
    with pytest.raises(LimitError) as caught:
        read_all(make_stream(), Limits(**{name: value}))
    assert caught.value.exit_code == 77
    assert caught.value.section == "9.3"
    assert name in caught.value.message


def test_limits_are_inclusive() -> None:
    assert read_all(
        make_stream(), Limits(max_width=48, max_height=32, max_pixels=48 * 32, max_gop_frames=3, max_gops=2)
    )


def test_index_count_meets_the_limit_before_the_entries_are_read() -> None:
    units = split(make_stream(index=False))
    units.insert(-1, (UnitType.INDEX, encode_leb128(1 << 40)))
    with pytest.raises(LimitError, match="max_gops"):
        read_all(assemble(units))


def test_pictures_are_paid_for_in_bytes() -> None:
    unlimited = Limits(max_surplus_frames=1 << 20)

    def surplus(gops: int) -> int:
        # The last unit before END is a DIGEST of 22 bytes.
        units = list(list_units(io.BytesIO(make_stream(index=False, gops=(400,) * gops)), unlimited))
        return 400 * gops - units[-2].offset

    needed = surplus(9)
    assert surplus(8) < needed
    stream = make_stream(gops=(400,) * 9)
    for read in (read_all, lambda s, limits: RandomAccess(io.BytesIO(s), limits).gop(8)):
        assert read(stream, Limits(max_surplus_frames=needed))
        with pytest.raises(LimitError, match="max_surplus_frames"):
            read(stream, Limits(max_surplus_frames=needed - 1))


def test_levels_grow() -> None:
    for lower, higher in pairwise(LEVELS):
        assert all(a <= b for a, b in zip(vars(lower).values(), vars(higher).values(), strict=True))
    assert minimum_level(352, 288, 30000, 1001, 32, 1 << 20) == 0
    assert minimum_level(1920, 1080, 60, 1, 32, 1 << 20) == 3
    assert minimum_level(3840, 2160, 60, 1, 32, 1 << 20) == 4
    assert minimum_level(65535, 65535, 1, 1, 1, 1) == 6
    with pytest.raises(InvalidStreamError, match="level 6"):
        minimum_level(65535, 65535, 1000, 1, 1, 1)


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
    reader = UnitReader(io.BytesIO(stream))
    assert len(list(reader)) == 14 - (not index)
    assert reader.entries == access.index.entries == scan_index(io.BytesIO(stream))[0].entries


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


def test_a_footer_that_leads_to_no_intact_index_is_none() -> None:
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


def test_a_broken_leb128_at_the_place_of_index_is_no_index() -> None:
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
    ):
        with pytest.raises(NvrcError) as caught:
            scan_index(io.BytesIO(assemble(change)))
        assert caught.value.code == code
    with pytest.raises(InvalidStreamError) as caught:
        RandomAccess(io.BytesIO(assemble(units[1:])))
    assert caught.value.code == "E_ORDER"


def test_listing_lets_the_payloads_go() -> None:
    listed = list(list_units(io.BytesIO(make_stream())))
    assert [unit.offset for unit in listed] == [unit.offset for unit in read_all(make_stream())]
    assert all(unit.payload is None for unit in listed)


def joined(*streams: bytes, index: bool = True) -> bytes:
    output = io.BytesIO()
    join((io.BytesIO(stream) for stream in streams), output, index=index)
    return output.getvalue()


def test_join_of_one_is_the_same() -> None:
    assert joined(make_stream()) == make_stream()
    assert joined(make_stream(), index=False) == make_stream(index=False)


def test_join_copies_units_and_drops_repeated_networks() -> None:
    part = make_stream(gops=(2,))
    units = read_all(joined(part, make_stream(index=False), part))
    kinds = [unit.name.split()[0] for unit in units]
    one = ["METADATA", "NETWORK", "GOP", "DIGEST"]
    # make_stream's last GOP has the network that `part` has: it is in force where the last part begins.
    assert kinds == ["SEQUENCE", *one, *one, "NETWORK", "GOP", "DIGEST", "METADATA", "GOP", "DIGEST", "INDEX", "END"]
    gops = [unit.content.frame_count for unit in units if isinstance(unit.content, Gop)]
    assert gops == [2, 3, 2, 2]


def test_join_drops_unknown_optional_units() -> None:
    units = split(make_stream(index=False))
    units.insert(1, (0xC0, b"offsets"))
    assert joined(assemble(units), index=False) == make_stream(index=False)


def test_join_refuses_other_sequences_and_nothing() -> None:
    other = make_stream(sequence=SequenceHeader(48, 32, 30, 1, full_range=1))
    with pytest.raises(UnsupportedError, match="input 1 differs from the first in rate_numerator, full_range"):
        joined(make_stream(), other)
    with pytest.raises(UnsupportedError, match="nothing"):
        joined()


def test_join_holds_one_unit_at_a_time() -> None:
    def peak(copies: int) -> int:
        stream = make_stream(gops=(3,) * 4, payload=bytes(100_000))
        with open(os.devnull, "wb") as output:
            tracemalloc.start()
            join((io.BytesIO(stream) for _ in range(copies)), output)
            used = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return used

    # One unit has 100,000 bytes; the rest is headers, and what the interpreter keeps of them.
    assert peak(10) < peak(1) + 100_000


def test_writer_enforces_order() -> None:
    writer = StreamWriter(io.BytesIO(), SEQUENCE)
    with pytest.raises(InternalError, match="NETWORK"):
        writer.gop(Gop(1, ()), bytes(16))
    with pytest.raises(InternalError, match="at least one GOP"):
        writer.finish()
    network = make_network()
    writer.network(network)
    for gop, digest, code in (
        (Gop(0, (b"", b"")), bytes(16), "E_RANGE"),
        (Gop(1, (b"abc", b"")), bytes(16), "E_LENGTH"),
        (Gop(1, (b"",)), bytes(16), "E_LENGTH"),
        (Gop(1, (b"", b"")), bytes(15), "E_LENGTH"),
        (Gop(1025, (b"", b"")), bytes(16), "E_LEVEL"),
    ):
        with pytest.raises(InternalError) as caught:
            writer.gop(gop, digest)
        assert caught.value.code == code
    writer.gop(Gop(1, (b"", b"")), bytes(16))
    writer.network_payload(serialise_network(network, SEQUENCE))
    writer.finish()
    assert (writer.gop_count, writer.frame_count) == (1, 1)
    with pytest.raises(InternalError, match="finished"):
        writer.metadata("late", b"")


def test_operating_system_errors_are_typed() -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            raise OSError("the disk is gone")

        def write(self, data: object, /) -> int:
            raise OSError("the disk is full")

    with pytest.raises(OutputError, match="gone"):
        list(UnitReader(Broken()))  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="full"):
        StreamWriter(Broken(), SEQUENCE)  # type: ignore[arg-type]


def test_short_writes_are_continued() -> None:
    class OneByte(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: object, /) -> int:
            self.data += bytes(data)[:1]  # type: ignore[call-overload]
            return 1

    file = OneByte()
    writer = StreamWriter(file, SEQUENCE)  # type: ignore[arg-type]
    writer.network(make_network())
    writer.gop(Gop(1, (b"", b"")), bytes(16))
    writer.finish()
    assert len(file.data) == writer.offset
    assert len(read_all(file.data)) == 6


def test_index_entries_are_small() -> None:
    assert not hasattr(IndexEntry(1, 2, 3), "__dict__")
