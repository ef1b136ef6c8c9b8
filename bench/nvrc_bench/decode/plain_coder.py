"""The speed of constriction alone: decoding with one table, without contexts."""

from __future__ import annotations

import constriction
import numpy as np

from nvrc_bench.decode.stopwatch import Span, timed
from nvrc_decoder.entropy.tables import frequencies, table_model

__all__ = ["PlainCoding"]

# Scale 1, mean 0: about as many bits a symbol as a typical grid.
_TABLE = 128
_MOST = 1 << 22


class PlainCoding:
    """As many symbols as a stream has, drawn from one of the format's tables and coded with it.

    Args:
        count: symbols that `time` decodes, at least 1.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._coded = min(count, _MOST)
        self._model = table_model(_TABLE)
        counts = frequencies(_TABLE)
        rng = np.random.default_rng(3)
        symbols = rng.choice(len(counts), self._coded, p=counts / counts.sum()).astype(np.int32)
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(symbols, self._model)
        self._words = coder.get_compressed()

    def time(self) -> Span:
        """The time to decode all symbols; beyond 4 million it is extrapolated from 4 million."""
        coder = constriction.stream.stack.AnsCoder(self._words)
        span, _ = timed(lambda: coder.decode(self._model, self._coded))
        factor = self._count / self._coded
        return Span(span.seconds * factor, span.cpu * factor)
