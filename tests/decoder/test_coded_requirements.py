"""Each numbered requirement of spec chapters 4, 5, 6 and 8 has a stream that breaks it and nothing else.

The streams are the worked stream of annex A without its INDEX, with one payload changed; CRCs are right.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stream_builders import assemble, read_all, split, with_payload

import nvrc_decoder
from nvrc_decoder.bitstream.units import (
    Gop,
    NetworkHeader,
    SequenceHeader,
    UnitType,
    layer_specs,
    serialise_gop,
    serialise_network,
)
from nvrc_decoder.decode.gop import load_network
from nvrc_decoder.entropy.coder import SymbolEncoder
from nvrc_decoder.entropy.parameters import decode_parameters, encode_parameters
from nvrc_decoder.errors import InvalidStreamError

EXAMPLE = (Path(__file__).parents[2] / "spec" / "examples" / "stream.nvrc").read_bytes()
VALID = assemble([unit for unit in split(EXAMPLE) if unit[0] != UnitType.INDEX])


def headers() -> tuple[SequenceHeader, NetworkHeader, Gop]:
    sequence, network, gop, *_ = (unit.content for unit in read_all(VALID))
    assert isinstance(sequence, SequenceHeader)
    assert isinstance(network, NetworkHeader)
    assert isinstance(gop, Gop)
    return sequence, network, gop


def with_grid(change: Callable[[bytes], bytes]) -> bytes:
    """The stream with the payload of slot 0 changed."""
    sequence, network, gop = headers()
    gop = replace(gop, grids=(change(gop.grids[0]), *gop.grids[1:]))
    return with_payload(VALID, UnitType.GOP, serialise_gop(gop, network, sequence.profile_spec))


def with_value(value: int) -> bytes:
    """The stream with another value in the grid of slot 0."""
    encoder = SymbolEncoder()
    encoder.code_step(np.array([160]), np.array([0]), np.array([value]), limit=1 << 20)
    return with_grid(lambda _: encoder.finish())


def with_layer(name: str, weight: int | None = None, **changes: int) -> bytes:
    """The stream with the header of a layer changed, and its first weight if `weight` is not None."""
    sequence, network, _ = headers()
    specs = layer_specs(sequence, network)
    parameters = decode_parameters(network.parameters, specs, network.layers)
    if weight is not None:
        parameters[name][0].flat[0] = weight
    layers = tuple(
        replace(layer, **changes) if spec.name == name else layer
        for spec, layer in zip(specs, network.layers, strict=True)
    )
    network = replace(network, layers=layers, parameters=encode_parameters(parameters, specs, layers))
    return with_payload(VALID, UnitType.NETWORK, serialise_network(network, sequence))


BROKEN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "R4.1": ("E_ENTROPY", lambda: with_grid(lambda payload: bytes(4) + payload)),
    "R4.2": ("E_ENTROPY", lambda: with_grid(lambda payload: payload + bytes(4))),
    "R4.3": ("E_ESCAPE", lambda: with_grid(lambda _: b"")),
    "R4.4": ("E_RANGE", lambda: with_value(2048)),
    "R5.1": ("E_BOUND", lambda: with_layer("context.output", bias_shift=20)),
    "R6.1": ("E_RANGE", lambda: with_layer("stage0.inject", weight=171, multiplier=6)),
    "R6.2": ("E_BOUND", lambda: with_layer("head.pointwise", bias_shift=18)),
    "R8.1": ("E_DIGEST", lambda: with_payload(VALID, UnitType.DIGEST, bytes(16))),
}
# Next to what is forbidden.
ALLOWED: dict[str, Callable[[], bytes]] = {
    "R5.1": lambda: with_layer("context.output", bias_shift=19),
    "R6.1": lambda: with_layer("stage0.inject", weight=170, multiplier=6),
    "R6.2": lambda: with_layer("head.pointwise", bias_shift=17),
}


def decode(stream: bytes) -> None:
    with nvrc_decoder.open(io.BytesIO(stream), engine="reference") as video:
        for _ in video:
            pass


@pytest.mark.parametrize("number", BROKEN)
def test_broken_requirement_is_named(number: str) -> None:
    code, make = BROKEN[number]
    with pytest.raises(InvalidStreamError) as caught:
        decode(make())
    assert caught.value.code == code
    assert (caught.value.section or "").endswith(f", {number}")


def test_the_unchanged_stream_decodes() -> None:
    decode(VALID)


@pytest.mark.parametrize("number", ALLOWED)
def test_the_sibling_is_a_valid_network(number: str) -> None:
    sequence, network, *_ = (unit.content for unit in read_all(ALLOWED[number]()))
    assert isinstance(sequence, SequenceHeader)
    assert isinstance(network, NetworkHeader)
    assert load_network(sequence, network) is not None


def test_the_largest_value_is_decoded() -> None:
    with pytest.raises(InvalidStreamError) as caught:
        decode(with_value(-2047))
    assert caught.value.code == "E_DIGEST"
