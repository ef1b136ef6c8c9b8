"""What stays of a GOP when its symbols are decoded: room that is counted (spec 9.3), and no coded bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import pytest
from silent_streams import silent_gop, silent_network

import nvrc_decoder
from nvrc_decoder.bitstream import reader, source
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.salvage import Damage, SalvageReader
from nvrc_decoder.bitstream.units import Gop, NetworkHeader, SequenceHeader
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.decode import gop, symbols
from nvrc_decoder.decode.gop_source import read_forward, read_table
from nvrc_decoder.decode.lookahead import Inline
from nvrc_decoder.decode.memory import GopMemory, gop_memory
from nvrc_decoder.decode.symbols import DecodedGop, Upcoming, decode_symbols
from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.picture.planes import GopDigest

PICTURE = SequenceHeader(256, 256, 25, 1, profile=0, level=6)
ROOMY = replace(DEFAULT_LIMITS, max_surplus_frames=5000)


class Spy(Scratch):
    """Tells how often it was cleared."""

    cleared = 0

    def clear(self) -> None:
        self.cleared += 1
        super().clear()


def one_step(*_: int) -> Sequence[int]:
    """The schedule that takes the most room: a grid in one step."""
    return ()


def memory(network: NetworkHeader, frames: int, limits: Limits = ROOMY) -> GopMemory:
    return gop_memory(PICTURE, network, silent_gop(PICTURE, network, frames), limits)


def stream(gops: Sequence[tuple[NetworkHeader, int]], damaged: int | None = None, grid: int = -1) -> bytes:
    """GOPs of zeros, each under its own NETWORK, with wrong digests; `grid` of GOP `damaged` is a word too long."""
    file = io.BytesIO()
    writer = StreamWriter(file, PICTURE)
    for number, (network, frames) in enumerate(gops):
        gop = silent_gop(PICTURE, network, frames)
        if number == damaged:
            payloads = list(gop.grids)
            payloads[grid] += b"\1\0\0\0"
            gop = replace(gop, grids=tuple(payloads))
        writer.network(network)
        writer.gop(gop, GopDigest().digest())
    writer.finish(True)
    return file.getvalue()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Spy]:
    made: list[Spy] = []

    def make() -> Spy:
        made.append(Spy())
        return made[-1]

    monkeypatch.setattr(symbols, "Scratch", make)
    return made


def decode(data: bytes, limits: Limits, kept: list[Spy], damage: list[str] | None = None) -> list[tuple[int, int]]:
    """After each GOP what is kept of the room, and how often it was cleared; damage is told by its code."""
    on_damage = None if damage is None else lambda _: None
    result = []
    with nvrc_decoder.open(io.BytesIO(data), engine="reference", limits=limits, on_damage=on_damage) as video:
        for item in decode_symbols(video._decoding, read_table(video._random_access(), 0), Inline()):
            if isinstance(item, Upcoming):
                continue
            if not isinstance(item, DecodedGop) and damage is not None:
                damage.append(item.error.code)
            result.append((kept[-1].nbytes, kept[-1].cleared))
    return result


def test_room_stays_for_gops_like_the_last_one(kept: list[Spy]) -> None:
    network = silent_network(PICTURE, 64, one_step)
    rooms = decode(stream([(network, 64)] * 3), ROOMY, kept)
    assert 0 < rooms[0][0] <= memory(network, 64).working
    assert rooms == [(rooms[0][0], 0)] * 3


def test_what_a_larger_gop_has_left_goes_before_a_smaller_one(kept: list[Spy]) -> None:
    large, small = silent_network(PICTURE, 64, one_step), silent_network(PICTURE, 24)
    (before, _), (after, cleared) = decode(stream([(large, 64), (small, 24)]), ROOMY, kept)
    assert memory(small, 24).working < before
    assert cleared == 1
    assert 0 < after < before


@pytest.mark.parametrize("damaged", [False, True])
def test_nothing_stays_of_a_gop_that_leaves_no_room_for_another(kept: list[Spy], damaged: bool) -> None:
    network = silent_network(PICTURE, 64, one_step)
    needs = memory(network, 64)
    limits = replace(ROOMY, max_memory_bytes=needs.holding + needs.ahead - 1)
    assert not memory(network, 64, limits).leaves_room(memory(network, 64, limits), limits)
    damage: list[str] = []
    rooms = decode(stream([(network, 64)], 0 if damaged else None), limits, kept, damage)
    assert damage == ["E_ESCAPE"] * damaged
    assert rooms == [(0, 1)]


class Counted(bytes):
    """Coded bytes of which it is known how many there are."""

    alive = 0

    def __new__(cls, data: bytes | bytearray) -> Self:
        cls.alive += 1
        return super().__new__(cls, data)

    def __del__(self) -> None:
        type(self).alive -= 1


@pytest.mark.parametrize("damaged", [None, 1])
@pytest.mark.parametrize("origin", ["forward", "table", "salvage"])
def test_coded_bytes_go_grid_by_grid(origin: str, damaged: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Whole(Counted):
        """A GOP's unit."""

    class Part(Counted):
        """A grid's."""

    network = silent_network(PICTURE, 9)
    slots = len(network.grids)
    data = stream([(network, 9)] * 3, damaged, grid=0)
    lengths = {unit.payload_length for unit in UnitReader(io.BytesIO(data), ROOMY) if isinstance(unit.content, Gop)}
    parse_gop, code_grid = reader.parse_gop, gop.code_grid
    seen: list[tuple[int, int]] = []

    def read(data: bytearray) -> bytes:
        return Whole(data) if len(data) in lengths else bytes(data)

    def parsed(*arguments: Any) -> Gop:
        found = parse_gop(*arguments)
        return replace(found, grids=tuple(map(Part, found.grids)))

    def coded(*arguments: Any, **options: Any) -> Any:
        seen.append((Whole.alive, Part.alive))
        return code_grid(*arguments, **options)

    with nvrc_decoder.open(io.BytesIO(data), engine="reference", limits=ROOMY, on_damage=lambda _: None) as video:
        monkeypatch.setattr(source, "bytes", read, raising=False)
        monkeypatch.setattr(reader, "parse_gop", parsed)
        monkeypatch.setattr(gop, "code_grid", coded)
        units = iter(UnitReader(io.BytesIO(data), ROOMY))
        next(units)
        records = {
            "forward": lambda: read_forward(units, video._decoding.networks.load),
            "table": lambda: read_table(RandomAccess(io.BytesIO(data), ROOMY), 0),
            "salvage": lambda: iter(SalvageReader(io.BytesIO(data), ROOMY)),
        }[origin]()
        lost = []
        for item in decode_symbols(video._decoding, records, Inline()):
            if not isinstance(item, Upcoming):
                lost.append(isinstance(item, Damage))
                assert (Whole.alive, Part.alive) == (0, 0)
    assert lost == [number == damaged for number in range(3)]
    # What is wrong with the first grid is found when it has been decoded, and no other is begun.
    whole = [(0, left) for left in reversed(range(slots))]
    assert seen == [pair for number in range(3) for pair in (whole[:1] if number == damaged else whole)]
