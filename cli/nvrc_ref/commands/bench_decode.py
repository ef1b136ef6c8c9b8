"""`nvrc-ref bench decode`: the speed and memory of decoding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nvrc_decoder.decode.engines import choose_engine
from nvrc_decoder.errors import InputError
from nvrc_output.files import atomic_file, prove_writable, spare_inputs
from nvrc_output.standard_streams import require_stdout
from nvrc_output.text import counted, note, summary, table
from nvrc_ref.decoding.stream_input import open_stream
from nvrc_ref.options.shared import DecodingOptions, decoding_options
from nvrc_ref.plots import plot_format

__all__ = ["decode"]

_PARTS = ("speed", "entropy", "synthesis", "video", "memory")


@click.command("decode", short_help="Time the decoding of a stream, stage by stage, and compare.")
@click.argument("input_path", metavar="INPUT")
@click.option(
    "--repeats", type=click.IntRange(1, 1000), default=5, show_default=True, help="Rounds to take medians of."
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(_PARTS),
    help="Measure only this; may be repeated.  [default: all]",
)
@click.option(
    "--baseline-video",
    metavar="FILE",
    help="The same clip in another codec, to decode through FFmpeg; else x265 of the decoded frames at the same rate.",
)
@click.option("--json", "json_path", metavar="FILE", help="Write all measurements; - for the standard output.")
@click.option("--plot", "plot_path", metavar="FILE", help="Draw the stages as .png, .svg or .pdf.")
@decoding_options
def decode(
    input_path: str,
    repeats: int,
    parts: tuple[str, ...],
    baseline_video: str | None,
    json_path: str | None,
    plot_path: str | None,
    decoding: DecodingOptions,
) -> None:
    """Time the decoding of INPUT, end to end and stage by stage, and compare.

    \b
    speed      frames/s, and every stage alone
    entropy    Msymbol/s a core, against constriction decoding as many symbols of one table
    synthesis  against the same graph without rounding (needs the extra "encoder");
               the prediction of planes, a part of that stage, is also timed alone
    video      against FFmpeg decoding x265 of the same clip (needs PyAV)
    memory     peak of a process that decodes INPUT

    A part whose package is not installed is left out, with a note.
    """
    if plot_path is not None:
        if parts and "speed" not in parts:
            raise click.UsageError("--plot needs --part speed")
        plot_format(plot_path)
    _check_files(input_path, baseline_video, json_path, plot_path)
    from nvrc_bench.decode.measure import PARTS, measure_decoding
    from nvrc_bench.decode.stages import Decoding

    engine = choose_engine(decoding.engine)
    document = measure_decoding(
        Decoding(input_path, engine, decoding.provider, decoding.threads, decoding.limits),
        repeats,
        parts=parts or PARTS,
        baseline=None if baseline_video is None else Path(baseline_video),
        note=note,
    )
    if plot_path is not None:
        from nvrc_bench.decode.stage_bars import draw_stages

        picture = draw_stages(document, plot_format(plot_path))
        with atomic_file(plot_path) as file:
            file.write(picture)
    if json_path is not None:
        with atomic_file(json_path) as file:
            file.write(json.dumps(document, indent=2).encode() + b"\n")
    if json_path != "-":
        summary(table([*_rows(document)]))


def _check_files(source: str, baseline: str | None, json_path: str | None, plot: str | None) -> None:
    """Refuse files that cannot be read or written, before anything is measured.

    Raises:
        OutputError: E_OUTPUT or E_IO.
        InputError: E_NO_INPUT.
    """
    spare_inputs([json_path, plot], [source, baseline])
    for target in (json_path, plot):
        if target not in (None, "-"):
            prove_writable(Path(target))
    if json_path == "-" or (json_path is None and plot is None):
        require_stdout()
    if source == "-":
        raise InputError("E_NO_INPUT", "bench reads the stream many times: give a file")
    if baseline is not None and not Path(baseline).is_file():
        raise InputError("E_NO_INPUT", f"there is no file {baseline}: --baseline-video takes a video")
    open_stream(source).close()


def _rows(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The measurements for people."""
    stream, whole = document["stream"], document["end_to_end"]
    yield (
        "stream",
        f"{stream['profile']}, {stream['format']}, {counted(stream['frames'], 'frame')} in "
        f"{counted(stream['gops'], 'GOP')}, "
        f"{stream['kilobits_per_second']:.0f} kbit/s, {stream['kmac_per_pixel']} kMAC/pixel",
    )
    if whole is not None:
        yield (
            "end to end",
            f"{whole['frames_per_second']:.2f} frames/s, {whole['ms_per_frame']:.1f} ms a frame, "
            f"first frame after {whole['seconds_to_first_frame']:.2f} s",
        )
        yield (
            "overlap",
            f"{100 * whole['share_of_slower_stage']:.0f} % of the rate of {whole['slower_stage']} alone "
            f"(at most {100 * whole['largest_possible_share']:.0f} % on {document['machine']['cores']} cores), "
            f"{100 * whole['share_of_all_stages']:.0f} % of all stages one after another",
        )
        for name, stage in document["stages"].items():
            cpu = stage["cpu_seconds"] / stream["frames"] * 1000
            text = f"{stage['ms_per_frame']:.2f} ms a frame ({cpu:.2f} of processors), {100 * stage['share']:.1f} %"
            yield f"  {name}", text
    yield from _ratios(document)


def _ratios(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    entropy, synthesis, video = document["entropy"], document["synthesis"], document["video"]
    if entropy is not None:
        text = f"{entropy['msymbol_per_second_a_core']:.2f} Msymbol/s a core"
        if entropy["ratio_to_plain"] is not None:
            text += (
                f", 1/{1 / entropy['ratio_to_plain']:.1f} of constriction with one table "
                f"({entropy['plain_msymbol_per_second']:.1f})"
            )
        yield "entropy", text
    if synthesis is not None:
        planes = "" if synthesis["planes_ms"] is None else f", planes before it {synthesis['planes_ms']:.1f}"
        text = (
            f"graph {synthesis['exact_graph_ms']:.1f} ms a frame{planes}; "
            f"{synthesis['ratio_to_float']:.2f} times the float graph "
            f"({synthesis['float_graph_ms']:.1f} ms; {synthesis['cpu_ratio_to_float']:.2f} in processor time)"
        )
        if synthesis["stage_to_float"] is not None:
            text += f"; the decoder's stage {synthesis['stage_to_float']:.2f} times"
        yield "synthesis", text
    if video is not None:
        text = f"{video['codec']} of {video['bytes']} bytes: {video['frames_per_second']:.1f} frames/s"
        if video["ratio_to_video"] is not None:
            text += f"; this decoder at 1/{1 / video['ratio_to_video']:.1f} of it"
        yield "video", text
    if document["memory"] is not None:
        yield "memory", f"{document['memory']['peak_bytes'] / 1e6:.0f} MB at the peak"
