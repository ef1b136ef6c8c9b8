"""Joining streams and writing them."""

from __future__ import annotations

import io
import os
import tracemalloc

import pytest
from stream_builders import SEQUENCE, assemble, make_network, make_stream, read_all, split

from nvrc_decoder.bitstream.join import join
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import (
    Gop,
    IndexEntry,
    SequenceHeader,
    serialise_network,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.errors import InternalError, OutputError, UnsupportedError


def joined(*streams: bytes, index: bool = True) -> bytes:
    output = io.BytesIO()
    join((io.BytesIO(stream) for stream in streams), output, index=index)
    return output.getvalue()


def test_join_of_one_is_the_same() -> None:
    assert joined(make_stream()) == make_stream()
    assert joined(make_stream(), index=False) == make_stream(index=False)


def test_join_drops_repeated_networks() -> None:
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
    with pytest.raises(UnsupportedError, match="input 2 differs from the first in rate_numerator, full_range"):
        joined(make_stream(), other)
    with pytest.raises(UnsupportedError, match="nothing"):
        joined()


def test_join_holds_one_unit_in_memory() -> None:
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
