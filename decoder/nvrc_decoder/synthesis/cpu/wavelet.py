"""The inverse wavelet transform on the CPU: the luma residual of a node from its bands (spec 7.6.5).

A block of rows is transformed along both axes while it is in the caches. Values are in quarters of an activation step.
int32 holds every product.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, LIFTING_UNIT
from nvrc_decoder.synthesis.predictor import Grid, Integers, Quantised, dequantised
from nvrc_decoder.system.threads import each

__all__ = ["luma_plane"]

# Rows of the input that a row of the output depends on, to each side.
_REACH = 2
# Output samples of a block.
_BLOCK_SAMPLES = 1 << 16
_RANGE = LIFTING_UNIT * ACTIVATION_MIN, LIFTING_UNIT * ACTIVATION_MAX
_UNIT_BITS = LIFTING_UNIT.bit_length() - 1


def luma_plane(bands: Sequence[Quantised], out: npt.NDArray[np.int16], threads: int) -> None:
    """The inverse wavelet transform of the bands of a node, coarse to fine.

    Args:
        bands: LL, HL, LH, HH of the coarsest level, then HL, LH, HH of the others.
        out: activations [rows, columns], twice the size of the last band.
        threads: most blocks computed concurrently.
    """
    values, multipliers = bands[0]
    low: npt.NDArray[np.integer] = LIFTING_UNIT * dequantised(values[:1], multipliers[:1])[0]
    details = [(values[1:], multipliers[1:]), *bands[1:]]
    for k, (values, multipliers) in enumerate(details):
        _, rows, columns = values.shape
        last = k == len(details) - 1
        up = out if last else np.empty((2 * rows, 2 * columns), np.int16)
        _level(low, values, multipliers, up, threads, last)
        low = up


def _level(
    low: npt.NDArray[np.integer],
    details: Grid,
    multipliers: Sequence[int],
    out: npt.NDArray[np.int16],
    threads: int,
    last: bool,
) -> None:
    """One level: `low` (cut to the size of the details) and HL, LH, HH [3, rows, columns] give twice the size.

    `low` and `out` are in quarters, but `out` of the last level is in activations.
    """
    _, rows, columns = details.shape

    def fill(block: slice) -> None:
        window = slice(max(block.start - _REACH, 0), min(block.stop + _REACH, rows))
        hl, lh, hh = dequantised(details[:, window], multipliers)
        # Low and high half of each row side by side, in pairs of an even and an odd row.
        pairs = np.empty((len(lh), 2, 2, columns), np.int32)
        even, odd = pairs[:, 0], pairs[:, 1]
        even[:, 0] = low[window, :columns]
        for place, band in ((even[:, 1], hl), (odd[:, 0], lh), (odd[:, 1], hh)):
            np.multiply(band, LIFTING_UNIT, out=place)
        _inverse(even, odd)
        pairs = pairs[block.start - window.start : block.stop - window.start]
        np.clip(pairs, *_RANGE, out=pairs)
        even, odd = pairs[:, :, 0], pairs[:, :, 1]
        _inverse(even.transpose(2, 0, 1), odd.transpose(2, 0, 1))
        np.clip(pairs, *_RANGE, out=pairs)
        if last:
            pairs += LIFTING_UNIT // 2
            pairs >>= _UNIT_BITS
        done = out[2 * block.start : 2 * block.stop].reshape(*even.shape, 2)
        done[..., 0], done[..., 1] = even, odd

    step = max(1, _BLOCK_SAMPLES // (4 * columns))
    each(fill, [slice(first, min(first + step, rows)) for first in range(0, rows, step)], threads)


def _inverse(low: Integers, high: Integers) -> None:
    """One level along the first axis, in place: the even samples take the place of `low`, the odd ones of `high`."""
    sums = np.empty_like(low)
    low *= 315
    low += 128
    low >>= 8
    _add_earlier(high, sums)
    low -= _scaled(sums, 7, 4)
    _add_later(low, sums)
    high -= _scaled(sums, 113, 7)
    _add_earlier(high, sums)
    low += _scaled(sums, 217, 12)
    _add_later(low, sums)
    high += _scaled(sums, 203, 7)


def _add_earlier(x: Integers, out: Integers) -> None:
    """``x[i - 1] + x[i]``, the first sample repeated."""
    np.add(x[:-1], x[1:], out=out[1:])
    np.add(x[:1], x[:1], out=out[:1])


def _add_later(x: Integers, out: Integers) -> None:
    """``x[i] + x[i + 1]``, the last sample repeated."""
    np.add(x[:-1], x[1:], out=out[:-1])
    np.add(x[-1:], x[-1:], out=out[-1:])


def _scaled(x: Integers, factor: int, shift: int) -> Integers:
    """``x * factor / 2 ** shift``, rounded, in place."""
    x *= factor
    x += 1 << (shift - 1)
    x >>= shift
    return x
