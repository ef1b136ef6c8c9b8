"""The pyramid: which frames of a GOP are nodes, and which frames each frame is predicted from (spec 7.4, 7.5)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BLEND_UNIT",
    "DEFAULT_PYRAMID",
    "FACTOR_UNIT",
    "MULTIPLIER_MAX",
    "SPACING_LOG2_MAX",
    "Pyramid",
    "References",
]

MULTIPLIER_MAX = 2048
BLEND_UNIT = 32
"""A blend weight is the later reference's share in 1/32 (spec 7.6.1)."""
SPACING_LOG2_MAX = 4
FACTOR_UNIT = 16
"""Step factors of the pyramid's levels are in sixteenths (spec 7.4)."""


@dataclass(frozen=True)
class References:
    """The two frames that a frame's planes are predicted from, and the share of the later one (spec 7.5).

    Attributes:
        before, after: the references, which are nodes; the same frame twice for a key.
        share: share of the later reference in 1/32, before the flow grid's blend is added.
    """

    before: int
    after: int
    share: int


@dataclass(frozen=True)
class Pyramid:
    """Which frames of a GOP are nodes, and what each frame is predicted from (spec 7.5).

    Every `key_spacing`-th frame is a key, predicted from the key before it. Every `node_spacing`-th frame is a node. A
    node that is not a key is predicted from two nodes, before and after it, at the distance of the largest power of two
    that divides its number. All other frames are predicted from the nodes around them. Only nodes have residuals.

    Attributes:
        key_spacing, node_spacing: powers of two, 1..16, the first at least as large.
        factors: step factors of the nodes that are not keys, in sixteenths: first of those halfway between keys, then
            of each finer level.
    """

    key_spacing: int = 8
    node_spacing: int = 8
    factors: tuple[int, ...] = ()

    @property
    def levels(self) -> int:
        """Number of levels of nodes between keys, which is the length of `factors`."""
        return (self.key_spacing // self.node_spacing).bit_length() - 1

    def node_count(self, frames: int) -> int:
        """Nodes of a GOP of `frames` frames: up to the first key that is no earlier than the last frame."""
        return -(-(frames - 1) // self.key_spacing) * (self.key_spacing // self.node_spacing) + 1

    def is_node(self, t: int) -> bool:
        """Whether frame `t` is a node, number ``t // node_spacing``."""
        return t % self.node_spacing == 0

    def references(self, t: int) -> References | None:
        """The references of frame `t`; None for frame 0, which is not predicted."""
        if t == 0:
            return None
        if t % self.key_spacing == 0:
            return References(t - self.key_spacing, t - self.key_spacing, 0)
        if self.is_node(t):
            distance = t & -t
            return References(t - distance, t + distance, BLEND_UNIT // 2)
        before = t - t % self.node_spacing
        return References(before, before + self.node_spacing, BLEND_UNIT * (t - before) // self.node_spacing)

    def factor(self, t: int) -> int:
        """Step factor of the node at frame `t`, in sixteenths."""
        if t % self.key_spacing == 0:
            return FACTOR_UNIT
        return self.factors[(self.key_spacing // (t & -t)).bit_length() - 2]

    def node_multiplier(self, t: int, multiplier: int) -> int:
        """The multiplier of the node at frame `t` of a grid whose own is `multiplier` (spec 7.4)."""
        scaled = (multiplier * self.factor(t) + FACTOR_UNIT // 2) // FACTOR_UNIT
        return max(1, min(MULTIPLIER_MAX, scaled))

    def spacing(self, at_nodes: bool) -> int:
        """Frames from one node of a grid to the next: 1 where the grid has a node for each frame."""
        return self.node_spacing if at_nodes else 1


DEFAULT_PYRAMID = Pyramid()
"""The pyramid of a NETWORK that has no node slot, and so codes none."""
