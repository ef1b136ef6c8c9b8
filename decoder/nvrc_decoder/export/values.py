"""What the parts of a video's graph read: the tables, the grids, what each NETWORK has its own of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.gop import Network
from nvrc_decoder.export.graph import Array, Graph
from nvrc_decoder.export.tables import FRAME_COLUMNS
from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, Profile

__all__ = ["Content", "FrameRow"]

FrameRow = Mapping[str, str]
"""The columns of a frame's row in the table `frames` (`tables.FRAME_COLUMNS`), int64 [1] each."""


@dataclass(frozen=True)
class Content:
    """The content of a video, whose tables and grids the graph knows by their names.

    Attributes:
        sequence: the stream's SEQUENCE.
        networks: those of its GOPs.
        channels: of the grids, by slot; a slot that no NETWORK has is missing.
    """

    sequence: SequenceHeader
    networks: Sequence[Network]
    channels: Mapping[int, int]

    @property
    def profile(self) -> Profile:
        """The stream's profile."""
        return self.sequence.profile_spec

    def size(self, slot: int) -> tuple[int, int]:
        """Rows and columns of a slot's grid."""
        return self.profile.slots[slot].size(self.sequence.height, self.sequence.width)

    def row(self, g: Graph, frame: str) -> FrameRow:
        """The row of a frame, whose number is an int64 scalar."""
        row, count = g.node("Gather", "frames", frame, axis=0), len(FRAME_COLUMNS)
        return dict(zip(FRAME_COLUMNS, g.nodes("Split", [row], count, axis=0, num_outputs=count), strict=True))

    def of_network(self, g: Graph, at: FrameRow, values: Sequence[Array], name: str = "") -> str:
        """What the NETWORK of a frame has, in the shape and dtype of each of `values`.

        Args:
            g: the graph that uses it.
            at: the frame's row.
            values: that of each NETWORK, all of one shape and dtype; where they are equal, they are stored once.
            name: of the initializer; empty for any.
        """
        if all(np.array_equal(value, values[0]) for value in values):
            return g.constants.add(values[0], name)
        network = g.node("Squeeze", at["network"])
        return g.node("Gather", g.constants.add(np.stack(values), name), network, axis=0)

    def quantised(self, g: Graph, slot: int, index: str) -> str:
        """Values of a slot, float32 [., C, rows, columns], at the places `index` in its table, int64 [.]."""
        rows = g.node("Gather", f"rows{slot}", index, axis=0)
        return g.cast(g.node("Gather", f"grid{slot}", rows, axis=0), np.float32)

    def dequantised(self, g: Graph, values: str, factors: str) -> str:
        """Activations of quantised values (spec 7.4); `factors` is float32 [1, C, 1, 1]."""
        low, high = g.scalar(ACTIVATION_MIN, np.float32), g.scalar(ACTIVATION_MAX, np.float32)
        return g.node("Clip", g.node("Mul", values, factors), low, high)

    def frame_index(self, g: Graph, at: FrameRow, t: str) -> str:
        """Places of frames in the tables, int64 [.]; their numbers `t` in the GOP are clipped to those that it has."""
        inside = g.node("Min", g.node("Max", t, g.ints(0)), at["last"])
        return g.node("Add", at["first"], inside)

    def motion(self, g: Graph, at: FrameRow, slot: int, t: str) -> str:
        """Activations of the flow or the split slot at a frame, [1, C, H, W]; zeros where no NETWORK has it."""
        if slot not in self.channels:
            return g.zeros(np.float32, 1, self.profile.slots[slot].max_channels, *self.size(slot))
        factors = []
        for network in self.networks:
            own = np.zeros((1, self.channels[slot], 1, 1), np.float32)
            own[0, : len(network.multipliers[slot]), 0, 0] = network.multipliers[slot]
            factors.append(own)
        values = self.quantised(g, slot, self.frame_index(g, at, t))
        return self.dequantised(g, values, self.of_network(g, at, factors))
