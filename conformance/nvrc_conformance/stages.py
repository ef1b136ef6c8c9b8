"""Stage digests: SHA-256 of what a decoder knows after each stage, in a canonical form (conformance/README.md).

An implementer whose frames are wrong compares stage by stage; the first that differs is at fault.
``python -m nvrc_conformance.stages FILE`` prints the canonical form itself.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from nvrc_decoder.bitstream.gops import iterate_gops
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import (
    Gop,
    NetworkHeader,
    ScheduleKind,
    SequenceHeader,
    coded_nodes,
    layer_specs,
)
from nvrc_decoder.decode.engines import EngineName, make_synthesizer
from nvrc_decoder.decode.gop import Grid, Network, decode_grids, integer_layers, load_network
from nvrc_decoder.entropy.coder import IntArray
from nvrc_decoder.entropy.parameters import decode_parameters
from nvrc_decoder.errors import InternalError
from nvrc_decoder.picture.planes import Planes

__all__ = [
    "DecodedGop",
    "GopStages",
    "NetworkStages",
    "Stages",
    "coded_parameters",
    "decode_stream",
    "frames_of",
    "network_text",
    "nodes_text",
    "sequence_text",
    "stages_of",
]

# Bytes of a SHA-256 that the manifest keeps, as DIGEST does.
_DIGEST_BYTES = 16


@dataclass(frozen=True, eq=False)
class DecodedGop:
    """A GOP up to its integers.

    Attributes:
        sequence: the stream's SEQUENCE.
        network: the NETWORK in force.
        network_number: its index among the NETWORK units that have a GOP.
        gop: the parsed unit.
        digest: of its DIGEST.
        grids: per slot int16 [nodes, channels, rows, columns], None where absent.
    """

    sequence: SequenceHeader
    network: Network
    network_number: int
    gop: Gop
    digest: bytes
    grids: list[Grid | None]


@dataclass(frozen=True)
class NetworkStages:
    """Digests of one NETWORK: its header, the coded parameters of each layer by name, the integers of all layers."""

    header: str
    parameters: dict[str, str]
    integers: str


@dataclass(frozen=True)
class GopStages:
    """A GOP: the number of its NETWORK, and by slot its node maps, in words, and digests of its grids."""

    network: int
    frame_count: int
    nodes: dict[str, str]
    grids: dict[str, str]


@dataclass(frozen=True)
class Stages:
    """Stage digests of a stream."""

    sequence: str
    networks: tuple[NetworkStages, ...]
    gops: tuple[GopStages, ...]


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).digest()[:_DIGEST_BYTES].hex()


def _text_digest(text: str) -> str:
    return _hex(text.encode())


def _array_digest(*arrays: IntArray, word: str) -> str:
    return _hex(b"".join(np.ascontiguousarray(array).astype(word).tobytes() for array in arrays))


def _listed(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def sequence_text(sequence: SequenceHeader) -> str:
    """The canonical form of a SEQUENCE: a line ``name=value`` for each field, in the order of the syntax."""
    return "".join(f"{name}={value}\n" for name, value in asdict(sequence).items())


def network_text(sequence: SequenceHeader, header: NetworkHeader) -> str:
    """The canonical form of a NETWORK's header: stages, pyramid, grids, context widths, layers, one a line."""
    lines = [f"stage_channels={_listed(header.stage_channels)}", f"stage_blocks={_listed(header.stage_blocks)}"]
    if sequence.profile_spec.has_planes(header.grid_channels(sequence.profile_spec)):
        lines.append(f"key_spacing={header.pyramid.key_spacing}")
        lines.append(f"node_spacing={header.pyramid.node_spacing}")
        lines.append(f"step_factors={_listed(header.pyramid.factors)}")
    for grid in header.grids:
        lines.append(f"grid{grid.slot}.multipliers={_listed(grid.multipliers)}")
        splits = [run.split for run in grid.runs for _ in range(run.repeat)]
        explicit = grid.schedule is ScheduleKind.EXPLICIT
        lines.append(f"grid{grid.slot}.schedule={_listed(tuple(splits)) if explicit else grid.schedule.name.lower()}")
    lines.append(f"context_widths={_listed(header.context_widths)}")
    lines.append(f"prior={int(header.prior.context)},{int(header.prior.synthesis)}")
    for spec, layer in zip(layer_specs(sequence, header), header.layers, strict=True):
        fields = layer.multiplier, layer.shift, layer.weight_table, layer.bias_shift, layer.bias_table
        lines.append(f"{spec.name}={_listed(fields)}")
    return "".join(f"{line}\n" for line in lines)


def coded_parameters(sequence: SequenceHeader, header: NetworkHeader) -> dict[str, tuple[IntArray, IntArray]]:
    """Weights (shaped) and biases of each layer as coded, before multiplier and shift."""
    return {**decode_parameters(header.parameters, layer_specs(sequence, header), header.layers)}


def decode_stream(data: bytes) -> Iterator[DecodedGop]:
    """The GOPs of a stream in integers, without frames; raises as the decoder does."""
    reader = UnitReader(io.BytesIO(data))
    loaded: list[Network] = []

    def load(header: NetworkHeader, offset: int, unit: str) -> None:
        if reader.sequence is not None:
            loaded.append(load_network(reader.sequence, header, offset=offset, unit=unit))

    network: Network | None = None
    number = -1
    for record in iterate_gops(reader, on_network=load):
        if reader.sequence is None:
            raise InternalError("E_INTERNAL", "the reader let a GOP come before SEQUENCE")
        if network is not loaded[-1]:
            network, number = loaded[-1], number + 1
        gop = record.gop
        payloads = gop.frame_count, gop.grids, gop.node_maps
        grids = decode_grids(reader.sequence, network, *payloads, offset=record.offset, unit=record.unit)
        yield DecodedGop(reader.sequence, network, number, gop, record.digest.digest, grids)


def frames_of(decoded: DecodedGop, engine: EngineName = "reference") -> list[Planes]:
    """All frames of a GOP."""
    synthesizer = make_synthesizer(engine, decoded.sequence, decoded.network, 1)
    count = decoded.gop.frame_count
    return synthesizer.synthesise(decoded.grids, count, range(count))


def _network_stages(sequence: SequenceHeader, header: NetworkHeader) -> NetworkStages:
    parameters = {
        name: _array_digest(weight, bias, word="<i4")
        for name, (weight, bias) in coded_parameters(sequence, header).items()
    }
    layers = integer_layers(sequence, header).values()
    integers = _array_digest(*(part for layer in layers for part in (layer.weight, layer.bias)), word="<i4")
    return NetworkStages(_text_digest(network_text(sequence, header)), parameters, integers)


def nodes_text(item: DecodedGop) -> dict[str, str]:
    """The node map of each slot that has nodes, by slot: a 1 for a coded node, a 0 for an empty one, node 0 first."""
    profile = item.network.profile
    order = (header.slot for header in item.network.header.coding_order(profile))
    found = {}
    for slot, data in zip((slot for slot in order if profile.slots[slot].mapped), item.gop.node_maps, strict=True):
        grid = item.grids[slot]
        if grid is not None:
            found[str(slot)] = "".join(map(str, coded_nodes(data, len(grid)).astype(int)))
    return found


def stages_of(decoded: list[DecodedGop]) -> Stages:
    """The stage digests of a stream that is decoded; NETWORK units without a GOP are neither listed nor counted."""
    networks = {item.network_number: item.network.header for item in decoded}
    sequence = decoded[0].sequence
    gops = tuple(
        GopStages(
            item.network_number,
            item.gop.frame_count,
            nodes_text(item),
            {str(slot): _array_digest(grid, word="<i2") for slot, grid in enumerate(item.grids) if grid is not None},
        )
        for item in decoded
    )
    headers = tuple(_network_stages(sequence, header) for _, header in sorted(networks.items()))
    return Stages(_text_digest(sequence_text(sequence)), headers, gops)


def _print_values(name: str, digest: str, values: IntArray, full: bool) -> None:
    shape = "x".join(map(str, values.shape))
    flat = values.reshape(-1).tolist()
    shown = flat if full or len(flat) <= 16 else [*flat[:16], "..."]
    click.echo(f"{name} [{shape}] {digest}: {' '.join(map(str, shown))}")


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--full", is_flag=True, help="All values of each array, not the first 16.")
def main(path: Path, full: bool) -> None:
    """Print what a decoder knows of PATH after each stage, with the digests of the manifest."""
    decoded = list(decode_stream(path.read_bytes()))
    stages = stages_of(decoded)
    sequence = decoded[0].sequence
    click.echo(f"# sequence {stages.sequence}\n{sequence_text(sequence)}", nl=False)
    seen = -1
    for number, (item, gop) in enumerate(zip(decoded, stages.gops, strict=True)):
        if item.network_number != seen:
            seen = item.network_number
            digests = stages.networks[seen]
            click.echo(
                f"# network {seen} header {digests.header}\n{network_text(sequence, item.network.header)}", nl=False
            )
            click.echo(f"# network {seen} parameters")
            for name, (weight, bias) in coded_parameters(sequence, item.network.header).items():
                _print_values(f"{name}.weight", digests.parameters[name], weight, full)
                _print_values(f"{name}.bias", digests.parameters[name], bias, full)
            click.echo(f"# network {seen} integers {digests.integers}")
        click.echo(f"# gop {number}: {item.gop.frame_count} frames")
        for key, nodes in gop.nodes.items():
            click.echo(f"nodes of grid{key}: {nodes}")
        for slot, grid in enumerate(item.grids):
            if grid is not None:
                _print_values(f"grid{slot}", gop.grids[str(slot)], grid, full)
        for index, frame in enumerate(frames_of(item)):
            click.echo(f"frame {index} md5 {frame.md5()}")


if __name__ == "__main__":
    main()
