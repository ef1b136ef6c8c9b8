"""Random streams: a NETWORK with random parameters, GOPs with random grids, frames by the NumPy reference."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from nvrc_conformance.layer_drafts import LayerDraft, drafted_layer, sparse_context
from nvrc_conformance.sampling import LayerParameters, SamplingCoder, bound_layer, fit_to_prior, plain_layer
from nvrc_decoder.bitstream.container import encode_unit
from nvrc_decoder.bitstream.units import (
    Gop,
    GridHeader,
    LayerHeader,
    NetworkHeader,
    ScheduleKind,
    SequenceHeader,
    gop_symbols,
    layer_specs,
    node_map,
    schedule_runs,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.decode.gop import Grid, Network, grid_shape, load_network
from nvrc_decoder.entropy.parameters import encode_parameters
from nvrc_decoder.limits import minimum_level
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.picture.planes import GopDigest, Planes
from nvrc_decoder.prior import WITHOUT_PRIOR, Prior
from nvrc_decoder.profiles import PROFILES, GridSlot, LayerSpec, node_shape
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

__all__ = ["NetworkDraft", "Recipe", "Schedule", "StreamDraft", "random_gop", "random_network"]

_TWO_LEVELS = Pyramid(8, 4, (22,))
_MULTIPLIERS = range(24, 140)
_BOUND_MULTIPLIERS = (1, 2048, 1024, 2047)

# A kind, or node shape (N, H, W) of a slot's grid and the slot's index -> split bytes.
Schedule = ScheduleKind | Callable[[tuple[int, int, int], int], Sequence[int]]

# Grids of a GOP, its frame count and the frames wanted -> these frames.
Synthesise = Callable[[Sequence[Grid | None], int, range], Iterable[Planes]]


@dataclass(frozen=True)
class NetworkDraft:
    """The specification of a random NETWORK.

    Attributes:
        stage_channels: active channels of each stage; None for the profile's most.
        stage_blocks: active blocks of each stage; None for the profile's most.
        grid_channels: slot -> channels of the present grids; None for all slots with their most, motion included.
        pyramid: which frames are nodes, where a slot that has nodes is present.
        empty_nodes: on average one node in so many is empty, drawn for each grid of each GOP; 1 for all, 0 for none.
        multipliers: those that are drawn from for all grids but the flow grid; None for middling ones, or at the bound
            for the ends of their range.
        flow_multipliers: range of the multipliers of the positions in the flow grid, whose values are mostly small.
        blend_multipliers: range of the multiplier of the blend weights in the flow grid.
        one_multiplier: whether all channels of a grid share one multiplier.
        context_widths: hidden widths of the context network.
        prior: which networks are coded as differences from the prior.
        schedule: the schedule of each grid.
        bound: whether parameters are at the ends of their ranges; otherwise pictures have some texture.
        scale: scale index of the weights' tables where they are not at the bound.
        wild: see `SamplingCoder`; for parameters and grids.
        layers: pattern of layers' names (`fnmatch`) -> what such a layer is instead; the first pattern that matches
            counts.
        loudness: slot -> scale index of its values where its neighbours are 0, for grids of few bits; None for a
            random context network.
    """

    stage_channels: tuple[int, ...] | None = None
    stage_blocks: tuple[int, ...] | None = None
    grid_channels: Mapping[int, int] | None = None
    pyramid: Pyramid = _TWO_LEVELS
    empty_nodes: int = 4
    multipliers: Sequence[int] | None = None
    flow_multipliers: tuple[int, int] = (1, 6)
    blend_multipliers: tuple[int, int] = (1, 9)
    one_multiplier: bool = False
    context_widths: tuple[int, int] = (8, 6)
    prior: Prior = WITHOUT_PRIOR
    schedule: Schedule = ScheduleKind.TEMPORAL_FIRST
    bound: bool = False
    scale: int = 14
    wild: int = 0
    layers: Mapping[str, LayerDraft] = field(default_factory=dict)
    loudness: Mapping[int, int] | None = None


@dataclass(frozen=True)
class StreamDraft:
    """The specification of a random stream.

    Attributes:
        profile: name of the profile.
        width, height: size of the picture.
        gops: for each NETWORK its GOPs' frame counts; none for a NETWORK that no GOP follows.
        networks: the NETWORKs.
        sequence: fields of SEQUENCE that differ from the defaults.
        metadata: METADATA units after SEQUENCE.
        between: METADATA units after the DIGEST of each GOP.
        unknown: whether units of unknown optional types are everywhere that they are allowed.
        index: whether there is an INDEX.
        minor: minor version.
        level: least level that it declares; it declares a higher one where it needs that.
    """

    profile: str
    width: int
    height: int
    gops: Sequence[Sequence[int]]
    networks: Sequence[NetworkDraft] = (NetworkDraft(),)
    sequence: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    between: Mapping[str, bytes] = field(default_factory=dict)
    unknown: bool = False
    index: bool = True
    minor: int = 0
    level: int = 0

    def build(self, rng: np.random.RandomState) -> bytes:
        """The stream."""
        profile = next(profile for profile in PROFILES if profile.name == self.profile)
        fields = {"rate_numerator": 25, "rate_denominator": 1, **self.sequence}
        sequence = SequenceHeader(self.width, self.height, profile=profile.id, level=6, **fields)
        longest = [max(counts, default=1) for counts in self.gops]
        headers = [random_network(rng, sequence, *plan) for plan in zip(self.networks, longest, strict=True)]
        symbols = max(gop_symbols(sequence, *plan) for plan in zip(headers, longest, strict=True))
        rate = fields["rate_numerator"], fields["rate_denominator"]
        needed = minimum_level(self.width, self.height, *rate, max(longest), symbols)
        sequence = replace(sequence, level=max(needed, self.level))
        file = io.BytesIO()
        writer = _Writer(file, sequence) if self.unknown else StreamWriter(file, sequence)
        for key, value in self.metadata.items():
            writer.metadata(key, value)
        for header, draft, counts in zip(headers, self.networks, self.gops, strict=True):
            writer.network(header)
            network = load_network(sequence, header)
            synthesise = ReferenceSynthesizer(*network.parts(sequence)).synthesise
            for count in counts:
                writer.gop(*random_gop(rng, sequence, network, draft, count, synthesise))
                for key, value in self.between.items():
                    writer.metadata(key, value)
        writer.finish(self.index)
        data = bytearray(file.getvalue())
        data[9] = self.minor
        return bytes(data)


@dataclass(frozen=True)
class Recipe:
    """A stream of the generator.

    Attributes:
        id: immutable name, and the seed.
        description: its purpose.
        draft: its specification.
    """

    id: str
    description: str
    draft: StreamDraft


class _Writer(StreamWriter):
    """Writes a unit of unknown optional type wherever one is allowed."""

    def _unit(self, kind: int, payload: bytes) -> int:
        if self.offset > 10 and kind in (0x02, 0x03, 0x05, 0x81, 0x82) and not self._indexed:
            unknown = 0x80 if kind == 0x02 else 0xFF if kind == 0x05 else 0xC5
            self._write(encode_unit(unknown, bytes(range(kind))))
        self._indexed = kind == 0x82
        return super()._unit(kind, payload)  # type: ignore[arg-type]

    _indexed = False


def _parameters(rng: np.random.RandomState, spec: LayerSpec, draft: NetworkDraft) -> LayerParameters:
    """Random parameters of one layer, within the bound and the ranges."""
    for pattern, layer in draft.layers.items():
        if fnmatchcase(spec.name, pattern):
            return drafted_layer(rng, spec, layer)
    if spec.kind == "dense" and draft.loudness is not None:
        return sparse_context(spec, draft.loudness)
    if spec.name == "context.hidden1":
        return plain_layer(rng, spec, 16, gain=4 if draft.bound else 2, centre=32)
    if draft.bound:
        return bound_layer(rng, spec)
    if spec.name == "context.hidden2":
        return plain_layer(rng, spec, 16, centre=16)
    if spec.name == "context.output":
        return plain_layer(rng, spec, 16, gain=-1, centre=(0, 17))
    if spec.kind == "pointwise":
        return plain_layer(rng, spec, draft.scale, gain=-1, wild=draft.wild)
    if spec.kind == "head_pointwise":
        # Samples spread over the lower half of their range; the clips at its ends are reached.
        return plain_layer(rng, spec, draft.scale, gain=-1 if spec.high < 256 else 1, centre=(spec.high + 1) // 2)
    return plain_layer(rng, spec, draft.scale, wild=draft.wild)


def _multipliers(rng: np.random.RandomState, slot: GridSlot, channels: int, draft: NetworkDraft) -> list[int]:
    """Random multipliers of one grid."""
    if slot.motion:
        ranges = draft.flow_multipliers, draft.flow_multipliers, draft.blend_multipliers
        drawn = [int(rng.randint(*ends)) for ends in ranges[:channels]]
    else:
        chosen = draft.multipliers or (_BOUND_MULTIPLIERS if draft.bound else _MULTIPLIERS)
        drawn = [chosen[int(rng.randint(0, len(chosen)))] for _ in range(channels)]
    return drawn[:1] * channels if draft.one_multiplier else drawn


def random_network(
    rng: np.random.RandomState, sequence: SequenceHeader, draft: NetworkDraft, frame_count: int
) -> NetworkHeader:
    """A NETWORK with random parameters, and schedules for a GOP of `frame_count` frames."""
    profile = sequence.profile_spec
    channels = draft.grid_channels or {i: slot.max_channels for i, slot in enumerate(profile.slots)}
    pyramid = DEFAULT_PYRAMID if channels.keys().isdisjoint(profile.node_slots) else draft.pyramid
    grids = []
    for i, count in sorted(channels.items()):
        slot = profile.slots[i]
        multipliers = tuple(_multipliers(rng, slot, count, draft))
        if isinstance(draft.schedule, ScheduleKind):
            grids.append(GridHeader(i, multipliers, (), draft.schedule))
        else:
            shape = node_shape(slot, frame_count, sequence.height, sequence.width, pyramid)
            grids.append(GridHeader(i, multipliers, schedule_runs(tuple(draft.schedule(shape, i)))))
    stages = draft.stage_channels or profile.max_channels
    blocks = profile.blocks if draft.stage_blocks is None else draft.stage_blocks
    header = NetworkHeader(stages, blocks, tuple(grids), draft.context_widths, (), b"", pyramid, draft.prior)
    specs = layer_specs(sequence, header)
    priors = draft.prior.layers(profile, specs, header.grid_channels(profile))
    made = {spec.name: fit_to_prior(spec, _parameters(rng, spec, draft), priors[spec.name]) for spec in specs}
    layers = tuple(
        LayerHeader(p.multiplier, p.shift, p.weight_table, p.bias_shift, p.bias_table)
        for p in (made[spec.name] for spec in specs)
    )
    payload = encode_parameters({name: (p.weight, p.bias) for name, p in made.items()}, specs, layers)
    return replace(header, layers=layers, parameters=payload)


def _coded_nodes(rng: np.random.RandomState, draft: NetworkDraft, nodes: int) -> npt.NDArray[np.bool_]:
    """Whether each node of a grid is coded, bool [nodes]."""
    if draft.empty_nodes == 0:
        return np.ones(nodes, dtype=bool)
    drawn: npt.NDArray[np.bool_] = rng.randint(0, draft.empty_nodes, size=nodes) > 0
    return drawn


def random_gop(
    rng: np.random.RandomState,
    sequence: SequenceHeader,
    network: Network,
    draft: NetworkDraft,
    frame_count: int,
    synthesise: Synthesise,
) -> tuple[Gop, bytes]:
    """A GOP of random grids, and the digest of its frames from `synthesise`."""
    header, profile = network.header, network.profile
    grids: list[Grid | None] = [None] * len(profile.slots)
    coarser: tuple[GridSlot, Grid] | None = None
    payloads, maps = [], []
    for one in header.coding_order(profile):
        slot = profile.slots[one.slot]
        shape = grid_shape(sequence, header, one, frame_count)
        coded = _coded_nodes(rng, draft, shape[0]) if slot.mapped else None
        if coded is not None:
            maps.append(node_map(coded))
        coder = SamplingCoder(rng, draft.wild, stirred=draft.loudness is None)
        splits = one.splits((shape[0], *shape[2:]))
        place = one.slot, slot, header.pyramid, None if slot.motion else coarser
        grid = code_grid(coder, splits, network.context, shape, *place, coded=coded)
        payloads.append(coder.finish())
        grids[one.slot] = grid
        if not slot.motion:
            coarser = slot, grid
    digest = GopDigest()
    for frame in synthesise(grids, frame_count, range(frame_count)):
        digest.update(frame)
    return Gop(frame_count, tuple(payloads), tuple(maps)), digest.digest()
