"""The context network, in integers carried by float32 (spec 5.5, chapter 6).

Every accumulator stays below 2^24 in magnitude (R5.1), so float32 products and sums are exact in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.entropy.tables import FRACTION_COUNT, SCALE_COUNT
from nvrc_decoder.profiles import ACTIVATION_MAX, CONTEXT_INPUT_MAX, CONTEXT_INPUTS
from nvrc_decoder.synthesis.arithmetic import IntegerLayer, prove_bound, rounding_term

__all__ = ["BoundNetwork", "ContextNetwork", "Float32Array"]

Float32Array = npt.NDArray[np.float32]

_FRACTION_BITS = FRACTION_COUNT.bit_length() - 1
# OpenBLAS computes products of up to this many multiplications in place, if it knows the processor. Larger ones are
# packed first, which takes up to three times as long here.
_UNPACKED = 1_000_000
# Pieces have at least so many columns, so that the overhead of calls does not matter.
_LEAST_COLUMNS = 2048
# First layers that are kept, one for each step: 2.7 MB of the widest.
_MOST_HEADS = 512


class ContextNetwork:
    """The three dense layers that predict a table and a mean from 51 context inputs.

    Args:
        hidden1, hidden2, output: integer layers of weight shapes [w1, 51], [w2, w1] and [2, w2].

    Raises:
        InvalidStreamError: E_BOUND, if an accumulator could reach 2^24.
        ValueError: the shapes do not chain, which is a fault of the caller.
    """

    def __init__(self, hidden1: IntegerLayer, hidden2: IntegerLayer, output: IntegerLayer) -> None:
        self.layers = (hidden1, hidden2, output)
        names = ("context.hidden1", "context.hidden2", "context.output")
        inputs, magnitude = CONTEXT_INPUTS, CONTEXT_INPUT_MAX
        for name, layer in zip(names, self.layers, strict=True):
            if layer.weight.ndim != 2 or layer.weight.shape != (len(layer.bias), inputs):
                raise ValueError(f"layer {name} has a weight of shape {layer.weight.shape}, {inputs} inputs expected")
            prove_bound(name, layer.weight, layer.bias, layer.shift, magnitude)
            inputs, magnitude = len(layer.bias), ACTIVATION_MAX
        if inputs != 2:
            raise ValueError(f"the context network has {inputs} outputs, not 2")
        # The first layer with a step's constant inputs folded in; every GOP has the same steps.
        self._heads: dict[tuple[tuple[int, ...], tuple[int, ...]], Float32Array] = {}
        self._tail = [_matrix(layer, layer.weight, layer.bias) for layer in self.layers[1:]]

    def bind(self, inputs: Sequence[int], ones: Sequence[int], scratch: Scratch | None = None) -> BoundNetwork:
        """The network for one step.

        Args:
            inputs: indices of the inputs that the caller will supply, in its order.
            ones: indices of the inputs that are 1 at every position of the step; they are folded into the bias. All
                others are 0.
            scratch: memory for the outputs of the layers; None to allocate it.
        """
        key = tuple(inputs), tuple(ones)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            first = self.layers[0]
            bias = first.bias + first.weight[:, list(ones)].sum(axis=1)
            head = self._heads[key] = _matrix(first, first.weight[:, list(inputs)], bias)
        return BoundNetwork([head, *self._tail], self.layers, scratch or Scratch())


class BoundNetwork:
    """A context network with one step's constant inputs folded in; made by `ContextNetwork.bind`."""

    def __init__(
        self,
        matrices: list[Float32Array],
        layers: tuple[IntegerLayer, IntegerLayer, IntegerLayer],
        scratch: Scratch,
    ) -> None:
        self._matrices = matrices
        *hidden, output = layers
        self._clips: list[tuple[Any, Any]] = [(np.float32(layer.low), np.float32(layer.high)) for layer in hidden]
        # The mean, and the scale, whose own range is clipped to here as well.
        low, high = [output.low, max(output.low, 0)], [output.high, min(output.high, SCALE_COUNT - 1)]
        self._clips.append((np.array(low, np.float32)[:, None], np.array(high, np.float32)[:, None]))
        self._scratch = scratch

    def __call__(self, inputs: Float32Array) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
        """Predict.

        Args:
            inputs: float32 [k + 1, n], integers: the k bound inputs, |x| <= 15, and a last row of ones.

        Returns:
            table index uint16 [n], 0..319; integer part of the mean int16 [n], -256..255.
        """
        x = inputs
        # No operation here is invalid: every sum is an integer below 2^24. But OpenBLAS's AVX-512 kernel for five
        # columns also computes lanes of stale memory, and drops them; they set the flag that NumPy warns of.
        with np.errstate(invalid="ignore"):
            for i, (matrix, (low, high)) in enumerate(zip(self._matrices, self._clips, strict=True)):
                x, before = self._scratch.array(f"layer{i}", (len(matrix) + 1, x.shape[1]), np.float32), x
                result = _product(matrix, before, x[:-1])
                # The bounds are integers, so that clipping before the floor equals clipping after it.
                result.clip(low, high, out=result)
                np.floor(result, out=result)
                x[-1] = 1
        mean, table = result.astype(np.int16)
        table <<= _FRACTION_BITS
        table |= mean & (FRACTION_COUNT - 1)
        mean >>= _FRACTION_BITS
        return table.view(np.uint16), mean


def _product(matrix: Float32Array, x: Float32Array, result: Float32Array) -> Float32Array:
    """matrix @ x, piece by piece; returns `result`."""
    columns = x.shape[1]
    step = max(_LEAST_COLUMNS, _UNPACKED // matrix.size)
    if step >= columns:
        return np.matmul(matrix, x, out=result)
    step = -(-columns // -(-columns // step))
    for start in range(0, columns, step):
        piece = slice(start, start + step)
        np.matmul(matrix, x[:, piece], out=result[:, piece])
    return result


def _matrix(layer: IntegerLayer, weight: npt.NDArray[np.int64], bias: npt.NDArray[np.int64]) -> Float32Array:
    """Weight and, as a last column, bias + rounding term, all times 2^-shift, which float32 holds exactly."""
    columns = np.column_stack([weight, bias + rounding_term(layer.shift)])
    return np.ascontiguousarray(columns * 2.0**-layer.shift, np.float32)
