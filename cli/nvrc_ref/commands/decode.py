"""`nvrc-ref decode`: frames to y4m, yuv, a folder of PNGs or mp4."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import click

import nvrc_decoder
from nvrc_decoder.errors import InputError
from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_output.files import spare_inputs
from nvrc_output.text import counted, emit_json, note, summary
from nvrc_output.writers import OutputKind, contradiction, guess_kind, open_writer
from nvrc_ref.decoding.keep_going import DamageReport, keep_going_option
from nvrc_ref.decoding.progress import frame_bar
from nvrc_ref.decoding.stream_input import open_stream
from nvrc_ref.options.shared import DecodingOptions, decoding_options, json_option, quiet_option

__all__ = ["command"]


@click.command("decode")
@click.argument("input_path", metavar="INPUT")
@click.option(
    "-o",
    "--output",
    required=True,
    help="File ending in .y4m, .yuv or .mp4; a folder for PNGs; - for y4m on the standard output.",
)
@click.option(
    "--format",
    "kind_name",
    type=click.Choice([kind.value for kind in OutputKind]),
    help="Format of the output, in place of its suffix's.",
)
@click.option("--start", type=click.IntRange(min=0), default=0, help="First frame; the input must be seekable.")
@click.option("--frames", type=click.IntRange(min=1), help="Decode at most this many frames.")
@click.option("--no-verify", is_flag=True, help="Do not check digests; seeking into a GOP is faster.")
@quiet_option
@keep_going_option
@decoding_options
@json_option
def command(
    input_path: str,
    output: str,
    kind_name: str | None,
    start: int,
    frames: int | None,
    no_verify: bool,
    quiet: bool,
    keep_going: bool,
    decoding: DecodingOptions,
    as_json: bool,
) -> None:
    """Decode INPUT (- is the standard input) and write its frames.

    The output appears under its name only when all of it was decoded and every digest was right; with --keep-going,
    when all that can be decoded was. On the standard output, frames come out GOP by GOP. mp4 is a lossy copy
    for viewing; PNGs are RGB or grey, with 16 bits for 10; y4m and yuv hold exactly the decoded samples.
    """
    if as_json and output == "-":
        raise click.UsageError("--json and frames cannot both go to the standard output")
    if keep_going and no_verify:
        raise click.UsageError("--keep-going finds damaged GOPs by their digests: leave out --no-verify")
    kind = _output_kind(output, kind_name)
    spare_inputs([output], [input_path])
    return_large_arrays()
    report = DamageReport()
    began = time.perf_counter()
    with (
        open_stream(input_path) as file,
        decoding.open(file, verify=not no_verify, on_damage=report if keep_going else None) as video,
    ):
        # Whoever reads the frames from a pipe probably draws on the terminal.
        shown = not quiet and output != "-"
        document = {
            "output": output,
            "format": kind.value,
            **_write_frames(video, output, kind, start, frames, report, shown=shown),
            "engine": video.engine,
            "provider": video.provider,
        }
        picture = video.info.format
    document["seconds"] = round(time.perf_counter() - began, 3)
    if keep_going:
        document["damage"] = report.document()
    if as_json:
        emit_json(document)
    else:
        summary(f"{output}: {_line(document, picture)}", err=output == "-")
    report.raise_any()


def _output_kind(output: str, name: str | None) -> OutputKind:
    """The format of the output: from --format, or from its name.

    Raises:
        click.UsageError: it is unknown, contradicts the name, or cannot go to the standard output.
    """
    kind = OutputKind(name) if name else guess_kind(output)
    if kind is None:
        raise click.UsageError(
            f"cannot tell the format from {output!r}: name it .y4m, .yuv, .mp4 or FOLDER/ for PNGs, or give --format"
        )
    if (fault := contradiction(output, kind)) is not None:
        raise click.UsageError(fault)
    if output == "-" and (fault := kind.refuse_pipe()):
        raise click.UsageError(fault)
    return kind


def _write_frames(
    video: nvrc_decoder.Video,
    output: str,
    kind: OutputKind,
    start: int,
    most: int | None,
    report: DamageReport,
    *,
    shown: bool,
) -> dict[str, Any]:
    """Write frames from `start` on; their number, size and MD5."""
    if start:
        video.seek(start)
    picture, presentation = video.info.format, video.presentation
    for line in presentation.ignored:
        note(f"note: {line}")
    md5, count = hashlib.md5(usedforsecurity=False), 0
    with (
        open_writer(output, kind, picture, note, presentation) as write,
        frame_bar(video, report, shown, start, most) as advance,
    ):
        while most is None or count < most:
            frame = next(video, None)
            if frame is None:
                break
            write(frame)
            for chunk in frame.chunks():
                md5.update(chunk)
            count += 1
            advance()
            # The next GOP is decoded before `frame` is assigned again: its memory must be free by then.
            del frame, chunk
        if start and not count and report.error() is None:
            raise InputError("E_SEEK", f"there is no frame {start}: the stream ends before it")
    return {"frames": count, "width": picture.width, "height": picture.height, "md5": md5.hexdigest()}


def _line(document: dict[str, Any], picture: nvrc_decoder.VideoFormat) -> str:
    """The result for people."""
    engine = ", ".join(name for name in (document["engine"], document["provider"]) if name)
    return (
        f"{counted(document['frames'], 'frame')}, {picture.describe()}, md5 {document['md5']}, "
        f"{document['seconds']:.2f} s ({engine})"
    )
