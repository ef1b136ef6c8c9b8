"""What the sections of the NumPy reference share: types, rounding, clips, dequantisation, the x2 filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN
from nvrc_decoder.synthesis.arithmetic import IntegerLayer, rounding_term

__all__ = ["Feature", "Grid", "PlaneArray", "clip_activation", "dequantise", "double", "finish"]

Feature = npt.NDArray[np.int32]  # [channels, rows, columns], values -2048..2047 unless it says otherwise
Grid = npt.NDArray[np.int16]  # [nodes, channels, rows, columns], values -2047..2047
PlaneArray = npt.NDArray[np.int16]  # [planes, rows, columns], or of several frames; values -2048..2047


def finish(accumulator: Feature, layer: IntegerLayer) -> Feature:
    """Add bias and rounding term to [outputs, H, W], shift, clip, all in place (6.2)."""
    accumulator += layer.bias.astype(np.int32)[:, None, None]
    accumulator += rounding_term(layer.shift)
    accumulator >>= layer.shift
    return np.clip(accumulator, layer.low, layer.high, out=accumulator)


def clip_activation(x: Feature) -> Feature:
    """Clip to the activation range -2048..2047 (6.1)."""
    return np.clip(x, ACTIVATION_MIN, ACTIVATION_MAX)


def dequantise(nodes: Grid, multipliers: Sequence[int]) -> Feature:
    """One node [C, H, W] of a grid in activation units, by the multiplier of each channel (7.4)."""
    factors = np.array(multipliers, dtype=np.int32)[:, None, None]
    return clip_activation(nodes.astype(np.int32) * factors)


def double(x: Feature, axis: int) -> Feature:
    """Twice the samples along `axis` by the weights (1, 3) and (3, 1), edges repeated, not yet divided (7.10)."""
    size = x.shape[axis]
    before = np.take(x, np.maximum(np.arange(size) - 1, 0), axis=axis)
    after = np.take(x, np.minimum(np.arange(size) + 1, size - 1), axis=axis)
    pairs = np.stack([3 * x + before, 3 * x + after], axis=axis + 1)
    return pairs.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
