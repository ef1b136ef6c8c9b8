"""What is fuzzed: each target takes any bytes, returns, and raises only where there is a bug.

- `parse`: the syntax of every unit, forward, by INDEX, and past damage. A unit that is accepted is canonical: written
  again, it has the same bytes. Equal multipliers alone may be written one by one or once (spec 3.3).
- `entropy`: the integers of networks and grids. A payload that is accepted is the only one of its values: coded again,
  they have the same bytes.
- `decode`: frames by the NumPy reference. Frames that are accepted match the DIGEST units, and all of them are saved
  where damage is passed over.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fractions import Fraction

from fuzz.oracle import DECODED, LIMITS, WrongFramesError, check_digests, decode, refusals
from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.gops import iterate_gops
from nvrc_decoder.bitstream.metadata import scan_presentation
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.reader import Content, UnitReader
from nvrc_decoder.bitstream.salvage import Damage, SalvageReader
from nvrc_decoder.bitstream.syntax import parse, serialise
from nvrc_decoder.bitstream.tables import PAYLOADS
from nvrc_decoder.bitstream.units import (
    Digest,
    End,
    Gop,
    Index,
    Metadata,
    NetworkHeader,
    SequenceHeader,
    UnitType,
    coded_nodes,
    layer_specs,
    network_scope,
    parse_network,
    serialise_digest,
    serialise_end,
    serialise_gop,
    serialise_index,
    serialise_metadata,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.decode.gop import Network, decode_grids, load_network
from nvrc_decoder.entropy.coder import SymbolEncoder
from nvrc_decoder.entropy.parameters import decode_parameters, encode_parameters
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.picture.presentation import Presentation
from nvrc_decoder.synthesis.synthesizer import Grid

__all__ = ["TARGETS", "NotCanonicalError"]


class NotCanonicalError(Exception):
    """Something was accepted that another sequence of bytes stands for, too."""


def _parse(data: bytes) -> None:
    totals: End | None = None
    with refusals():
        totals = _parse_forward(data)
    with refusals():
        table = RandomAccess(io.BytesIO(data), LIMITS)
        if totals is not None and End(table.frame_count, table.gop_count) != totals:
            raise NotCanonicalError("INDEX leads to other totals than END has")
        for record in table.gops():
            if totals is not None and table.gop_of_frame(record.first_frame) != record.number:
                raise NotCanonicalError(f"INDEX leads to another GOP than GOP {record.number}")
    with refusals():
        for _ in SalvageReader(io.BytesIO(data), LIMITS):
            pass
    shown = Presentation(Fraction(25))
    scan_presentation(io.BytesIO(data), shown, LIMITS)


def _parse_forward(data: bytes) -> End | None:
    """Read all units, and hold each one against what the writer makes of it; the content of END."""
    reader = UnitReader(io.BytesIO(data), LIMITS)
    content: Content = None
    for unit in reader:
        content = unit.content
        if content is not None and _written(reader, content, unit.payload) != unit.payload:
            raise NotCanonicalError(f"{unit.name} is accepted, and is written in another way")
    return content if isinstance(content, End) else None


def _written(reader: UnitReader, content: Content, payload: bytes) -> bytes | None:
    """The payload that is written for the content of a unit; None where there is none."""
    match content:
        case SequenceHeader():
            return serialise_sequence(content)
        case NetworkHeader() if reader.sequence is not None:
            return _network_again(reader.sequence, content, payload)
        case Gop() if reader.sequence is not None and reader.network is not None:
            return serialise_gop(content, reader.network, reader.sequence.profile_spec)
        case Digest():
            return serialise_digest(content)
        case Metadata():
            return serialise_metadata(content)
        case Index():
            return serialise_index(content)
        case End():
            return serialise_end(content)
    return None


def _network_again(sequence: SequenceHeader, network: NetworkHeader, payload: bytes) -> bytes | None:
    """A NETWORK from the values of its syntax elements, as `serialise_network` writes equal multipliers once.

    None where `serialise_network` writes another content.
    """
    if parse_network(serialise_network(network, sequence), sequence) != network:
        return None
    entry, scope = PAYLOADS[UnitType.NETWORK.name], network_scope(sequence)
    return serialise(entry.table, entry.section, parse(entry.table, entry.section, ByteReader(payload), scope), scope)


def _entropy(data: bytes) -> None:
    with refusals():
        for sequence, network, gop in _coded_gops(data):
            grids = decode_grids(sequence, network, gop.frame_count, gop.grids, gop.node_maps)
            if _coded_again(network, gop, grids) != list(gop.grids):
                raise NotCanonicalError("grids are accepted, and are coded in another way")


def _coded_gops(data: bytes) -> Iterator[tuple[SequenceHeader, Network, Gop]]:
    """Each GOP of a stream with its NETWORK in integers, which is held against its own coded form."""
    reader = UnitReader(io.BytesIO(data), LIMITS)
    networks: list[Network] = []

    def load(header: NetworkHeader, offset: int, unit: str) -> None:
        if reader.sequence is not None:
            networks.append(load_network(reader.sequence, header, offset=offset, unit=unit))
            specs = layer_specs(reader.sequence, header)
            values = decode_parameters(header.parameters, specs, header.layers)
            if encode_parameters(values, specs, header.layers) != header.parameters:
                raise NotCanonicalError(f"{unit} is accepted, and is coded in another way")

    for record in iterate_gops(reader, on_network=load):
        if reader.sequence is not None:
            yield reader.sequence, networks[-1], record.gop


def _coded_again(network: Network, gop: Gop, grids: list[Grid | None]) -> list[bytes]:
    """The payload of each grid, in coding order, made of its values."""
    payloads, coarser, maps = [], None, iter(gop.node_maps)
    for header in network.header.coding_order(network.profile):
        grid, slot = grids[header.slot], network.profile.slots[header.slot]
        assert grid is not None
        shape = (grid.shape[0], grid.shape[1], grid.shape[2], grid.shape[3])
        coder = SymbolEncoder()
        place = header.slot, slot, network.header.pyramid, None if slot.motion else coarser
        coded = coded_nodes(next(maps), shape[0]) if slot.mapped else None
        splits = header.splits((shape[0], *shape[2:]))
        code_grid(coder, splits, network.context, shape, *place, coded=coded, values=grid)
        payloads.append(coder.finish())
        if not slot.motion:
            coarser = slot, grid
    return payloads


def _decode(data: bytes) -> None:
    outcome = decode(data)
    if outcome.kind == DECODED:
        check_digests(data, outcome.frames)
    damages: list[Damage] = []
    saved = decode(data, on_damage=damages.append)
    if outcome.kind == DECODED and (damages or saved != outcome):
        raise WrongFramesError("a stream is decoded, and something else is saved of it")


TARGETS: dict[str, Callable[[bytes], None]] = {"parse": _parse, "entropy": _entropy, "decode": _decode}
