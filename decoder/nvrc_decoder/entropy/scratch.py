"""Reusable arrays for intermediate results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Scratch"]


class Scratch:
    """Memory for the intermediate results of one thread: an array for each name and dtype, which grows as needed.

    A large new array costs a page fault for every 4 KiB, which often takes longer than the work on it.
    """

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, np.dtype[Any]], npt.NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array with any contents, in the memory of the last one of this name and dtype."""
        size, key = math.prod(shape), (name, np.dtype(dtype))
        if key not in self._arrays or self._arrays[key].size < size:
            self._arrays.pop(key, None)  # release the smaller one first
            self._arrays[key] = np.empty(size, dtype)
        return self._arrays[key][:size].reshape(shape)
