"""Scene cuts: a frame that differs from the one before it far more than frames have differed so far."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import Planes

__all__ = ["SceneCuts"]

_WIDTH, _HEIGHT = 32, 18
"""Size to which luma is reduced by area: noise and motion of details vanish."""
_BINS = 32
_LEAST_DIFFERENCE = 0.04
"""Mean difference of reduced luma, of a peak of 1, below which there is no cut."""
_FACTOR = 3.0
"""A cut differs by at least this factor more than the frames before it on average."""
_LEAST_HISTOGRAM = 0.12
"""Share of the samples whose level has changed, by the histograms, below which there is no cut."""
_MEMORY = 0.8
"""Weight of the past in the running average."""


class SceneCuts:
    """Finds scene cuts frame by frame; luma alone counts.

    Args:
        bit_depth: 8 or 10.
    """

    def __init__(self, bit_depth: int) -> None:
        self._peak = float((1 << bit_depth) - 1)
        self._before: tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]] | None = None
        self._usual: float | None = None

    def begins(self, frame: Planes) -> bool:
        """Whether the next frame begins a scene; False for the first one."""
        small, histogram = self._reduced(frame)
        before, self._before = self._before, (small, histogram)
        if before is None:
            return False
        difference = float(np.abs(small - before[0]).mean())
        changed = float(np.abs(histogram - before[1]).sum()) / 2
        usual = difference if self._usual is None else self._usual
        if difference >= max(_LEAST_DIFFERENCE, _FACTOR * usual) and changed >= _LEAST_HISTOGRAM:
            self._usual = None
            return True
        self._usual = _MEMORY * usual + (1 - _MEMORY) * difference
        return False

    def _reduced(self, frame: Planes) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """Luma reduced by area, 0..1, and the histogram of its levels, which adds up to 1."""
        rows, columns = frame.y.shape
        size = min(_WIDTH, columns), min(_HEIGHT, rows)
        small = cv2.resize(frame.y, size, interpolation=cv2.INTER_AREA).reshape(size[::-1])
        small = small.astype(np.float32) / np.float32(self._peak)
        levels, _ = np.histogram(small, _BINS, (0.0, 1.0))
        return small, levels / small.size
