"""Reference: the planes of a GOP's frames, from predictions and residuals (spec 7.6.4, 7.6.6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvrc_decoder.profiles import Profile, node_shape
from nvrc_decoder.pyramid import Pyramid, References
from nvrc_decoder.synthesis.activations import Feature, Grid, PlaneArray, clip_activation, dequantise
from nvrc_decoder.synthesis.motion import GopMotion, half_samples, predict
from nvrc_decoder.synthesis.wavelet import luma_residual

__all__ = ["GopPlanes", "phases"]

PLANE_STRIDE, LUMA_STRIDE = 4, 1


class GopPlanes:
    """The planes of one GOP: those of the plane slot, or luma. Nodes that later frames refer to are kept.

    Args:
        profile: the stream's profile.
        pyramid: the NETWORK's pyramid.
        multipliers: per slot the multiplier of each active channel.
        size: rows and columns of the picture in luma samples.
        luma: True for the luma plane, False for the planes of the plane slot.
    """

    def __init__(
        self,
        profile: Profile,
        pyramid: Pyramid,
        multipliers: Sequence[Sequence[int]],
        size: tuple[int, int],
        luma: bool,
    ) -> None:
        self._profile, self._pyramid = profile, pyramid
        self._multipliers = multipliers
        self._size = size
        self._slots = profile.band_slots if luma else (profile.plane_slot,)
        self._stride = LUMA_STRIDE if luma else PLANE_STRIDE
        _, rows, columns = node_shape(profile.slots[self._slots[-1]], 1, *size, pyramid)
        self._plane_size = (2 * rows, 2 * columns) if luma else (rows, columns)
        self._nodes: dict[int, PlaneArray] = {}

    def at(self, grids: Sequence[Grid | None], t: int) -> PlaneArray:
        """The planes of frame `t` (7.6.4).

        Args:
            grids: per slot int16 [nodes, channels, rows, columns] of the whole GOP, None where the slot is absent; the
                same in every call.
            t: the frame.

        Returns:
            int16 [planes, rows, columns], activations.
        """
        key, spacing = self._pyramid.key_spacing, self._pyramid.node_spacing
        # Frames from here to the next key need only these nodes, and later keys need the last key.
        last = max((n for n in self._nodes if n % key == 0), default=0)
        wanted = range(t - t % spacing, -(-t // key) * key + 1)
        self._nodes = {n: planes for n, planes in self._nodes.items() if n in wanted or n == last}
        return self._planes(grids, t)

    def _planes(self, grids: Sequence[Grid | None], t: int) -> PlaneArray:
        if t in self._nodes:
            return self._nodes[t]
        references = self._pyramid.references(t)
        if references is None:
            made = self._residual(grids, t)
        elif references.before == references.after:
            made = self._key(grids, t)
        else:
            made = self._predicted(grids, t, references)
            if self._pyramid.is_node(t):
                made = clip_activation(made + self._residual(grids, t))
        planes = made.astype(np.int16)
        if self._pyramid.is_node(t):
            self._nodes[t] = planes
        return planes

    def _key(self, grids: Sequence[Grid | None], t: int) -> Feature:
        """The planes of a key, after those of the keys before it; a loop starts at the last key that is kept."""
        spacing = self._pyramid.key_spacing
        first = max((n for n in self._nodes if n < t and n % spacing == 0), default=0)
        for key in range(first, t, spacing):
            self._planes(grids, key)
            self._nodes.pop(key - 2 * spacing, None)
        predicted = self._predicted(grids, t, References(t - spacing, t - spacing, 0))
        return clip_activation(predicted + self._residual(grids, t))

    def _predicted(self, grids: Sequence[Grid | None], t: int, references: References) -> Feature:
        """Prediction of the planes of frame `t` from two nodes: [planes, rows, columns] (7.6.3)."""
        after, before = (self._planes(grids, r) for r in (references.after, references.before))
        motion = GopMotion(self._profile, grids, self._multipliers, self._size)
        d0, d1 = motion.displacement(t, references.before), motion.displacement(t, references.after)
        weight = motion.weight(t, references.share)
        return np.stack(
            [
                predict(half_samples(a), half_samples(b), d0, d1, weight, self._plane_size, self._stride)
                for a, b in zip(before, after, strict=True)
            ]
        )

    def _residual(self, grids: Sequence[Grid | None], t: int) -> Feature:
        """Residual of the node at frame `t`: [planes, rows, columns] (7.6.4)."""
        bands = []
        for slot in self._slots:
            grid = grids[slot]
            if grid is None:
                raise ValueError(f"the grid of slot {slot} is missing")
            factors = [self._pyramid.node_multiplier(t, m) for m in self._multipliers[slot]]
            bands.append(dequantise(grid[t // self._pyramid.node_spacing], factors))
        return luma_residual(bands) if self._stride == LUMA_STRIDE else bands[0]


def phases(plane: PlaneArray) -> PlaneArray:
    """The four phases [4, rows / 2, columns / 2] of a plane [rows, columns] (7.6.6)."""
    return np.stack([plane[p >> 1 :: 2, p & 1 :: 2] for p in range(4)])
