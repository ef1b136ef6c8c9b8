"""The context network, in integers carried by float32 (spec 5.5, chapter 6).

Every accumulator stays below 2^24 in magnitude (R5.1), so float32 products and sums are exact in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.entropy.tables import FRACTION_COUNT, SCALE_COUNT
from nvrc_decoder.profiles import ACTIVATION_MAX, CONTEXT_INPUT_MAX, CONTEXT_INPUTS
from nvrc_decoder.synthesis.arithmetic import IntegerLayer, prove_bound, rounding_term

__all__ = ["BoundNetwork", "ContextNetwork", "Float32Array"]

Float32Array = npt.NDArray[np.float32]

_FRACTION_BITS = FRACTION_COUNT.bit_length() - 1


class ContextNetwork:
    """The three dense layers that predict a table and a mean from 48 context inputs.

    Args:
        hidden1, hidden2, output: integer layers of weight shapes [w1, 48], [w2, w1] and [2, w2].

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
        self._tail = [_scaled(layer, layer.bias) for layer in self.layers[1:]]

    def bind(self, inputs: Sequence[int], ones: Sequence[int]) -> BoundNetwork:
        """The network for one step.

        Args:
            inputs: indices of the inputs that the caller will supply, in its order; all others are 0, except
            ones: indices of the inputs that are 1 at every position of the step; they are folded into the bias.
        """
        first = self.layers[0]
        bias = first.bias + first.weight[:, list(ones)].sum(axis=1)
        weight, shifted = _scaled(first, bias)
        used = np.hstack([weight[:, list(inputs)], shifted[:, None]])
        return BoundNetwork([(np.ascontiguousarray(used), None), *self._tail], self.layers)


class BoundNetwork:
    """A context network with one step's constant inputs folded in; made by `ContextNetwork.bind`."""

    def __init__(
        self, matrices: list[tuple[Float32Array, Any]], layers: tuple[IntegerLayer, IntegerLayer, IntegerLayer]
    ) -> None:
        self._matrices = matrices
        self._clips = [(np.float32(layer.low), np.float32(layer.high)) for layer in layers]
        # Outputs of the layers, used again for the next block: the first one is the largest.
        self._room = [np.empty(0, np.float32) for _ in layers]

    def __call__(self, inputs: Float32Array) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int32]]:
        """Predict.

        Args:
            inputs: float32 [k + 1, n], integers: the k bound inputs, |x| <= 15, and a last row of ones.

        Returns:
            table index uint16 [n], 0..319; integer part of the mean int32 [n], -256..255.
        """
        x = inputs
        # No operation here is invalid: every sum is an integer below 2^24. But OpenBLAS's AVX-512 kernel for five
        # columns also computes lanes of stale memory, which it drops; those set the flag that NumPy warns of.
        with np.errstate(invalid="ignore"):
            for i, ((weight, bias), (low, high)) in enumerate(zip(self._matrices, self._clips, strict=True)):
                size = len(weight) * x.shape[1]
                if self._room[i].size < size:
                    self._room[i] = np.empty(size, np.float32)
                x = np.matmul(weight, x, out=self._room[i][:size].reshape(len(weight), -1))
                if bias is not None:
                    x += bias[:, None]
                # The bounds are integers, so that clipping before the floor equals clipping after it.
                np.clip(x, low, high, out=x)
                np.floor(x, out=x)
        outputs = x.astype(np.int32)
        scale = np.clip(outputs[1], 0, SCALE_COUNT - 1)
        table = scale << _FRACTION_BITS | outputs[0] & (FRACTION_COUNT - 1)
        return table.astype(np.uint16), outputs[0] >> _FRACTION_BITS


def _scaled(layer: IntegerLayer, bias: npt.NDArray[np.int64]) -> tuple[Float32Array, Float32Array]:
    """Weight and (bias + rounding term), both times 2^-shift, which float32 holds exactly."""
    unit = 2.0**-layer.shift
    return (layer.weight * unit).astype(np.float32), ((bias + rounding_term(layer.shift)) * unit).astype(np.float32)
