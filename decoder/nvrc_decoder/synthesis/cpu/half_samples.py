"""The planes of a node on the CPU, with half samples where a frame needs them (spec 7.6.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN
from nvrc_decoder.synthesis.predictor import ArrayPool
from nvrc_decoder.system.threads import each

__all__ = ["Activations", "NodePlanes"]

Activations = npt.NDArray[np.int16]

# Samples of a plane that one call of `_refine` takes.
_REFINED_SAMPLES = 40_000
_LOW, _HIGH = np.int16(ACTIVATION_MIN), np.int16(ACTIVATION_MAX)


class NodePlanes:
    """The planes of a node that enter one stage.

    Args:
        stage: the stage.
        values: activations [planes, rows, columns], from `pool`.
        pool: allocates the arrays, and takes them back.

    Attributes:
        values: the activations; once there are half samples, a view of them.
    """

    def __init__(self, stage: int, values: Activations, pool: ArrayPool) -> None:
        self.values = values
        self._stage, self._pool = stage, pool
        self._refined: Activations | None = None

    def refined(self, threads: int) -> Activations:
        """The planes with half samples: int16 [planes, 2 * rows - 1, 2 * columns - 1] (spec 7.6.2), computed once."""
        planes, rows, columns = self.values.shape
        if self._refined is None:
            refined = self._pool.take(("refined", self._stage), (planes, 2 * rows, 2 * columns), np.int16)
            step = max(1, _REFINED_SAMPLES // columns)
            bands = [
                (p, slice(first, min(first + step, rows))) for p in range(planes) for first in range(0, rows, step)
            ]
            each(lambda band: _refine(self.values[band[0]], band[1], refined[band[0]]), bands, threads)
            self._pool.give(("values", self._stage), self.values)
            self.values, self._refined = refined[:, ::2, ::2], refined
        return self._refined[:, : 2 * rows - 1, : 2 * columns - 1]

    def retire(self) -> None:
        """Return the memory to the pool."""
        if self._refined is None:
            self._pool.give(("values", self._stage), self.values)
        else:
            self._pool.give(("refined", self._stage), self._refined)


def _refine(plane: Activations, band: slice, out: Activations) -> None:
    """Refine rows `band` of a plane into `out` [2 * rows, 2 * columns], whose last row and column are undefined."""
    rows, columns = plane.shape
    wide = np.empty((band.stop - band.start + 3, columns + 3), np.int16)
    wide[:, 1:-2] = plane[np.arange(band.start - 1, band.stop + 2).clip(0, rows - 1)]
    wide[:, :1], wide[:, -2:] = wide[:, 1:2], wide[:, -3:-2]
    pairs = np.empty((len(wide), columns, 2), np.int16)
    pairs[..., 0] = wide[:, 1:-2]
    pairs[..., 1] = _halfway(wide[:, :-3], wide[:, 1:-2], wide[:, 2:-1], wide[:, 3:])
    lines = pairs.reshape(len(wide), -1)
    done = out[2 * band.start : 2 * band.stop]
    done[::2] = lines[1:-2]
    done[1::2] = _halfway(lines[:-3], lines[1:-2], lines[2:-1], lines[3:])


def _halfway(a: Activations, b: Activations, c: Activations, d: Activations) -> Activations:
    """``(-3 * a + 19 * b + 19 * c - 3 * d + 16) >> 5``, clipped; within int16 as ``(x + ((3 * y + 16) >> 4)) >> 1``."""
    x = b + c
    y = x - a
    y -= d
    y *= 3
    y += 16
    y >>= 4
    y += x
    y >>= 1
    return np.clip(y, _LOW, _HIGH, out=y)
