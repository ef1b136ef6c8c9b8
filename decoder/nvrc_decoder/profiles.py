"""Profiles: the largest graph of each, the grid slots and the layers with their shapes (spec chapter 7).

The one place where shapes are written down; the syntax, the NumPy reference, the ONNX graph's loader and the
encoder's PyTorch twin all read them here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ACTIVATION_MAX",
    "ACTIVATION_MIN",
    "CHROMA_400",
    "CHROMA_420",
    "CHROMA_444",
    "CONTEXT_INPUTS",
    "CONTEXT_INPUT_MAX",
    "MIX_GROUP",
    "PROFILES",
    "Q_MAX",
    "STAGE_STRIDES",
    "WARPED_TEMPORAL_STRIDE",
    "GridSlot",
    "LayerSpec",
    "Profile",
    "context_layers",
    "context_macs",
    "head_rows",
    "kmac_per_pixel",
    "motion_kmac_per_pixel",
    "node_shape",
    "synthesis_layers",
]

Q_MAX = 2047
ACTIVATION_MIN = -2048
ACTIVATION_MAX = 2047
CONTEXT_INPUTS = 48
CONTEXT_INPUT_MAX = 15
STAGE_STRIDES = (32, 16, 8, 4, 2)
CHROMA_400, CHROMA_420, CHROMA_444 = 0, 1, 2
WARPED_TEMPORAL_STRIDE = 8
MIX_GROUP = 4


@dataclass(frozen=True)
class GridSlot:
    """A place for a grid.

    Attributes:
        stride, temporal_stride: between its nodes, in luma samples and in frames.
        max_channels: most channels; a flow grid has exactly these.
        flow: the grid holds motion (channel 0 vertical, 1 horizontal) and belongs to no stage.
    """

    stride: int
    temporal_stride: int
    max_channels: int
    flow: bool = False

    @property
    def stage(self) -> int | None:
        """Index of the synthesis stage that the grid is injected into; None for a flow slot."""
        return None if self.flow else STAGE_STRIDES.index(self.stride)


@dataclass(frozen=True)
class Profile:
    """A largest synthesis graph; a stream activates a part of it."""

    id: int
    name: str
    max_channels: tuple[int, ...]
    blocks: tuple[int, ...]
    temporal_stem: bool
    slots: tuple[GridSlot, ...]

    @property
    def flow_slot(self) -> int:
        """Index of the one flow slot."""
        return next(i for i, slot in enumerate(self.slots) if slot.flow)

    @property
    def warped_slots(self) -> tuple[int, ...]:
        """Indices of the slots that motion warps where they and the flow grid are present (spec 7.6)."""
        return tuple(i for i, slot in enumerate(self.slots) if slot.temporal_stride == WARPED_TEMPORAL_STRIDE)

    @property
    def mixed_slots(self) -> tuple[int, ...]:
        """Those of `warped_slots` whose channels are mixed and interleaved before the warp: of half resolution."""
        return tuple(i for i in self.warped_slots if self.slots[i].stride == STAGE_STRIDES[-1])

    @property
    def base_slot(self) -> int:
        """The one of `warped_slots` at a quarter of the resolution, whose channel 0 may be a base (spec 7.6.4)."""
        return next(i for i in self.warped_slots if i not in self.mixed_slots)

    def injected_channels(self, grid_channels: Sequence[int], base: bool = False) -> tuple[int, ...]:
        """Channels of each slot that its stage sees: all of a grid but a base channel; 0 for the flow slot (7.7)."""
        return tuple(
            0 if slot.flow else grid_channels[i] - (base and i == self.base_slot) for i, slot in enumerate(self.slots)
        )

    def slots_of_stage(self, stage: int) -> tuple[int, ...]:
        """Indices of the slots whose grids are injected into a stage, ascending."""
        return tuple(i for i, slot in enumerate(self.slots) if slot.stage == stage)

    def motion_is_on(self, grid_channels: Sequence[int]) -> bool:
        """Whether a NETWORK with these channels a slot (0: absent) has a flow grid."""
        return grid_channels[self.flow_slot] > 0


_FLOW = GridSlot(16, 1, 2, flow=True)

PROFILES: tuple[Profile, ...] = (
    Profile(
        id=0,
        name="nano",
        max_channels=(8, 8, 8, 8, 8),
        blocks=(0, 1, 1, 1, 1),
        temporal_stem=False,
        slots=(
            GridSlot(32, 1, 4),
            GridSlot(16, 1, 3),
            GridSlot(8, 1, 3),
            GridSlot(4, 1, 2),
            GridSlot(4, 8, 3),
            GridSlot(2, 8, 4),
            _FLOW,
        ),
    ),
    Profile(
        id=1,
        name="lite",
        max_channels=(24, 24, 24, 24, 24),
        blocks=(0, 1, 1, 2, 2),
        temporal_stem=False,
        slots=(
            GridSlot(32, 1, 6),
            GridSlot(16, 1, 4),
            GridSlot(8, 1, 4),
            GridSlot(4, 1, 2),
            GridSlot(4, 8, 3),
            GridSlot(2, 8, 8),
            GridSlot(2, 1, 1),
            _FLOW,
        ),
    ),
    Profile(
        id=2,
        name="main",
        max_channels=(64, 64, 64, 64, 48),
        blocks=(1, 2, 2, 2, 3),
        temporal_stem=True,
        slots=(
            GridSlot(32, 1, 8),
            GridSlot(16, 1, 6),
            GridSlot(8, 1, 4),
            GridSlot(4, 1, 2),
            GridSlot(4, 8, 4),
            GridSlot(2, 8, 8),
            GridSlot(2, 1, 2),
            _FLOW,
        ),
    ),
)


@dataclass(frozen=True)
class LayerSpec:
    """One layer's parameters as the stream carries them.

    Attributes:
        name: canonical name, the same in spec, graph and encoder.
        kind: ``mix``, ``inject``, ``temporal``, ``depthwise``, ``pointwise``, ``head_depthwise``, ``head_pointwise`` or
            ``dense``.
        weight_shape: shape of the weight tensor, output channels first.
        outputs: number of outputs, which is the number of biases.
        input_max: largest magnitude of an input, for the 2^24 bound.
        low, high: clip range of the output, inclusive; the head's high follows the bit depth.
    """

    name: str
    kind: str
    weight_shape: tuple[int, ...]
    outputs: int
    input_max: int
    low: int
    high: int


def head_rows(chroma_format: int) -> tuple[int, ...]:
    """Rows of the 12-row head that a chroma format uses, in stream order."""
    return {
        CHROMA_400: (0, 1, 2, 3),
        CHROMA_420: (0, 1, 2, 3, 4, 8),
        CHROMA_444: tuple(range(12)),
    }[chroma_format]


def node_shape(slot: GridSlot, frames: int, height: int, width: int) -> tuple[int, int, int]:
    """(nodes, rows, columns) of a grid in a GOP of `frames` frames of `height` x `width` luma samples."""
    nodes = -(-(frames - 1) // slot.temporal_stride) + 1
    return nodes, -(-height // slot.stride), -(-width // slot.stride)


def context_layers(width_1: int, width_2: int) -> tuple[LayerSpec, ...]:
    """The three layers of the context network for hidden widths `width_1` and `width_2`."""
    return (
        LayerSpec("context.hidden1", "dense", (width_1, CONTEXT_INPUTS), width_1, CONTEXT_INPUT_MAX, 0, ACTIVATION_MAX),
        LayerSpec("context.hidden2", "dense", (width_2, width_1), width_2, ACTIVATION_MAX, 0, ACTIVATION_MAX),
        LayerSpec("context.output", "dense", (2, width_2), 2, ACTIVATION_MAX, ACTIVATION_MIN, ACTIVATION_MAX),
    )


def synthesis_layers(
    profile: Profile,
    stage_channels: Sequence[int],
    stage_blocks: Sequence[int],
    grid_channels: Sequence[int],
    chroma_format: int,
    bit_depth: int = 8,
    base: bool = False,
) -> tuple[LayerSpec, ...]:
    """The synthesis layers that a stream carries, in canonical order.

    Args:
        profile: the stream's profile.
        stage_channels: active channels of each stage.
        stage_blocks: active blocks of each stage.
        grid_channels: active channels of each slot, 0 where the slot is absent; motion is on where the flow slot's
            are not 0.
        chroma_format: `CHROMA_400`, `CHROMA_420` or `CHROMA_444`.
        bit_depth: 8 or 10; sets the head's clip.
        base: channel 0 of the slot `Profile.base_slot` is a base, which no stage sees.
    """
    signed = (-ACTIVATION_MIN, ACTIVATION_MIN, ACTIVATION_MAX)
    layers: list[LayerSpec] = []
    seen = profile.injected_channels(grid_channels, base)
    if profile.motion_is_on(grid_channels):
        for i in profile.mixed_slots:
            if grid_channels[i]:
                layers.append(
                    LayerSpec(f"slot{i}.mix", "mix", (grid_channels[i], MIX_GROUP), grid_channels[i], *signed)
                )
    for k, (channels, blocks) in enumerate(zip(stage_channels, stage_blocks, strict=True)):
        injected = sum(seen[i] for i in profile.slots_of_stage(k))
        if injected:
            layers.append(LayerSpec(f"stage{k}.inject", "inject", (channels, injected, 3, 3), channels, *signed))
        if k == 0 and profile.temporal_stem:
            layers.append(LayerSpec("stage0.temporal", "temporal", (channels, 3), channels, *signed))
        for j in range(blocks):
            name = f"stage{k}.block{j}"
            relu = (0, ACTIVATION_MAX)
            layers.append(
                LayerSpec(f"{name}.depthwise", "depthwise", (channels, 3, 3), channels, -ACTIVATION_MIN, *relu)
            )
            layers.append(
                LayerSpec(f"{name}.pointwise", "pointwise", (channels, channels), channels, ACTIVATION_MAX, *signed[1:])
            )
    last = stage_channels[-1]
    rows = len(head_rows(chroma_format))
    layers.append(LayerSpec("head.depthwise", "head_depthwise", (last, 4, 3, 3), 4 * last, *signed))
    layers.append(
        LayerSpec("head.pointwise", "head_pointwise", (rows, 4 * last), rows, -ACTIVATION_MIN, 0, (1 << bit_depth) - 1)
    )
    return tuple(layers)


def kmac_per_pixel(
    profile: Profile,
    stage_channels: Sequence[int],
    stage_blocks: Sequence[int],
    grid_channels: Sequence[int],
    chroma_format: int,
    base: bool = False,
) -> float:
    """Multiply-accumulates of synthesis per luma sample, in thousands: all layers, and the warp where motion is on.

    The interpolation of grids, displacements and a base channel is not counted (spec 7.14).
    """
    total = 0.0
    for layer in synthesis_layers(profile, stage_channels, stage_blocks, grid_channels, chroma_format, base=base):
        if layer.kind != "mix":
            stride = 2 if layer.name.startswith("head") else STAGE_STRIDES[int(layer.name[5])]
            total += math.prod(layer.weight_shape) / stride**2
    return total / 1000 + motion_kmac_per_pixel(profile, grid_channels, base)


def motion_kmac_per_pixel(profile: Profile, grid_channels: Sequence[int], base: bool = False) -> float:
    """The part of `kmac_per_pixel` that is motion: mix layer, prediction chain and warp; 0 where motion is off.

    A warped sample takes four taps in each of two nodes and two products that blend them. Once in eight frames, a
    sample of a node takes the mix layer's products, four taps in the node before and a sum.
    """
    if not profile.motion_is_on(grid_channels):
        return 0.0
    total = 0.0
    planes = profile.injected_channels(grid_channels, base)
    for i in profile.warped_slots:
        once = 5 + (MIX_GROUP if i in profile.mixed_slots else 0)
        total += planes[i] * (10 + once / WARPED_TEMPORAL_STRIDE) / profile.slots[i].stride ** 2
    return total / 1000


def context_macs(width_1: int, width_2: int) -> int:
    """Multiply-accumulates of the context network per coded value."""
    return sum(math.prod(layer.weight_shape) for layer in context_layers(width_1, width_2))
