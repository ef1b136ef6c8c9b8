"""Totals over the units of a stream, as the JSON document of `nvrc-ref info`; nothing is decoded."""

from __future__ import annotations

import dataclasses
from typing import Any

from nvrc_decoder.bitstream.container import FOOTER_BYTES
from nvrc_decoder.bitstream.reader import Unit
from nvrc_decoder.bitstream.units import Digest, End, Gop, Index, Metadata, NetworkHeader, SequenceHeader, coded_symbols
from nvrc_decoder.picture.presentation import Presentation
from nvrc_decoder.profiles import context_macs, kmac_per_pixel, motion_kmac_per_pixel
from nvrc_decoder.video import video_format

__all__ = ["COSTS", "StreamSummary", "describe_unit"]

COSTS = ("synthesis", "motion", "entropy")


def _describe_network(network: NetworkHeader, sequence: SequenceHeader) -> dict[str, Any]:
    profile = sequence.profile_spec
    return {
        "stage_channels": list(network.stage_channels),
        "stage_blocks": list(network.stage_blocks),
        "motion": profile.motion_is_on(network.grid_channels(profile)),
        "key_spacing": network.pyramid.key_spacing,
        "node_spacing": network.pyramid.node_spacing,
        "step_factors": list(network.pyramid.factors),
        "context_widths": list(network.context_widths),
        "parameter_bytes": len(network.parameters),
        "kmac_per_pixel": round(sum(_synthesis_cost(network, sequence)), 3),
        "grids": [
            {
                "slot": grid.slot,
                "stride": profile.slots[grid.slot].stride,
                "kind": profile.slots[grid.slot].kind.value,
                "node_spacing": network.pyramid.spacing(profile.slots[grid.slot].at_nodes),
                "channels": grid.channels,
                "multipliers": list(grid.multipliers),
                "schedule": grid.schedule.name.lower().replace("_", "-"),
                "runs": [{"split": run.split, "repeat": run.repeat} for run in grid.runs],
            }
            for grid in network.grids
        ],
    }


def _synthesis_cost(network: NetworkHeader, sequence: SequenceHeader) -> tuple[float, float]:
    """kMAC per luma sample of the layers, and of motion."""
    profile = sequence.profile_spec
    channels = network.grid_channels(profile)
    active = network.stage_channels, network.stage_blocks, channels
    motion = motion_kmac_per_pixel(profile, channels, network.pyramid)
    return kmac_per_pixel(profile, *active, sequence.chroma_format, network.pyramid) - motion, motion


def describe_unit(unit: Unit, sequence: SequenceHeader | None) -> dict[str, Any]:
    """The content of one unit, for `--units`."""
    content = unit.content
    if isinstance(content, NetworkHeader) and sequence is not None:
        return _describe_network(content, sequence)
    if isinstance(content, Gop):
        return {
            "frames": content.frame_count,
            "grid_bytes": [len(payload) for payload in content.grids],
            "node_maps": [data.hex() for data in content.node_maps],
        }
    if isinstance(content, Digest):
        return {"digest": content.digest.hex()}
    if isinstance(content, Metadata):
        return {"key": content.key, "value": content.value.decode("utf-8", "replace")}
    if isinstance(content, Index):
        return {"entries": len(content.entries)}
    if isinstance(content, End):
        return {"frames": content.frame_count, "gops": content.gop_count}
    return {}


def _sequence_document(sequence: SequenceHeader) -> dict[str, Any]:
    picture = video_format(sequence)
    return {
        "width": sequence.width,
        "height": sequence.height,
        "rate": f"{sequence.rate_numerator}/{sequence.rate_denominator}",
        "format": picture.describe(),
        "chroma_format": sequence.chroma_format,
        "bit_depth": sequence.bit_depth,
        "colour": {
            "primaries": sequence.colour_primaries,
            "transfer": sequence.transfer_characteristics,
            "matrix": sequence.matrix_coefficients,
            "full_range": bool(sequence.full_range),
            "chroma_sample_position": sequence.chroma_sample_position,
        },
        "profile": sequence.profile_spec.name,
        "level": sequence.level,
    }


def _presentation_document(shown: Presentation, frames: int) -> dict[str, Any]:
    """How a stream of `frames` frames is to be shown."""
    aspect, orientation, line = shown.sample_aspect, shown.orientation, shown.timeline
    return {
        "sample_aspect": None if aspect is None else f"{aspect.numerator}:{aspect.denominator}",
        "rotation": 0 if orientation is None else orientation.degrees,
        "mirrored": orientation is not None and orientation.flip,
        "mastering_display": None if shown.mastering is None else dataclasses.asdict(shown.mastering),
        "content_light": None if shown.light is None else dataclasses.asdict(shown.light),
        "duration_seconds": round(float(line.start(frames)), 6),
        "constant_rate": line.constant,
        "frame_seconds": [] if line.constant else [round(float(line.start(i)), 6) for i in range(frames)],
        "words": shown.describe(frames),
        "ignored": shown.ignored,
    }


class StreamSummary:
    """Totals over the units of a stream."""

    def __init__(self) -> None:
        self.sequence: SequenceHeader | None = None
        self.networks: list[dict[str, Any]] = []
        self.metadata: dict[str, str] = {}
        self.shown: Presentation | None = None
        self._frames = 0
        self.grid_bytes: dict[int, int] = {}
        self.parameter_bytes = 0
        self.total_bytes = 0
        self.gop_frames: list[int] = []
        self.costs = dict.fromkeys(COSTS, 0.0)
        self.has_index = False

    def add(self, unit: Unit, network: NetworkHeader | None) -> None:
        """Count one unit.

        Args:
            unit: the unit.
            network: the NETWORK in force; None before the first one.
        """
        content = unit.content
        self.total_bytes = unit.offset + unit.size
        if isinstance(content, SequenceHeader):
            self.sequence = content
            self.shown = Presentation(video_format(content).rate)
        elif isinstance(content, NetworkHeader):
            if self.sequence is not None:
                self.networks.append(_describe_network(content, self.sequence))
            self.parameter_bytes += len(content.parameters)
        elif isinstance(content, Gop) and network is not None and self.sequence is not None:
            self.gop_frames.append(content.frame_count)
            self._frames += content.frame_count
            self._add_costs(content, network, self.sequence)
            for grid, payload in zip(network.coding_order(self.sequence.profile_spec), content.grids, strict=True):
                self.grid_bytes[grid.slot] = self.grid_bytes.get(grid.slot, 0) + len(payload)
        elif isinstance(content, Metadata):
            self.metadata[content.key] = content.value.decode("utf-8", "replace")
            if self.shown is not None:
                self.shown.add(content.key, content.value, self._frames)
        elif isinstance(content, Index):
            self.has_index = True
        elif isinstance(content, End) and self.has_index:
            self.total_bytes += FOOTER_BYTES

    def _add_costs(self, gop: Gop, network: NetworkHeader, sequence: SequenceHeader) -> None:
        """Add the kMAC of a GOP."""
        pixels = sequence.width * sequence.height * gop.frame_count
        values = coded_symbols(sequence, network, gop)
        synthesis, motion = _synthesis_cost(network, sequence)
        entropy = context_macs(*network.context_widths) * values / 1000
        for name, cost in zip(COSTS, (synthesis * pixels, motion * pixels, entropy), strict=True):
            self.costs[name] += cost

    def document(self) -> dict[str, Any]:
        """The summary as JSON."""
        if self.sequence is None or self.shown is None:
            return {}
        frames = sum(self.gop_frames)
        coded = self.parameter_bytes + sum(self.grid_bytes.values())
        pixels = self.sequence.width * self.sequence.height * frames
        seconds = self.shown.timeline.start(frames)
        return {
            **_sequence_document(self.sequence),
            "frames": frames,
            "gops": len(self.gop_frames),
            "gop_frames": self.gop_frames,
            "has_index": self.has_index,
            "bytes": {
                "total": self.total_bytes,
                "grids": {str(slot): size for slot, size in sorted(self.grid_bytes.items())},
                "parameters": self.parameter_bytes,
                "headers": self.total_bytes - coded,
            },
            "bits_per_pixel": round(8 * self.total_bytes / pixels, 6),
            "kilobits_per_second": round(float(8 * self.total_bytes / seconds) / 1000, 3),
            "kmac_per_pixel": {
                **{name: round(cost / pixels, 3) for name, cost in self.costs.items()},
                "total": round(sum(self.costs.values()) / pixels, 3),
            },
            "networks": self.networks,
            "presentation": _presentation_document(self.shown, frames),
            "metadata": self.metadata,
        }
