"""Reading of whole streams."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from itertools import pairwise

import pytest
from stream_builders import SEQUENCE, assemble, make_network, make_stream, read_all, split

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.container import encode_header
from nvrc_decoder.bitstream.descriptors import encode_leb128
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import (
    Digest,
    Gop,
    Metadata,
    UnitType,
)
from nvrc_decoder.errors import InvalidStreamError, LimitError, NvrcError
from nvrc_decoder.limits import DEFAULT_LIMITS, LEVELS, Limits, minimum_level

# The stream header, then type, length and payload of SEQUENCE for 48x32 at 25/1, profile nano, level 0: by hand.
GOLDEN_START = bytes.fromhex("894e5652430d0a1a 0400 01 0d 30 20 19 01 01 08 02 02 02 00 00 00 00")


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


def test_the_tail_is_read_before_end_is_yielded() -> None:
    reader = iter(UnitReader(io.BytesIO(make_stream() + b"x")))
    seen = []
    with pytest.raises(InvalidStreamError, match="bytes follow"):
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
    ],
)
def test_local_limits(name: str, value: int) -> None:
    with pytest.raises(LimitError) as caught:
        read_all(make_stream(), Limits(**{name: value}))
    assert caught.value.exit_code == 77
    assert caught.value.section == "9.3"
    assert name in caught.value.message


def test_the_memory_limit_is_checked_by_the_decoder() -> None:
    stream = io.BytesIO(load_manifest().read("nano-four-gops"))
    video = nvrc_decoder.open(stream, engine="reference", limits=Limits(max_memory_bytes=1000))
    with video, pytest.raises(LimitError, match="max_memory_bytes") as caught:
        next(iter(video))
    assert (caught.value.exit_code, caught.value.section, caught.value.unit) == (77, "9.3", "GOP 0")


def test_limits_are_inclusive() -> None:
    assert read_all(
        make_stream(), Limits(max_width=48, max_height=32, max_pixels=48 * 32, max_gop_frames=3, max_gops=2)
    )


def test_index_count_is_checked_before_its_entries() -> None:
    units = split(make_stream(index=False))
    units.insert(-1, (UnitType.INDEX, encode_leb128(1 << 40)))
    with pytest.raises(LimitError, match="max_gops"):
        read_all(assemble(units))


def test_pictures_are_paid_for_in_bytes() -> None:
    unlimited = Limits(max_surplus_frames=1 << 20)

    def surplus(gops: int) -> int:
        # The last unit before END is a DIGEST of 22 bytes.
        units = list(UnitReader(io.BytesIO(make_stream(index=False, gops=(400,) * gops)), unlimited))
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


def test_a_crc_error_names_the_unit_by_number() -> None:
    stream = make_stream(index=False)
    named = {}
    for unit in read_all(stream):
        damaged = bytearray(stream)
        damaged[unit.offset + unit.size - 1] ^= 1
        with pytest.raises(InvalidStreamError, match="CRC-32") as caught:
            read_all(bytes(damaged))
        named[unit.name] = caught.value.unit
    assert list(named) == list(named.values())
    assert {"SEQUENCE", "NETWORK 1", "GOP 1", "DIGEST 1", "END"} <= set(named)
