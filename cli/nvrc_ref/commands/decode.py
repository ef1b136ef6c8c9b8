"""`nvrc-ref decode`: frames to y4m, yuv, a folder of PNGs or mp4."""

from __future__ import annotations

import hashlib
import time

import click

import nvrc_decoder
from nvrc_decoder.decode.engines import Engine
from nvrc_decoder.errors import InputError
from nvrc_decoder.limits import Limits
from nvrc_decoder.synthesis.cuda.providers import Provider
from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_output.files import spare_inputs
from nvrc_output.text import counted, emit_json, note, summary
from nvrc_output.writers import OutputKind, contradiction, guess_kind, open_writer
from nvrc_ref.damage import DamageReport, keep_going_option
from nvrc_ref.options import (
    check_provider,
    engine_options,
    json_option,
    limit_option,
    open_stream,
    provider_option,
    quiet_option,
)
from nvrc_ref.progress import frame_bar

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
    "--format", "kind_name", type=click.Choice([kind.value for kind in OutputKind]), help="In place of the suffix."
)
@click.option("--start", type=click.IntRange(min=0), default=0, help="First frame; the input must be seekable.")
@click.option("--frames", type=click.IntRange(min=1), help="Decode at most this many frames.")
@click.option("--no-verify", is_flag=True, help="Do not check digests; seeking into a GOP is faster.")
@quiet_option
@keep_going_option
@engine_options
@provider_option
@limit_option
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
    engine: Engine,
    provider: Provider,
    threads: int | None,
    limits: Limits,
    as_json: bool,
) -> None:
    """Decode INPUT (- is the standard input) and write its frames.

    The output appears under its name only when all of it was decoded and every digest was right; with --keep-going,
    when all that can be decoded was. On the standard output, frames come out GOP by GOP. mp4 is a lossy copy
    for viewing; PNGs are RGB or grey, with 16 bits for 10; y4m and yuv hold exactly the decoded samples.
    """
    kind = OutputKind(kind_name) if kind_name else guess_kind(output)
    if kind is None:
        raise click.UsageError(
            f"cannot tell the format from {output!r}: name it .y4m, .yuv, .mp4 or FOLDER/ for PNGs, or give --format"
        )
    if (fault := contradiction(output, kind)) is not None:
        raise click.UsageError(fault)
    if output == "-" and (fault := kind.refuse_pipe()):
        raise click.UsageError(fault)
    if as_json and output == "-":
        raise click.UsageError("--json and frames cannot both go to the standard output")
    if keep_going and no_verify:
        raise click.UsageError(
            "--keep-going tells good GOPs from bad ones by their digests: it goes without --no-verify"
        )
    check_provider(engine, provider)
    spare_inputs([output], [input_path])
    return_large_arrays()
    report = DamageReport()
    began = time.perf_counter()
    md5 = hashlib.md5(usedforsecurity=False)
    count = 0
    with (
        open_stream(input_path) as file,
        nvrc_decoder.open(
            file,
            engine=engine,
            provider=provider,
            threads=threads,
            limits=limits,
            verify=not no_verify,
            on_damage=report if keep_going else None,
        ) as video,
    ):
        if start:
            video.seek(start)
        picture, shown = video.info.format, video.presentation
        for line in shown.ignored:
            note(f"note: {line}")
        with (
            open_writer(output, kind, picture, note, shown) as write,
            # Who reads the frames from a pipe is likely to have the terminal.
            frame_bar(video, report, not quiet and output != "-", start, frames) as advance,
        ):
            while frames is None or count < frames:
                frame = next(video, None)
                if frame is None:
                    if start and not count and report.error() is None:
                        raise InputError("E_SEEK", f"there is no frame {start}: the stream ends before it")
                    break
                write(frame)
                for chunk in frame.chunks():
                    md5.update(chunk)
                count += 1
                advance()
                # Not kept while the next GOP is made.
                del frame, chunk
        used, device = video.engine, video.provider
    seconds = time.perf_counter() - began
    if as_json:
        document = {
            "output": output,
            "format": kind.value,
            "frames": count,
            "width": picture.width,
            "height": picture.height,
            "md5": md5.hexdigest(),
            "engine": used,
            "provider": device,
            "seconds": round(seconds, 3),
        }
        if keep_going:
            document["damage"] = report.document()
        emit_json(document)
    else:
        where = f"{used}, {device}" if device else used
        line = f"{counted(count, 'frame')}, {picture.describe()}, md5 {md5.hexdigest()}, {seconds:.2f} s ({where})"
        summary(f"{output}: {line}", err=output == "-")
    failure = report.error()
    if failure is not None:
        raise failure
