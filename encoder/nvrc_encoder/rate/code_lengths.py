"""Bits of the integers of a layer under each table of the stream (spec 4.2, 4.4)."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from nvrc_decoder.entropy.tables import FRACTION_COUNT, RADII, SCALE_COUNT, frequencies

__all__ = ["code_lengths"]


@functools.cache
def _table_bits(scale: int) -> npt.NDArray[np.float64]:
    """Bits of the escape, then of each residual -K..K, in the table of mean 0 and a scale."""
    bits: npt.NDArray[np.float64] = 24 - np.log2(frequencies(scale * FRACTION_COUNT))
    return bits


def code_lengths(values: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Bits of all values under each table of mean 0, float64 [40]; an escape counts its symbol and its digits."""
    flat = values.reshape(-1)
    out = np.empty(SCALE_COUNT)
    for scale, largest in enumerate(RADII):
        inside = np.abs(flat) <= largest
        bits = _table_bits(scale)[np.where(inside, flat + largest + 1, 0)]
        over = np.abs(flat[~inside]) - largest
        out[scale] = bits.sum() + (2 * np.floor(np.log2(over)) + 2).sum()
    return out
