"""The units as frozen dataclasses, and their payloads (spec chapter 3).

`parse_*` turns a payload into a dataclass, `serialise_*` back; both interpret `tables.py`. A parsed object keeps
every range and structure requirement of chapter 3; what several units have to do with each other is `reader.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.syntax import parse, serialise
from nvrc_decoder.bitstream.tables import PAYLOADS
from nvrc_decoder.profiles import (
    PROFILES,
    GridSlot,
    LayerSpec,
    Profile,
    context_layers,
    node_shape,
    synthesis_layers,
)

__all__ = [
    "Digest",
    "End",
    "Gop",
    "GridHeader",
    "Index",
    "IndexEntry",
    "LayerHeader",
    "Metadata",
    "NetworkHeader",
    "ScheduleRun",
    "SequenceHeader",
    "UnitType",
    "gop_symbols",
    "layer_specs",
    "parameter_count",
    "parse_digest",
    "parse_end",
    "parse_gop",
    "parse_index",
    "parse_metadata",
    "parse_network",
    "parse_sequence",
    "serialise_digest",
    "serialise_end",
    "serialise_gop",
    "serialise_index",
    "serialise_metadata",
    "serialise_network",
    "serialise_sequence",
]


class UnitType(IntEnum):
    """The unit types of version 0 (spec 2.4)."""

    SEQUENCE = 0x01
    NETWORK = 0x02
    GOP = 0x03
    DIGEST = 0x04
    END = 0x05
    METADATA = 0x81
    INDEX = 0x82


@dataclass(frozen=True)
class SequenceHeader:
    """SEQUENCE (spec 3.2): what holds for the whole stream. Field names and ranges are those of the syntax."""

    width: int
    height: int
    rate_numerator: int
    rate_denominator: int
    chroma_format: int = 1
    bit_depth: int = 8
    colour_primaries: int = 2
    transfer_characteristics: int = 2
    matrix_coefficients: int = 2
    full_range: int = 0
    chroma_sample_position: int = 0
    profile: int = 0
    level: int = 0

    @property
    def profile_spec(self) -> Profile:
        """The profile's description."""
        return PROFILES[self.profile]

    @property
    def chroma_size(self) -> tuple[int, int] | None:
        """(height, width) of a chroma plane, None for 4:0:0."""
        if self.chroma_format == 0:
            return None
        if self.chroma_format == 1:
            return -(-self.height // 2), -(-self.width // 2)
        return self.height, self.width


@dataclass(frozen=True)
class ScheduleRun:
    """A split that is applied `repeat` times; axis sets have bit 0 x, bit 1 y, bit 2 t (spec 3.3, chapter 5)."""

    halve: int
    phase: int = 0
    repeat: int = 1

    @property
    def split(self) -> int:
        """The split byte."""
        return self.halve | self.phase << 4


@dataclass(frozen=True)
class GridHeader:
    """One present grid: its slot, the multiplier of each channel and its schedule as runs."""

    slot: int
    multipliers: tuple[int, ...]
    runs: tuple[ScheduleRun, ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.multipliers)

    @property
    def splits(self) -> tuple[int, ...]:
        """The schedule, one split byte a split, at most 32."""
        return tuple(run.split for run in self.runs for _ in range(run.repeat))


@dataclass(frozen=True)
class LayerHeader:
    """How a layer's parameters are scaled and coded.

    Attributes:
        multiplier: m, 4..7; a weight is its coded value times m.
        shift: s, 0..24.
        weight_table, bias_table: scale index 0..39 of the table that codes the values.
        bias_shift: k, 0..23.
    """

    multiplier: int
    shift: int
    weight_table: int
    bias_shift: int
    bias_table: int


@dataclass(frozen=True)
class NetworkHeader:
    """NETWORK (spec 3.3). `layers` is in canonical order: context first, then synthesis (see `layer_specs`)."""

    stage_channels: tuple[int, ...]
    grids: tuple[GridHeader, ...]
    context_widths: tuple[int, int]
    layers: tuple[LayerHeader, ...]
    parameters: bytes = field(repr=False)

    @property
    def present_slots(self) -> tuple[int, ...]:
        """Slots of the present grids, ascending."""
        return tuple(grid.slot for grid in self.grids)

    def grid_channels(self, profile: Profile) -> tuple[int, ...]:
        """Channels of each slot of the profile, 0 where it is absent."""
        channels = {grid.slot: grid.channels for grid in self.grids}
        return tuple(channels.get(i, 0) for i in range(len(profile.slots)))


@dataclass(frozen=True)
class Gop:
    """GOP (spec 3.4): `grids` holds one payload for each present slot, in slot order."""

    frame_count: int
    grids: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True)
class Digest:
    """DIGEST (spec 3.5): 16 bytes."""

    digest: bytes


@dataclass(frozen=True)
class Metadata:
    """METADATA (spec 3.6)."""

    key: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One GOP of an INDEX: absolute offsets of its unit and of its NETWORK, and its first picture."""

    offset: int
    first_frame: int
    network_offset: int


@dataclass(frozen=True)
class Index:
    """INDEX (spec 3.7)."""

    entries: tuple[IndexEntry, ...]


@dataclass(frozen=True)
class End:
    """END (spec 3.8): totals of the stream."""

    frame_count: int
    gop_count: int


def layer_specs(sequence: SequenceHeader, network: NetworkHeader) -> tuple[LayerSpec, ...]:
    """Names, shapes and clips of `network.layers`, in the same order: three context layers, then synthesis."""
    profile = sequence.profile_spec
    synthesis = synthesis_layers(
        profile,
        network.stage_channels,
        network.grid_channels(profile),
        sequence.chroma_format,
        sequence.bit_depth,
    )
    return (*context_layers(*network.context_widths), *synthesis)


def parameter_count(sequence: SequenceHeader, network: NetworkHeader) -> int:
    """Number of weights and biases that the parameter payload codes."""
    total = 0
    for spec in layer_specs(sequence, network):
        weights = 1
        for n in spec.weight_shape:
            weights *= n
        total += weights + spec.outputs
    return total


def gop_symbols(sequence: SequenceHeader, network: NetworkHeader, frame_count: int) -> int:
    """Number of grid values of a GOP: nodes x channels x rows x columns over the present grids."""
    total = 0
    for grid in network.grids:
        slot: GridSlot = sequence.profile_spec.slots[grid.slot]
        nodes, rows, columns = node_shape(slot, frame_count, sequence.height, sequence.width)
        total += nodes * rows * columns * grid.channels
    return total


def _parse(kind: UnitType, payload: bytes, base: int, unit: str | None, scope: dict[str, Any]) -> dict[str, Any]:
    entry = PAYLOADS[kind.name]
    reader = ByteReader(payload, base, unit or kind.name)
    values = parse(entry.table, entry.section, reader, scope)
    reader.finish()
    return values


def _serialise(
    kind: UnitType, values: Mapping[str, Any], scope: Mapping[str, Any] | None = None, check: bool = True
) -> bytes:
    entry = PAYLOADS[kind.name]
    return serialise(entry.table, entry.section, values, scope, check=check)


def parse_sequence(payload: bytes, base: int = 0, unit: str | None = None) -> SequenceHeader:
    """SEQUENCE from its payload, whose first byte lies at `base`.

    Raises:
        InvalidStreamError: a requirement of 3.2 is broken. UnsupportedError: the profile is not known.
    """
    return SequenceHeader(**_parse(UnitType.SEQUENCE, payload, base, unit, {}))


def serialise_sequence(sequence: SequenceHeader, *, check: bool = True) -> bytes:
    """The payload of a SEQUENCE; InternalError where it breaks a requirement."""
    return _serialise(UnitType.SEQUENCE, vars(sequence), check=check)


def _network_scope(sequence: SequenceHeader) -> dict[str, Any]:
    profile = sequence.profile_spec
    return {
        "profile": sequence.profile,
        "chroma_format": sequence.chroma_format,
        "bit_depth": sequence.bit_depth,
        "NumStages": len(profile.max_channels),
        "MaxStageChannels": profile.max_channels,
        "NumSlots": len(profile.slots),
        "MaxGridChannels": [slot.max_channels for slot in profile.slots],
    }


def parse_network(payload: bytes, sequence: SequenceHeader, base: int = 0, unit: str | None = None) -> NetworkHeader:
    """NETWORK from its payload; its syntax depends on the profile and chroma format of `sequence`.

    Raises:
        InvalidStreamError: a requirement of 3.3 is broken.
    """
    values = _parse(UnitType.NETWORK, payload, base, unit, _network_scope(sequence))
    grids = tuple(
        GridHeader(
            slot,
            tuple(grid["multiplier"]),
            tuple(ScheduleRun(run["halve"], run["phase"], run["repeat"]) for run in grid["runs"]),
        )
        for slot, grid in zip(values["PresentSlots"], values["grids"], strict=True)
    )
    layers = tuple(
        LayerHeader(
            layer["weight_step"] + 4,
            layer["shift"],
            layer["weight_table"],
            layer["bias_shift"],
            layer["bias_table"],
        )
        for layer in values["layers"]
    )
    widths = (values["context_width_1"], values["context_width_2"])
    return NetworkHeader(tuple(values["stage_channels"]), grids, widths, layers, values["parameter_payload"])


def serialise_network(network: NetworkHeader, sequence: SequenceHeader, *, check: bool = True) -> bytes:
    """The payload of a NETWORK; InternalError where it breaks a requirement."""
    mask = 0
    for grid in network.grids:
        mask |= 1 << grid.slot
    values = {
        "stage_channels": list(network.stage_channels),
        "grid_mask": mask,
        "grids": [
            {
                "grid_channels": grid.channels,
                "multiplier": list(grid.multipliers),
                "run_count": len(grid.runs),
                "runs": [vars(run) for run in grid.runs],
            }
            for grid in sorted(network.grids, key=lambda grid: grid.slot)
        ],
        "context_width_1": network.context_widths[0],
        "context_width_2": network.context_widths[1],
        "layers": [{**vars(layer), "weight_step": layer.multiplier - 4} for layer in network.layers],
        "parameter_length": len(network.parameters),
        "parameter_payload": network.parameters,
    }
    return _serialise(UnitType.NETWORK, values, _network_scope(sequence), check)


def parse_gop(payload: bytes, network: NetworkHeader, base: int = 0, unit: str | None = None) -> Gop:
    """GOP from its payload, under the NETWORK in force.

    Raises:
        InvalidStreamError: a requirement of 3.4 is broken.
    """
    values = _parse(UnitType.GOP, payload, base, unit, {"PresentSlots": network.present_slots})
    return Gop(values["frame_count"], tuple(grid["grid_payload"] for grid in values["grids"]))


def serialise_gop(gop: Gop, network: NetworkHeader, *, check: bool = True) -> bytes:
    """The payload of a GOP; InternalError where it breaks a requirement."""
    grids = [{"grid_length": len(payload), "grid_payload": payload} for payload in gop.grids]
    scope = {"PresentSlots": network.present_slots}
    return _serialise(UnitType.GOP, {"frame_count": gop.frame_count, "grids": grids}, scope, check)


def parse_digest(payload: bytes, base: int = 0, unit: str | None = None) -> Digest:
    """DIGEST from its payload; InvalidStreamError where it is not of 16 bytes."""
    return Digest(**_parse(UnitType.DIGEST, payload, base, unit, {}))


def serialise_digest(digest: Digest, *, check: bool = True) -> bytes:
    """The payload of a DIGEST."""
    return _serialise(UnitType.DIGEST, vars(digest), check=check)


def parse_metadata(payload: bytes, base: int = 0, unit: str | None = None) -> Metadata:
    """METADATA from its payload; InvalidStreamError where a requirement of 3.6 is broken."""
    values = _parse(UnitType.METADATA, payload, base, unit, {})
    return Metadata(values["key"].decode("utf-8"), values["value"])


def serialise_metadata(metadata: Metadata, *, check: bool = True) -> bytes:
    """The payload of a METADATA."""
    key = metadata.key.encode("utf-8")
    values = {"key_length": len(key), "key": key, "value": metadata.value}
    return _serialise(UnitType.METADATA, values, check=check)


def parse_index(payload: bytes, base: int = 0, unit: str | None = None) -> Index:
    """INDEX from its payload; InvalidStreamError (E_INDEX) where it contradicts itself."""
    values = _parse(UnitType.INDEX, payload, base, unit, {})
    return Index(tuple(IndexEntry(**entry) for entry in values["entries"]))


def serialise_index(index: Index, *, check: bool = True) -> bytes:
    """The payload of an INDEX."""
    names = ("offset", "first_frame", "network_offset")
    entries = [{name: getattr(entry, name) for name in names} for entry in index.entries]
    return _serialise(UnitType.INDEX, {"gop_count": len(entries), "entries": entries}, check=check)


def parse_end(payload: bytes, base: int = 0, unit: str | None = None) -> End:
    """END from its payload."""
    return End(**_parse(UnitType.END, payload, base, unit, {}))


def serialise_end(end: End, *, check: bool = True) -> bytes:
    """The payload of an END."""
    return _serialise(UnitType.END, vars(end), check=check)
