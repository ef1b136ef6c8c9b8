"""Damage to streams, and what is made right around it."""

from __future__ import annotations

import io
import random

import pytest

from fuzz.mutations import damage, mutations, repaired_mutant, reseal, split_units, unit_spans
from nvrc_conformance.faults.parts import assemble
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import End, UnitType
from nvrc_decoder.errors import NvrcError

MANIFEST = load_manifest()
TWO_GOPS = MANIFEST.read("nano-two-gops")


def keep(_: random.Random, data: bytearray) -> None:
    """No damage."""


def codes(streams: list[bytes]) -> set[str]:
    """The error codes of reading streams; empty for those without an error."""
    found = set()
    for data in streams:
        try:
            list(UnitReader(io.BytesIO(data)))
            found.add("")
        except NvrcError as error:
            found.add(error.code)
    return found


def test_units_put_together_are_the_stream() -> None:
    for stream in MANIFEST.streams:
        data = MANIFEST.read(stream.id)
        assert assemble(split_units(data), data[9]) == data


def test_a_resealed_stream_keeps_its_footer() -> None:
    assert reseal(TWO_GOPS) == TWO_GOPS
    at = unit_spans(TWO_GOPS)[-1][1]
    assert reseal(TWO_GOPS[:at] + b"footer of 12") == TWO_GOPS[:at] + b"footer of 12"


def test_resealing_mends_every_crc() -> None:
    data = bytearray(TWO_GOPS)
    for _, end in unit_spans(TWO_GOPS):
        data[end - 1] ^= 1
    assert reseal(bytes(data)) == TWO_GOPS


def test_index_and_end_follow_the_units() -> None:
    units = split_units(TWO_GOPS)
    gop = next(place for place, (kind, _) in enumerate(units) if kind == UnitType.GOP)
    repeated = assemble([*units[:gop], *units[gop : gop + 2], *units[gop:]])
    end = list(UnitReader(io.BytesIO(repeated)))[-1].content
    assert isinstance(end, End)
    assert end.gop_count == 3


def test_a_mutant_is_right_around_its_damage() -> None:
    """Without an INDEX, as behind a missing END a footer would pass for a unit with a wrong CRC."""
    stream, generator = MANIFEST.read("nano-units"), random.Random(1)
    moved = codes([repaired_mutant(generator, stream, keep) for _ in range(200)])
    assert {"", "E_ORDER"} <= moved
    assert moved.isdisjoint({"E_CRC", "E_TOTALS", "E_LENGTH"})
    damaged = codes([repaired_mutant(generator, stream) for _ in range(200)])
    assert {"", "E_ORDER", "E_LENGTH", "E_RANGE", "E_RESERVED", "E_TOTALS"} <= damaged
    assert "E_CRC" not in damaged


def test_mutants_are_damaged_in_index_and_end() -> None:
    generator = random.Random(1)
    assert {"E_INDEX", "E_TOTALS"} <= codes([repaired_mutant(generator, TWO_GOPS) for _ in range(200)])


@pytest.mark.parametrize("data", [b"", b"\x00", TWO_GOPS[:9], TWO_GOPS[:30]])
def test_what_is_no_stream_can_be_damaged(data: bytes) -> None:
    generator = random.Random(2)
    assert any(repaired_mutant(generator, data) != data for _ in range(20))


def test_a_seed_gives_the_same_mutants() -> None:
    streams = [TWO_GOPS, MANIFEST.read("nano-sparse")]
    first = list(mutations(streams, 40, seed=3))
    assert first == list(mutations(streams, 40, seed=3))
    assert first != list(mutations(streams, 40, seed=4))
    assert len(set(first)) > 35


def test_damage_changes_most_bytes_it_is_given() -> None:
    generator = random.Random(5)
    assert sum(_damaged(generator) != bytes(range(20)) for _ in range(100)) > 90


def _damaged(generator: random.Random) -> bytes:
    data = bytearray(range(20))
    damage(generator, data)
    return bytes(data)
