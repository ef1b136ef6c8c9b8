"""Streams made by hand to hurt: every CRC is right and every lie is one that a decoder has to see through."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stream_builders import with_payload

from nvrc_conformance.drafts import NetworkDraft, StreamDraft, random_network
from nvrc_conformance.sampling import random_state
from nvrc_decoder.bitstream.container import encode_footer, encode_header, encode_unit
from nvrc_decoder.bitstream.descriptors import encode_leb128
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import (
    Digest,
    End,
    Gop,
    GridHeader,
    Index,
    IndexEntry,
    NetworkHeader,
    ScheduleKind,
    ScheduleRun,
    SequenceHeader,
    UnitType,
    node_map,
    serialise_digest,
    serialise_end,
    serialise_gop,
    serialise_index,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.profiles import node_shape
from nvrc_decoder.pyramid import Pyramid

__all__ = ["Case", "hostile_cases"]

SMALL = SequenceHeader(48, 32, 25, 1)
_WORDS = bytes(range(1, 65))


@dataclass(frozen=True)
class Case:
    """A hostile stream.

    Attributes:
        name: what is wrong with it.
        data: the stream.
        codes: the error codes that are right for it.
    """

    name: str
    data: bytes
    codes: tuple[str, ...]


def _network(sequence: SequenceHeader, draft: NetworkDraft | None = None) -> NetworkHeader:
    chosen = draft or NetworkDraft((2, 2, 2, 2, 2), grid_channels={0: 1, 4: 1}, context_widths=(2, 2))
    return random_network(random_state("hostile"), sequence, chosen, 2)


def _gop(
    network: NetworkHeader, frame_count: int, grids: Sequence[bytes] | None = None, maps: Sequence[bytes] | None = None
) -> bytes:
    """The payload of a GOP, unchecked; all nodes are coded unless `maps` says otherwise."""
    payloads = tuple(grids if grids is not None else [_WORDS] * len(network.grids))
    mapped = (SMALL.profile_spec.slots[grid.slot] for grid in network.coding_order(SMALL.profile_spec))
    counts = [node_shape(slot, frame_count, 1, 1, network.pyramid)[0] for slot in mapped if slot.mapped]
    full = [node_map([True] * count) for count in counts]
    whole = Gop(frame_count, payloads, tuple(full if maps is None else maps))
    return serialise_gop(whole, network, SMALL.profile_spec, check=False)


def _stream(
    sequence: SequenceHeader,
    network: NetworkHeader,
    frame_count: int = 2,
    grids: Sequence[bytes] | None = None,
    maps: Sequence[bytes] | None = None,
    digest: bytes = bytes(16),
    extra: bytes = b"",
) -> bytes:
    """A stream of one GOP, unchecked; `extra` comes before END."""
    return b"".join(
        (
            encode_header(),
            encode_unit(UnitType.SEQUENCE, serialise_sequence(sequence, check=False)),
            encode_unit(UnitType.NETWORK, serialise_network(network, sequence, check=False)),
            encode_unit(UnitType.GOP, _gop(network, frame_count, grids, maps)),
            encode_unit(UnitType.DIGEST, serialise_digest(Digest(digest), check=False)),
            extra,
            encode_unit(UnitType.END, serialise_end(End(frame_count, 1))),
        )
    )


def _with_schedule(network: NetworkHeader, runs: tuple[ScheduleRun, ...]) -> NetworkHeader:
    return replace(network, grids=tuple(GridHeader(grid.slot, grid.multipliers, runs) for grid in network.grids))


def _unit_of_length(kind: int, length: int) -> bytes:
    return bytes([kind]) + encode_leb128(length)


def _lengths() -> list[Case]:
    cases = []
    sequence = encode_unit(UnitType.SEQUENCE, serialise_sequence(SMALL))
    for name, kind in (("NETWORK", 0x02), ("METADATA", 0x81), ("INDEX", 0x82), ("unknown", 0xF0), ("critical", 0x70)):
        for length in ((1 << 63) - 1, 1 << 40, 1 << 26):
            codes = ("E_LIMIT", "E_TRUNCATED")
            cases.append(
                Case(f"{name} of {length} bytes", encode_header() + sequence + _unit_of_length(kind, length), codes)
            )
    cases.append(Case("an endless length", encode_header() + b"\x01" + b"\x80" * 1000, ("E_LEB128",)))
    network = _network(SMALL)
    payload = bytearray(serialise_network(network, SMALL))
    tail = encode_leb128(len(network.parameters)) + network.parameters
    lying = bytes(payload[: -len(tail)]) + encode_leb128(1 << 40) + network.parameters
    data = encode_header() + sequence + encode_unit(UnitType.NETWORK, lying)
    cases.append(Case("parameters of 2^40 bytes", data, ("E_LENGTH",)))
    gop = encode_leb128(2) + encode_leb128(1 << 40) + _WORDS
    start = encode_header() + sequence + encode_unit(UnitType.NETWORK, bytes(payload))
    cases.append(Case("a grid of 2^40 bytes", start + encode_unit(UnitType.GOP, gop), ("E_LENGTH",)))
    index = encode_leb128((1 << 63) - 1) + bytes(64)
    whole = _stream(SMALL, network, extra=encode_unit(UnitType.INDEX, index))
    cases.append(Case("an INDEX of 2^63 entries", whole, ("E_LIMIT", "E_ENTROPY", "E_ESCAPE", "E_RANGE")))
    footer = _stream(SMALL, network) + encode_footer((1 << 64) - 1)
    cases.append(Case("a footer that points far away", footer, ("E_FOOTER", "E_ENTROPY", "E_ESCAPE", "E_RANGE")))
    return cases


def _sizes() -> list[Case]:
    cases = []
    for width, height in ((65535, 65535), (1, 65535), (65535, 1)):
        for level in (0, 6):
            sequence = replace(SMALL, width=width, height=height, level=level)
            cases.append(
                Case(f"{width}x{height} at level {level}", _stream(sequence, _network(SMALL)), ("E_LEVEL", "E_LIMIT"))
            )
    largest = replace(SMALL, width=8192, height=2048, level=6)
    cases.append(Case("a picture of 2^24 samples", _stream(largest, _network(SMALL)), _ENTROPY))
    everything = NetworkDraft(context_widths=(2, 2))
    flat = _with_schedule(_network(largest, everything), ())
    cases.append(Case("grids of 23 million values in one step each", _stream(largest, flat, 1), _ENTROPY))
    cases.append(Case("empty payloads for 23 million values", _stream(largest, flat, 1, [b""] * 11), _ENTROPY))
    uhd = replace(SMALL, width=3840, height=2160, level=6)
    thin = _with_schedule(_network(uhd, NetworkDraft((1,) * 5, grid_channels={3: 1}, context_widths=(2, 2))), ())
    cases.append(Case("a grid of 2 million values in one step", _stream(uhd, thin, 1), _ENTROPY))
    keys = NetworkDraft((1,) * 5, grid_channels={4: 3}, pyramid=Pyramid(1, 1), context_widths=(64, 64))
    wide = _with_schedule(_network(uhd, keys), ())
    cases.append(Case("a grid of 50 million values in one step", _stream(uhd, wide, 33), ("E_LIMIT",)))
    for frames in (65536, 4097):
        cases.append(Case(f"{frames} frames of 2^24 samples", _stream(largest, flat, frames), ("E_LEVEL", "E_LIMIT")))
        cases.append(
            Case(f"{frames} small frames", _stream(replace(SMALL, level=6), _network(SMALL), frames), ("E_LIMIT",))
        )
    cases.append(Case("4096 frames", _stream(replace(SMALL, level=6), _network(SMALL), 4096), _ENTROPY))
    for frames in (32, 64, 90):
        cases.append(Case(f"{frames} frames of 2^24 samples", _stream(largest, flat, frames), ("E_LEVEL", "E_LIMIT")))
    return cases


_ENTROPY = ("E_ENTROPY", "E_ESCAPE", "E_RANGE", "E_LIMIT")


def _payloads() -> list[Case]:
    network = _network(SMALL)
    cases = []
    for name, payload in (
        ("no payload", b""),
        ("zeros", bytes(64)),
        ("one small word: all escapes", b"\x01\0\0\0"),
        ("all ones", b"\xff" * 4096),
        ("a zero word first", bytes(4) + _WORDS),
        ("half a word", b"\x01\x02"),
        ("escapes of the longest prefix", b"\x01\0\0\0" * 64),
    ):
        codes = (*_ENTROPY, "E_LENGTH")
        cases.append(Case(f"grid payload: {name}", _stream(SMALL, network, grids=[payload] * 2), codes))
        weights = replace(network, parameters=payload)
        cases.append(Case(f"parameters: {name}", _stream(SMALL, weights), (*codes, "E_BOUND")))
    many = tuple(ScheduleRun(7, 0, 16) for _ in range(2))
    tiny = replace(SMALL, width=1, height=1)
    for sequence in (SMALL, tiny):
        crowded = _with_schedule(_network(sequence), many)
        cases.append(Case(f"32 splits of {sequence.width}x{sequence.height}", _stream(sequence, crowded), _ENTROPY))
    phases = _with_schedule(network, (ScheduleRun(1, 6, 16), ScheduleRun(2, 5, 16)))
    cases.append(Case("32 splits with two phases", _stream(SMALL, phases), _ENTROPY))
    over = _with_schedule(network, (*many, ScheduleRun(1)))
    cases.append(Case("33 splits", _stream(SMALL, over), ("E_SCHEDULE",)))
    widest = _network(SMALL, NetworkDraft(context_widths=(64, 64), grid_channels={0: 4}))
    cases.append(Case("the widest context network", _stream(SMALL, widest, 1, [_WORDS]), _ENTROPY))
    return cases


def _patched(network: NetworkHeader, place: int, value: int) -> bytes:
    """A stream with one byte of its NETWORK changed."""
    payload = bytearray(serialise_network(network, SMALL))
    payload[place] = value
    units = (
        encode_unit(UnitType.SEQUENCE, serialise_sequence(SMALL)),
        encode_unit(UnitType.NETWORK, bytes(payload)),
        encode_unit(UnitType.GOP, _gop(network, 2)),
    )
    return encode_header() + b"".join(units)


_MOVING = NetworkDraft(
    (2,) * 5,
    grid_channels={0: 1, 4: 2, 5: 4, 6: 3, 7: 3, 8: 3, 9: 3},
    pyramid=Pyramid(8, 4, (17,)),
    context_widths=(2, 2),
)


def _headers() -> list[Case]:
    """Wrong combinations of grids, pyramids, active blocks and compact headers."""
    network = _network(SMALL, _MOVING)
    multiplier = network.grids[0].multipliers[0]

    def present(**channels: int) -> bytes:
        grids = tuple(GridHeader(int(slot[1:]), (7,) * count) for slot, count in channels.items())
        return _stream(SMALL, replace(network, grids=grids))

    # stage_channels, stage_blocks, grid_mask, spacings, one step factor; then grid_layout, one multiplier and schedule
    # of slot 0.
    layout = 14
    cases = [
        Case("a flow grid alone", present(s9=3), ("E_RANGE",)),
        Case("a flow grid of one channel", present(s4=1, s9=1), ("E_RANGE",)),
        Case("a flow grid of 63 channels", present(s4=1, s9=63), ("E_RANGE",)),
        Case("a split grid without a flow grid", present(s4=1, s10=3), ("E_RANGE",)),
        Case("a split grid of two channels", present(s4=1, s9=3, s10=2), ("E_RANGE",)),
        Case("motion of features", present(s0=1, s9=3), ("E_RANGE",)),
        Case("some of the bands", present(s5=4, s6=3, s8=3), ("E_RANGE",)),
        Case("a band of two channels", present(s5=4, s6=2, s7=3, s8=3), ("E_RANGE",)),
        Case("255 blocks", _patched(network, 9, 255), ("E_RANGE",)),
        Case("nodes 32 frames apart", _patched(network, 12, 0x55), ("E_RANGE",)),
        Case("keys nearer than nodes", _patched(network, 12, 0x12), ("E_RANGE",)),
        Case("a reserved bit of the spacings", _patched(network, 12, 0xB2), ("E_RESERVED",)),
        Case("a step factor of 0", _patched(network, 13, 0), ("E_RANGE",)),
        Case("a reserved bit of a grid's layout", _patched(network, layout, 0xC1), ("E_RESERVED",)),
        Case("a grid without channels", _patched(network, layout, 0x80), ("E_RANGE",)),
        Case(
            "a schedule of no kind",
            _patched(network, layout + 1 + len(encode_leb128(multiplier)), 3),
            ("E_RANGE",),
        ),
    ]
    return cases


def _maps() -> list[Case]:
    """Wrong node maps of a GOP of two frames, which has three nodes."""
    cases = []

    def lie(name: str, empty_nodes: int, grid: bytes | None, map_: bytes, *codes: str) -> None:
        """A valid stream with another payload and map of the planes' grid."""
        draft = StreamDraft("nano", 48, 32, [[2]], [replace(_MOVING, empty_nodes=empty_nodes)], index=False)
        stream = draft.build(random_state("hostile nodes"))
        units = {unit.type: unit.content for unit in UnitReader(io.BytesIO(stream))}
        network, gop = units[UnitType.NETWORK], units[UnitType.GOP]
        assert isinstance(network, NetworkHeader)
        assert isinstance(gop, Gop)
        flow, feature, planes, *bands = gop.grids
        lying = Gop(2, (flow, feature, planes if grid is None else grid, *bands), (map_, *gop.node_maps[1:]))
        payload = serialise_gop(lying, network, SMALL.profile_spec, check=False)
        cases.append(Case(name, with_payload(stream, UnitType.GOP, payload), codes))

    lie("a node behind the last one", 0, None, b"\x0f", "E_RESERVED")
    lie("a payload of empty nodes", 1, b"\x01\0\0\0", b"\x00", "E_ENTROPY")
    lie("no payload for a coded node", 1, b"", b"\x04", "E_ESCAPE")
    lie("a coded node that is said to be empty", 0, None, b"\x05", "E_ENTROPY", "E_ESCAPE", "E_RANGE")
    lie("the map of a longer GOP", 0, None, b"\x07\x00", "E_LENGTH", "E_RESERVED")
    keys = _network(SMALL, replace(_MOVING, pyramid=Pyramid(1, 1)))
    largest = replace(SMALL, width=8192, height=2048, level=6)
    for frames in (1000, 65536):
        # Maps only: nearly no bytes for planes of 2^24 samples a frame.
        data = _stream(largest, keys, frames, [b""] * 7, [bytes(-(-frames // 8))] * 5)
        cases.append(Case(f"{frames} frames of empty nodes of 2^24 samples", data, ("E_LEVEL", "E_LIMIT")))
    return cases


def _motion() -> list[Case]:
    """Wrong flow grids."""
    network = _network(SMALL, _MOVING)
    cases = []
    for name, payload in (("no payload", b""), ("escapes", b"\x01\0\0\0" * 64), ("all ones", b"\xff" * 64)):
        grids = [payload, *[_WORDS] * 6]
        cases.append(Case(f"flow grid: {name}", _stream(SMALL, network, grids=grids), (*_ENTROPY, "E_LENGTH")))
    wild = StreamDraft("nano", 45, 61, [[9]], [replace(_MOVING, flow_multipliers=(2000, 2049), wild=2)], index=False)
    stream = bytearray(wild.build(random_state("hostile motion")))
    digest = next(unit for unit in UnitReader(io.BytesIO(stream)) if unit.type == UnitType.DIGEST)
    stream[digest.payload_offset] ^= 1
    end = digest.payload_offset + 16
    stream[end : end + 4] = zlib.crc32(stream[digest.offset : end]).to_bytes(4, "little")
    cases.append(Case("vectors that reach far away, and a wrong DIGEST", bytes(stream), ("E_DIGEST",)))
    largest = replace(SMALL, width=8192, height=2048, level=6)
    for kind in (ScheduleKind.TEMPORAL_FIRST, ScheduleKind.OCTREE, ScheduleKind.EXPLICIT):
        grids = tuple(replace(grid, schedule=kind, runs=()) for grid in network.grids)
        moving = replace(network, grids=grids)
        name = f"motion in 2^24 samples, {kind.name.lower()}"
        cases.append(Case(name, _stream(largest, moving, 3), _ENTROPY))
        cases.append(Case(f"{name}, 1000 frames", _stream(largest, moving, 1000), ("E_LIMIT",)))
    return cases


def _lies(stream: bytes) -> list[Case]:
    """Wrong INDEX, DIGEST and totals of the valid `stream`, which has an INDEX and two GOPs."""
    units = list(UnitReader(io.BytesIO(stream)))
    index = next(unit for unit in units if unit.type == UnitType.INDEX)
    assert isinstance(index.content, Index)
    entries = index.content.entries
    end = next(unit for unit in units if unit.type == UnitType.END)
    body, last = stream[: index.offset], stream[end.offset : end.offset + end.size]
    first_gop = entries[0].offset
    cases = []
    lies: dict[str, tuple[IndexEntry, ...]] = {
        "offsets past the end": tuple(replace(e, offset=e.offset + (1 << 40)) for e in entries),
        "an offset inside of a unit": (entries[0], replace(entries[1], offset=entries[1].offset + 1)),
        "a GOP at the NETWORK": (replace(entries[0], offset=entries[0].network_offset + 1), entries[1]),
        "the NETWORK at SEQUENCE": tuple(replace(e, network_offset=10) for e in entries),
        "the NETWORK at a GOP": (entries[0], replace(entries[1], network_offset=first_gop)),
        "more frames than there are": (entries[0], replace(entries[1], first_frame=1 << 40)),
        "other frame counts": (entries[0], replace(entries[1], first_frame=1)),
        "one GOP too few": entries[:1],
        "one GOP too many": (*entries, replace(entries[1], offset=entries[1].offset + 1, first_frame=1 << 20)),
    }
    for name, lie in lies.items():
        unit = encode_unit(UnitType.INDEX, serialise_index(Index(lie), check=False))
        data = body + unit + last + encode_footer(len(body))
        cases.append(Case(f"INDEX: {name}", data, ("E_INDEX",)))
    looped = body + stream[index.offset : end.offset] + last + encode_footer(first_gop)
    cases.append(Case("a footer that points at a GOP", looped, ("E_FOOTER",)))
    digest = next(unit for unit in units if unit.type == UnitType.DIGEST)
    wrong = bytearray(stream)
    wrong[digest.payload_offset] ^= 1
    wrong[digest.payload_offset + 16 : digest.payload_offset + 20] = zlib.crc32(
        wrong[digest.offset : digest.payload_offset + 16]
    ).to_bytes(4, "little")
    cases.append(Case("a wrong DIGEST", bytes(wrong), ("E_DIGEST",)))
    for kind in (0x00, 0x06, 0x7F):
        data = stream[:first_gop] + encode_unit(kind, b"surprise") + stream[first_gop:]
        cases.append(Case(f"unknown critical unit {kind:#04x}", data, ("E_UNSUPPORTED",)))
    cases.append(Case("a stream twice", stream + stream, ("E_TRAILING",)))
    cases.append(Case("no GOP", stream[:first_gop] + last, ("E_ORDER", "E_TOTALS")))
    return cases


def hostile_cases(stream: bytes) -> list[Case]:
    """All cases; those of INDEX and DIGEST change `stream`, a valid one of two GOPs with INDEX."""
    return [*_lengths(), *_sizes(), *_payloads(), *_headers(), *_maps(), *_motion(), *_lies(stream)]
