"""What stays of a GOP when its symbols are decoded: room that is counted (spec 9.3), and no coded bytes."""

from __future__ import annotations

import io
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from silent_streams import silent_gop, silent_network

import nvrc_decoder
from nvrc_decoder import symbols
from nvrc_decoder.bitstream.random_access import GopRecord, RandomAccess
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.salvage import Damage, SalvageReader
from nvrc_decoder.bitstream.units import Gop, NetworkHeader, SequenceHeader
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.frames import GopDigest
from nvrc_decoder.gop import Grid, Network, decode_grids, load_network
from nvrc_decoder.gop_source import read_forward, read_table
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.lookahead import Inline
from nvrc_decoder.memory import GopMemory, gop_memory
from nvrc_decoder.scratch import Scratch
from nvrc_decoder.symbols import DecodedGop, Upcoming, decode_symbols

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


def stream(gops: Sequence[tuple[NetworkHeader, int]], damaged: int | None = None) -> bytes:
    """GOPs of zeros, each under its own NETWORK; their digests are wrong."""
    file = io.BytesIO()
    writer = StreamWriter(file, PICTURE)
    for number, (network, frames) in enumerate(gops):
        gop = silent_gop(PICTURE, network, frames)
        if number == damaged:
            gop = Gop(frames, (*gop.grids[:-1], gop.grids[-1] + b"\1\0\0\0"))
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


@pytest.mark.parametrize("damaged", [None, 1])
@pytest.mark.parametrize("source", ["forward", "table", "salvage"])
def test_nothing_but_the_payloads_in_turn_keeps_the_coded_bytes(
    source: str, damaged: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = silent_network(PICTURE, 9)
    data = stream([(network, 9)] * 3, damaged)
    coded: list[weakref.ref[Gop]] = []
    alive: list[bool] = []
    decode_grids = symbols.decode_grids

    def noted(record: GopRecord | Damage) -> GopRecord | Damage:
        assert isinstance(record, GopRecord)
        coded.append(weakref.ref(record.gop))
        return record

    def decode(
        sequence: SequenceHeader, network: Network, count: int, payloads: Iterator[bytes], **options: Any
    ) -> list[Grid | None]:
        alive.append(coded[-1]() is not None)
        return decode_grids(sequence, network, count, payloads, **options)

    monkeypatch.setattr(symbols, "decode_grids", decode)
    with nvrc_decoder.open(io.BytesIO(data), engine="reference", limits=ROOMY, on_damage=lambda _: None) as video:
        units = iter(UnitReader(io.BytesIO(data), ROOMY))
        next(units)
        records = {
            "forward": lambda: read_forward(units, video._decoding.networks.load),
            "table": lambda: read_table(RandomAccess(io.BytesIO(data), ROOMY), 0),
            "salvage": lambda: iter(SalvageReader(io.BytesIO(data), ROOMY)),
        }[source]()
        items = [
            item
            for item in decode_symbols(video._decoding, map(noted, records), Inline())
            if not isinstance(item, Upcoming)
        ]
    assert [isinstance(item, Damage) for item in items] == [number == damaged for number in range(3)]
    assert alive == [False] * 3


class Payload(bytearray):
    """One to which there may be weak references."""


def test_a_payload_goes_when_its_grid_is_begun() -> None:
    header = silent_network(PICTURE, 9)
    network = load_network(PICTURE, header)
    payloads = deque(map(Payload, silent_gop(PICTURE, header, 9).grids))
    given: list[weakref.ref[Payload]] = []
    alive: list[int] = []

    def drained() -> Iterator[Payload]:
        while payloads:
            given.append(weakref.ref(payloads[0]))
            yield payloads.popleft()

    def check() -> None:
        alive.append(sum(payload() is not None for payload in given))

    decode_grids(PICTURE, network, 9, drained(), check=check)
    assert len(given) == len(header.grids) > 1
    assert set(alive) == {0}
