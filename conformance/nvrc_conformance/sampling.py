"""Random integers that make a valid stream: parameters of every layer, and grid values drawn from the model itself.

Everything comes from `numpy.random.RandomState`, whose sequence NumPy has frozen, so a seed means the same bytes on
every machine. No floating-point result decides a value that is written.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nvrc_decoder.entropy.coder import Int32Array, IntArray, SymbolEncoder
from nvrc_decoder.entropy.tables import ESCAPE, FRACTION_COUNT, TABLE_RADII, frequencies
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.prior import LayerPrior
from nvrc_decoder.profiles import BIAS_Q_MAX, Q_MAX, LayerSpec
from nvrc_decoder.synthesis.arithmetic import ACCUMULATOR_LIMIT, WEIGHT_MAX, make_layer

__all__ = ["LayerParameters", "SamplingCoder", "bound_layer", "draw", "fan_in", "plain_layer", "random_state"]

_PRECISION = 1 << 24
_ESCAPE_BITS_MAX = 8
# One residual in `_STIR` comes from this table, whatever the context.
_STIR = 6
_STIR_TABLE = 20 * FRACTION_COUNT


def random_state(seed: str) -> np.random.RandomState:
    """The random generator that a name seeds."""
    return np.random.RandomState(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "little"))


def draw(rng: np.random.RandomState, table: int, count: int) -> Int32Array:
    """`count` residuals drawn from a table, int32 [count]; an escape becomes a value just outside of the table."""
    cumulative = np.cumsum(frequencies(table))
    symbols = np.searchsorted(cumulative, rng.randint(0, _PRECISION, size=count), side="right")
    radius = int(TABLE_RADII[table])
    beyond = radius + rng.randint(1, 1 << _ESCAPE_BITS_MAX, size=count)
    signs = 1 - 2 * rng.randint(0, 2, size=count)
    return np.where(symbols == ESCAPE, signs * beyond, symbols - radius - 1).astype(np.int32)


class SamplingCoder:
    """Stands in for a decoder: instead of reading a symbol it draws one, mostly from the same table, and records it.

    Args:
        rng: the random generator.
        wild: one value in `wild` is drawn from the whole range -2047..2047 instead, its ends included; 0 for none.
        stirred: whether some values are drawn from another table, so that contexts vary.
    """

    def __init__(self, rng: np.random.RandomState, wild: int = 0, stirred: bool = True) -> None:
        self._rng = rng
        self._wild = wild
        self._stirred = stirred
        self._encoder = SymbolEncoder()

    def code_step(
        self, table_index: IntArray, mean: IntArray, values: IntArray | None = None, *, limit: int = Q_MAX
    ) -> Int32Array:
        """Draw the values of one step; see `nvrc_decoder.entropy.coder.StepCoder`."""
        residuals = np.zeros(len(table_index), dtype=np.int32)
        for table in np.unique(table_index).tolist():
            chosen = np.flatnonzero(table_index == table)
            residuals[chosen] = draw(self._rng, table, len(chosen))
        if self._stirred:
            chosen = np.flatnonzero(self._rng.randint(0, _STIR, size=len(residuals)) == 0)
            residuals[chosen] = draw(self._rng, _STIR_TABLE, len(chosen))
        drawn = np.clip(residuals + np.asarray(mean, dtype=np.int32), -limit, limit).astype(np.int32)
        if self._wild:
            chosen = np.flatnonzero(self._rng.randint(0, self._wild, size=len(drawn)) == 0)
            # One value in four of these is an end of the range.
            spread = self._rng.randint(-2 * limit, 2 * limit + 1, size=len(chosen))
            drawn[chosen] = np.clip(spread, -limit, limit)
        return self._encoder.code_step(table_index, mean, drawn, limit=limit)

    def finish(self) -> bytes:
        """The payload of all symbols drawn so far."""
        return self._encoder.finish()


@dataclass(frozen=True, eq=False)
class LayerParameters:
    """A layer as NETWORK carries it: coded integers, and the fields of its header."""

    weight: Int32Array
    bias: Int32Array
    multiplier: int
    shift: int
    weight_table: int
    bias_shift: int
    bias_table: int


def fan_in(spec: LayerSpec) -> int:
    """How many inputs an output of a layer has."""
    return math.prod(spec.weight_shape) // spec.outputs


def _clip_to_bound(spec: LayerSpec, weight: Int32Array, bias: Int32Array, multiplier: int, shift: int, k: int) -> None:
    """Shrink the weights, then the biases, of outputs that break the 2^24 bound; in place."""
    rounding = (1 << shift) >> 1
    rows = weight.reshape(spec.outputs, -1)
    for row, o in zip(rows, range(spec.outputs), strict=True):
        largest = (ACCUMULATOR_LIMIT // 2) // (multiplier * spec.input_max)
        while int(np.abs(row).sum()) > largest:
            row[:] = np.sign(row) * (np.abs(row) // 2)
        room = ACCUMULATOR_LIMIT - 1 - int(np.abs(row).sum()) * multiplier * spec.input_max - rounding
        top = min(room >> k, BIAS_Q_MAX)
        bias[o] = min(max(int(bias[o]), -top), top)


def plain_layer(
    rng: np.random.RandomState,
    spec: LayerSpec,
    scale: int,
    *,
    gain: int = 0,
    centre: int | Sequence[int] = 0,
    wild: int = 0,
) -> LayerParameters:
    """A layer that about preserves the amplitude of its input.

    Args:
        rng: the random generator.
        spec: the layer.
        scale: scale index of the weights' table, 0..39: how large and how costly they are.
        gain: the layer's amplification is about 2^gain.
        centre: mean of the outputs: of all, or of each.
        wild: one weight and one bias in `wild` are far outside their table; 0 for none.
    """
    multiplier = int(rng.randint(4, 8))
    largest = WEIGHT_MAX // multiplier
    count = math.prod(spec.weight_shape)
    weight = np.clip(draw(rng, scale * FRACTION_COUNT, count), -largest, largest).astype(np.int32)
    if wild:
        chosen = np.flatnonzero(rng.randint(0, wild, size=count) == 0)
        weight[chosen] = rng.randint(-largest, largest + 1, size=len(chosen))
    # The amplification of independent inputs is the root of the sum of squares.
    squares = int(multiplier**2 * (weight.astype(np.int64) ** 2).sum()) // spec.outputs + 1
    shift = max(0, min(24, (squares.bit_length() + 1) // 2 - gain))
    k = max(0, shift - 2)
    bias_scale = 24
    bias = draw(rng, bias_scale * FRACTION_COUNT, spec.outputs) + (np.asarray(centre, dtype=np.int64) << shift >> k)
    bias = bias.astype(np.int32)
    if wild:
        chosen = np.flatnonzero(rng.randint(0, wild, size=spec.outputs) == 0)
        bias[chosen] = rng.randint(-BIAS_Q_MAX, BIAS_Q_MAX + 1, size=len(chosen))
    weight = weight.reshape(spec.weight_shape)
    _clip_to_bound(spec, weight, bias, multiplier, shift, k)
    return LayerParameters(weight, bias, multiplier, shift, scale, k, bias_scale)


def fit_to_prior(spec: LayerSpec, parameters: LayerParameters, prior: LayerPrior) -> LayerParameters:
    """The layer, with a smaller shift if its values plus the prior would leave their ranges."""
    integers = parameters.weight, parameters.bias, parameters.multiplier
    for less in range(parameters.shift + 1):
        shift, bias_shift = parameters.shift - less, max(0, parameters.bias_shift - less)
        try:
            make_layer(spec, *integers, shift, bias_shift, prior)
        except InvalidStreamError:
            continue
        return replace(parameters, shift=shift, bias_shift=bias_shift)
    raise ValueError(f"no shift keeps layer {spec.name} in its ranges")


def bound_layer(rng: np.random.RandomState, spec: LayerSpec) -> LayerParameters:
    """A layer whose outputs are as close to the 2^24 bound as their fan-in allows, 2^24 - 1 at best.

    Even outputs have their weight on as few inputs as possible (|w| = 1024), odd ones spread it.
    """
    multiplier, inputs = 4, fan_in(spec)
    largest = WEIGHT_MAX // multiplier
    total = min((ACCUMULATOR_LIMIT - 1) // (multiplier * spec.input_max), inputs * largest)
    weight = np.zeros((spec.outputs, inputs), dtype=np.int32)
    for o in range(spec.outputs):
        left = total
        share = largest if o % 2 == 0 else -(-total // inputs)
        for i in rng.permutation(inputs).tolist():
            weight[o, i] = min(share, left)
            left -= int(weight[o, i])
        if o % 2:
            _spread(rng, weight[o], largest)
        weight[o] *= 1 - 2 * rng.randint(0, 2, size=inputs)
    rest = ACCUMULATOR_LIMIT - 1 - total * multiplier * spec.input_max
    # The worst accumulator is eight times the clips, so that common ones reach them too.
    shift = max(1, (ACCUMULATOR_LIMIT // (8 * max(-spec.low, spec.high + 1))).bit_length() - 1)
    rounding = 1 << (shift - 1)
    k = max(0, (rest + rounding).bit_length() - 16)
    bias = np.zeros(spec.outputs, dtype=np.int32)
    for o in range(spec.outputs):
        positive = bool(rng.randint(0, 2))
        # |bias + rounding| = rest where k is 0; below it otherwise.
        bias[o] = (rest - rounding) >> k if positive else -((rest + rounding) >> k)
    return LayerParameters(weight.reshape(spec.weight_shape), bias, multiplier, shift, 39, k, 39)


def _spread(rng: np.random.RandomState, row: Int32Array, largest: int) -> None:
    """Move magnitude between pairs of inputs; the sum is preserved."""
    for _ in range(2 * len(row)):
        i, j = rng.randint(0, len(row), size=2).tolist()
        if i != j:
            moved = int(rng.randint(0, min(int(row[i]), largest - int(row[j])) + 1))
            row[i] -= moved
            row[j] += moved
