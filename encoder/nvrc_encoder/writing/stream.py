"""From a trained state to the bytes of a stream: integers, entropy coding, units (spec 3, 4, 5)."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from nvrc_decoder.bitstream.headers import gop_symbols
from nvrc_decoder.bitstream.units import (
    Gop,
    GridHeader,
    LayerHeader,
    NetworkHeader,
    ScheduleKind,
    SequenceHeader,
    node_map,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.decode.plan import estimate_gop_memory
from nvrc_decoder.entropy.coder import SymbolEncoder
from nvrc_decoder.entropy.parameters import encode_parameters
from nvrc_decoder.errors import LimitError
from nvrc_decoder.limits import DEFAULT_LIMITS, check_limit, check_sequence_limits, minimum_level
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.octree.network import ContextNetwork
from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import DIGEST_BYTES, GopDigest, Planes
from nvrc_decoder.profiles import CHROMA_420, GridSlot, node_shape
from nvrc_decoder.synthesis.arithmetic import Int64Array, make_layer
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.rate.code_lengths import code_lengths
from nvrc_encoder.training.source_rows import planes_from_rows
from nvrc_encoder.training.trainer import Estimate, Trainer

__all__ = ["Written", "estimate_bytes", "over_default_limits", "reconstruct", "sequence_header", "write_stream"]

_WORD_BITS = 32
_CODER_BITS = 24
"""Bits of a payload beyond the information of its symbols: the coder's first symbol fills its precision."""


@dataclass(frozen=True)
class Written:
    """A written stream and the sizes of its components.

    Attributes:
        data: the whole stream.
        components: name -> bytes; they add up to the stream's size.
    """

    data: bytes
    components: dict[str, float]


def sequence_header(picture: VideoFormat, profile: int, frames: int, symbols: int) -> SequenceHeader:
    """SEQUENCE for a video, at the lowest level that holds GOPs of `frames` frames and `symbols` values."""
    colour = picture.colour
    return SequenceHeader(
        picture.width,
        picture.height,
        picture.rate.numerator,
        picture.rate.denominator,
        picture.chroma_format,
        picture.bit_depth,
        colour.primaries,
        colour.transfer,
        colour.matrix,
        int(colour.full_range),
        colour.sample_position if picture.chroma_format == CHROMA_420 else 0,
        profile,
        minimum_level(picture.width, picture.height, picture.rate.numerator, picture.rate.denominator, frames, symbols),
    )


def _network_header(
    trainer: Trainer, schedule: ScheduleKind, layers: tuple[LayerHeader, ...], payload: bytes
) -> NetworkHeader:
    structure = trainer.model.structure
    grids = tuple(
        GridHeader(i, tuple(int(m) for m in multiplier), schedule=schedule)
        for i, multiplier in enumerate(trainer.multipliers)
        if multiplier is not None
    )
    widths = (trainer.bank.layers[0].outputs, trainer.bank.layers[1].outputs)
    active = structure.stage_channels, structure.stage_blocks
    return NetworkHeader(*active, grids, widths, layers, payload, structure.pyramid, trainer.prior)


@torch.no_grad()
def reconstruct(trainer: Trainer, arithmetic: Arithmetic = Arithmetic.EXACT) -> list[list[Planes]]:
    """The encoder's own reconstruction of each GOP, by the PyTorch model in float64.

    Args:
        trainer: a trainer after its training.
        arithmetic: which values are rounded; `FLOAT` rounds only the samples, for comparison.
    """
    model, bank = trainer.model, trainer.bank
    real = {name: (weight.double(), bias.double()) for name, (weight, bias) in bank.exact_real().items()}
    out = []
    for gop, frames in enumerate(trainer.frame_counts):
        grids = [None if g is None else g.double() for g in trainer.final_grids(gop)]
        planes: list[Planes] = []
        for first in range(0, frames, 4):
            at = range(first, min(first + 4, frames))
            rows = model.forward(real, grids, trainer.multipliers, at, frames, arithmetic)
            if not arithmetic.rounds:
                rows = torch.round(rows)
            planes += planes_from_rows(rows, trainer.size, model.chroma_format, model.bit_depth)
        out.append(planes)
    return out


def write_stream(
    trainer: Trainer,
    sequence: SequenceHeader,
    schedule: ScheduleKind,
    frames: Sequence[Sequence[Planes]],
    *,
    index: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> Written:
    """Write the trained state.

    Args:
        trainer: a trainer after its training.
        sequence: SEQUENCE of the stream.
        schedule: schedule of every grid.
        frames: the reconstruction, per GOP, for the digests.
        index: whether to write INDEX and footer.
        metadata: METADATA, key -> value.
    """
    weights = _code_weights(trainer)
    network = _network_header(trainer, schedule, weights.headers, weights.payload)
    components: dict[str, float] = {}
    buffer = io.BytesIO()
    writer = _begin(buffer, sequence, network, metadata)
    for gop, promised in enumerate(frames):
        coded = _code_grids(trainer, network, weights.context, gop, components)
        digest = GopDigest()
        for frame in promised:
            digest.update(frame)
        writer.gop(coded, digest.digest())
    writer.finish(index=index)
    data = buffer.getvalue()
    total_bits = sum(weights.bits.values())
    for name, share in weights.bits.items():
        components[name] = len(weights.payload) * share / total_bits if total_bits else 0.0
    components["headers"] = len(data) - sum(components.values())
    return Written(data, components)


@dataclass(frozen=True)
class _CodedWeights:
    """The parameters of all layers as they are written.

    Attributes:
        headers: header of each layer, in stream order.
        payload: the coded integers.
        context: the decoder's context network.
        bits: component of the stream -> bits of information in its integers.
    """

    headers: tuple[LayerHeader, ...]
    payload: bytes
    context: ContextNetwork
    bits: dict[str, float]


def _code_weights(trainer: Trainer) -> _CodedWeights:
    """Code the integers of all layers, each tensor with its best table."""
    quantised = trainer.bank.integers()
    headers: list[LayerHeader] = []
    parameters: dict[str, tuple[Int64Array, Int64Array]] = {}
    bits = {"context network": 0.0, "synthesis weights": 0.0}
    for layer in quantised:
        lengths = [code_lengths(part) for part in (layer.weight, layer.bias)]
        tables = [int(np.argmin(costs)) for costs in lengths]
        headers.append(LayerHeader(layer.multiplier, layer.shift, tables[0], layer.bias_shift, tables[1]))
        parameters[layer.name] = (layer.weight, layer.bias)
        owner = "context network" if layer.name.startswith("context.") else "synthesis weights"
        bits[owner] += float(sum(costs.min() for costs in lengths))
    payload = encode_parameters(parameters, trainer.bank.layers, headers)
    context = ContextNetwork(
        *(
            make_layer(spec, q.weight, q.bias, q.multiplier, q.shift, q.bias_shift, q.prior)
            for spec, q in zip(trainer.bank.layers[:3], quantised[:3], strict=True)
        )
    )
    return _CodedWeights(tuple(headers), payload, context, bits)


def _code_grids(
    trainer: Trainer, network: NetworkHeader, context: ContextNetwork, gop: int, components: dict[str, float]
) -> Gop:
    """Code the grids of a GOP; the bytes of each are added to its component."""
    profile = trainer.model.profile
    coarser: tuple[GridSlot, npt.NDArray[np.int16]] | None = None
    payloads, maps = [], []
    final = trainer.final_grids(gop)
    for header in network.coding_order(profile):
        tensor = final[header.slot]
        if tensor is None:
            raise ValueError(f"slot {header.slot} has a multiplier but no grid")
        values = tensor.cpu().numpy().astype(np.int16)
        slot = profile.slots[header.slot]
        encoder = SymbolEncoder()
        splits = header.splits((values.shape[0], *values.shape[2:]))
        place = header.slot, slot, network.pyramid, None if slot.motion else coarser
        coded = np.asarray(values.any((1, 2, 3)), np.bool_) if slot.mapped else None
        code_grid(encoder, splits, context, values.shape, *place, values, coded)
        if coded is not None:
            maps.append(node_map(coded))
        payloads.append(encoder.finish())
        if not slot.motion:
            coarser = slot, values
        name = f"grid {header.slot} ({slot.kind.value} 1/{slot.stride}, {header.channels} ch)"
        components[name] = components.get(name, 0.0) + len(payloads[-1])
    return Gop(trainer.frame_counts[gop], tuple(payloads), tuple(maps))


def _begin(
    buffer: io.BytesIO, sequence: SequenceHeader, network: NetworkHeader, metadata: Mapping[str, str] | None
) -> StreamWriter:
    """A writer that has written everything before the first GOP."""
    writer = StreamWriter(buffer, sequence, metadata or ())
    for key, value in (metadata or {}).items():
        writer.metadata(key, value.encode())
    writer.network(network)
    return writer


def _blank(bits: float) -> bytes:
    """A blank payload of the length that `bits` of information will take."""
    return bytes(_WORD_BITS // 8 * math.ceil((bits + _CODER_BITS) / _WORD_BITS) if bits > 0 else 0)


def _blank_maps(trainer: Trainer, network: NetworkHeader, frames: int) -> tuple[bytes, ...]:
    """Blank node maps of a GOP of the right lengths, in the order in which they are written."""
    profile = trainer.model.profile
    slots = (profile.slots[grid.slot] for grid in network.coding_order(profile))
    counts = (node_shape(slot, frames, *trainer.size, network.pyramid)[0] for slot in slots if slot.mapped)
    return tuple(node_map([False] * count) for count in counts)


def over_default_limits(trainer: Trainer, sequence: SequenceHeader, schedule: ScheduleKind) -> str | None:
    """A message for the first default limit of decoders (spec 9.3) that the stream will exceed; None if there is none.

    Arguments as in `write_stream`. Payloads are not counted, as they are not known yet.
    """
    network = _network_header(trainer, schedule, (), b"")
    longest = max(trainer.frame_counts)
    gop = Gop(longest, tuple(b"" for _ in network.grids), _blank_maps(trainer, network, longest))
    try:
        check_sequence_limits(DEFAULT_LIMITS, sequence.width, sequence.height)
        check_limit("max_gop_frames", gop.frame_count, DEFAULT_LIMITS)
        check_limit("max_gop_symbols", gop_symbols(sequence, network, gop.frame_count), DEFAULT_LIMITS)
        check_limit("max_memory_bytes", estimate_gop_memory(sequence, network, gop, DEFAULT_LIMITS), DEFAULT_LIMITS)
    except LimitError as error:
        return error.message
    return None


def estimate_bytes(
    trainer: Trainer,
    sequence: SequenceHeader,
    schedule: ScheduleKind,
    estimate: Estimate,
    *,
    index: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> int:
    """Size of the stream by the rate model: a stream of blank payloads as long as the estimate says.

    Args:
        trainer, sequence, schedule, index, metadata: as in `write_stream`.
        estimate: the estimated bits; those of a slot are divided among the GOPs by their numbers of frames.

    Raises:
        InternalError: something in the headers is outside the format's ranges.
    """
    layers = tuple(LayerHeader(4, 0, 0, 0, 0) for _ in trainer.bank.layers)
    network = _network_header(trainer, schedule, layers, _blank(sum(estimate.segment_bits)))
    buffer = io.BytesIO()
    writer = _begin(buffer, sequence, network, metadata)
    total = sum(trainer.frame_counts)
    present = [estimate.grid_bits[grid.slot] or 0.0 for grid in network.coding_order(trainer.model.profile)]
    for frames in trainer.frame_counts:
        payloads = tuple(_blank(bits * frames / total) for bits in present)
        writer.gop(Gop(frames, payloads, _blank_maps(trainer, network, frames)), bytes(DIGEST_BYTES))
    writer.finish(index=index)
    return len(buffer.getvalue())
