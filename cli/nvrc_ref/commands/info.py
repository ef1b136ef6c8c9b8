"""`nvrc-ref info`: what a stream contains, without decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.limits import Limits
from nvrc_decoder.picture.format import Colour
from nvrc_decoder.picture.presentation import is_presentation
from nvrc_output.standard_streams import require_stdout
from nvrc_output.text import counted, emit_json, table
from nvrc_ref.decoding.stream_input import open_stream
from nvrc_ref.inspection.colour_names import describe_colour
from nvrc_ref.inspection.summary import COSTS, StreamSummary, describe_unit
from nvrc_ref.options.shared import json_option, limit_option

__all__ = ["command"]

_KINDS = {
    "feature": "features",
    "plane": "planes",
    "band": "band of the luma plane",
    "flow": "smooth motion",
    "split": "motion of blocks",
}


def _rows(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The summary for people."""
    yield "format", document["format"]
    colour = document["colour"]
    points = (colour[name] for name in ("primaries", "transfer", "matrix", "full_range", "chroma_sample_position"))
    yield "colour", describe_colour(Colour(*points))
    yield "profile", f"{document['profile']}, level {document['level']}"
    index = "with" if document["has_index"] else "no"
    yield "frames", f"{document['frames']} in {counted(document['gops'], 'GOP')}, {index} index"
    sizes = document["bytes"]
    yield "size", f"{sizes['total']} bytes, {document['bits_per_pixel']:.4f} bits/pixel"
    yield "rate", f"{document['kilobits_per_second']:.1f} kbit/s"
    costs = document["kmac_per_pixel"]
    yield "cost", f"{costs['total']} kMAC/pixel: " + ", ".join(f"{name} {costs[name]}" for name in COSTS)
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
    """Show what INPUT (- is the standard input) contains.

    Checks the container, every header and CRC; `verify` also decodes.
    """
    require_stdout()
    summary = StreamSummary()
    units: list[dict[str, Any]] = []
    with open_stream(input_path) as file:
        reader = UnitReader(file, limits)
        for unit in reader:
            summary.add(unit, reader.network)
            if list_all:
                place = {"unit": unit.name, "type": unit.type, "offset": unit.offset, "size": unit.size}
                units.append({**place, **describe_unit(unit, reader.sequence)})
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
