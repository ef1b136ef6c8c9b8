"""The features of entropy coding that a GOP exercises: escapes, and clips in the context network (spec 4, 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nvrc_conformance.stages import DecodedGop
from nvrc_decoder.decode.gop import decode_grids
from nvrc_decoder.entropy.coder import Int32Array, IntArray, SymbolDecoder
from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.entropy.tables import TABLE_RADII
from nvrc_decoder.octree.network import BoundNetwork, ContextNetwork, Float32Array
from nvrc_decoder.profiles import Q_MAX
from nvrc_decoder.synthesis.arithmetic import rounding_term

__all__ = ["coding_features"]


class _EscapeCounter(SymbolDecoder):
    """A decoder that counts the escapes."""

    count = 0

    def code_step(
        self, table_index: IntArray, mean: IntArray, values: IntArray | None = None, *, limit: int = Q_MAX
    ) -> Int32Array:
        decoded = super().code_step(table_index, mean, values, limit=limit)
        self.count += int(np.count_nonzero(np.abs(decoded - mean) > TABLE_RADII[table_index]))
        return decoded


class _WatchedNetwork(ContextNetwork):
    """A context network that knows which of its hidden layers went beyond the upper clip."""

    def __init__(self, network: ContextNetwork) -> None:
        super().__init__(*network.layers)
        self.clipped: set[int] = set()

    def bind(self, inputs: Sequence[int], ones: Sequence[int], scratch: Scratch | None = None) -> BoundNetwork:
        return _WatchedStep(self, super().bind(inputs, ones, scratch), inputs, ones)


class _WatchedStep(BoundNetwork):
    def __init__(
        self, network: _WatchedNetwork, bound: BoundNetwork, inputs: Sequence[int], ones: Sequence[int]
    ) -> None:
        self._network, self._bound, self._inputs, self._ones = network, bound, list(inputs), list(ones)

    def __call__(self, inputs: Float32Array) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
        first = self._network.layers[0]
        x = first.weight[:, self._inputs] @ inputs[:-1].astype(np.int64)
        x += first.weight[:, self._ones].sum(axis=1, keepdims=True)
        for number, layer in enumerate(self._network.layers[:2]):
            sums = x if number == 0 else layer.weight @ x
            x = (sums + layer.bias[:, None] + rounding_term(layer.shift)) >> layer.shift
            if (x > layer.high).any():
                self._network.clipped.add(number)
            x = np.clip(x, layer.low, layer.high)
        return self._bound(inputs)


def coding_features(item: DecodedGop) -> set[str]:
    """``grid escapes``, and the hidden layers of the context network that are clipped.

    Args:
        item: the GOP, whose grids are decoded once more.
    """
    counters: list[_EscapeCounter] = []

    def counter(payload: bytes | bytearray, check: Callable[[], None], scratch: Scratch) -> _EscapeCounter:
        counters.append(_EscapeCounter(payload, check))
        return counters[-1]

    watched = _WatchedNetwork(item.network.context)
    network, gop = replace(item.network, context=watched), item.gop
    decode_grids(item.sequence, network, gop.frame_count, gop.grids, gop.node_maps, coder=counter)
    found = {f"context.hidden{number + 1} clipped at 2047" for number in watched.clipped}
    return found | ({"grid escapes"} if any(one.count for one in counters) else set())
