"""The graphs of motion of a NETWORK, and what replaces their placeholders (spec 7.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvrc_decoder.profiles import MIX_GROUP, GridSlot, Profile
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.synthesis.session import motion_graph_bytes

__all__ = ["MotionGraphs", "SlotGraphs", "nodes_initializers"]

Float = npt.NDArray[np.float32]


def nodes_initializers(slot: GridSlot, multipliers: Sequence[int], mix: IntegerLayer | None) -> dict[str, Float]:
    """What replaces the placeholders of a slot's ``nodes`` graph.

    Args:
        slot: a warped slot.
        multipliers: of its active channels.
        mix: its mix layer, None where it has none; weights carry its 2^-shift.
    """
    channels = slot.max_channels
    factors = np.zeros((1, channels, 1, 1), np.float32)
    factors[0, : len(multipliers), 0, 0] = multipliers
    if mix is None:
        return {"multiplier": factors}
    scale, rounding = np.float32(2.0**-mix.shift), (1 << mix.shift) // 2
    weight, bias = np.zeros((channels, channels, 1, 1), np.float32), np.zeros(channels, np.float32)
    for row, values in enumerate(mix.weight.astype(np.float32) * scale):
        group = row // MIX_GROUP * MIX_GROUP
        weight[row, group : group + MIX_GROUP, 0, 0] = values
    bias[: len(mix.bias)] = (mix.bias + rounding).astype(np.float32) * scale
    return {"multiplier": factors, "mix.weight": weight, "mix.bias": bias}


@dataclass(frozen=True)
class SlotGraphs:
    """The graphs of a warped slot, as bytes.

    Attributes:
        nodes: makes the planes of a node by itself.
        values: what replaces its placeholders.
        chain, warp: make those of a node from the node before, and move them to a frame.
        planes: the planes that are not all zeros.
    """

    nodes: bytes
    values: dict[str, Float]
    chain: bytes
    warp: bytes
    planes: tuple[int, ...]


@dataclass(frozen=True)
class MotionGraphs:
    """The graphs of motion of one NETWORK, as bytes, and what replaces their placeholders.

    Attributes:
        moves: the ``moves`` graph.
        base: the ``base`` graph, None where there is no base channel.
        slots: those of each slot that is warped.
    """

    moves: tuple[bytes, dict[str, Float]]
    base: tuple[bytes, dict[str, Float]] | None
    slots: dict[int, SlotGraphs]

    @classmethod
    def of(
        cls,
        profile: Profile,
        layers: Mapping[str, IntegerLayer],
        multipliers: Sequence[Sequence[int]],
        base: bool,
    ) -> MotionGraphs | None:
        """Those of a NETWORK; None where motion is off, or moves nothing. Arguments as in `OrtSynthesizer`."""
        planes = profile.injected_channels([len(factors) for factors in multipliers], base)
        slots = {}
        for i in profile.warped_slots if multipliers[profile.flow_slot] else ():
            slot = profile.slots[i]
            if planes[i]:
                factors = list(multipliers[i])
                if base and i == profile.base_slot:
                    factors[0] = 0  # no plane
                slots[i] = SlotGraphs(
                    motion_graph_bytes(f"nodes-{slot.stride}-{slot.max_channels}"),
                    nodes_initializers(slot, factors, layers.get(f"slot{i}.mix")),
                    motion_graph_bytes(f"chain-{slot.stride}"),
                    motion_graph_bytes(f"warp-{slot.stride}"),
                    _planes_in_use(i in profile.mixed_slots, factors),
                )
        if not slots:
            return None
        flow = np.array(multipliers[profile.flow_slot], np.float32).reshape(1, -1, 1, 1)
        base_graph = None
        if base:
            factor = np.full((1, 1, 1, 1), multipliers[profile.base_slot][0], np.float32)
            base_graph = motion_graph_bytes("base"), {"base.multiplier": factor}
        return cls((motion_graph_bytes("moves"), {"flow.multiplier": flow}), base_graph, slots)


def _planes_in_use(mixed: bool, factors: Sequence[int]) -> tuple[int, ...]:
    """Planes that a slot's active channels make: four together make one, or each its own (spec 7.6.3)."""
    return tuple(range(len(factors) // MIX_GROUP)) if mixed else tuple(c for c, factor in enumerate(factors) if factor)
