"""The units: dataclasses (re-exported from `headers.py`) and their payloads (spec chapter 3).

`parse_*` turns a payload into a dataclass, `serialise_*` back; both interpret `tables.py`. A parsed object keeps
every range and structure requirement of chapter 3; `reader.py` checks how units relate to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.headers import (
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
    UnitType,
    coded_nodes,
    coded_symbols,
    gop_symbols,
    layer_specs,
    node_map,
    parameter_count,
    schedule_runs,
)
from nvrc_decoder.bitstream.syntax import parse, serialise
from nvrc_decoder.bitstream.tables import PAYLOADS
from nvrc_decoder.errors import InternalError
from nvrc_decoder.prior import Prior
from nvrc_decoder.profiles import Profile
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid

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
    "ScheduleKind",
    "ScheduleRun",
    "SequenceHeader",
    "UnitType",
    "coded_nodes",
    "coded_symbols",
    "gop_symbols",
    "layer_specs",
    "network_scope",
    "node_map",
    "parameter_count",
    "parse_digest",
    "parse_end",
    "parse_frame_count",
    "parse_gop",
    "parse_index",
    "parse_metadata",
    "parse_network",
    "parse_sequence",
    "schedule_runs",
    "serialise_digest",
    "serialise_end",
    "serialise_gop",
    "serialise_index",
    "serialise_metadata",
    "serialise_network",
    "serialise_sequence",
]


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


def network_scope(sequence: SequenceHeader) -> dict[str, Any]:
    """The derived values that the syntax of a NETWORK refers to (spec 3.3), by name."""
    profile = sequence.profile_spec
    return {
        "profile": sequence.profile,
        "chroma_format": sequence.chroma_format,
        "bit_depth": sequence.bit_depth,
        "NumStages": len(profile.max_channels),
        "MaxStageChannels": profile.max_channels,
        "MaxStageBlocks": profile.blocks,
        "NumSlots": len(profile.slots),
        "FlowSlot": profile.flow_slot,
        "SplitSlot": profile.split_slot,
        "NodeSlots": profile.node_slots,
        "BandSlots": profile.band_slots,
        "MaxGridChannels": [slot.max_channels for slot in profile.slots],
    }


def parse_network(payload: bytes, sequence: SequenceHeader, base: int = 0, unit: str | None = None) -> NetworkHeader:
    """NETWORK from its payload; its syntax depends on the profile and chroma format of `sequence`.

    Raises:
        InvalidStreamError: a requirement of 3.3 is broken.
    """
    values = _parse(UnitType.NETWORK, payload, base, unit, network_scope(sequence))
    grids = tuple(
        GridHeader(
            slot,
            tuple(grid["multiplier"]) * (grid["grid_channels"] if grid["one_multiplier"] else 1),
            tuple(ScheduleRun(run["halve"], run["phase"], run["repeat"]) for run in grid.get("runs", ())),
            ScheduleKind(grid["schedule"]),
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
    active = tuple(values["stage_channels"]), tuple(values["stage_blocks"])
    prior = Prior(bool(values["context_prior"]), bool(values["synthesis_prior"]))
    return NetworkHeader(*active, grids, widths, layers, values["parameter_payload"], _pyramid(values), prior)


def _pyramid(values: Mapping[str, Any]) -> Pyramid:
    """The pyramid of a parsed NETWORK; the default one where no slot has nodes."""
    if "key_spacing_log2" not in values:
        return DEFAULT_PYRAMID
    spacings = 1 << values["key_spacing_log2"], 1 << values["node_spacing_log2"]
    return Pyramid(*spacings, tuple(values["step_factor"]))


def _is_uniform(grid: GridHeader) -> bool:
    return len(set(grid.multipliers)) == 1


def serialise_network(network: NetworkHeader, sequence: SequenceHeader, *, check: bool = True) -> bytes:
    """The payload of a NETWORK; InternalError where it breaks a requirement."""
    mask = 0
    for grid in network.grids:
        mask |= 1 << grid.slot
    values = {
        "stage_channels": list(network.stage_channels),
        "stage_blocks": list(network.stage_blocks),
        "grid_mask": mask,
        "node_spacing_log2": network.pyramid.node_spacing.bit_length() - 1,
        "key_spacing_log2": network.pyramid.key_spacing.bit_length() - 1,
        "step_factor": list(network.pyramid.factors),
        "grids": [
            {
                "grid_channels": grid.channels,
                "one_multiplier": int(_is_uniform(grid)),
                "multiplier": list(grid.multipliers[:1] if _is_uniform(grid) else grid.multipliers),
                "schedule": int(grid.schedule),
                "run_count": len(grid.runs),
                "runs": [vars(run) for run in grid.runs],
            }
            for grid in sorted(network.grids, key=lambda grid: grid.slot)
        ],
        "context_width_1": network.context_widths[0],
        "context_width_2": network.context_widths[1],
        "context_prior": int(network.prior.context),
        "synthesis_prior": int(network.prior.synthesis),
        "layers": [{**vars(layer), "weight_step": layer.multiplier - 4} for layer in network.layers],
        "parameter_length": len(network.parameters),
        "parameter_payload": network.parameters,
    }
    return _serialise(UnitType.NETWORK, values, network_scope(sequence), check)


def _gop_scope(network: NetworkHeader, profile: Profile) -> dict[str, Any]:
    return {
        "CodingOrder": [grid.slot for grid in network.coding_order(profile)],
        "NodeSlots": profile.node_slots,
        "MappedSlots": profile.mapped_slots,
        "pyramid": network.pyramid,
    }


def parse_gop(payload: bytes, network: NetworkHeader, profile: Profile, base: int = 0, unit: str | None = None) -> Gop:
    """GOP from its payload, under the NETWORK in force.

    Raises:
        InvalidStreamError: a requirement of 3.4 is broken.
    """
    values = _parse(UnitType.GOP, payload, base, unit, _gop_scope(network, profile))
    grids = values["grids"]
    return Gop(
        values["frame_count"],
        tuple(grid["grid_payload"] for grid in grids),
        tuple(grid["node_map"] for grid in grids if "node_map" in grid),
    )


def parse_frame_count(start: bytes, base: int = 0) -> int:
    """frame_count of a GOP, which comes first, from the first bytes of its payload; `base` as in `parse_sequence`.

    Raises:
        InvalidStreamError: E_LENGTH, `start` ends in it; E_LEB128 or E_RANGE.
    """
    entry = PAYLOADS[UnitType.GOP.name]
    reader = ByteReader(start, base, UnitType.GOP.name)
    return int(parse(entry.table[:1], entry.section, reader)["frame_count"])


def serialise_gop(gop: Gop, network: NetworkHeader, profile: Profile, *, check: bool = True) -> bytes:
    """The payload of a GOP; InternalError where it breaks a requirement, or lacks a node map."""
    scope = _gop_scope(network, profile)
    grids: list[dict[str, Any]] = [{"grid_length": len(payload), "grid_payload": payload} for payload in gop.grids]
    mapped = [i for i, slot in enumerate(scope["CodingOrder"]) if slot in profile.mapped_slots]
    if len(mapped) != len(gop.node_maps):
        raise InternalError("E_LENGTH", f"a GOP has {len(gop.node_maps)} node maps, not {len(mapped)}", section="3.4")
    for i, data in zip(mapped, gop.node_maps, strict=True):
        if i < len(grids):
            grids[i]["node_map"] = data
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
