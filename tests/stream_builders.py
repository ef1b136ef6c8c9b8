"""Small synthetic streams, and the means to break them: payloads are arbitrary bytes, since nothing decodes them."""

from __future__ import annotations

import io
from dataclasses import replace

from fuzz.mutations import reseal
from nvrc_decoder.bitstream.container import encode_header, encode_unit
from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.units import (
    End,
    Gop,
    GridHeader,
    LayerHeader,
    NetworkHeader,
    ScheduleRun,
    SequenceHeader,
    UnitType,
    layer_specs,
    serialise_end,
    serialise_gop,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.pyramid import Pyramid

SEQUENCE = SequenceHeader(width=48, height=32, rate_numerator=25, rate_denominator=1)
PLANES = GridHeader(4, (6, 7))
BANDS = tuple(
    GridHeader(slot, (slot,) * SEQUENCE.profile_spec.slots[slot].max_channels)
    for slot in SEQUENCE.profile_spec.band_slots
)
FLOW = GridHeader(9, (3, 4, 5))
SPLIT_GRID = GridHeader(10, (9, 9, 5))
TWO_LEVELS = Pyramid(8, 4, (18,))


def make_network(sequence: SequenceHeader = SEQUENCE, *, seed: int = 0) -> NetworkHeader:
    """A NETWORK with the slots 0 and 2, whose bytes `tests` patch at known places (see `test_requirements`)."""
    stages = len(sequence.profile_spec.max_channels)
    runs = (ScheduleRun(halve=3), ScheduleRun(halve=4, phase=3, repeat=2))
    grids = (GridHeader(0, (16,), runs), GridHeader(2, (3, 200)))
    network = NetworkHeader(
        (2,) * stages, sequence.profile_spec.blocks, grids, (4, 3), (), bytes([seed, 1, 2, 3, 4, 5, 6, 7])
    )
    layers = tuple(
        LayerHeader(4 + i % 4, i % 25, i % 40, i % 24, 39 - i) for i in range(len(layer_specs(sequence, network)))
    )
    return replace(network, layers=layers)


def make_node_network(pyramid: Pyramid = TWO_LEVELS) -> NetworkHeader:
    """A NETWORK with planes and motion, whose layers are right."""
    network = replace(make_network(), grids=(PLANES, FLOW), pyramid=pyramid)
    return replace(network, layers=(LayerHeader(5, 24, 39, 23, 39),) * len(layer_specs(SEQUENCE, network)))


def make_node_stream(frames: int, node_map: bytes) -> bytes:
    """A stream of one GOP under `make_node_network`; the map of its nodes need not be right."""
    network = make_node_network()
    gop = Gop(frames, (b"", b"gopg"), (node_map,))
    return assemble(
        [
            (UnitType.SEQUENCE, serialise_sequence(SEQUENCE)),
            (UnitType.NETWORK, serialise_network(network, SEQUENCE)),
            (UnitType.GOP, serialise_gop(gop, network, SEQUENCE.profile_spec, check=False)),
            (UnitType.DIGEST, bytes(16)),
            (UnitType.END, serialise_end(End(frames, 1))),
        ]
    )


def make_stream(
    *,
    index: bool = True,
    gops: tuple[int, ...] = (3, 2),
    sequence: SequenceHeader = SEQUENCE,
    payload: bytes = b"gopgopgo",
) -> bytes:
    """A stream with a METADATA, and a second NETWORK before the last GOP."""
    file = io.BytesIO()
    writer = StreamWriter(file, sequence)
    writer.metadata("title", "straße".encode())
    for i, frames in enumerate(gops):
        writer.network(make_network(sequence, seed=1 if i == len(gops) - 1 else 0))
        writer.gop(Gop(frames, (payload, b"")), bytes([i]) * 16)
    writer.finish(index)
    return file.getvalue()


def read_all(stream: bytes, limits: Limits = DEFAULT_LIMITS) -> list[Unit]:
    """All units of a stream."""
    return list(UnitReader(io.BytesIO(stream), limits))


def split(stream: bytes) -> list[tuple[int, bytes]]:
    """(type, payload) of each unit of a valid stream."""
    return [(unit.type, unit.payload or b"") for unit in read_all(stream)]


def assemble(units: list[tuple[int, bytes]], tail: bytes = b"") -> bytes:
    """A stream of these units with right CRCs; nothing else about it need be right."""
    return encode_header() + b"".join(encode_unit(kind, payload) for kind, payload in units) + tail


def with_payload(stream: bytes, kind: UnitType, payload: bytes) -> bytes:
    """The stream with the payload of the first unit of a type exchanged, its CRC right."""
    units = split(stream)
    position = [unit for unit, _ in units].index(kind)
    units[position] = (kind, payload)
    return assemble(units)


def with_wrong_digest(stream: bytes, gop: int) -> bytes:
    """A stream with the DIGEST of a GOP exchanged, its CRC right."""
    data = bytearray(stream)
    (digest,) = [unit for unit in UnitReader(io.BytesIO(stream)) if unit.name == f"DIGEST {gop}"]
    data[digest.payload_offset] ^= 1
    return reseal(bytes(data[:-12])) + bytes(data[-12:])
