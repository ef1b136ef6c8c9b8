"""MS-SSIM of a plane, with NumPy alone; `similarity` has it in PyTorch, for the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ms_ssim", "window_for"]

_WINDOWS = (11, 9, 7)
_HALVINGS = 4
_SIGMA = 1.5
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the levels, the finest first (Wang, Simoncelli and Bovik 2003)."""

_Plane = npt.NDArray[np.float64]


def window_for(width: int, height: int) -> int:
    """Width of MS-SSIM's Gaussian window with which five levels fit into a picture: 11, or for small pictures 9 or 7.

    The Gaussian is the same (sigma 1.5), only cut off earlier. 0 if even 7 is too wide, below 97 rows or columns.
    """
    return next((size for size in _WINDOWS if min(width, height) > (size - 1) << _HALVINGS), 0)


def ms_ssim(a: npt.NDArray[Any], b: npt.NDArray[Any], peak: int) -> float:
    """MS-SSIM of two planes.

    Args:
        a, b: [H, W] in levels, of any dtype, of a size for which `window_for` is not 0.
        peak: the largest level.

    Returns:
        1 for equal planes; the same as `similarity.Similarity.of_planes`, which computes in float32.

    Raises:
        ValueError: the planes are too small.
    """
    size = window_for(a.shape[1], a.shape[0])
    if not size:
        raise ValueError(f"MS-SSIM needs pictures of 97x97 or more, not {a.shape[1]}x{a.shape[0]}")
    x, y = a.astype(np.float64), b.astype(np.float64)
    offsets = np.arange(size) - size // 2
    window = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    window /= window.sum()
    product = 1.0
    for level, weight in enumerate(_WEIGHTS):
        if level:
            x, y = _halve(x), _halve(y)
        likeness, structure = _ssim(x, y, window, peak)
        last = level + 1 == len(_WEIGHTS)
        product *= max(likeness if last else structure, 0.0) ** weight
    return product


def _ssim(x: _Plane, y: _Plane, window: _Plane, peak: int) -> tuple[float, float]:
    """Means of the similarity and of its part without luminance."""
    first, second = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    mean_x, mean_y = _blur(x, window), _blur(y, window)
    variances = _blur(x * x, window) - mean_x**2 + _blur(y * y, window) - mean_y**2
    covariance = _blur(x * y, window) - mean_x * mean_y
    structure = (2 * covariance + second) / (variances + second)
    luminance = (2 * mean_x * mean_y + first) / (mean_x**2 + mean_y**2 + first)
    return float((luminance * structure).mean()), float(structure.mean())


def _blur(plane: _Plane, window: _Plane) -> _Plane:
    """The plane filtered with the window, only where the window lies inside."""
    rows, columns = (side - len(window) + 1 for side in plane.shape)
    across = sum(w * plane[:, i : i + columns] for i, w in enumerate(window))
    return np.asarray(sum(w * across[i : i + rows] for i, w in enumerate(window)))


def _halve(plane: _Plane) -> _Plane:
    """Means of 2x2 samples; an odd side gets a zero at both ends, as in pytorch-msssim."""
    padded = np.pad(plane, [(side % 2, side % 2) for side in plane.shape])
    rows, columns = (side // 2 * 2 for side in padded.shape)
    even = padded[:rows, :columns]
    return np.asarray((even[0::2, 0::2] + even[0::2, 1::2] + even[1::2, 0::2] + even[1::2, 1::2]) / 4)
