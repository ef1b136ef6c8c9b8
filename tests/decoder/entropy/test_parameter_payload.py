"""The parameter payload: its order, its ranges, its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from oracles import rans

from nvrc_decoder.entropy.parameters import decode_parameters, encode_parameters
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.profiles import PROFILES, LayerSpec, context_layers, synthesis_layers


@dataclass(frozen=True)
class Header:
    weight_table: int
    bias_table: int


def network(seed: int) -> tuple[list[LayerSpec], list[Header], dict[str, tuple[np.ndarray, np.ndarray]]]:
    rng = np.random.default_rng(seed)
    specs = [
        *context_layers(8, 5),
        *synthesis_layers(PROFILES[2], (9, 8, 7, 6, 5), (1, 0, 2, 1, 0), (2, 1, 0, 2, 4, 4, 3, 3, 3, 3), 1),
    ]
    headers = [Header(int(rng.integers(40)), int(rng.integers(40))) for _ in specs]
    values = {
        spec.name: (
            rng.integers(-2047, 2048, spec.weight_shape) if k == 3 else rng.integers(-9, 10, spec.weight_shape),
            rng.integers(-65535, 65536, spec.outputs),
        )
        for k, spec in enumerate(specs)
    }
    return specs, headers, values


def test_parameters_survive_the_round_trip() -> None:
    specs, headers, values = network(1)
    decoded = decode_parameters(encode_parameters(values, specs, headers), specs, headers)
    assert list(decoded) == [spec.name for spec in specs]
    for spec in specs:
        assert decoded[spec.name][0].shape == spec.weight_shape
        np.testing.assert_array_equal(decoded[spec.name][0], values[spec.name][0])
        np.testing.assert_array_equal(decoded[spec.name][1], values[spec.name][1])


def test_the_order_is_that_of_the_specification() -> None:
    specs, headers, values = network(2)
    tables = rans.read_tables()
    oracle = rans.Encoder()
    for spec, header in zip(specs, headers, strict=True):
        weight, bias = (array.reshape(-1).tolist() for array in values[spec.name])
        oracle.step(tables, [8 * header.weight_table] * len(weight), [0] * len(weight), weight)
        oracle.step(tables, [8 * header.bias_table] * len(bias), [0] * len(bias), bias)
    assert encode_parameters(values, specs, headers) == oracle.finish()


def test_a_bias_may_be_larger_than_a_weight() -> None:
    spec = LayerSpec("layer", "dense", (1, 1), 1, 15, 0, 2047)
    header = Header(20, 20)

    def made(weight: int, bias: int) -> bytes:
        oracle = rans.Encoder()
        tables = rans.read_tables()
        oracle.step(tables, [160], [0], [weight])
        oracle.step(tables, [160], [0], [bias])
        return oracle.finish()

    decoded = decode_parameters(made(-2047, 65535), [spec], [header])["layer"]
    assert (decoded[0].tolist(), decoded[1].tolist()) == ([[-2047]], [65535])
    for weight, bias in ((2048, 0), (0, -65536)):
        with pytest.raises(InvalidStreamError, match="E_RANGE"):
            decode_parameters(made(weight, bias), [spec], [header])
        with pytest.raises(InvalidStreamError, match="E_RANGE"):
            encode_parameters({"layer": (np.array([[weight]]), np.array([bias]))}, [spec], [header])


def test_a_payload_of_another_network_is_refused() -> None:
    specs, headers, values = network(3)
    payload = encode_parameters(values, specs, headers)
    with pytest.raises(InvalidStreamError, match="E_ENTROPY"):
        decode_parameters(payload, specs[:-1], headers[:-1])
    with pytest.raises(InvalidStreamError, match=r"E_ESCAPE|E_ENTROPY|E_RANGE"):
        decode_parameters(payload[: len(payload) // 8 * 4], specs, headers)


def test_a_wrong_number_of_values_is_a_value_error() -> None:
    specs, headers, values = network(4)
    values[specs[0].name] = values[specs[0].name][0][:-1], values[specs[0].name][1]
    with pytest.raises(ValueError, match="values for a step"):
        encode_parameters(values, specs, headers)
