"""Faults of layers at the edges of what is allowed, in streams that nothing else is wrong with (`plain`)."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import nvrc_decoder
from nvrc_conformance.faults.parts import Break, Fault, Parts, rejected
from nvrc_conformance.faults.plain import Layer, broken, plain
from nvrc_conformance.faults.reasons import BOUND, RANGE, SHIFT, TABLE
from nvrc_decoder.picture.planes import GopDigest

__all__ = ["LAYER_FAULTS"]

_MAIN = "main-444-10"
_LIMIT, _ROUNDING = 1 << 24, 1 << 10


def _layer(name: str, change: Callable[[Layer], None]) -> Break:
    """A layer of a plain stream changed."""
    return broken(lambda stream: change(stream.layers[name]))


def _beyond_table(**changes: int) -> Callable[[Layer], None]:
    """The number of a table that does not exist, over values that the last one codes."""

    def change(layer: Layer) -> None:
        layer.header = replace(layer.header, **changes)
        layer.tables = min(layer.header.weight_table, 39), min(layer.header.bias_table, 39)

    return change


def _at_bound(layer: Layer, input_max: int, sign: int, less: int) -> None:
    """One weight of 1024, and a bias with which the worst sum of the last output is 2^24, or `less` times 1024 less."""
    layer.header = replace(layer.header, shift=11, bias_shift=10, weight_table=39, bias_table=39)
    layer.weights[-1, 0] = 256
    layer.biases[-1] = (sign * (_LIMIT - 1024 * input_max) - _ROUNDING) // _ROUNDING - sign * less


def _digest(data: bytes) -> bytes:
    """The digest of the frames of a stream, whose own is wrong where an output of the head is not 100."""
    digest = GopDigest()
    with nvrc_decoder.open(io.BytesIO(data), engine="reference", verify=False) as video:
        for frame in video:
            digest.update(frame)
    return digest.digest()


def _bound(name: str, input_max: int, sign: int = 1) -> Break:
    """A layer whose last output can reach 2^24, with the frames of one that cannot."""

    def make(parts: Parts) -> bytes:
        stream = plain(parts)
        _at_bound(stream.layers[name], input_max, sign, 1)
        made = stream.gop(), _digest(stream.stream())
        _at_bound(stream.layers[name], input_max, sign, 0)
        return stream.stream(*made)

    return make


def _weight(value: int) -> Break:
    """A weight of five times the value, in a layer whose outputs change nothing."""

    def change(layer: Layer) -> None:
        layer.header = replace(layer.header, multiplier=5, weight_table=39)
        layer.weights[-1, -1] = value

    return _layer("stage2.inject", change)


def _bias(layer: Layer) -> None:
    layer.header = replace(layer.header, bias_table=39)
    layer.biases[-1] = 65536


def _without_biases(layer: Layer) -> None:
    layer.header = replace(layer.header, bias_shift=24)


def _large_bias(layer: Layer) -> None:
    """A bias of 512 * 2^23, which is 0 in 32 bits."""
    layer.header = replace(layer.header, bias_shift=23, bias_table=39)
    layer.biases[-1] = 512


def _large_shift(layer: Layer) -> None:
    """A shift of 25, and biases that keep the bound with its rounding."""
    layer.header = replace(layer.header, shift=25, bias_shift=10, bias_table=39)
    layer.biases[:] = -_LIMIT // _ROUNDING


# Layer -> its input_max.
_LAYERS = {
    "context.hidden1": 15,
    "context.hidden2": 2047,
    "context.output": 2047,
    "stage0.inject": 2048,
    "stage0.temporal": 2048,
    "stage1.block0.depthwise": 2048,
    "stage1.block0.pointwise": 2047,
    "head.depthwise": 2048,
    "head.pointwise": 2048,
}

LAYER_FAULTS: tuple[Fault, ...] = (
    rejected(
        "R3.25",
        "shift-25",
        "shift of stage2.inject is 25, within the bound",
        SHIFT,
        _layer("stage2.inject", _large_shift),
    ),
    rejected(
        "R3.27",
        "table-40",
        "weight_table of a layer is 40, over weights of table 39",
        TABLE,
        _layer("stage2.inject", _beyond_table(weight_table=40)),
    ),
    rejected(
        "R3.28",
        "shift-24",
        "bias_shift of a layer without biases is 24",
        SHIFT,
        _layer("stage2.inject", _without_biases),
    ),
    rejected(
        "R3.29",
        "table-40",
        "bias_table of a layer is 40, over biases of table 39",
        TABLE,
        _layer("stage2.inject", _beyond_table(bias_table=40)),
    ),
    rejected("R4.4", "bias", "a coded bias is 65536", RANGE, _layer("stage2.inject", _bias)),
    rejected("R6.1", "weight-1025", "a weight of stage2.inject is 1025", RANGE, _weight(205)),
    rejected("R6.1", "weight-minus-1025", "a weight of stage2.inject is -1025", RANGE, _weight(-205)),
    *(
        rejected(
            "R5.1" if name.startswith("context") else "R6.2",
            name.rpartition(".")[2] if name.startswith("context") else name.replace(".", "-"),
            f"the last output of {name} can reach 2^24",
            BOUND,
            _bound(name, input_max),
            _MAIN,
        )
        for name, input_max in _LAYERS.items()
    ),
    rejected(
        "R6.2",
        "negative",
        "the last output of head.depthwise can reach -2^24",
        BOUND,
        _bound("head.depthwise", 2048, -1),
        _MAIN,
    ),
    rejected(
        "R6.2",
        "wrap",
        "a bias of stage2.inject is 2^32",
        "In 32 bits the bias is 0.",
        _layer("stage2.inject", _large_bias),
    ),
)
