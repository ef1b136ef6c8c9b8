"""Each numbered requirement of spec chapters 1, 2, 3 and 9 has a stream that breaks it and nothing else.

The spec's own text says which requirements there are and which code each has.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from stream_builders import (
    BANDS,
    FLOW,
    PLANES,
    SEQUENCE,
    SPLIT_GRID,
    assemble,
    make_network,
    make_node_network,
    make_node_stream,
    make_stream,
    read_all,
    split,
    with_payload,
)

from nvrc_decoder.bitstream.container import encode_footer, encode_header, encode_unit
from nvrc_decoder.bitstream.headers import ScheduleRun
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.units import (
    End,
    Gop,
    GridHeader,
    Index,
    IndexEntry,
    LayerHeader,
    ScheduleKind,
    SequenceHeader,
    UnitType,
    gop_symbols,
    layer_specs,
    parse_network,
    serialise_end,
    serialise_gop,
    serialise_index,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.errors import InvalidStreamError, NvrcError, UnsupportedError
from nvrc_decoder.limits import LEVELS, Limits
from nvrc_decoder.pyramid import Pyramid

SPEC = Path(__file__).parents[3] / "spec"
CHAPTERS = ("01-conventions.md", "02-container.md", "03-syntax.md", "09-errors-limits.md")
UNSUPPORTED = {"E_VERSION", "E_UNSUPPORTED"}

PLAIN = make_stream(index=False)
INDEXED = make_stream(index=True)
NETWORK = make_network()
NETWORK_PAYLOAD = serialise_network(NETWORK, SEQUENCE)
# Places in NETWORK_PAYLOAD.
STAGE0, BLOCKS, GRID_MASK, GRID_LAYOUT, MULTIPLIER, SCHEDULE, RUN_COUNT, SPLIT, REPEAT = (
    0,
    5,
    10,
    12,
    13,
    14,
    15,
    16,
    17,
)
SECOND_GRID, WIDTH_1, WIDTH_2, PRIOR = 20, 26, 27, 28
# In the payload of a NETWORK that has slots with nodes.
SPACINGS, STEP_FACTOR = 12, 13

PROFILE = SEQUENCE.profile_spec


def sequence(**changes: int) -> bytes:
    return with_payload(PLAIN, UnitType.SEQUENCE, serialise_sequence(replace(SEQUENCE, **changes), check=False))


def network(position: int, value: int) -> bytes:
    payload = bytearray(NETWORK_PAYLOAD)
    payload[position] = value
    return with_payload(PLAIN, UnitType.NETWORK, bytes(payload))


def grey_network(position: int, value: int) -> bytes:
    """The same under a SEQUENCE of 4:0:0."""
    payload = serialise_sequence(replace(SEQUENCE, chroma_format=0), check=False)
    return with_payload(network(position, value), UnitType.SEQUENCE, payload)


def layer(**changes: int) -> bytes:
    header = replace(NETWORK, layers=(replace(NETWORK.layers[0], **changes), *NETWORK.layers[1:]))
    return with_payload(PLAIN, UnitType.NETWORK, serialise_network(header, SEQUENCE, check=False))


def grid(**changes: object) -> bytes:
    header = replace(NETWORK, grids=(replace(NETWORK.grids[0], **changes), NETWORK.grids[1]))
    return with_payload(PLAIN, UnitType.NETWORK, serialise_network(header, SEQUENCE, check=False))


def grids(*present: GridHeader, **changes: object) -> bytes:
    header = replace(NETWORK, grids=present, **changes)
    return with_payload(PLAIN, UnitType.NETWORK, serialise_network(header, SEQUENCE, check=False))


def pyramid(position: int, value: int) -> bytes:
    payload = bytearray(serialise_network(make_node_network(), SEQUENCE))
    payload[position] = value
    return with_payload(PLAIN, UnitType.NETWORK, bytes(payload))


def parameters(data: bytes) -> bytes:
    header = replace(NETWORK, parameters=data)
    return with_payload(PLAIN, UnitType.NETWORK, serialise_network(header, SEQUENCE, check=False))


def gop(frames: int, payload: bytes = b"") -> bytes:
    return with_payload(PLAIN, UnitType.GOP, serialise_gop(Gop(frames, (payload, b"")), NETWORK, PROFILE, check=False))


def flipped(stream: bytes, position: int) -> bytes:
    data = bytearray(stream)
    data[position] ^= 1
    return bytes(data)


def reordered(change: Callable[[list[tuple[int, bytes]]], None]) -> bytes:
    units = split(PLAIN)
    change(units)
    return assemble(units)


def entries() -> list[IndexEntry]:
    found = [unit.content for unit in read_all(INDEXED) if isinstance(unit.content, Index)]
    return list(found[0].entries)


def indexed(index: Index, *, footer_shift: int = 0, magic: bytes = b"NVRX", between: bytes = b"") -> bytes:
    units = [unit for unit in split(INDEXED) if unit[0] not in (UnitType.INDEX, UnitType.END)]
    head = assemble(units)
    footer = encode_footer(len(head) + footer_shift)[:8] + magic
    body = encode_unit(UnitType.INDEX, serialise_index(index, check=False)) + between
    return head + body + encode_unit(UnitType.END, serialise_end(End(5, 2))) + footer


def first_entry(**changes: int) -> bytes:
    listed = entries()
    return indexed(Index((replace(listed[0], **changes), *listed[1:])))


def long_leb128() -> bytes:
    """The length of SEQUENCE in ten bytes."""
    return encode_header() + b"\x01" + b"\x80" * 10 + b"\x00"


def padded_leb128() -> bytes:
    """The width in two bytes where one does."""
    payload = serialise_sequence(SEQUENCE)
    return with_payload(PLAIN, UnitType.SEQUENCE, b"\xb0\x00" + payload[1:])


def declared_level(level: int, **changes: int) -> bytes:
    return sequence(level=level, **changes)


def too_many_symbols() -> bytes:
    """A GOP of a valid length on pictures of a valid size, which together have too many values for level 0."""
    header = replace(SEQUENCE, width=512, height=256, rate_numerator=1)
    thin = replace(make_network(header), grids=(GridHeader(0, (1,)), GridHeader(3, (1, 1))))
    thin = replace(thin, layers=(LayerHeader(4, 0, 0, 0, 0),) * len(layer_specs(header, thin)))
    frames = 1024
    assert gop_symbols(header, thin, frames) > LEVELS[0].max_gop_symbols
    return assemble(
        [
            (UnitType.SEQUENCE, serialise_sequence(header)),
            (UnitType.NETWORK, serialise_network(thin, header)),
            (UnitType.GOP, serialise_gop(Gop(frames, (b"", b"")), thin, PROFILE)),
            (UnitType.DIGEST, bytes(16)),
            (UnitType.END, serialise_end(End(frames, 1))),
        ]
    )


BROKEN: dict[str, Callable[[], bytes]] = {
    "R1.1": long_leb128,
    "R1.2": padded_leb128,
    "R2.1": lambda: flipped(PLAIN, 3),
    "R2.2": lambda: flipped(PLAIN, 8),
    "R2.3": lambda: PLAIN[:-1],
    "R2.4": lambda: flipped(PLAIN, len(PLAIN) - 1),
    "R2.5": lambda: reordered(lambda units: units.insert(1, (0x06, b""))),
    "R2.6": lambda: with_payload(PLAIN, UnitType.DIGEST, bytes(15)),
    "R2.7": lambda: with_payload(PLAIN, UnitType.DIGEST, bytes(17)),
    "R2.8": lambda: reordered(lambda units: units.insert(1, units[0])),
    "R2.9": lambda: reordered(lambda units: units.pop(2)),
    "R2.10": lambda: reordered(lambda units: units.insert(4, (0x99, b""))),
    "R2.11": lambda: indexed(Index(tuple(entries())), between=encode_unit(0x99, b"")),
    "R2.12": lambda: assemble([split(PLAIN)[0], (UnitType.END, serialise_end(End(0, 0)))]),
    "R2.13": lambda: with_payload(PLAIN, UnitType.END, serialise_end(End(6, 2))),
    "R2.14": lambda: PLAIN + b"\x00",
    "R2.15": lambda: first_entry(offset=entries()[0].offset + 1),
    "R2.16": lambda: indexed(Index(tuple(entries())), footer_shift=1),
    "R2.17": lambda: indexed(Index(tuple(entries())), magic=b"NVRY"),
    "R3.1": lambda: sequence(width=0),
    "R3.2": lambda: sequence(height=65536),
    "R3.3": lambda: sequence(rate_numerator=0),
    "R3.4": lambda: sequence(rate_denominator=1 << 31),
    "R3.5": lambda: sequence(chroma_format=3),
    "R3.6": lambda: sequence(bit_depth=9),
    "R3.7": lambda: with_payload(
        PLAIN, UnitType.SEQUENCE, serialise_sequence(SEQUENCE)[:9] + b"\x80" + serialise_sequence(SEQUENCE)[10:]
    ),
    "R3.8": lambda: sequence(chroma_sample_position=4),
    "R3.9": lambda: sequence(chroma_sample_position=1, chroma_format=2),
    "R3.10": lambda: sequence(profile=3),
    "R3.11": lambda: sequence(level=7),
    "R3.12": lambda: network(STAGE0, 9),
    "R3.13": lambda: network(GRID_MASK, 0),
    "R3.14": lambda: network(GRID_MASK + 1, 0b1000),
    "R3.15": lambda: network(GRID_LAYOUT, 0x85),
    "R3.16": lambda: network(MULTIPLIER, 0),
    "R3.17": lambda: network(RUN_COUNT, 17),
    "R3.18": lambda: network(SPLIT, 0x10),
    "R3.19": lambda: network(SPLIT, 0x13),
    "R3.20": lambda: network(SPLIT, 0x0B),
    "R3.21": lambda: network(REPEAT, 0),
    "R3.22": lambda: grid(runs=(ScheduleRun(7, 0, 16), ScheduleRun(3, 0, 16), ScheduleRun(3, 0, 1))),
    "R3.23": lambda: network(WIDTH_1, 0),
    "R3.24": lambda: network(WIDTH_2, 65),
    "R3.25": lambda: layer(shift=25),
    "R3.26": lambda: network(GRID_LAYOUT, 0xC1),
    "R3.27": lambda: layer(weight_table=40),
    "R3.28": lambda: layer(bias_shift=24),
    "R3.29": lambda: layer(bias_table=40),
    "R3.30": lambda: parameters(bytes(7)),
    "R3.31": lambda: gop(0),
    "R3.32": lambda: gop(3, b"abc"),
    "R3.33": lambda: with_payload(PLAIN, UnitType.METADATA, b"\x00value"),
    "R3.34": lambda: with_payload(PLAIN, UnitType.METADATA, b"\x02\xc3\x28value"),
    "R3.35": lambda: indexed(Index(())),
    "R3.36": lambda: indexed(Index(tuple(reversed(entries())))),
    "R3.37": lambda: network(BLOCKS + 1, 2),
    "R3.38": lambda: network(SCHEDULE, 3),
    "R3.39": lambda: grids(PLANES, GridHeader(9, (5, 6))),
    "R3.40": lambda: grids(*BANDS[:3], GridHeader(8, (5, 6))),
    "R3.41": lambda: grids(GridHeader(0, (7,)), *BANDS[:3]),
    "R3.42": lambda: grids(GridHeader(0, (7,)), FLOW),
    "R3.43": lambda: pyramid(SPACINGS, 0x55),
    "R3.44": lambda: pyramid(SPACINGS, 0x23),
    "R3.45": lambda: pyramid(SPACINGS, 0x3A),
    "R3.46": lambda: pyramid(STEP_FACTOR, 0),
    "R3.47": lambda: make_node_stream(9, b"\x08"),
    "R3.48": lambda: grids(PLANES, SPLIT_GRID),
    "R3.49": lambda: grids(PLANES, FLOW, GridHeader(10, (5, 6))),
    "R3.50": lambda: network(PRIOR, 4),
    "R3.51": lambda: grey_network(PRIOR, 2),
    "R9.1": lambda: declared_level(0, width=512, height=257, rate_numerator=1),
    "R9.2": lambda: declared_level(0, width=1025, height=1, rate_numerator=1),
    "R9.3": lambda: declared_level(0, width=512, height=256, rate_numerator=33),
    "R9.4": lambda: gop(LEVELS[0].max_gop_frames + 1),
    "R9.5": too_many_symbols,
}


def requirements_of_the_spec() -> dict[str, str]:
    """Number and code of each requirement, from the text of the specification."""
    found: dict[str, str] = {}
    for chapter in CHAPTERS:
        text = (SPEC / chapter).read_text(encoding="utf-8")
        for number, code in re.findall(r"\*\*(R\d+\.\d+)\*\* It is a requirement .*?\(`(E_\w+)`", text):
            assert number not in found, f"{number} stands twice"
            found[number] = code
    return found


REQUIREMENTS = requirements_of_the_spec()


def test_every_requirement_has_a_case() -> None:
    assert set(BROKEN) == set(REQUIREMENTS)


@pytest.mark.parametrize("number", sorted(BROKEN, key=lambda n: [int(part) for part in n[1:].split(".")]))
def test_broken_requirement_is_named(number: str) -> None:
    code = REQUIREMENTS[number]
    kind: type[NvrcError] = UnsupportedError if code in UNSUPPORTED else InvalidStreamError
    stream = BROKEN[number]()
    with pytest.raises(kind) as caught:
        read_all(stream, Limits(max_gop_symbols=1 << 40, max_gop_frames=1 << 20, max_memory_bytes=1 << 50))
    error = caught.value
    assert error.code == code
    assert error.section is not None
    assert error.section.endswith(f", {number}")
    assert error.offset is not None
    assert 0 <= error.offset <= len(stream)


def test_the_siblings_are_valid() -> None:
    for stream in (PLAIN, INDEXED, indexed(Index(tuple(entries()))), sequence(), gop(3, b"abcd"), layer(), grid()):
        assert len(read_all(stream)) >= 8
    assert read_all(declared_level(0, width=512, height=256, rate_numerator=32))
    assert read_all(declared_level(0, width=1024, height=1, rate_numerator=1))


# The last four are of METADATA, which random access does not read, and of INDEX.
@pytest.mark.parametrize("number", [f"R3.{i}" for i in (*range(1, 33), *range(37, 48))])
def test_random_access_names_the_same_requirement(number: str) -> None:
    with pytest.raises(NvrcError) as caught:
        RandomAccess(io.BytesIO(BROKEN[number]())).gop(0)
    # A GOP of no pictures is seen by the scan's totals before the GOP is read.
    expected = "E_TOTALS" if number == "R3.31" else REQUIREMENTS[number]
    assert caught.value.code == expected


def test_the_siblings_of_grids_are_valid() -> None:
    """What R3.13, R3.26, R3.37 to R3.42, R3.48 and R3.49 forbid is next to what they allow."""
    feature = GridHeader(0, (7,))
    for present in (
        (feature,),
        (PLANES,),
        BANDS,
        (feature, *BANDS),
        (feature, PLANES, *BANDS),
        (PLANES, FLOW),
        (PLANES, FLOW, SPLIT_GRID),
    ):
        for kind in ScheduleKind:
            header = replace(NETWORK, grids=tuple(replace(g, schedule=kind) for g in present))
            header = replace(header, pyramid=Pyramid(16, 16) if len(present) > 1 else Pyramid())
            specs = layer_specs(SEQUENCE, header)
            injected = {spec.name: spec.weight_shape[1] for spec in specs if spec.kind == "inject"}
            wanted = {
                "stage0": feature in present,
                "stage3": 2 * (PLANES in present),
                "stage4": 4 * (BANDS[0] in present),
            }
            assert injected == {f"{stage}.inject": count for stage, count in wanted.items() if count}
            header = replace(header, layers=(LayerHeader(5, 24, 39, 23, 39),) * len(specs))
            assert parse_network(serialise_network(header, SEQUENCE), SEQUENCE) == header


def test_multipliers_may_be_repeated_per_channel() -> None:
    header = replace(NETWORK, grids=(NETWORK.grids[0], GridHeader(2, (7, 7))))
    short = serialise_network(header, SEQUENCE)
    assert short[SECOND_GRID : SECOND_GRID + 2] == b"\x82\x07"
    long = short[:SECOND_GRID] + b"\x02\x07\x07" + short[SECOND_GRID + 2 :]
    assert parse_network(long, SEQUENCE) == parse_network(short, SEQUENCE) == header


def test_the_flow_grid_is_coded_first() -> None:
    header = replace(NETWORK, grids=(GridHeader(0, (7,)), PLANES, *BANDS, FLOW))
    assert [grid.slot for grid in header.coding_order(PROFILE)] == [9, 0, 4, 5, 6, 7, 8]
    assert [grid.slot for grid in NETWORK.coding_order(PROFILE)] == [0, 2]


def test_the_writer_refuses_invalid_units() -> None:
    with pytest.raises(NvrcError, match="level 0") as caught:
        StreamWriter(io.BytesIO(), SequenceHeader(2000, 2000, 25, 1))
    assert (caught.value.exit_code, caught.value.code) == (70, "E_LEVEL")
