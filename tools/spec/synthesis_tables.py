"""The profiles as tables for the specification: ``python tools/spec/synthesis_tables.py FILE...``.

In each file, what stands between ``<!-- generated: NAME -->`` and ``<!-- end generated -->`` is replaced. NAME is
``STAGES``, ``SLOTS``, ``LAYERS_`` and a profile's name in capitals, or ``COST``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from nvrc_decoder.profiles import (
    CHROMA_420,
    CHROMA_444,
    PROFILES,
    STAGE_STRIDES,
    Profile,
    kmac_per_pixel,
    motion_kmac_per_pixel,
    synthesis_layers,
)
from nvrc_decoder.pyramid import Pyramid

__all__ = ["main", "render", "update"]

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end generated -->)", re.DOTALL)
# Every frame a node: the most expensive one.
_EXPENSIVE = Pyramid(key_spacing=1, node_spacing=1)


def _full_grids(profile: Profile) -> list[int]:
    return [slot.max_channels for slot in profile.slots]


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]) + "\n"


def _stages() -> Iterator[tuple[object, ...]]:
    for profile in PROFILES:
        for k, (channels, blocks) in enumerate(zip(profile.max_channels, profile.blocks, strict=True)):
            temporal = "yes" if profile.temporal_stem and k == 0 else "no"
            yield profile.id, profile.name, k, STAGE_STRIDES[k], channels, blocks, temporal


def _slots() -> Iterator[tuple[object, ...]]:
    for profile in PROFILES:
        for i, slot in enumerate(profile.slots):
            stage = "none" if slot.stage is None else slot.stage
            yield profile.name, i, slot.kind.value, slot.stride, slot.max_channels, stage


def _layers(profile: Profile) -> Iterator[tuple[object, ...]]:
    for spec in synthesis_layers(profile, profile.max_channels, profile.blocks, _full_grids(profile), CHROMA_444):
        clip = "0..MaxSample" if spec.kind == "head_pointwise" else f"{spec.low}..{spec.high}"
        shape = ", ".join(map(str, spec.weight_shape))
        yield f"`{spec.name}`", spec.kind, f"[{shape}]", spec.outputs, spec.input_max, clip


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


def render(name: str) -> str:
    """The text of a generated block; KeyError where there is none of that name."""
    if name == "STAGES":
        return _table(
            ("profile", "name", "stage", "StageStride", "MaxStageChannels", "MaxStageBlocks", "temporal filter"),
            _stages(),
        )
    if name == "SLOTS":
        return _table(("name", "slot", "kind", "stride", "MaxGridChannels", "stage"), _slots())
    if name == "COST":
        return _table(("name", "layers", "parameters", "kMAC / luma sample", "of which planes"), _cost())
    by_name = {f"LAYERS_{profile.name.upper()}": profile for profile in PROFILES}
    head = ("layer", "kind", "weight shape", "outputs", "input_max", "lo..hi")
    return _table(head, _layers(by_name[name]))


def update(text: str) -> str:
    """`text` with every generated block replaced by what it should hold."""
    return _BLOCK.sub(lambda match: match[1] + "\n" + render(match[2]) + "\n" + match[3], text)


def main() -> None:
    """Updates the files named on the command line in place."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(update(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
