"""Arrays that are used again."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Scratch"]


class Scratch:
    """Room for intermediate results of one thread; each name has an array that grows as needed.

    A large new array costs a page fault for every 4 KiB, which often takes longer than what is done in it.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array of any contents, in the place of the last one of this name and dtype."""
        size = math.prod(shape)
        room = self._arrays.get(name)
        if room is None or room.size < size or room.dtype != dtype:
            room = self._arrays[name] = np.empty(size, dtype)
        return room[:size].reshape(shape)
