"""Reference: the inverse wavelet transform of the luma plane (spec 7.6.5).

int32 is wide enough: no product exceeds 4.3 million.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvrc_decoder.synthesis.activations import Feature, clip_activation

__all__ = ["inverse", "luma_residual"]


def _shift(x: Feature, by: int) -> Feature:
    """``x[i + by]`` along the first axis, with repeated ends."""
    rows = np.clip(np.arange(len(x)) + by, 0, len(x) - 1)
    shifted: Feature = x[rows]
    return shifted


def inverse(low: Feature, high: Feature) -> Feature:
    """One level along the first axis: [n, ...] and [n, ...] give activations [2n, ...] (7.6.5)."""
    s = (315 * low + 128) >> 8
    d = high
    s = s - ((57 * (_shift(d, -1) + d) + 64) >> 7)
    d = d - ((113 * (s + _shift(s, 1)) + 64) >> 7)
    s = s + ((217 * (_shift(d, -1) + d) + 2048) >> 12)
    d = d + ((203 * (s + _shift(s, 1)) + 64) >> 7)
    pairs = np.stack([s, d], axis=1)
    return clip_activation(pairs.reshape(2 * len(low), *low.shape[1:]))


def _level(low: Feature, details: Feature) -> Feature:
    """One level of both axes: [h, w] and [3, h, w] (HL, LH, HH) give [2h, 2w] (7.6.5)."""
    hl, lh, hh = details
    left, right = inverse(low, lh), inverse(hl, hh)
    both: Feature = inverse(left.T, right.T).T
    return both


def luma_residual(bands: Sequence[Feature]) -> Feature:
    """The luma residual of a node from its bands: [1, rows, columns] (7.6.5).

    Args:
        bands: activations of the four band slots, coarse to fine: [4, h, w] (LL, HL, LH, HH), then [3, h, w] (HL, LH,
            HH), each of twice the rows and columns of the one before or one less.
    """
    low, details = bands[0][0], [bands[0][1:], *bands[1:]]
    for own in details:
        _, rows, columns = own.shape
        low = _level(low[:rows, :columns], own)
    return np.expand_dims(low, 0)
