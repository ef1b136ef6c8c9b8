"""The parameter payload of a NETWORK unit: the integers of every layer (spec 4.6)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from nvrc_decoder.entropy.coder import Int32Array, IntArray, StepCoder, SymbolDecoder, SymbolEncoder
from nvrc_decoder.entropy.tables import FRACTION_COUNT
from nvrc_decoder.profiles import BIAS_Q_MAX, Q_MAX, LayerSpec

__all__ = ["LayerTables", "decode_parameters", "encode_parameters"]


class LayerTables(Protocol):
    """The part of a layer's header that the entropy coder needs: scale indices, 0..39."""

    @property
    def weight_table(self) -> int:
        """Scale index of the layer's weights."""

    @property
    def bias_table(self) -> int:
        """Scale index of the layer's biases."""


def decode_parameters(
    payload: bytes | bytearray | memoryview, specs: Sequence[LayerSpec], headers: Sequence[LayerTables]
) -> dict[str, tuple[Int32Array, Int32Array]]:
    """Decode the integers of every layer.

    Args:
        payload: the parameter payload.
        specs: the layers in canonical order, context layers first.
        headers: one for each layer, same order.

    Returns:
        name -> (weight_q int32 shaped as `weight_shape`, |q| <= 2047; bias_q int32 [outputs], |q| <= 65535).

    Raises:
        InvalidStreamError: E_ENTROPY, E_ESCAPE or E_RANGE.
    """
    decoder = SymbolDecoder(payload)
    result = {}
    for spec, header in zip(specs, headers, strict=True):
        weight = _code(decoder, math.prod(spec.weight_shape), header.weight_table, None, Q_MAX)
        bias = _code(decoder, spec.outputs, header.bias_table, None, BIAS_Q_MAX)
        result[spec.name] = weight.reshape(spec.weight_shape), bias
    decoder.finish()
    return result


def encode_parameters(
    parameters: Mapping[str, tuple[IntArray, IntArray]], specs: Sequence[LayerSpec], headers: Sequence[LayerTables]
) -> bytes:
    """The inverse of `decode_parameters`: the payload.

    Raises:
        InvalidStreamError: E_RANGE, if a weight or a bias is out of range.
        ValueError: the number of values does not fit the layer.
    """
    encoder = SymbolEncoder()
    for spec, header in zip(specs, headers, strict=True):
        weight, bias = (np.asarray(values).reshape(-1) for values in parameters[spec.name])
        _code(encoder, math.prod(spec.weight_shape), header.weight_table, weight, Q_MAX)
        _code(encoder, spec.outputs, header.bias_table, bias, BIAS_Q_MAX)
    return encoder.finish()


def _code(coder: StepCoder, count: int, scale_index: int, values: IntArray | None, limit: int) -> Int32Array:
    if values is not None and values.size != count:
        raise ValueError(f"{values.size} values for a step of {count}")
    table_index = np.full(count, scale_index * FRACTION_COUNT, dtype=np.uint16)
    return coder.code_step(table_index, np.zeros(count, dtype=np.int32), values, limit=limit).copy()
