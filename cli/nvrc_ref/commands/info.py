"""`nvrc-ref info`: what a stream contains, without decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from nvrc_decoder.bitstream.container import FOOTER_BYTES
from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.units import Digest, End, Gop, Index, Metadata, NetworkHeader, SequenceHeader, coded_symbols
from nvrc_decoder.limits import Limits
from nvrc_decoder.picture.format import Colour
from nvrc_decoder.picture.presentation import Presentation, is_presentation
from nvrc_decoder.profiles import context_macs, kmac_per_pixel, motion_kmac_per_pixel
from nvrc_decoder.video import video_format
from nvrc_output.presentation import presentation_document
from nvrc_output.standard_streams import require_stdout
from nvrc_output.text import counted, emit_json, table
from nvrc_ref.colour_words import colour_words
from nvrc_ref.options import json_option, limit_option, open_stream

__all__ = ["command"]

_KINDS = {
    "feature": "features",
    "plane": "planes",
    "band": "band of the luma plane",
    "flow": "smooth motion",
    "split": "motion of blocks",
}
_COSTS = ("synthesis", "motion", "entropy")


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
    """Thousands of multiplications a luma sample, of the layers and of motion."""
    profile = sequence.profile_spec
    channels = network.grid_channels(profile)
    active = network.stage_channels, network.stage_blocks, channels
    motion = motion_kmac_per_pixel(profile, channels, network.pyramid)
    return kmac_per_pixel(profile, *active, sequence.chroma_format, network.pyramid) - motion, motion


def _detail(unit: Unit, sequence: SequenceHeader | None) -> dict[str, Any]:
    """What `--units` says of one unit besides its place."""
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


class _Summary:
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
        self.costs = dict.fromkeys(_COSTS, 0.0)
        self.has_index = False

    def add(self, unit: Unit, network: NetworkHeader | None) -> None:
        """Count one unit; `network` is the one in force."""
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
        """Add the thousands of multiplications that a GOP takes."""
        pixels = sequence.width * sequence.height * gop.frame_count
        values = coded_symbols(sequence, network, gop)
        synthesis, motion = _synthesis_cost(network, sequence)
        entropy = context_macs(*network.context_widths) * values / 1000
        for name, cost in zip(_COSTS, (synthesis * pixels, motion * pixels, entropy), strict=True):
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
            "presentation": presentation_document(self.shown, frames),
            "metadata": self.metadata,
        }


def _rows(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The summary as lines for people."""
    yield "format", document["format"]
    colour = document["colour"]
    points = (colour[name] for name in ("primaries", "transfer", "matrix", "full_range", "chroma_sample_position"))
    yield "colour", colour_words(Colour(*points))
    yield "profile", f"{document['profile']}, level {document['level']}"
    index = "with" if document["has_index"] else "no"
    yield "frames", f"{document['frames']} in {counted(document['gops'], 'GOP')}, {index} index"
    sizes = document["bytes"]
    yield "size", f"{sizes['total']} bytes, {document['bits_per_pixel']:.4f} bits/pixel"
    yield "rate", f"{document['kilobits_per_second']:.1f} kbit/s"
    costs = document["kmac_per_pixel"]
    yield "cost", f"{costs['total']} kMAC/pixel: " + ", ".join(f"{name} {costs[name]}" for name in _COSTS)
    for number, network in enumerate(document["networks"]):
        motion = "on" if network["motion"] else "off"
        planes = f"keys every {network['key_spacing']} frames, nodes every {network['node_spacing']}, "
        has_planes = any(grid["kind"] in ("plane", "band") for grid in network["grids"])
        yield (
            f"network {number}",
            f"channels {network['stage_channels']}, blocks {network['stage_blocks']}, "
            f"{planes if has_planes else ''}motion {motion}, {network['kmac_per_pixel']} kMAC/pixel, "
            f"context {network['context_widths']}, {network['parameter_bytes']} bytes",
        )
    strides = {grid["slot"]: grid for network in document["networks"] for grid in network["grids"]}
    for slot, size in sizes["grids"].items():
        grid = strides[int(slot)]
        spacing = grid["node_spacing"]
        often = "every frame" if spacing == 1 else f"every {spacing} frames"
        place = f"{_KINDS[grid['kind']]}, stride {grid['stride']}, {often}, {counted(grid['channels'], 'channel')}"
        yield f"grid {slot}", f"{place}, {counted(size, 'byte')}"
    yield "headers", counted(sizes["headers"], "byte")
    shown = document["presentation"]
    if shown["words"]:
        yield "shown with", ", ".join(shown["words"])
    for line in shown["ignored"]:
        yield "ignored", line
    for key, value in document["metadata"].items():
        if not is_presentation(key):
            yield key, value


@click.command("info")
@click.argument("input_path", metavar="INPUT")
@click.option("--units", "list_all", is_flag=True, help="List every unit with its offset and size.")
@limit_option
@json_option
def command(input_path: str, list_all: bool, limits: Limits, as_json: bool) -> None:
    """Say what INPUT (- is the standard input) contains.

    Checks the container, every header and CRC; `verify` also decodes.
    """
    require_stdout()
    summary = _Summary()
    units: list[dict[str, Any]] = []
    with open_stream(input_path) as file:
        reader = UnitReader(file, limits)
        for unit in reader:
            summary.add(unit, reader.network)
            if list_all:
                place = {"unit": unit.name, "type": unit.type, "offset": unit.offset, "size": unit.size}
                units.append({**place, **_detail(unit, reader.sequence)})
    document = summary.document()
    if as_json:
        emit_json({**document, "units": units} if list_all else document)
        return
    click.echo(table([*_rows(document)]))
    if list_all:
        rows = []
        for entry in units:
            extra = {
                key: value for key, value in entry.items() if key not in ("unit", "type", "offset", "size", "grids")
            }
            text = ", ".join(f"{key} {value}" for key, value in extra.items())
            rows.append((entry["offset"], entry["size"], entry["unit"], text))
        click.echo()
        click.echo(table(rows, header=("offset", "size", "unit", ""), right=(0, 1)))
