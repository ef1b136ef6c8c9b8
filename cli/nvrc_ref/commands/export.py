"""`nvrc-ref export`: a video as an ONNX model, or as a page that plays it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_output.files import atomic_directory, atomic_file, spare_inputs
from nvrc_output.text import counted, emit_json, note, summary
from nvrc_ref.decoding.stream_input import open_stream
from nvrc_ref.options.shared import DecodingOptions, decoding_options, json_option
from nvrc_ref.playing.compared import is_y4m
from nvrc_ref.playing.options import page_options
from nvrc_ref.playing.page_export import export_page
from nvrc_ref.playing.reports import read_report

if TYPE_CHECKING:
    from nvrc_decoder.export import Exported

__all__ = ["command"]


@click.command("export")
@click.argument("input_path", metavar="INPUT")
@click.option("-o", "--output", required=True, help="Model or .html to write; - for stdout. With --split a folder.")
@click.option("--start", type=click.IntRange(min=0), default=0, help="First frame.")
@click.option("--frames", type=click.IntRange(min=1), help="Export at most this many frames.")
@click.option("--split", is_flag=True, help="Write a folder: a model for each NETWORK, and a file for each GOP.")
@page_options
@decoding_options
@json_option
def command(
    input_path: str,
    output: str,
    start: int,
    frames: int | None,
    split: bool,
    compared: str | None,
    reports: tuple[str, ...],
    decoding: DecodingOptions,
    as_json: bool,
) -> None:
    """Write INPUT (- is the standard input) as one ONNX model: a frame's number in, its planes out.

    Any ONNX runtime plays it. The output appears under its name only when everything was decoded and every digest was
    right. With --split it is a folder, for players that fetch a video GOP by GOP: the grids are inputs of the model.
    Where OUTPUT ends in .html, it is a page instead: it has stream, decoder and player inside, and plays offline;
    --compare and --report are for pages.
    """
    if as_json and output == "-":
        raise click.UsageError("--json and a model cannot both go to the standard output")
    if split and output == "-":
        raise click.UsageError("a folder cannot go to the standard output")
    if split and (start or frames):
        raise click.UsageError("--start and --frames are for a single model: leave out --split")
    is_page = output.endswith(".html")
    if is_page and (start or frames or split):
        raise click.UsageError("a page has the whole stream: leave out --start, --frames and --split")
    if not is_page and (compared is not None or reports):
        raise click.UsageError("--compare and --report are for pages, whose names end in .html")
    spare_inputs([output], [input_path, compared, *reports])
    if is_page:
        _export_page(input_path, output, compared, reports, decoding, as_json)
        return
    from nvrc_decoder.export import export_split, export_video

    return_large_arrays()
    options: dict[str, Any] = {
        "engine": decoding.engine,
        "provider": decoding.provider,
        "threads": decoding.threads,
        "limits": decoding.limits,
    }
    with open_stream(input_path) as file:
        if split:
            with atomic_directory(Path(output), merge=False) as folder:
                exported = export_split(file, folder, **options)
        else:
            with atomic_file(output) as model:
                exported = export_video(file, model, start=start, frames=frames, **options)
    _report(output, exported, as_json)


def _export_page(
    input_path: str,
    output: str,
    compared: str | None,
    reports: tuple[str, ...],
    decoding: DecodingOptions,
    as_json: bool,
) -> None:
    if compared == "-":
        raise click.UsageError("only INPUT can be the standard input")
    if compared is not None and is_y4m(compared):
        raise click.UsageError("a page holds streams only: play shows a stream beside a y4m file")
    return_large_arrays()
    export_page(input_path, output, decoding, as_json, compared, [read_report(report) for report in reports])


def _report(output: str, exported: Exported, as_json: bool) -> None:
    for line in exported.ignored:
        note(f"note: {line}")
    frames, md5 = int(exported.metadata["frame_count"]), exported.metadata["md5"]
    counts = {"frames": frames, "gops": exported.gops, "networks": exported.networks, "bytes": exported.bytes}
    if as_json:
        emit_json({"output": output, **counts, "md5": md5})
        return
    summary(
        f"{output}: {counted(frames, 'frame')} in {counted(exported.gops, 'GOP')}, "
        f"{counted(exported.networks, 'network')}, {exported.bytes / 1e6:.2f} MB, md5 {md5}",
        err=output == "-",
    )
