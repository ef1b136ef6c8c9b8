"""Round trips of random headers, and mutated streams: a typed error or a stream that reads."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_builders import make_node_stream, make_stream, read_all, split

from fuzz.mutations import reseal
from nvrc_decoder.bitstream.container import encode_header, encode_unit
from nvrc_decoder.bitstream.descriptors import LEB128_MAX, ByteReader, encode_leb128, read_leb128
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.units import (
    Digest,
    End,
    Gop,
    GridHeader,
    Index,
    IndexEntry,
    LayerHeader,
    Metadata,
    NetworkHeader,
    ScheduleKind,
    ScheduleRun,
    SequenceHeader,
    layer_specs,
    parse_digest,
    parse_end,
    parse_gop,
    parse_index,
    parse_metadata,
    parse_network,
    parse_sequence,
    schedule_runs,
    serialise_digest,
    serialise_end,
    serialise_gop,
    serialise_index,
    serialise_metadata,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.errors import InternalError, InvalidStreamError, NvrcError
from nvrc_decoder.profiles import PROFILES, SlotKind, node_shape
from nvrc_decoder.pyramid import Pyramid

BYTE = st.integers(0, 255)
RATE = st.integers(1, (1 << 31) - 1)
WORDS = st.binary(max_size=20).map(lambda data: data[: len(data) // 4 * 4])
LEB128 = st.integers(0, 63).flatmap(lambda bits: st.integers(0, min((1 << bits) - 1, LEB128_MAX)))


@st.composite
def sequences(draw: st.DrawFn) -> SequenceHeader:
    chroma = draw(st.integers(0, 2))
    return SequenceHeader(
        *draw(st.tuples(st.integers(1, 65535), st.integers(1, 65535), RATE, RATE)),
        chroma_format=chroma,
        bit_depth=draw(st.sampled_from((8, 10))),
        colour_primaries=draw(BYTE),
        transfer_characteristics=draw(BYTE),
        matrix_coefficients=draw(BYTE),
        full_range=draw(st.integers(0, 1)),
        chroma_sample_position=draw(st.integers(0, 3)) if chroma == 1 else 0,
        profile=draw(st.integers(0, len(PROFILES) - 1)),
        level=draw(st.integers(0, 6)),
    )


@st.composite
def runs(draw: st.DrawFn) -> tuple[ScheduleRun, ...]:
    found: list[ScheduleRun] = []
    left = 32
    for _ in range(draw(st.integers(0, 16))):
        if not left:
            break
        halve = draw(st.integers(1, 7))
        repeat = draw(st.integers(1, min(16, left)))
        found.append(ScheduleRun(halve, draw(st.integers(0, 7)) & ~halve, repeat))
        left -= repeat
    return tuple(found)


@st.composite
def pyramids(draw: st.DrawFn) -> Pyramid:
    key = draw(st.integers(0, 4))
    node = draw(st.integers(0, key))
    return Pyramid(1 << key, 1 << node, tuple(draw(st.integers(1, 255)) for _ in range(key - node)))


@st.composite
def networks(draw: st.DrawFn) -> tuple[SequenceHeader, NetworkHeader]:
    sequence = draw(sequences())
    profile = sequence.profile_spec
    features = [i for i, slot in enumerate(profile.slots) if slot.kind is SlotKind.FEATURE]
    slots = draw(st.sets(st.sampled_from([*features, profile.plane_slot])))
    if not slots or draw(st.booleans()):
        slots |= set(profile.band_slots)
    has_nodes = not slots.isdisjoint(profile.node_slots)
    if has_nodes and draw(st.booleans()):
        slots.add(profile.flow_slot)
        if draw(st.booleans()):
            slots.add(profile.split_slot)
    multiplier = st.integers(1, 2048)
    grids = []
    for slot in sorted(slots):
        most = profile.slots[slot].max_channels
        fixed = profile.slots[slot].kind in (SlotKind.BAND, SlotKind.FLOW, SlotKind.SPLIT)
        n = most if fixed else draw(st.integers(1, most))
        multipliers = draw(st.lists(multiplier, min_size=n, max_size=n) | multiplier.map(lambda m, n=n: [m] * n))
        kind = draw(st.sampled_from(ScheduleKind))
        chosen = draw(runs()) if kind is ScheduleKind.EXPLICIT else ()
        grids.append(GridHeader(slot, tuple(multipliers), chosen, kind))
    active = (
        tuple(draw(st.integers(1, most)) for most in profile.max_channels),
        tuple(draw(st.integers(0, most)) for most in profile.blocks),
    )
    widths = draw(st.tuples(st.integers(1, 64), st.integers(1, 64)))
    network = NetworkHeader(*active, tuple(grids), widths, (), draw(WORDS))
    if has_nodes:
        network = replace(network, pyramid=draw(pyramids()))
    scale = st.integers(0, 39)
    layers = tuple(
        LayerHeader(*draw(st.tuples(st.integers(4, 7), st.integers(0, 24), scale, st.integers(0, 23), scale)))
        for _ in layer_specs(sequence, network)
    )
    return sequence, replace(network, layers=layers)


@given(LEB128)
def test_leb128(value: int) -> None:
    data = encode_leb128(value)
    assert len(data) == max(1, -(-value.bit_length() // 7))
    assert ByteReader(data + b"x").unsigned("leb128") == value
    for i in range(1, 9 - len(data) + 1):
        padded = data[:-1] + bytes([data[-1] | 0x80]) + b"\x80" * (i - 1) + b"\x00"
        with pytest.raises(InvalidStreamError, match="more than it needs"):
            read_leb128(iter(padded).__next__, 0)


def test_leb128_ends() -> None:
    assert encode_leb128(LEB128_MAX) == b"\xff" * 8 + b"\x7f"
    for value in (-1, LEB128_MAX + 1):
        with pytest.raises(InternalError):
            encode_leb128(value)


@given(sequences())
def test_sequence(sequence: SequenceHeader) -> None:
    assert parse_sequence(serialise_sequence(sequence)) == sequence


@settings(max_examples=50, deadline=None)
@given(networks(), st.data())
def test_network_and_gop(pair: tuple[SequenceHeader, NetworkHeader], data: st.DataObject) -> None:
    sequence, network = pair
    payload = serialise_network(network, sequence)
    assert parse_network(payload, sequence) == network
    cut = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(InvalidStreamError):
        parse_network(payload[:cut], sequence)
    for grid in network.grids:
        splits = grid.splits((17, 60, 5))
        if grid.schedule is ScheduleKind.EXPLICIT:
            assert sum((run.repeat for run in grid.runs), 0) == len(splits)
        assert [split for run in schedule_runs(splits) for split in [run.split] * run.repeat] == list(splits)
        if grid.schedule is ScheduleKind.TEMPORAL_FIRST:
            assert splits == (0x03,) * 6 + (0x34,) * 5
        if grid.schedule is ScheduleKind.OCTREE:
            assert splits == (0x07,) * 6
    profile, frames = sequence.profile_spec, data.draw(st.integers(1, 65536) | st.integers(1, 40))
    maps = []
    for grid in network.coding_order(profile):
        slot = profile.slots[grid.slot]
        nodes, _, _ = node_shape(slot, frames, 1, 1, network.pyramid)
        # The last node alone, all, or any of the first ones: maps of thousands of drawn bits would take too long.
        some = st.integers(0, (1 << min(nodes, 40)) - 1)
        coded = some | st.sampled_from((1 << nodes - 1, (1 << nodes) - 1))
        if slot.mapped:
            maps.append(data.draw(coded).to_bytes(-(-nodes // 8), "little"))
    gop = Gop(frames, tuple(data.draw(WORDS) for _ in network.grids), tuple(maps))
    assert parse_gop(serialise_gop(gop, network, profile), network, profile) == gop


@given(st.text(min_size=1, max_size=60), st.binary(max_size=50), st.binary(min_size=16, max_size=16))
def test_metadata_and_digest(key: str, value: bytes, digest: bytes) -> None:
    metadata = Metadata(key, value)
    assert parse_metadata(serialise_metadata(metadata)) == metadata
    assert parse_digest(serialise_digest(Digest(digest))) == Digest(digest)


@given(st.lists(st.tuples(*[st.integers(1, 1 << 30)] * 3), min_size=1, max_size=10), LEB128, LEB128)
def test_index_and_end(steps: list[tuple[int, int, int]], frames: int, gops: int) -> None:
    entries: list[IndexEntry] = []
    for offset, first, _ in steps:
        before = entries[-1] if entries else IndexEntry(0, -first, 0)
        entries.append(IndexEntry(before.offset + offset, before.first_frame + first, before.offset))
    index = Index(tuple(entries))
    assert parse_index(serialise_index(index)) == index
    assert parse_end(serialise_end(End(frames, gops))) == End(frames, gops)


def error_of(read: Callable[[bytes], object], data: bytes) -> NvrcError | None:
    """The typed error that reading ends in, if any; another exception fails the test."""
    try:
        read(data)
    except NvrcError as error:
        return error
    return None


@given(st.binary(max_size=60))
def test_arbitrary_payloads_end_in_typed_errors(payload: bytes) -> None:
    for parse in (parse_sequence, parse_metadata, parse_index, parse_end, parse_digest):
        error = error_of(parse, payload)
        assert error is None or error.exit_code in (65, 69)


def mutate(generator: random.Random, stream: bytes) -> bytes:
    """One to three faults: flipped bits, deleted, inserted or overwritten bytes, swapped or repeated units."""
    for _ in range(generator.randint(1, 3)):
        data = bytearray(stream)
        at = generator.randrange(len(data))
        match generator.randrange(6):
            case 0:
                data[at] ^= 1 << generator.randrange(8)
            case 1:
                del data[at : at + generator.randint(1, 8)]
            case 2:
                data[at:at] = generator.randbytes(generator.randint(1, 8))
            case 3:
                data[at] = generator.choice((0, 1, 0x7F, 0x80, 0xFF))
            case _:
                units = split(make_stream())
                i, j = generator.randrange(len(units)), generator.randrange(len(units))
                units[i], units[j] = units[j], units[i] if generator.randrange(2) else units[j]
                data = bytearray(encode_header() + b"".join(encode_unit(*unit) for unit in units))
        stream = bytes(data) or b"\x00"
    return stream


def consume(stream: bytes) -> Any:
    """Everything that reading a stream forward, then at random, does."""
    read_all(stream)
    access = RandomAccess(io.BytesIO(stream))
    return [access.gop(i) for i in range(access.gop_count)]


@pytest.mark.full
def test_mutated_streams() -> None:
    generator = random.Random(2024)
    originals = (make_stream(), make_stream(index=False), make_node_stream(10, b"\x15"))
    outcomes: dict[str, int] = {}
    for i in range(4000):
        stream = mutate(generator, originals[i % 3])
        if i % 4 < 2:
            stream = reseal(stream)
        for read in (consume, lambda data: [RandomAccess(io.BytesIO(data)).gop(0)]):
            error = error_of(read, stream)
            code = "read" if error is None else error.code
            if error is not None:
                assert error.exit_code in (65, 69, 77), error
                assert error.offset is None or error.offset <= len(stream)
                assert error.section is not None
            outcomes[code] = outcomes.get(code, 0) + 1
    # The mutations reach every kind of check, or they test nothing.
    assert {"E_CRC", "E_TRUNCATED", "E_ORDER", "E_LENGTH", "E_RANGE", "E_RESERVED", "E_INDEX", "read"} <= set(outcomes)
