"""Faults of what is coded, chapters 4 to 8: payloads, parameters, digests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nvrc_conformance.faults.parts import Break, Fault, Parts, rejected
from nvrc_conformance.faults.plain import WideEncoder
from nvrc_conformance.faults.reasons import BOUND, WORDS
from nvrc_decoder.bitstream.units import UnitType, layer_specs
from nvrc_decoder.decode.gop import decode_grids, load_network
from nvrc_decoder.entropy.parameters import decode_parameters, encode_parameters
from nvrc_decoder.octree.grid import code_grid

__all__ = ["CODED_FAULTS", "with_last_value", "with_layer"]


def _grid(change: Callable[[bytes], bytes]) -> Break:
    """The payload of the first grid changed."""
    return lambda parts: parts.with_gop(grids=(change(parts.gop.grids[0]), *parts.gop.grids[1:]))


def with_last_value(value: int) -> Break:
    """Another last value of the grid; the stream has one grid, which no other depends on."""

    def make(parts: Parts) -> bytes:
        network = load_network(parts.sequence, parts.network)
        (header,) = parts.network.grids
        frames = parts.gop.frame_count
        grid = decode_grids(parts.sequence, network, frames, parts.gop.grids, ())[header.slot]
        assert grid is not None
        changed = grid.copy()
        changed[-1, -1, -1, -1] = value
        encoder, slot = WideEncoder(), network.profile.slots[header.slot]
        splits = header.splits((grid.shape[0], *grid.shape[2:]))
        code_grid(
            encoder, splits, network.context, grid.shape, header.slot, slot, parts.network.pyramid, values=changed
        )
        return parts.with_gop(grids=(encoder.finish(),))

    return make


def with_layer(name: str, weight: int | None = None, **changes: int) -> Break:
    """The header of a layer changed, and its first weight if `weight` is not None."""

    def make(parts: Parts) -> bytes:
        network = parts.network
        specs = layer_specs(parts.sequence, network)
        parameters = decode_parameters(network.parameters, specs, network.layers)
        if weight is not None:
            parameters[name][0].flat[0] = weight
        layers = tuple(
            replace(layer, **changes) if spec.name == name else layer
            for spec, layer in zip(specs, network.layers, strict=True)
        )
        return parts.with_network(layers=layers, parameters=encode_parameters(parameters, specs, layers))

    return make


CODED_FAULTS: tuple[Fault, ...] = (
    rejected(
        "R4.1",
        "zero",
        "a word of 0 comes first in the payload of the grid",
        WORDS,
        _grid(lambda payload: bytes(4) + payload),
    ),
    rejected(
        "R4.2",
        "words",
        "a word of 0 follows the payload of the grid",
        WORDS,
        _grid(lambda payload: payload + bytes(4)),
    ),
    rejected(
        "R4.3",
        "prefix",
        "the payload of the grid is empty, so the prefix of an escape never ends",
        "A loop over bits of 0 has no end, or a shift is too large.",
        _grid(lambda _: b""),
    ),
    rejected(
        "R4.4",
        "high",
        "the last value of the grid is 2048",
        "Activations and contexts would leave the range that their types are chosen for.",
        with_last_value(2048),
    ),
    rejected(
        "R4.4",
        "low",
        "the last value of the grid is -2048",
        "Activations and contexts would leave the range that their types are chosen for.",
        with_last_value(-2048),
    ),
    rejected(
        "R5.1",
        "bound",
        "the bias of the second output of context.output is 48 * 2^19",
        BOUND,
        with_layer("context.output", bias_shift=19),
    ),
    rejected(
        "R6.1",
        "weight",
        "a weight of stage2.inject is 1026",
        "The weight would not fit the range that the 2^24 bound and the types count on.",
        with_layer("stage2.inject", weight=171, multiplier=6),
    ),
    rejected(
        "R6.1",
        "negative",
        "a weight of stage2.inject is -1026",
        "The weight would not fit the range that the 2^24 bound and the types count on.",
        with_layer("stage2.inject", weight=-171, multiplier=6),
    ),
    rejected(
        "R6.2",
        "bound",
        "the biases of head.pointwise are about 2^24",
        BOUND,
        with_layer("head.pointwise", bias_shift=15),
    ),
    rejected(
        "R8.1",
        "digest",
        "digest is 0",
        "Without the check, nobody learns that a decoder makes wrong frames.",
        lambda parts: parts.with_payload(UnitType.DIGEST, bytes(16)),
    ),
    rejected(
        "R8.1",
        "last",
        "the last byte of digest is wrong",
        "A decoder that compares fewer bytes takes other frames for right.",
        lambda parts: parts.with_payload(UnitType.DIGEST, parts.payload(UnitType.DIGEST)[:15] + b"\0"),
    ),
)
