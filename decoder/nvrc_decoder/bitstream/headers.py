"""The units' contents as frozen dataclasses, and what is derived from them (spec chapter 3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from nvrc_decoder.octree.schedule import octree_schedule, temporal_first_schedule
from nvrc_decoder.prior import WITHOUT_PRIOR, Prior
from nvrc_decoder.profiles import (
    PROFILES,
    GridSlot,
    LayerSpec,
    Profile,
    context_layers,
    node_shape,
    synthesis_layers,
)
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
    "node_map",
    "parameter_count",
    "schedule_runs",
]


class UnitType(IntEnum):
    """The unit types of version 4 (spec 2.4)."""

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


def schedule_runs(splits: Sequence[int]) -> tuple[ScheduleRun, ...]:
    """The runs of a schedule that is given as split bytes: equal neighbours share a run of at most 16."""
    runs: list[ScheduleRun] = []
    for split in splits:
        last = runs[-1] if runs else None
        if last is not None and last.split == split and last.repeat < 16:
            runs[-1] = ScheduleRun(last.halve, last.phase, last.repeat + 1)
        else:
            runs.append(ScheduleRun(split & 7, split >> 4 & 7))
    return tuple(runs)


class ScheduleKind(IntEnum):
    """Where a grid's schedule comes from: a formula for the grid of each GOP, or runs in the NETWORK (spec 5.1)."""

    TEMPORAL_FIRST = 0
    OCTREE = 1
    EXPLICIT = 2


@dataclass(frozen=True)
class GridHeader:
    """One present grid.

    Attributes:
        slot: index of its slot.
        multipliers: one for each channel; the stream codes a single one where all are equal.
        runs: the schedule if its kind is `EXPLICIT`, else empty.
        schedule: the kind of schedule.
    """

    slot: int
    multipliers: tuple[int, ...]
    runs: tuple[ScheduleRun, ...] = ()
    schedule: ScheduleKind = ScheduleKind.EXPLICIT

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.multipliers)

    def splits(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The schedule of a grid of `shape` = (nodes, rows, columns), one split byte a split, at most 32."""
        if self.schedule is ScheduleKind.TEMPORAL_FIRST:
            return temporal_first_schedule(*shape)
        if self.schedule is ScheduleKind.OCTREE:
            return octree_schedule(*shape)
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
    """NETWORK (spec 3.3).

    Attributes:
        stage_channels, stage_blocks: active channels and blocks of each stage.
        grids: the present grids by ascending slot.
        context_widths: outputs of the two hidden layers of the context network.
        layers: in canonical order: context first, then synthesis (see `layer_specs`).
        parameters: the coded weights and biases.
        pyramid: which frames are nodes; `DEFAULT_PYRAMID` where no present slot has nodes.
        prior: which networks are coded as differences from the prior.
    """

    stage_channels: tuple[int, ...]
    stage_blocks: tuple[int, ...]
    grids: tuple[GridHeader, ...]
    context_widths: tuple[int, int]
    layers: tuple[LayerHeader, ...]
    parameters: bytes = field(repr=False)
    pyramid: Pyramid = DEFAULT_PYRAMID
    prior: Prior = WITHOUT_PRIOR

    def grid_channels(self, profile: Profile) -> tuple[int, ...]:
        """Channels of each slot of the profile, 0 where it is absent."""
        channels = {grid.slot: grid.channels for grid in self.grids}
        return tuple(channels.get(i, 0) for i in range(len(profile.slots)))

    def coding_order(self, profile: Profile) -> tuple[GridHeader, ...]:
        """The present grids in the order in which a GOP codes them: motion first, then by slot (spec 3.4)."""
        return tuple(sorted(self.grids, key=lambda grid: (not profile.slots[grid.slot].motion, grid.slot)))


@dataclass(frozen=True)
class Gop:
    """GOP (spec 3.4).

    Attributes:
        frame_count: number of frames.
        grids: payloads, one for each present slot in coding order.
        node_maps: node maps, one for each present slot that has one, in coding order; see `coded_nodes`.
    """

    frame_count: int
    grids: tuple[bytes, ...] = field(repr=False)
    node_maps: tuple[bytes, ...] = field(default=(), repr=False)


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
    """One GOP of an INDEX: absolute offsets of its unit and of its NETWORK, and its first frame."""

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
        network.stage_blocks,
        network.grid_channels(profile),
        sequence.chroma_format,
        sequence.bit_depth,
    )
    return (*context_layers(*network.context_widths), *synthesis)


def parameter_count(sequence: SequenceHeader, network: NetworkHeader) -> int:
    """Number of weights and biases that the parameter payload codes."""
    return sum(math.prod(spec.weight_shape) + spec.outputs for spec in layer_specs(sequence, network))


def gop_symbols(sequence: SequenceHeader, network: NetworkHeader, frame_count: int) -> int:
    """Number of grid values of a GOP: nodes x channels x rows x columns over the present grids, empty nodes too."""
    return sum(math.prod(shape) for _, shape in _grid_shapes(sequence, network, frame_count))


def coded_symbols(sequence: SequenceHeader, network: NetworkHeader, gop: Gop) -> int:
    """Number of grid values that a GOP codes: those of empty nodes are left out."""
    total, maps = 0, iter(gop.node_maps)
    for slot, (nodes, *size) in _grid_shapes(sequence, network, gop.frame_count):
        coded = int(coded_nodes(next(maps), nodes).sum()) if slot.mapped else nodes
        total += coded * math.prod(size)
    return total


def _grid_shapes(
    sequence: SequenceHeader, network: NetworkHeader, frame_count: int
) -> Iterator[tuple[GridSlot, tuple[int, int, int, int]]]:
    """Slot and shape of each present grid of a GOP, in coding order."""
    for grid in network.coding_order(sequence.profile_spec):
        slot = sequence.profile_spec.slots[grid.slot]
        nodes, rows, columns = node_shape(slot, frame_count, sequence.height, sequence.width, network.pyramid)
        yield slot, (nodes, grid.channels, rows, columns)


def node_map(coded: Sequence[bool] | npt.NDArray[np.bool_]) -> bytes:
    """The bytes that say which nodes of a grid are coded: node n is bit n % 8 of byte n // 8 (spec 3.4)."""
    return np.packbits(np.asarray(coded, dtype=bool), bitorder="little").tobytes()


def coded_nodes(data: bytes, nodes: int) -> npt.NDArray[np.bool_]:
    """Which of a grid's nodes are coded, bool [nodes]; the others are empty. The inverse of `node_map`."""
    return np.unpackbits(np.frombuffer(data, np.uint8), count=nodes, bitorder="little").astype(bool)
