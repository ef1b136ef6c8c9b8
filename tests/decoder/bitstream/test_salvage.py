"""Damaged streams: what is lost, what is told, and that everything else still decodes exactly."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pipes import Pipe
from typing import Any

import pytest

import nvrc_decoder
from fuzz.mutations import reseal
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.bitstream.units import Gop, UnitType
from nvrc_decoder.errors import InvalidStreamError, UnsupportedError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits

MANIFEST = load_manifest()
FOUR = MANIFEST.stream("nano-four-gops")
INDEXED = MANIFEST.read("nano-four-gops")
GOPS = [unit.content.frame_count for unit in UnitReader(io.BytesIO(INDEXED)) if isinstance(unit.content, Gop)]
FIRST = [sum(GOPS[:i]) for i in range(len(GOPS))]


def without_index(data: bytes) -> bytes:
    units = list(UnitReader(io.BytesIO(data)))
    kept = [data[: units[0].offset]]
    kept += [data[unit.offset : unit.offset + unit.size] for unit in units if unit.type != UnitType.INDEX]
    return b"".join(kept)


PLAIN = without_index(INDEXED)


def unit(data: bytes, name: str) -> Unit:
    return next(unit for unit in UnitReader(io.BytesIO(data)) if unit.name == name)


def flipped(data: bytes, *places: int) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 0x10
    return bytes(changed)


def payload(name: str, at: int = 5) -> Callable[[bytes], bytes]:
    """Damages a byte of a unit's payload."""
    return lambda data: flipped(data, unit(data, name).payload_offset + at)


@dataclass
class Outcome:
    """The frames that came out, their numbers, and the damages."""

    md5: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)

    @property
    def lost(self) -> list[tuple[int | None, int | None, int | None, str]]:
        return [(d.gop, d.first_frame, d.frame_count, d.error.code) for d in self.damages if d.first_frame is not None]

    @property
    def codes(self) -> list[str]:
        return [damage.error.code for damage in self.damages]


def salvage(data: bytes, *, pipe: bool = False, start: int = 0, limits: Limits = DEFAULT_LIMITS) -> Outcome:
    outcome = Outcome()
    source: Any = Pipe(data) if pipe else io.BytesIO(data)
    with nvrc_decoder.open(source, engine="reference", limits=limits, on_damage=outcome.damages.append) as video:
        if start:
            video.seek(start)
        for frame in video:
            outcome.md5.append(frame.md5())
            outcome.numbers.append(frame.number)
    return outcome


def assert_lost(outcome: Outcome, *gops: int) -> None:
    numbers = [n for i, count in enumerate(GOPS) if i not in gops for n in range(FIRST[i], FIRST[i] + count)]
    assert outcome.numbers == numbers
    assert outcome.md5 == [FOUR.frame_md5[n] for n in numbers]


WAYS = [(INDEXED, False), (INDEXED, True), (PLAIN, False), (PLAIN, True)]
ways = pytest.mark.parametrize(("data", "pipe"), WAYS, ids=["index", "index-pipe", "plain", "plain-pipe"])


@ways
def test_a_whole_stream(data: bytes, pipe: bool) -> None:
    outcome = salvage(data, pipe=pipe)
    assert_lost(outcome)
    assert outcome.damages == []


@ways
@pytest.mark.parametrize("gop", range(4))
def test_a_gop_with_a_wrong_crc(data: bytes, pipe: bool, gop: int) -> None:
    outcome = salvage(payload(f"GOP {gop}")(data), pipe=pipe)
    assert_lost(outcome, gop)
    assert outcome.lost == [(gop, FIRST[gop], GOPS[gop], "E_CRC")]
    assert [damage.error.unit for damage in outcome.damages] == [f"GOP {gop}"]


@ways
@pytest.mark.parametrize("gop", range(4))
def test_a_digest_with_a_wrong_crc(data: bytes, pipe: bool, gop: int) -> None:
    outcome = salvage(payload(f"DIGEST {gop}")(data), pipe=pipe)
    assert_lost(outcome, gop)
    assert outcome.lost == [(gop, FIRST[gop], GOPS[gop], "E_CRC")]
    assert [damage.error.unit for damage in outcome.damages] == [f"DIGEST {gop}"]


def resealed(damage: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The damage with every CRC right."""
    return lambda data: (lambda n: reseal(damage(data)[:n]) + data[n:])(len(data) - 12 * (data[-4:] == b"NVRX"))


@ways
def test_bad_symbols_and_wrong_digests(data: bytes, pipe: bool) -> None:
    last = unit(data, "GOP 1").payload_length - 2
    outcome = salvage(resealed(payload("DIGEST 2"))(resealed(payload("GOP 1", last))(data)), pipe=pipe)
    assert_lost(outcome, 1, 2)
    assert [entry[:3] for entry in outcome.lost] == [(1, FIRST[1], GOPS[1]), (2, FIRST[2], GOPS[2])]
    assert outcome.lost[1][3] == "E_DIGEST"
    assert all(damage.error.__traceback__ is None for damage in outcome.damages)
    assert outcome.lost[0][3] in ("E_ENTROPY", "E_DIGEST", "E_ESCAPE", "E_RANGE")


@ways
def test_all_gops_but_the_last(data: bytes, pipe: bool) -> None:
    for gop in range(3):
        data = (
            payload(f"GOP {gop}")(data) if gop == 0 else flipped(data, unit(INDEXED, f"GOP {gop}").payload_offset + 5)
        )
    outcome = salvage(data, pipe=pipe)
    assert_lost(outcome, 0, 1, 2)
    assert [entry[0] for entry in outcome.lost] == [0, 1, 2]


@ways
def test_a_network_takes_its_gops_with_it(data: bytes, pipe: bool) -> None:
    outcome = salvage(payload("NETWORK 0", 40)(data), pipe=pipe)
    assert outcome.md5 == []
    assert [entry[:3] for entry in outcome.lost] == [(i, FIRST[i], GOPS[i]) for i in range(4)]
    assert set(outcome.codes) == {"E_CRC"}


@pytest.mark.parametrize("pipe", [False, True])
def test_only_the_gops_under_that_network(pipe: bool) -> None:
    stream = MANIFEST.stream("lite-networks")
    data = MANIFEST.read("lite-networks")
    first = 0
    counts = []
    for item in UnitReader(io.BytesIO(data)):
        if item.name == "NETWORK 1":
            first = len(counts)
        if isinstance(item.content, Gop):
            counts.append(item.content.frame_count)
    outcome = salvage(payload("NETWORK 0", 60)(data), pipe=pipe)
    kept = sum(counts[:first])
    assert outcome.md5 == list(stream.frame_md5[kept:])
    assert [entry[0] for entry in outcome.lost] == list(range(first))


@pytest.mark.parametrize("data", [INDEXED, PLAIN], ids=["index", "plain"])
def test_bad_parameters_lose_each_gop_once(data: bytes) -> None:
    network = unit(data, "NETWORK 0")
    outcome = salvage(resealed(payload("NETWORK 0", network.payload_length - 2))(data))
    assert outcome.md5 == []
    assert [entry[0] for entry in outcome.lost] == [0, 1, 2, 3]


@ways
def test_a_gop_that_lost_its_type(data: bytes, pipe: bool) -> None:
    outcome = salvage(flipped(data, unit(data, "GOP 1").offset), pipe=pipe)
    if not pipe and data is INDEXED:
        assert_lost(outcome, 1)
        return
    # Its number of frames is unknown, so later frames are counted without it.
    assert outcome.md5 == [FOUR.frame_md5[n] for n in range(11) if not FIRST[1] <= n < FIRST[2]]
    assert (1, FIRST[1], None, "E_ORDER") in outcome.lost


@ways
def test_a_digest_that_lost_its_type(data: bytes, pipe: bool) -> None:
    outcome = salvage(flipped(data, unit(data, "DIGEST 1").offset), pipe=pipe)
    assert_lost(outcome, 1)


@pytest.mark.parametrize("pipe", [False, True])
def test_lost_framing_ends_a_stream_without_index(pipe: bool) -> None:
    outcome = salvage(flipped(PLAIN, unit(PLAIN, "GOP 2").offset + 1), pipe=pipe)
    assert outcome.md5 == list(FOUR.frame_md5[: FIRST[2]])
    assert outcome.damages[-1].first_frame in (FIRST[2], FIRST[3])
    assert outcome.damages[-1].frame_count is None


def test_lost_framing_is_crossed_by_index() -> None:
    outcome = salvage(flipped(INDEXED, unit(INDEXED, "GOP 2").offset + 1))
    assert_lost(outcome, 2)
    assert [entry[:3] for entry in outcome.lost] == [(2, FIRST[2], GOPS[2])]


@ways
def test_a_stream_that_ends_in_the_middle(data: bytes, pipe: bool) -> None:
    for end, gops in ((unit(data, "GOP 2").offset + 20, 2), (unit(data, "DIGEST 2").offset + 3, 2), (len(data) - 1, 4)):
        outcome = salvage(data[:end], pipe=pipe)
        assert outcome.md5 == list(FOUR.frame_md5[: sum(GOPS[:gops])])
        assert outcome.codes == ["E_TRUNCATED"]
        # Without its last byte, END or the footer after it is short; no frame can be missing after END.
        tail = None if data is INDEXED else FOUR.frame_count
        assert outcome.damages[0].first_frame == (FIRST[2] if gops == 2 else tail)


@pytest.mark.parametrize("pipe", [False, True])
def test_a_broken_index_loses_no_frame(pipe: bool) -> None:
    outcome = salvage(payload("INDEX")(INDEXED), pipe=pipe)
    assert_lost(outcome)
    assert (outcome.codes, outcome.lost) == (["E_CRC"], [])


@pytest.mark.parametrize("pipe", [False, True])
def test_totals_that_lie(pipe: bool) -> None:
    outcome = salvage(resealed(payload("END", 0))(PLAIN), pipe=pipe)
    assert_lost(outcome)
    assert (outcome.codes, outcome.lost) == (["E_TOTALS"], [])


@pytest.mark.parametrize("pipe", [False, True])
def test_bytes_after_the_end(pipe: bool) -> None:
    outcome = salvage(PLAIN + b"x", pipe=pipe)
    assert_lost(outcome)
    assert outcome.codes == ["E_TRAILING"]


def test_seeking_past_and_into_damage() -> None:
    for data in (INDEXED, PLAIN):
        damaged = payload("GOP 1")(data)
        outcome = salvage(damaged, start=FIRST[2] + 1)
        assert outcome.md5 == list(FOUR.frame_md5[FIRST[2] + 1 :])
        assert outcome.damages == []
        outcome = salvage(damaged, start=FIRST[1])
        assert outcome.md5 == list(FOUR.frame_md5[FIRST[2] :])
        assert outcome.lost == [(1, FIRST[1], GOPS[1], "E_CRC")]


def test_seeking_with_a_broken_index_scans() -> None:
    outcome = salvage(payload("INDEX")(INDEXED), start=FIRST[3])
    assert outcome.md5 == list(FOUR.frame_md5[FIRST[3] :])


def test_a_gop_over_a_local_limit_is_lost_alone() -> None:
    most = max(GOPS)
    outcome = salvage(INDEXED, limits=Limits(max_gop_frames=most - 1))
    assert_lost(outcome, *(i for i, count in enumerate(GOPS) if count == most))
    assert set(outcome.codes) == {"E_LIMIT"}


def test_without_a_sequence_nothing_can_be_decoded() -> None:
    for pipe in (False, True):
        with pytest.raises(InvalidStreamError):
            salvage(payload("SEQUENCE", 1)(INDEXED), pipe=pipe)


def test_an_unknown_critical_unit() -> None:
    from nvrc_decoder.bitstream.container import encode_unit

    place = unit(PLAIN, "GOP 1").offset
    with pytest.raises(UnsupportedError):
        salvage(PLAIN[:place] + encode_unit(0x33, b"new") + PLAIN[place:])


def test_salvaging_always_checks_digests() -> None:
    damages: list[Damage] = []
    data = resealed(payload("DIGEST 0"))(INDEXED)
    with nvrc_decoder.open(io.BytesIO(data), verify=False, on_damage=damages.append) as video:
        assert [frame.md5() for frame in video] == list(FOUR.frame_md5[FIRST[1] :])
    assert [damage.error.code for damage in damages] == ["E_DIGEST"]


def test_what_the_callback_raises_comes_out() -> None:
    def refuse(damage: Damage) -> None:
        raise KeyError(damage.gop)

    data = payload("GOP 0")(INDEXED)
    with nvrc_decoder.open(io.BytesIO(data), on_damage=refuse) as video, pytest.raises(KeyError):
        next(video)


def test_damage_in_words() -> None:
    error = InvalidStreamError("E_CRC", "bad", offset=16, unit="GOP 3")
    told = "error[E_CRC] GOP 3 at byte 0x10: bad"
    assert str(Damage(error, 3, 9, 2)) == f"lost GOP 3, frames 9-10: {told}"
    assert str(Damage(error, 3, 9, 1)) == f"lost GOP 3, frame 9: {told}"
    assert str(Damage(error, 3, 9)) == f"lost GOP 3, frames from 9 on: {told}"
    assert str(Damage(error, None, 9)) == f"lost frames from 9 on: {told}"
    assert str(Damage(error)) == f"damaged: {told}"


@ways
@pytest.mark.parametrize("every", [124, pytest.param(31, marks=pytest.mark.full)])
def test_any_byte_may_be_damaged(data: bytes, pipe: bool, every: int) -> None:
    """Never another exception, never a wrong frame, and never silence, except where a byte may have any value.

    In the fast run each of the four ways takes other bytes.
    """
    codes: set[int] = set()
    first = 31 * WAYS.index((data, pipe)) % every
    for place in range(first, len(data), 1 if os.environ.get("NVRC_LONG_TESTS") else every):
        try:
            outcome = salvage(flipped(data, place), pipe=pipe)
        except nvrc_decoder.NvrcError as error:
            codes.add(error.exit_code)
            continue
        assert set(outcome.md5) <= set(FOUR.frame_md5), place
        assert outcome.damages or outcome.md5 == list(FOUR.frame_md5), place
    assert codes <= {65, 69}
