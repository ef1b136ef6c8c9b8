"""The profiles as tables and diagrams for the specification; `generate.py` puts them there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from nvrc_decoder.profiles import (
    CHROMA_420,
    CHROMA_444,
    LUMA_CHANNELS,
    LUMA_STAGE,
    PROFILES,
    STAGE_STRIDES,
    GridSlot,
    LayerSpec,
    Profile,
    SlotKind,
    context_layers,
    kmac_per_pixel,
    motion_kmac_per_pixel,
    synthesis_layers,
)
from nvrc_decoder.pyramid import Pyramid

__all__ = ["BLOCKS"]

# Every frame a node: the most expensive one.
_EXPENSIVE = Pyramid(key_spacing=1, node_spacing=1)
# Column of a diagram's trunk.
_TRUNK = 56


def _full_grids(profile: Profile) -> list[int]:
    return [slot.max_channels for slot in profile.slots]


def _table(head: tuple[str, ...], rows: Callable[[], Iterator[tuple[object, ...]]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows())]) + "\n"


def _stages() -> Iterator[tuple[object, ...]]:
    for profile in PROFILES:
        for k, (channels, blocks) in enumerate(zip(profile.max_channels, profile.blocks, strict=True)):
            temporal = "yes" if profile.temporal_stem and k == 0 else "no"
            yield profile.id, profile.name, k, STAGE_STRIDES[k], channels, blocks, temporal


_NAMES = {
    SlotKind.FEATURE: "",
    SlotKind.PLANE: "`PlaneSlot`",
    SlotKind.BAND: "one of `BandSlots`",
    SlotKind.FLOW: "`FlowSlot`",
    SlotKind.SPLIT: "`SplitSlot`",
}


def _one(values: Iterable[object]) -> object:
    """The value that all are equal to.

    Raises:
        ValueError: they differ, so one row cannot stand for every profile.
    """
    (value,) = set(values)
    return value


def _stage(slot: GridSlot) -> str:
    if slot.kind is SlotKind.BAND:
        return f"{LUMA_STAGE}, all together"
    return "none" if slot.stage is None else str(slot.stage)


def _slots() -> Iterator[tuple[object, ...]]:
    for i, slots in enumerate(zip(*(profile.slots for profile in PROFILES), strict=True)):
        name = _one(_NAMES[slot.kind] for slot in slots)
        kind = _one(slot.kind.value for slot in slots)
        nodes = _one("nodes" if slot.at_nodes else "frames" for slot in slots)
        mapped = _one("yes" if slot.mapped else "no" for slot in slots)
        place = _one(slot.stride for slot in slots), _one(_stage(slot) for slot in slots)
        yield i, name, kind, *place, nodes, mapped, *(slot.max_channels for slot in slots)


def _slot_names() -> Iterator[tuple[object, ...]]:
    values: dict[str, Callable[[Profile], object]] = {
        "NumStages": lambda profile: len(profile.max_channels),
        "NumSlots": lambda profile: len(profile.slots),
        "PlaneSlot": lambda profile: profile.plane_slot,
        "BandSlots": lambda profile: _listed(profile.band_slots),
        "FlowSlot": lambda profile: profile.flow_slot,
        "SplitSlot": lambda profile: profile.split_slot,
        "NodeSlots": lambda profile: _listed(profile.node_slots),
        "MappedSlots": lambda profile: _listed(profile.mapped_slots),
    }
    for name, value in values.items():
        yield f"`{name}`", _one(value(profile) for profile in PROFILES)


def _listed(slots: tuple[int, ...]) -> str:
    return ", ".join(map(str, slots))


def _layer_ranges() -> Iterator[tuple[object, ...]]:
    """One row a kind of layer; the digits of stages and blocks are replaced by k and b."""
    ranges: dict[str, set[tuple[int, str]]] = {}
    for profile in PROFILES:
        shape = profile.max_channels, profile.blocks, _full_grids(profile)
        for spec in (*context_layers(1, 1), *synthesis_layers(profile, *shape, CHROMA_444)):
            name = re.sub(r"block\d", "block{b}", spec.name)
            name = name if name == "stage0.temporal" else re.sub(r"stage\d", "stage{k}", name)
            ranges.setdefault(name, set()).add((spec.input_max, _clip(spec)))
    rank = ("context", "stage{k}.inject", "stage0", "stage{k}.block", "head")
    for name in sorted(ranges, key=lambda name: next(i for i, start in enumerate(rank) if name.startswith(start))):
        yield f"`{name}`", *_pair(ranges[name])


def _pair(found: set[tuple[int, str]]) -> tuple[int, str]:
    (pair,) = found
    return pair


def _clip(spec: LayerSpec) -> str:
    return "0..MaxSample" if spec.kind == "head_pointwise" else f"{spec.low}..{spec.high}"


def _cost() -> Iterator[tuple[object, ...]]:
    for profile in PROFILES:
        layers = synthesis_layers(profile, profile.max_channels, profile.blocks, _full_grids(profile), CHROMA_420)
        parameters = 0
        for spec in layers:
            weights = 1
            for size in spec.weight_shape:
                weights *= size
            parameters += weights + spec.outputs
        shape = profile.max_channels, profile.blocks, _full_grids(profile)
        cost = kmac_per_pixel(profile, *shape, CHROMA_420, _EXPENSIVE)
        planes = motion_kmac_per_pixel(profile, _full_grids(profile), _EXPENSIVE)
        yield profile.name, len(layers), parameters, f"{cost:.3f}", f"{planes:.3f}"


def _beside(text: str, note: str = "") -> str:
    """A line with `text` centred on the trunk."""
    start = _TRUNK - len(text) // 2
    return (" " * start + text + (" " * max(2, _TRUNK + 12 - start - len(text)) + note if note else "")).rstrip()


def _inputs(profile: Profile, stage: int) -> str:
    """What is injected into a stage, with its channels."""
    names = []
    for i in profile.slots_of_stage(stage):
        slot = profile.slots[i]
        what = "planes of slot" if slot.kind is SlotKind.PLANE else "slot"
        names.append(f"{what} {i} ({slot.max_channels})")
    if stage == LUMA_STAGE:
        names.append(f"phases of the luma plane ({LUMA_CHANNELS})")
    return ", ".join(names)


def _lines(profile: Profile) -> Iterator[str]:
    for k, (channels, blocks) in enumerate(zip(profile.max_channels, profile.blocks, strict=True)):
        if k:
            yield _beside("|")
            yield _beside("upsample", "x2 rows and columns (7.10)")
            yield _beside("|")
        arrow = f"{_inputs(profile, k)} --> inject "
        yield (
            arrow
            + "-" * (_TRUNK - 2 - len(arrow))
            + "> "
            + ("+" if k else "o")
            + f"           stage {k}: stride "
            + (f"{STAGE_STRIDES[k]}, {channels} channels")
        )
        if profile.temporal_stem and k == 0:
            yield _beside("|")
            yield _beside("temporal", "with the injections of t - 1 and t + 1 (7.8)")
        for b in range(blocks):
            yield _beside("|")
            yield _beside(f"block {b}", "(7.9)")
    yield _beside("|")
    yield _beside("head.depthwise", f"{4 * profile.max_channels[-1]} outputs (7.11)")
    yield _beside("|")
    yield _beside("head.pointwise", "4, 6 or 12 subplanes (7.11, 8.1)")


def _diagram(profile: Profile) -> str:
    """The synthesis of one frame by the largest network of a profile, from top to bottom."""
    return "```\n" + "\n".join(_lines(profile)) + "\n```\n"


_CHANNELS = [f"MaxGridChannels in {profile.name}" for profile in PROFILES]
BLOCKS: Mapping[str, Callable[[], str]] = {
    "STAGES": partial(
        _table,
        ("profile", "name", "stage", "StageStride", "MaxStageChannels", "MaxStageBlocks", "temporal filter"),
        _stages,
    ),
    "SLOTS": partial(_table, ("slot", "name", "kind", "stride", "stage", "values at", "node map", *_CHANNELS), _slots),
    "SLOT_NAMES": partial(_table, ("name", "value"), _slot_names),
    "LAYER_RANGES": partial(_table, ("layers", "input_max", "lo..hi"), _layer_ranges),
    "COST": partial(_table, ("name", "layers", "parameters", "kMAC / luma sample", "of which planes"), _cost),
    **{f"DIAGRAM_{profile.name.upper()}": partial(_diagram, profile) for profile in PROFILES},
}
"""What makes each generated block, by its name."""
