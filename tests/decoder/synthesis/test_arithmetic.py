"""Integer layers: ranges, the 2^24 bound to the last integer, rounding."""

from __future__ import annotations

import numpy as np
import pytest

from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.profiles import CONTEXT_INPUTS, LayerSpec, context_layers
from nvrc_decoder.synthesis.activations import finish
from nvrc_decoder.synthesis.arithmetic import (
    ACCUMULATOR_LIMIT,
    IntegerLayer,
    make_layer,
    worst_case,
)

SPEC = LayerSpec("stage1.block0.pointwise", "pointwise", (2, 3), 2, 2047, -2048, 2047)


def layer(weight=((1, 2, 3), (-1, 0, 1)), bias=(5, -6), multiplier=4, shift=3, bias_shift=2, spec=SPEC) -> IntegerLayer:
    return make_layer(spec, np.array(weight), np.array(bias), multiplier, shift, bias_shift)


def test_weights_are_multiplied_and_biases_shifted():
    made = layer(multiplier=7)
    assert made.weight.tolist() == [[7, 14, 21], [-7, 0, 7]]
    assert made.bias.tolist() == [20, -24]
    assert (made.shift, made.low, made.high) == (3, -2048, 2047)
    assert made.weight.dtype == made.bias.dtype == np.int64


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [(7, 0, 7), (-7, 0, -7), (1, 1, 1), (-1, 1, 0), (-3, 1, -1), (5, 2, 1), (6, 2, 2), (-6, 2, -1), (-7, 2, -2)],
)
def test_half_rounds_up(value, shift, expected):
    plain = IntegerLayer(np.ones((1, 1), np.int64), np.zeros(1, np.int64), shift, -2048, 2047)
    assert finish(np.full((1, 1, 1), value, np.int32), plain).tolist() == [[[expected]]]


def test_outputs_are_clipped_to_the_layers_range():
    made = IntegerLayer(np.ones((1, 1), np.int64), np.zeros(1, np.int64), 3, -2048, 2047)
    accumulator = np.array([-(10**6), 0, 12, 10**6], np.int32).reshape(1, 2, 2)
    assert finish(accumulator, made).tolist() == [[[-2048, 0], [2, 2047]]]


@pytest.mark.parametrize(
    "change",
    [
        {"multiplier": 3},
        {"multiplier": 8},
        {"shift": -1},
        {"shift": 25},
        {"bias_shift": -1},
        {"bias_shift": 24},
        {"weight": ((2048, 0, 0), (0, 0, 0))},
        {"weight": ((-2048, 0, 0), (0, 0, 0))},
        {"weight": ((np.iinfo(np.int64).min, 0, 0), (0, 0, 0))},
        {"bias": (65536, 0)},
        {"bias": (0, -65536)},
        {"weight": ((257, 0, 0), (0, 0, 0))},
        {"weight": ((0, 0, 0), (0, 0, -147)), "multiplier": 7},
    ],
)
def test_out_of_range_parameters_are_rejected(change):
    with pytest.raises(InvalidStreamError) as caught:
        layer(**change)
    assert caught.value.code == "E_RANGE"


def test_largest_parameters_are_accepted():
    assert layer(weight=((256, 0, 0), (0, 0, -256))).weight.max() == 1024
    assert layer(bias=(65535, -65535)).bias.tolist() == [262140, -262140]


# sum|w| * 2048 = 2^24 - 8192, so that |b + r| may be 8191 and not 8192.
@pytest.mark.parametrize(
    ("shift", "bias_shift", "least", "most"),
    [(0, 0, -8191, 8191), (1, 0, -8192, 8190), (12, 0, -10239, 6143), (24, 8, -32799, -32737)],
)
def test_bound_is_exact(shift, bias_shift, least, most):
    spec = LayerSpec("head.pointwise", "head_pointwise", (2, 12), 2, 2048, 0, 255)
    weight = np.zeros((2, 12), dtype=np.int64)
    weight[1, :9] = [-255, 255, 255, -255, 255, 255, 255, 255, 7]
    for bias in (least, most):
        made = make_layer(spec, weight, np.array([least, bias]), 4, shift, bias_shift)
        reached = worst_case(made.weight, made.bias, shift, spec.input_max)[1]
        assert reached < ACCUMULATOR_LIMIT
        assert reached == ACCUMULATOR_LIMIT - 1 or bias_shift
    for bias in (least - 1, most + 1):
        with pytest.raises(InvalidStreamError, match=r"output 1 of layer head\.pointwise") as caught:
            make_layer(spec, weight, np.array([least, bias]), 4, shift, bias_shift)
        assert caught.value.code == "E_BOUND"
        assert "R6.2" in str(caught.value)


def test_the_context_bound_has_its_own_input_range():
    hidden, second, _ = context_layers(1, 1)
    weight = np.full(CONTEXT_INPUTS, 256)
    make_layer(hidden, weight, np.zeros(1), 4, 0, 0)
    big = np.array([65535])
    with pytest.raises(InvalidStreamError, match=r"R5\.1"):
        make_layer(second, np.array([256]), big, 4, 0, 8)


def test_a_wrong_parameter_count_is_a_value_error():
    with pytest.raises(ValueError, match="reshape"):
        layer(weight=(1, 2))
