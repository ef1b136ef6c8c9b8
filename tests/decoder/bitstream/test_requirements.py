"""What is next to a broken requirement of spec chapters 1, 2, 3 and 9 is valid.

The streams that break them are in the conformance suite: see `tests/conformance/test_faults.py`.
"""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from stream_builders import (
    BANDS,
    FLOW,
    PLANES,
    SEQUENCE,
    SPLIT_GRID,
    assemble,
    make_network,
    make_stream,
    read_all,
    split,
    with_payload,
)

from nvrc_conformance.manifest import MANIFEST_PATH, FaultStream, load_manifest
from nvrc_decoder.bitstream.container import encode_footer, encode_unit
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
    layer_specs,
    parse_network,
    serialise_end,
    serialise_gop,
    serialise_index,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.pyramid import Pyramid

PLAIN = make_stream(index=False)
INDEXED = make_stream(index=True)
NETWORK = make_network()

# Place of the second grid in the NETWORK of `make_network`.
SECOND_GRID = 20
PROFILE = SEQUENCE.profile_spec


def sequence(**changes: int) -> bytes:
    return with_payload(PLAIN, UnitType.SEQUENCE, serialise_sequence(replace(SEQUENCE, **changes), check=False))


def layer(**changes: int) -> bytes:
    header = replace(NETWORK, layers=(replace(NETWORK.layers[0], **changes), *NETWORK.layers[1:]))
    return with_payload(PLAIN, UnitType.NETWORK, serialise_network(header, SEQUENCE, check=False))


def grid(**changes: object) -> bytes:
    header = replace(NETWORK, grids=(replace(NETWORK.grids[0], **changes), NETWORK.grids[1]))
    return with_payload(PLAIN, UnitType.NETWORK, serialise_network(header, SEQUENCE, check=False))


def gop(frames: int, payload: bytes = b"") -> bytes:
    return with_payload(PLAIN, UnitType.GOP, serialise_gop(Gop(frames, (payload, b"")), NETWORK, PROFILE, check=False))


def entries() -> list[IndexEntry]:
    found = [unit.content for unit in read_all(INDEXED) if isinstance(unit.content, Index)]
    return list(found[0].entries)


def indexed(index: Index) -> bytes:
    units = [unit for unit in split(INDEXED) if unit[0] not in (UnitType.INDEX, UnitType.END)]
    head = assemble(units)
    body = encode_unit(UnitType.INDEX, serialise_index(index, check=False))
    return head + body + encode_unit(UnitType.END, serialise_end(End(5, 2))) + encode_footer(len(head))


def declared_level(level: int, **changes: int) -> bytes:
    return sequence(level=level, **changes)


def test_the_siblings_are_valid() -> None:
    for stream in (PLAIN, INDEXED, indexed(Index(tuple(entries()))), sequence(), gop(3, b"abcd"), layer(), grid()):
        assert len(read_all(stream)) >= 8
    assert read_all(declared_level(0, width=512, height=256, rate_numerator=32))
    assert read_all(declared_level(0, width=1024, height=1, rate_numerator=1))


def without_index(data: bytes) -> bytes:
    """A stream that ends with INDEX, END and the footer, without INDEX and footer."""
    footer, end = data[-12:], data[-20:-12]
    return data[: int.from_bytes(footer[:8], "little")] + end


# Not METADATA, which random access does not read, and INDEX.
READ_AT_RANDOM = ("SEQUENCE", "NETWORK", "GOP")


@pytest.mark.parametrize("index", [True, False], ids=["index", "scan"])
@pytest.mark.parametrize(
    "fault",
    [
        fault
        for fault in load_manifest().faults
        if (fault.requirement or "").startswith("R3.") and fault.unit in ("SEQUENCE", "NETWORK 0", "GOP 0")
    ],
    ids=lambda fault: fault.id,
)
def test_random_access_names_the_same_requirement(fault: FaultStream, index: bool) -> None:
    data = (MANIFEST_PATH.parent / fault.file).read_bytes()
    with pytest.raises(NvrcError) as caught:
        RandomAccess(io.BytesIO(data if index else without_index(data))).gop(0)
    assert caught.value.code == fault.code


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
