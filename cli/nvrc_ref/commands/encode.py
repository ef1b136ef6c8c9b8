"""`nvrc-ref encode`: overfit a video and write a stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvrc_decoder.system.allocator import keep_large_arrays
from nvrc_decoder.system.packages import require_packages
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.source.input_video import InputFormat, open_input
from nvrc_output.text import emit_json, note, summary
from nvrc_ref.encoding.files import check_files, open_stream_file, write_report
from nvrc_ref.encoding.missed_target import missed_target
from nvrc_ref.encoding.options import ENCODE_GROUPS, encoder_options, input_options
from nvrc_ref.encoding.progress import encode_progress
from nvrc_ref.encoding.report import report_document, report_table
from nvrc_ref.options.groups import GroupedCommand
from nvrc_ref.options.shared import json_option, quiet_option

if TYPE_CHECKING:
    from nvrc_encoder.report import EncodeReport
    from nvrc_encoder.source.video import Source

__all__ = ["command"]


@click.command("encode", cls=GroupedCommand, groups=ENCODE_GROUPS)
@click.argument("input_path", metavar="INPUT")
@click.option("-o", "--output", required=True, help="Stream to write; - for the standard output.")
@encoder_options
@click.option("--frames", type=click.IntRange(min=1), help="Encode at most this many frames.")
@click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out this many frames at the start.")
@click.option(
    "--threads", type=click.IntRange(1, 256), help="Threads of PyTorch on the CPU.  [default: PyTorch's choice]"
)
@input_options
@click.option("--resume", is_flag=True, help="Continue from the checkpoint of an interrupted encode, if there is one.")
@click.option("--checkpoint", metavar="FILE", help="Where checkpoints go.  [default: OUTPUT.checkpoint]")
@quiet_option
@click.option("--report", metavar="FILE", help="Write the JSON document to FILE, too.")
@json_option
def command(
    input_path: str,
    output: str,
    options: EncodeOptions,
    frames: int | None,
    skip: int,
    threads: int | None,
    picture: InputFormat,
    resume: bool,
    checkpoint: str | None,
    quiet: bool,
    report: str | None,
    as_json: bool,
) -> None:
    """Overfit a network to INPUT and write it as a stream.

    INPUT is y4m, headerless YUV (with --size), - for either on the standard input, or any video that FFmpeg reads. It
    is used as decoded, in YUV 4:0:0, 4:2:0 or 4:4:4 with 8 or 10 bits. A folder of PNGs, or frame%04d.png, becomes YUV
    4:4:4 (BT.709, full range). The stream is decoded and compared with the encoder's own frames before it is written.
    """
    state = check_files(input_path, output, report, checkpoint, resume=resume, as_json=as_json)
    require_packages(("torch", "rich", "cv2"), "encoding")
    source = open_input(input_path, picture, frames=frames, skip=skip)
    if picture.rate is None and not quiet:
        _tell_assumed_rate(input_path, source)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    outcome = _encode(source, output, options, state, resume=resume, quiet=quiet)
    missed = missed_target(outcome)
    if missed is not None:
        note(f"warning: {missed}")
    document = report_document(outcome, output)
    write_report(report, document)
    if as_json:
        emit_json(document)
    else:
        summary(report_table(outcome, output), err="-" in (output, report))


def _tell_assumed_rate(path: str, source: Source) -> None:
    from nvrc_encoder.source.png import is_png_input

    if is_png_input(path):
        note(f"note: PNGs have no frame rate: {source.rate} frames/s are assumed, --rate sets another")


def _encode(
    source: Source, output: str, options: EncodeOptions, checkpoint: Path | None, *, resume: bool, quiet: bool
) -> EncodeReport:
    """Encode to `output`, and show progress unless `quiet`."""
    from nvrc_encoder import encode

    keep_large_arrays()
    with open_stream_file(output, checkpoint) as (file, interruption), encode_progress(options, quiet) as shown:
        outcome: EncodeReport = encode(
            source,
            file,
            options,
            None if shown is None else shown.update,
            checkpoint=checkpoint,
            resume=resume,
            interruption=interruption,
            outlook=None if shown is None else shown.outlook,
        )
    return outcome
