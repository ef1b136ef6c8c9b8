"""Integer layers: their parameters, the proof of the 2^24 bound, rounding shifts (spec chapter 6).

Parameters become an `IntegerLayer` here and nowhere else, so that every layer which reaches a decoder path, be it
the NumPy reference, ONNX Runtime or the context network, has been proved to stay inside 24 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.prior import NO_PRIOR, LayerPrior
from nvrc_decoder.profiles import BIAS_Q_MAX, Q_MAX, LayerSpec

__all__ = [
    "ACCUMULATOR_LIMIT",
    "BIAS_SHIFT_MAX",
    "MULTIPLIERS",
    "SHIFT_MAX",
    "WEIGHT_MAX",
    "Int64Array",
    "IntegerLayer",
    "make_layer",
    "prove_bound",
    "rounding_term",
    "worst_case",
]

Int64Array = npt.NDArray[np.int64]

WEIGHT_MAX = 1 << 10
SHIFT_MAX = 24
BIAS_SHIFT_MAX = 23
MULTIPLIERS = (4, 5, 6, 7)
ACCUMULATOR_LIMIT = 1 << 24


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One layer in the integers that the decoder computes with (spec 6.2).

    Attributes:
        weight: int64, shaped as `LayerSpec.weight_shape`, |w| <= 1024.
        bias: int64 [outputs].
        shift: right shift of the accumulator, 0..24.
        low, high: clip range of the output, inclusive.
    """

    weight: Int64Array
    bias: Int64Array
    shift: int
    low: int
    high: int


def rounding_term(shift: int) -> int:
    """The constant that is added before the shift: 2^(shift-1), or 0 for a shift of 0 (spec 6.2)."""
    return (1 << shift) >> 1


def worst_case(weight: Int64Array, bias: Int64Array, shift: int, input_max: int) -> Int64Array:
    """Largest magnitude that the accumulator of each output can reach, int64 [outputs] (spec 6.3).

    Args:
        weight: int64 [outputs, ...] or any shape whose C order is output-major; |w| <= 1024.
        bias: int64 [outputs].
        shift: the layer's shift, 0..24.
        input_max: largest magnitude of an input of the layer, by declaration and not by data.
    """
    taps: Int64Array = np.abs(weight).reshape(bias.shape[0], -1).sum(axis=1, dtype=np.int64)
    worst: Int64Array = taps * input_max + np.abs(bias + rounding_term(shift))
    return worst


def prove_bound(name: str, weight: Int64Array, bias: Int64Array, shift: int, input_max: int) -> None:
    """Check ``sum|w| * max|x| + |b + r| < 2^24`` for each output of layer `name` (spec R6.2, context network R5.1).

    Raises:
        InvalidStreamError: E_BOUND, if an output could leave the range in which float32 is exact.
    """
    worst = worst_case(weight, bias, shift, input_max)
    over = np.flatnonzero(worst >= ACCUMULATOR_LIMIT)
    if over.size:
        first = int(over[0])
        raise InvalidStreamError(
            "E_BOUND",
            f"output {first} of layer {name} can reach {int(worst[first])}, the bound is {ACCUMULATOR_LIMIT - 1}",
            section="5.5, R5.1" if name.startswith("context.") else "6.3, R6.2",
        )


def make_layer(
    spec: LayerSpec,
    weight_q: npt.NDArray[np.integer],
    bias_q: npt.NDArray[np.integer],
    multiplier: int,
    shift: int,
    bias_shift: int,
    prior: LayerPrior = NO_PRIOR,
) -> IntegerLayer:
    """Turn decoded parameters into a proved layer (spec 6.1 to 6.3).

    Args:
        spec: the layer, from `profiles.synthesis_layers` or `profiles.context_layers`.
        weight_q: integers, shaped or flattened as ``spec.weight_shape``; |q| <= 2047.
        bias_q: integers [spec.outputs]; |q| <= 65535.
        multiplier: m, 4..7; ``w = q * m`` plus the prior's weight.
        shift: s, 0..24.
        bias_shift: k, 0..23; ``b = bias_q << k`` plus the prior's bias.
        prior: what the parameters are differences from.

    Raises:
        InvalidStreamError: E_RANGE for a parameter outside its range or |w| > 1024, E_BOUND for the 2^24 bound.
        ValueError: the arrays have the wrong number of elements, which is a fault of the caller.
    """
    if multiplier not in MULTIPLIERS or not 0 <= shift <= SHIFT_MAX or not 0 <= bias_shift <= BIAS_SHIFT_MAX:
        raise InvalidStreamError(
            "E_RANGE",
            f"layer {spec.name} has multiplier {multiplier}, shift {shift}, bias shift {bias_shift}",
            section="6.1",
        )
    quantised = np.asarray(weight_q, dtype=np.int64).reshape(spec.weight_shape)
    biases = np.asarray(bias_q, dtype=np.int64).reshape(spec.outputs)
    # min and max rather than abs: the magnitude of the most negative int64 is not an int64.
    for values, limit, what in ((quantised, Q_MAX, "weight"), (biases, BIAS_Q_MAX, "bias")):
        if values.size and (int(values.max()) > limit or int(values.min()) < -limit):
            raise InvalidStreamError("E_RANGE", f"a {what} of layer {spec.name} is over {limit}", section="6.1")
    weight = prior.weight_at(shift) + quantised * multiplier
    if weight.size and int(np.abs(weight).max()) > WEIGHT_MAX:
        raise InvalidStreamError(
            "E_RANGE", f"a weight of layer {spec.name}, in integers, is over {WEIGHT_MAX}", section="6.1, R6.1"
        )
    bias = prior.bias_at(shift) + (biases << bias_shift)
    prove_bound(spec.name, weight, bias, shift, spec.input_max)
    return IntegerLayer(weight, bias, shift, spec.low, spec.high)
