"""`nvrc-ref encode`: overfit a video and write a stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nvrc_decoder.system.allocator import keep_large_arrays
from nvrc_decoder.system.packages import load_package, package_faults, require_packages
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.source.input_video import InputFormat, open_input
from nvrc_encoder.training.deadline import Deadline
from nvrc_output.text import emit_json, note, summary
from nvrc_ref.encoding.dry_run import forecast_text
from nvrc_ref.encoding.files import check_files, open_stream_file, write_report
from nvrc_ref.encoding.missed_target import missed_by_segments, missed_target
from nvrc_ref.encoding.options import (
    ENCODE_GROUPS,
    Segmentation,
    encoder_options,
    input_options,
    segment_options,
    time_limit_option,
    within,
)
from nvrc_ref.encoding.progress import encode_progress
from nvrc_ref.encoding.report import report_document, report_table, segmented_table
from nvrc_ref.encoding.segmented import encode_in_segments, jobs_at_once
from nvrc_ref.options.groups import GroupedCommand
from nvrc_ref.options.shared import json_option, quiet_option

if TYPE_CHECKING:
    from nvrc_encoder.report import EncodeReport
    from nvrc_encoder.segments.splitting import SegmentedSource
    from nvrc_encoder.source.video import Source

__all__ = ["command"]


@click.command("encode", cls=GroupedCommand, groups=ENCODE_GROUPS)
@click.argument("input_path", metavar="INPUT")
@click.option("-o", "--output", required=True, help="Stream to write; - for the standard output.")
@encoder_options
@time_limit_option
@click.option("--frames", type=click.IntRange(min=1), help="Encode at most this many frames.")
@click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out this many frames at the start.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    help="Threads of PyTorch on the CPU.  [default: PyTorch's choice; 1 in each job of a segmented video]",
)
@segment_options
@input_options
@click.option("--resume", is_flag=True, help="Continue from the checkpoint of an interrupted encode, if there is one.")
@click.option("--checkpoint", metavar="FILE", help="Where checkpoints go.  [default: OUTPUT.checkpoint]")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only print segments, memory and time, from a pass over the input and a small encode of its first frames.",
)
@quiet_option
@click.option("--report", metavar="FILE", help="Write the JSON document to FILE, too.")
@json_option
def command(
    input_path: str,
    output: str,
    options: EncodeOptions,
    time_limit: float | None,
    frames: int | None,
    skip: int,
    threads: int | None,
    segmentation: Segmentation,
    picture: InputFormat,
    resume: bool,
    checkpoint: str | None,
    dry_run: bool,
    quiet: bool,
    report: str | None,
    as_json: bool,
) -> None:
    """Overfit a network to INPUT and write it as a stream.

    INPUT is y4m, headerless YUV (with --size), - for either on the standard input, or any video that FFmpeg reads. It
    is used as decoded, in YUV 4:0:0, 4:2:0 or 4:4:4 with 8 or 10 bits. A folder of PNGs, or frame%04d.png, becomes YUV
    4:4:4 (BT.709, full range). The stream is decoded and compared with the encoder's own frames before it is written.
    """
    deadline = None if time_limit is None else Deadline(time_limit)
    options = within(options, time_limit)
    state = check_files(input_path, output, report, checkpoint, resume=resume, as_json=as_json)
    require_packages(("torch", "rich", "cv2"), "encoding")
    if segmentation.cluster is not None:
        require_packages(("ray",), "--ray")
    source = open_input(input_path, picture, frames=frames, skip=skip)
    if picture.rate is None and not quiet:
        _tell_assumed_rate(input_path, source)
    keep_large_arrays()
    cut = _cut(source, options, segmentation)
    if dry_run:
        _show_forecast(cut, options, jobs_at_once(segmentation), threads, time_limit, as_json=as_json)
        return
    if cut.whole is None:
        whole = encode_in_segments(
            cut, output, options, segmentation, state, threads=threads, resume=resume, quiet=quiet, deadline=deadline
        )
        missed = missed_by_segments(whole)
        document, text = report_document(whole, output), segmented_table(whole, output)
    else:
        if segmentation.cluster is not None and not quiet:
            note("note: the video fits in one segment, which is encoded here, not by the cluster")
        outcome = _encode(
            cut.whole, output, options, state, threads=threads, resume=resume, quiet=quiet, deadline=deadline
        )
        missed = missed_target(outcome)
        document, text = report_document(outcome, output), report_table(outcome, output)
    if missed is not None:
        note(f"warning: {missed}")
    write_report(report, document)
    if as_json:
        emit_json(document)
    else:
        summary(text, err="-" in (output, report))


def _show_forecast(
    cut: SegmentedSource,
    options: EncodeOptions,
    jobs: int,
    threads: int | None,
    time_limit: float | None,
    *,
    as_json: bool,
) -> None:
    from nvrc_encoder.segments.forecast import forecast

    found = forecast(cut, options, jobs, threads, time_limit)
    if as_json:
        emit_json(found.document())
    else:
        click.echo(forecast_text(found, cut.source.picture, options, jobs))


def _cut(source: Source, options: EncodeOptions, segmentation: Segmentation) -> SegmentedSource:
    """The source in segments, after what can be refused without reading frames has been."""
    load_package("torch", "encoding")
    with package_faults():
        from nvrc_encoder.preparation import check_before_reading
        from nvrc_encoder.segments.splitting import SegmentedSource, longest_segment

    check_before_reading(source, options)
    longest = longest_segment(source.picture, options.gop, segmentation.segment)
    return SegmentedSource(source, longest, segmentation.scene_cuts)


def _tell_assumed_rate(path: str, source: Source) -> None:
    from nvrc_encoder.source.png import is_png_input

    if is_png_input(path):
        note(f"note: PNGs have no frame rate: {source.rate} frames/s are assumed, --rate sets another")


def _encode(
    source: Source,
    output: str,
    options: EncodeOptions,
    checkpoint: Path | None,
    *,
    threads: int | None,
    resume: bool,
    quiet: bool,
    deadline: Deadline | None,
) -> EncodeReport:
    """Encode a video in one segment to `output`, and show progress unless `quiet`."""
    import torch

    from nvrc_encoder import encode

    if threads is not None:
        torch.set_num_threads(threads)
    with (
        open_stream_file(output, checkpoint) as (file, interruption),
        encode_progress(options, quiet, probing=True, limited=deadline is not None) as shown,
    ):
        outcome: EncodeReport = encode(
            source,
            file,
            options,
            None if shown is None else shown.update,
            checkpoint=checkpoint,
            resume=resume,
            interruption=interruption,
            outlook=None if shown is None else shown.outlook,
            deadline=deadline,
        )
    return outcome
