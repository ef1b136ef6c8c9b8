"""Reference: the inverse wavelet transform of the luma plane (spec 7.6.5).

Values are in quarters of an activation step. int32 is wide enough: no product exceeds 2^24.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, LIFTING_UNIT
from nvrc_decoder.synthesis.activations import Feature

__all__ = ["clip_lifted", "inverse", "luma_residual"]


def _shift(x: Feature, by: int) -> Feature:
    """``x[i + by]`` along the first axis, with repeated ends."""
    rows = np.clip(np.arange(len(x)) + by, 0, len(x) - 1)
    shifted: Feature = x[rows]
    return shifted


def clip_lifted(x: Feature) -> Feature:
    """Clip to the range of activations, which is -8192..8188 in quarters."""
    return np.clip(x, LIFTING_UNIT * ACTIVATION_MIN, LIFTING_UNIT * ACTIVATION_MAX)


def inverse(low: Feature, high: Feature) -> Feature:
    """One level along the first axis, in quarters: [n, ...] and [n, ...] give [2n, ...] (7.6.5)."""
    s = (315 * low + 128) >> 8
    d = high
    s = s - ((7 * (_shift(d, -1) + d) + 8) >> 4)
    d = d - ((113 * (s + _shift(s, 1)) + 64) >> 7)
    s = s + ((217 * (_shift(d, -1) + d) + 2048) >> 12)
    d = d + ((203 * (s + _shift(s, 1)) + 64) >> 7)
    pairs = np.stack([s, d], axis=1)
    return clip_lifted(pairs.reshape(2 * len(low), *low.shape[1:]))


def _level(low: Feature, details: Feature) -> Feature:
    """One level of both axes, in quarters: [h, w] and [3, h, w] (HL, LH, HH) give [2h, 2w] (7.6.5)."""
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
    low, details = LIFTING_UNIT * bands[0][0], [bands[0][1:], *bands[1:]]
    for own in details:
        _, rows, columns = own.shape
        low = _level(low[:rows, :columns], LIFTING_UNIT * own)
    return np.expand_dims((low + LIFTING_UNIT // 2) // LIFTING_UNIT, 0)
