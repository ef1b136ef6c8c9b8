"""The features that a stream exercises, found by decoding it, so that a manifest cannot claim too much."""

from __future__ import annotations

import io

import numpy as np

from nvrc_conformance.coding_features import coding_features
from nvrc_conformance.plane_features import plane_features
from nvrc_conformance.stages import DecodedGop, coded_parameters
from nvrc_conformance.synthesis_stages import synthesis_values
from nvrc_decoder.bitstream.container import MINOR_PRESENTATION
from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.units import Metadata, SequenceHeader, UnitType, layer_specs
from nvrc_decoder.decode.gop import Network, grid_shape
from nvrc_decoder.entropy.tables import RADII
from nvrc_decoder.octree.schedule import octree_schedule, temporal_first_schedule
from nvrc_decoder.picture.format import CHROMA_NAMES
from nvrc_decoder.picture.presentation import is_presentation
from nvrc_decoder.profiles import BIAS_Q_MAX, Q_MAX
from nvrc_decoder.synthesis.arithmetic import ACCUMULATOR_LIMIT, BIAS_SHIFT_MAX, SHIFT_MAX, worst_case

__all__ = ["features_of"]

_AXES = "xyt"
_ONE_BYTE = 127
_BYTE_NODES = 256
_WIDEST = 64
_HALF_LIMIT = ACCUMULATOR_LIMIT // 2


def _sequence_features(sequence: SequenceHeader, data: bytes) -> set[str]:
    found = {
        f"profile {sequence.profile_spec.name}",
        f"chroma {CHROMA_NAMES[sequence.chroma_format]}",
        f"{sequence.bit_depth} bits",
    }
    if sequence.width % 2 or sequence.height % 2:
        found.add("odd size")
    if sequence.width == sequence.height == 1:
        found.add("one sample")
    if sequence.width == 1 < sequence.height:
        found.add("one column")
    if max(sequence.width, sequence.height) > _ONE_BYTE:
        found.add("side of two bytes")
    if sequence.level:
        found.add(f"level {sequence.level}")
    if data[9] > MINOR_PRESENTATION:
        found.add("later minor version")
    return found


def _unit_features(units: list[Unit]) -> set[str]:
    found = {"INDEX" if any(unit.type == UnitType.INDEX for unit in units) else "no INDEX"}
    if any(isinstance(unit.content, Metadata) for unit in units):
        found.add("METADATA")
    if any(isinstance(unit.content, Metadata) and is_presentation(unit.content.key) for unit in units):
        found.add("METADATA of presentation")
    if any(unit.payload is None for unit in units):
        found.add("unknown optional unit")
    return found


def _count_features(units: list[Unit], decoded: list[DecodedGop]) -> set[str]:
    """Features of lengths and counts whose leb128 has several bytes."""
    found = set()
    grids = [len(payload) for item in decoded for payload in item.gop.grids]
    for name, values in (
        ("unit length", [unit.payload_length for unit in units]),
        ("grid length", grids),
        ("frame count", [item.gop.frame_count for item in decoded]),
        ("GOP count", [len(decoded)]),
    ):
        for size, words in ((2, "two"), (3, "three")):
            if any(1 << 7 * (size - 1) <= value < 1 << 7 * size for value in values):
                found.add(f"{name} of {words} bytes")
    return found


def _schedule_features(item: DecodedGop) -> set[str]:
    found = set()
    for grid in item.network.header.grids:
        nodes, _, rows, columns = grid_shape(item.sequence, item.network.header, grid, item.gop.frame_count)
        found.add(f"schedule kind {grid.schedule.name.lower().replace('_', '-')}")
        splits = grid.splits((nodes, rows, columns))
        if nodes * rows * columns > 1 and not splits:
            found.add("schedule without splits")
        if nodes > 1 and max(rows, columns) > 1:
            if splits == temporal_first_schedule(nodes, rows, columns):
                found.add("schedule temporal-first")
            if splits == octree_schedule(nodes, rows, columns):
                found.add("schedule octree")
        if len(splits) == 32:
            found.add("32 splits")
        for split in splits:
            found |= {f"phase {axis}" for bit, axis in enumerate(_AXES) if split >> 4 + bit & 1}
            if split & 7 in (1, 2, 4):
                found.add(f"halve {_AXES[(split & 7).bit_length() - 1]} alone")
    return found


def _network_features(sequence: SequenceHeader, network: Network) -> set[str]:
    found = set()
    header, profile = network.header, network.profile
    if len(header.grids) < len(profile.slots):
        found.add("absent slots")
    channels = header.grid_channels(profile)
    if not all(profile.injected(stage, channels) for stage in range(len(profile.max_channels))):
        found.add("stage without grids")
    if header.stage_channels != profile.max_channels:
        found.add("inactive channels")
    if header.stage_blocks != profile.blocks:
        found.add("inactive blocks" if any(header.stage_blocks) else "no blocks")
    for grid in header.grids:
        if grid.channels > 1:
            found.add("one multiplier" if len(set(grid.multipliers)) == 1 else "a multiplier a channel")
    if header.prior.context:
        found.add("prior of the context network")
    if header.prior.synthesis:
        found.add("prior of the synthesis network")
    if header.context_widths == (_WIDEST, _WIDEST):
        found.add("widest context network")
    parameters = coded_parameters(sequence, header)
    for spec, layer in zip(layer_specs(sequence, header), header.layers, strict=True):
        weight, bias = parameters[spec.name]
        if int(np.abs(weight).max()) > RADII[layer.weight_table]:
            found.add("weight escapes")
        if int(np.abs(bias).max()) > RADII[layer.bias_table]:
            found.add("bias escapes")
        if {-BIAS_Q_MAX, BIAS_Q_MAX} <= set(bias.tolist()):
            found.add("biases at both ends")
        made = network.layers.get(spec.name)
        if made is not None:
            worst = worst_case(made.weight, made.bias, made.shift, spec.input_max)
            if int(worst.max()) == ACCUMULATOR_LIMIT - 1:
                found.add("accumulators at the bound")
    return found


def _accumulator_features(item: DecodedGop) -> set[str]:
    """Whether accumulators are over 2^23 in magnitude where the output is not clipped.

    The output times 2^shift says so, of the layers whose outputs are stages.
    """
    layers = dict(item.network.layers)
    layers["subplanes"] = layers["head.pointwise"]
    if all(layer.high << layer.shift < _HALF_LIMIT for layer in layers.values()):
        return set()
    for name, values in synthesis_values(item.sequence, item.network, item.grids, item.gop.frame_count):
        layer = layers.get(name)
        if layer is not None:
            free = values[(values > layer.low) & (values < layer.high)].astype(np.int64) << layer.shift
            if (np.abs(free) > _HALF_LIMIT).any():
                return {"accumulators over half the bound, unclipped"}
    return set()


def features_of(data: bytes, decoded: list[DecodedGop]) -> tuple[str, ...]:
    """The features of a stream, sorted.

    Args:
        data: the stream.
        decoded: its GOPs, from `stages.decode_stream`.
    """
    sequence = decoded[0].sequence
    units = list(UnitReader(io.BytesIO(data)))
    found = _sequence_features(sequence, data) | _unit_features(units) | _count_features(units, decoded)
    counts = [item.gop.frame_count for item in decoded]
    if max(counts) == 1:
        found.add("one frame a GOP")
    if len(counts) > 1:
        found.add("several GOPs")
    if len(set(counts)) > 1:
        found.add("GOPs of unequal length")
    networks = {item.network_number: item.network for item in decoded}
    if len(networks) > 1:
        found.add("several NETWORK units")
    planar = [n.header for n in networks.values() if n.profile.has_planes(n.header.grid_channels(n.profile))]
    if len({header.pyramid for header in planar}) > 1:
        found.add("several pyramids")
    for network in networks.values():
        found |= _network_features(sequence, network)
    layers = [layer for network in networks.values() for layer in network.header.layers]
    if {layer.shift for layer in layers} == set(range(SHIFT_MAX + 1)):
        found.add("every shift")
    if {layer.bias_shift for layer in layers} == set(range(BIAS_SHIFT_MAX + 1)):
        found.add("every bias shift")
    for item in decoded:
        found |= _schedule_features(item) | plane_features(item) | coding_features(item)
        found |= _accumulator_features(item)
        if max(len(grid) for grid in item.grids if grid is not None) > _BYTE_NODES:
            found.add("more than 256 nodes")
        grids = [grid for grid in item.grids if grid is not None]
        if {-Q_MAX, Q_MAX} <= {int(end) for grid in grids for end in (grid.min(), grid.max())}:
            found.add("grid values at both ends")
    return tuple(sorted(found))
