"""Profiles: the largest network of each, the grid slots and the layers with their shapes (spec chapter 7).

The one place that defines shapes: the syntax, the NumPy reference, the ONNX graph's loader and the encoder's PyTorch
twin read them here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from nvrc_decoder.pyramid import Pyramid

__all__ = [
    "ACTIVATION_MAX",
    "ACTIVATION_MIN",
    "BIAS_Q_MAX",
    "CHROMA_400",
    "CHROMA_420",
    "CHROMA_444",
    "CONTEXT_INPUTS",
    "CONTEXT_INPUT_MAX",
    "FLOW_CHANNELS",
    "LIFTING_UNIT",
    "LUMA_CHANNELS",
    "LUMA_STAGE",
    "PLANE_STAGE",
    "PROFILES",
    "Q_MAX",
    "SPLIT_CHANNELS",
    "STAGE_STRIDES",
    "GridSlot",
    "LayerSpec",
    "Profile",
    "SlotKind",
    "context_layers",
    "context_macs",
    "head_rows",
    "kmac_per_pixel",
    "motion_kmac_per_pixel",
    "node_shape",
    "stage_size",
    "synthesis_layers",
]

Q_MAX = 2047
"""Largest magnitude of a coded grid value or weight (spec 6.1)."""
BIAS_Q_MAX = 65535
"""Largest magnitude of a coded bias (spec 6.1)."""
ACTIVATION_MIN = -2048
ACTIVATION_MAX = 2047
LIFTING_UNIT = 4
"""Steps of a value of the wavelet in an activation step (spec 7.6.5)."""
CONTEXT_INPUTS = 51
CONTEXT_INPUT_MAX = 15
STAGE_STRIDES = (32, 16, 8, 4, 2)
PLANE_STAGE, LUMA_STAGE = STAGE_STRIDES.index(4), STAGE_STRIDES.index(2)
"""The stages that the planes of the plane slot and the luma plane enter (spec 7.6.6)."""
CHROMA_400, CHROMA_420, CHROMA_444 = 0, 1, 2
FLOW_CHANNELS = 3
"""Vertical and horizontal position, and blend (spec 7.6.1)."""
SPLIT_CHANNELS = 3
"""Additions to the vertical and the horizontal displacement, and to the blend weight (spec 7.6.1)."""
LUMA_CHANNELS = 4
"""The luma plane enters its stage as its four phases (spec 7.6.6)."""


class SlotKind(Enum):
    """What a slot's grid holds.

    FEATURE: features of every frame, injected into the stage of the slot's stride.
    PLANE: residuals of planes at the nodes of the pyramid, one for each channel, at the slot's stride.
    BAND: one level of the wavelet transform of the luma plane's residual at the nodes of the pyramid.
    FLOW: smooth positions and blend weights of every frame.
    SPLIT: what each block of 8x8 luma samples adds to the displacements and blend weights of the flow grid.
    """

    FEATURE = "feature"
    PLANE = "plane"
    BAND = "band"
    FLOW = "flow"
    SPLIT = "split"


@dataclass(frozen=True)
class GridSlot:
    """A place for a grid.

    Attributes:
        stride: luma samples from one value to the next along each axis.
        max_channels: largest number of channels; band, flow and split grids have exactly so many.
        kind: what its grid holds.
    """

    stride: int
    max_channels: int
    kind: SlotKind = SlotKind.FEATURE

    @property
    def flow(self) -> bool:
        """Whether the grid holds positions, whose differences are motion."""
        return self.kind is SlotKind.FLOW

    @property
    def motion(self) -> bool:
        """Whether the grid holds motion; such grids are coded first, and contexts never cross from or to them."""
        return self.kind in (SlotKind.FLOW, SlotKind.SPLIT)

    @property
    def mapped(self) -> bool:
        """Whether a node map says which of the grid's nodes are coded (spec 3.4)."""
        return self.kind in (SlotKind.PLANE, SlotKind.BAND, SlotKind.SPLIT)

    @property
    def at_nodes(self) -> bool:
        """Whether the grid has values at the nodes of the pyramid only, not at every frame."""
        return self.kind in (SlotKind.PLANE, SlotKind.BAND)

    @property
    def stage(self) -> int | None:
        """Index of the synthesis stage that a feature or plane grid is injected into; None for other slots."""
        return STAGE_STRIDES.index(self.stride) if self.kind in (SlotKind.FEATURE, SlotKind.PLANE) else None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of its grid for a picture of `height` x `width` luma samples."""
        return -(-height // self.stride), -(-width // self.stride)


@dataclass(frozen=True)
class Profile:
    """A largest synthesis network; a stream activates a part of it."""

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
    def split_slot(self) -> int:
        """Index of the one split slot."""
        return next(i for i, slot in enumerate(self.slots) if slot.kind is SlotKind.SPLIT)

    @property
    def mapped_slots(self) -> tuple[int, ...]:
        """Indices of the slots whose grids have a node map."""
        return tuple(i for i, slot in enumerate(self.slots) if slot.mapped)

    @property
    def plane_slot(self) -> int:
        """Index of the one plane slot."""
        return next(i for i, slot in enumerate(self.slots) if slot.kind is SlotKind.PLANE)

    @property
    def band_slots(self) -> tuple[int, ...]:
        """Indices of the band slots, coarse to fine."""
        return tuple(i for i, slot in enumerate(self.slots) if slot.kind is SlotKind.BAND)

    @property
    def node_slots(self) -> tuple[int, ...]:
        """Indices of the slots whose grids have values at nodes: plane and band slots."""
        return tuple(i for i, slot in enumerate(self.slots) if slot.at_nodes)

    def has_luma(self, grid_channels: Sequence[int]) -> bool:
        """Whether a NETWORK with these channels per slot (0: absent) has a luma plane."""
        return grid_channels[self.band_slots[0]] > 0

    def has_planes(self, grid_channels: Sequence[int]) -> bool:
        """Whether a NETWORK with these channels per slot has planes, which are predicted from frame to frame."""
        return any(grid_channels[i] for i in self.node_slots)

    def motion_is_on(self, grid_channels: Sequence[int]) -> bool:
        """Whether a NETWORK with these channels per slot (0: absent) has a flow grid."""
        return grid_channels[self.flow_slot] > 0

    def slots_of_stage(self, stage: int) -> tuple[int, ...]:
        """Indices of the feature and plane slots that are injected into a stage, ascending."""
        return tuple(i for i, slot in enumerate(self.slots) if slot.stage == stage)

    def injected(self, stage: int, grid_channels: Sequence[int]) -> int:
        """Channels injected into a stage: those of its slots and, at the last, the phases of luma (spec 7.7)."""
        luma = stage == LUMA_STAGE and self.has_luma(grid_channels)
        return sum(grid_channels[i] for i in self.slots_of_stage(stage)) + LUMA_CHANNELS * luma


def _slots(features: tuple[int, int, int, int], planes: int) -> tuple[GridSlot, ...]:
    """The slots of a profile, from the channels of its feature slots of strides 32 to 4 and of its plane slot."""
    return (
        *(GridSlot(stride, channels) for stride, channels in zip((32, 16, 8, 4), features, strict=True)),
        GridSlot(4, planes, SlotKind.PLANE),
        GridSlot(16, 4, SlotKind.BAND),
        GridSlot(8, 3, SlotKind.BAND),
        GridSlot(4, 3, SlotKind.BAND),
        GridSlot(2, 3, SlotKind.BAND),
        GridSlot(16, FLOW_CHANNELS, SlotKind.FLOW),
        GridSlot(8, SPLIT_CHANNELS, SlotKind.SPLIT),
    )


PROFILES: tuple[Profile, ...] = (
    Profile(
        id=0,
        name="nano",
        max_channels=(8, 8, 8, 8, 8),
        blocks=(0, 1, 1, 1, 1),
        temporal_stem=False,
        slots=_slots((4, 3, 3, 2), planes=3),
    ),
    Profile(
        id=1,
        name="lite",
        max_channels=(24, 24, 24, 24, 24),
        blocks=(0, 1, 1, 2, 2),
        temporal_stem=False,
        slots=_slots((6, 4, 4, 2), planes=3),
    ),
    Profile(
        id=2,
        name="main",
        max_channels=(64, 64, 64, 64, 48),
        blocks=(1, 2, 2, 2, 3),
        temporal_stem=True,
        slots=_slots((8, 6, 4, 2), planes=4),
    ),
)


@dataclass(frozen=True)
class LayerSpec:
    """One layer's parameters as the stream carries them.

    Attributes:
        name: canonical name, the same in spec, graph and encoder.
        kind: ``inject``, ``temporal``, ``depthwise``, ``pointwise``, ``head_depthwise``, ``head_pointwise`` or
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


def stage_size(stage: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of a synthesis stage for a picture of `height` x `width` luma samples."""
    stride = STAGE_STRIDES[stage]
    return -(-height // stride), -(-width // stride)


def head_rows(chroma_format: int) -> tuple[int, ...]:
    """Rows of the 12-row head that a chroma format uses, in stream order."""
    return {
        CHROMA_400: (0, 1, 2, 3),
        CHROMA_420: (0, 1, 2, 3, 4, 8),
        CHROMA_444: tuple(range(12)),
    }[chroma_format]


def node_shape(slot: GridSlot, frames: int, height: int, width: int, pyramid: Pyramid) -> tuple[int, int, int]:
    """(nodes, rows, columns) of a grid in a GOP of `frames` frames of `height` x `width` luma samples (spec 3.4).

    A feature, flow or split grid has a node for each frame.
    """
    nodes = pyramid.node_count(frames) if slot.at_nodes else frames
    return nodes, *slot.size(height, width)


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
) -> tuple[LayerSpec, ...]:
    """The synthesis layers that a stream carries, in canonical order.

    Args:
        profile: the stream's profile.
        stage_channels: active channels of each stage.
        stage_blocks: active blocks of each stage.
        grid_channels: active channels of each slot, 0 where the slot is absent.
        chroma_format: `CHROMA_400`, `CHROMA_420` or `CHROMA_444`.
        bit_depth: 8 or 10; sets the head's clip.
    """
    signed = (-ACTIVATION_MIN, ACTIVATION_MIN, ACTIVATION_MAX)
    layers: list[LayerSpec] = []
    for k, (channels, blocks) in enumerate(zip(stage_channels, stage_blocks, strict=True)):
        injected = profile.injected(k, grid_channels)
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
    pyramid: Pyramid,
) -> float:
    """Multiply-accumulates of synthesis per luma sample, in thousands: all layers, and the planes (spec 7.14)."""
    total = 0.0
    for layer in synthesis_layers(profile, stage_channels, stage_blocks, grid_channels, chroma_format):
        stride = 2 if layer.name.startswith("head") else STAGE_STRIDES[int(layer.name[5])]
        total += math.prod(layer.weight_shape) / stride**2
    return total / 1000 + motion_kmac_per_pixel(profile, grid_channels, pyramid)


_FETCH_MACS = 10
"""For a predicted sample: four taps in each of two references, and the two products that blend them."""
_HALF_SAMPLE_MACS = 12
"""For a sample of a node: three half samples of four taps each (spec 7.6.2)."""
_WAVELET_MACS = 12
"""For a sample of the luma plane at a node: lifting takes 9 per sample of a level, and 9 * 4 / 3 is 12 (spec 7.6.5)."""


def motion_kmac_per_pixel(profile: Profile, grid_channels: Sequence[int], pyramid: Pyramid) -> float:
    """The part of `kmac_per_pixel` for planes: wavelet, half samples, fetches and blends.

    Fetches count where there is a flow grid only; the interpolation of displacements is not counted.
    """
    moving = profile.motion_is_on(grid_channels)
    once = (_HALF_SAMPLE_MACS if moving else 0) / pyramid.node_spacing + (_FETCH_MACS if moving else 2)
    planes = grid_channels[profile.plane_slot] / profile.slots[profile.plane_slot].stride ** 2
    luma = profile.has_luma(grid_channels)
    return ((planes + luma) * once + luma * _WAVELET_MACS / pyramid.node_spacing) / 1000


def context_macs(width_1: int, width_2: int) -> int:
    """Multiply-accumulates of the context network per coded value."""
    return sum(math.prod(layer.weight_shape) for layer in context_layers(width_1, width_2))
