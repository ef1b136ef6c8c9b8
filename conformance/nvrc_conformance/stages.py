"""Stage digests: SHA-256 of what a decoder knows after each stage, in a canonical form (conformance/README.md).

An implementer whose frames are wrong compares stage by stage; the first that differs is at fault.
``python -m nvrc_conformance.stages FILE`` prints them, and with ``--show PATH`` the values of one of them.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from nvrc_conformance.manifest import GopStages, NetworkStages, Stages, stage_paths
from nvrc_conformance.synthesis_stages import synthesis_values
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
from nvrc_decoder.errors import InternalError, NvrcError
from nvrc_decoder.picture.planes import Planes

__all__ = [
    "DecodedGop",
    "coded_parameters",
    "decode_stream",
    "frames_of",
    "network_text",
    "nodes_text",
    "sequence_text",
    "stage_values",
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


def stage_values(decoded: Sequence[DecodedGop]) -> Iterator[tuple[str, str | IntArray]]:
    """Path and canonical form of each stage, in decoding order (`manifest.stage_paths`).

    Some stages come in several parts, in order, and others between them.

    Args:
        decoded: the GOPs of a stream. NETWORK units without a GOP are neither listed nor counted.
    """
    sequence = decoded[0].sequence
    yield "sequence", sequence_text(sequence)
    seen: int | None = None
    for number, item in enumerate(decoded):
        if item.network_number != seen:
            seen = item.network_number
            yield from _network_values(sequence, item.network.header, f"networks[{seen}]")
        path = f"gops[{number}]"
        for slot, nodes in nodes_text(item).items():
            yield f"{path}.nodes.{slot}", nodes
        for header in item.network.header.coding_order(item.network.profile):
            grid = item.grids[header.slot]
            if grid is not None:
                yield f"{path}.grids.{header.slot}", grid
        for name, values in synthesis_values(sequence, item.network, item.grids, item.gop.frame_count):
            yield f"{path}.synthesis.{name}", values


def _network_values(sequence: SequenceHeader, header: NetworkHeader, path: str) -> Iterator[tuple[str, str | IntArray]]:
    yield f"{path}.header", network_text(sequence, header)
    for name, parts in coded_parameters(sequence, header).items():
        yield from ((f"{path}.parameters.{name}", part) for part in parts)
    for layer in integer_layers(sequence, header).values():
        yield from ((f"{path}.integers", part) for part in (layer.weight, layer.bias))


def stages_of(decoded: Sequence[DecodedGop]) -> Stages:
    """The stage digests of a stream that is decoded."""
    hashes: dict[str, Any] = {}
    for path, values in stage_values(decoded):
        word = "<i4" if path.startswith("networks") else "<i2"
        data = values.encode() if isinstance(values, str) else np.ascontiguousarray(values).astype(word).tobytes()
        hashes.setdefault(path, hashlib.sha256()).update(data)
    digests = {path: found.digest()[:_DIGEST_BYTES].hex() for path, found in hashes.items()}

    def under(path: str) -> dict[str, str]:
        return {name.removeprefix(path): digest for name, digest in digests.items() if name.startswith(path)}

    networks = tuple(
        NetworkStages(digests[f"{path}.header"], under(f"{path}.parameters."), digests[f"{path}.integers"])
        for path in (f"networks[{i}]" for i in range(1 + decoded[-1].network_number))
    )
    gops = tuple(
        GopStages(
            item.network_number,
            item.gop.frame_count,
            nodes_text(item),
            under(f"gops[{i}].grids."),
            under(f"gops[{i}].synthesis."),
        )
        for i, item in enumerate(decoded)
    )
    return Stages(digests["sequence"], networks, gops)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--show", metavar="PATH", help="Print the values of one stage, not the digests.")
def main(file: Path, show: str | None) -> None:
    """Print a line for each stage of decoding FILE, in decoding order: its path, and its digest as in the manifest.

    Of a stream with a fault, these are the stages of the GOPs before it.
    """
    decoded: list[DecodedGop] = []
    fault: NvrcError | None = None
    try:
        for item in decode_stream(file.read_bytes()):
            decoded.append(item)
    except NvrcError as error:
        fault = error
    if decoded:
        _print_stages(file, decoded, show)
    if fault is not None:
        click.echo(str(fault), err=True)
        sys.exit(fault.exit_code)


def _print_stages(file: Path, decoded: Sequence[DecodedGop], show: str | None) -> None:
    """Path and digest of each stage, or the values of the one at a path.

    Raises:
        click.BadParameter: there is no stage of this path.
    """
    if show is None:
        for path, digest in stage_paths(stages_of(decoded)):
            click.echo(f"{path} {digest}")
        return
    parts = [values for path, values in stage_values(decoded) if path == show]
    if not parts:
        raise click.BadParameter(f"{file} has no stage {show}", param_hint="--show")
    for values in parts:
        if isinstance(values, str):
            click.echo(values, nl=not values.endswith("\n"))
            continue
        click.echo(f"# {' x '.join(map(str, values.shape))}")
        for row in values.reshape(-1, values.shape[-1]).tolist():
            click.echo(" ".join(map(str, row)))


if __name__ == "__main__":
    main()
