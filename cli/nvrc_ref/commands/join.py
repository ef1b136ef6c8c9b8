"""`nvrc-ref join`: concatenate streams with the same SEQUENCE."""

from __future__ import annotations

from contextlib import ExitStack

import click

from nvrc_decoder.bitstream.join import join
from nvrc_decoder.limits import Limits
from nvrc_output.files import atomic_file, spare_inputs
from nvrc_output.text import counted, emit_json, note, summary
from nvrc_ref.decoding.stream_input import open_stream
from nvrc_ref.options.shared import json_option, limit_option

__all__ = ["command"]


@click.command("join")
@click.argument("input_paths", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="Stream to write; - for the standard output.")
@click.option(
    "--keep-first",
    is_flag=True,
    help="Where pixel aspect, rotation or HDR metadata differ, take those of the first input for all.",
)
@limit_option
@json_option
def command(input_paths: tuple[str, ...], output: str, keep_first: bool, limits: Limits, as_json: bool) -> None:
    """Write all of INPUT... one after the other as one stream, with a new INDEX and END.

    The streams must have the same SEQUENCE (size, rate, sample format, profile) and the same presentation metadata
    (pixel aspect, rotation, HDR); nothing is decoded.
    """
    if as_json and output == "-":
        raise click.UsageError("--json and the stream cannot both go to the standard output")
    spare_inputs([output], input_paths)
    with ExitStack() as stack:
        files = [stack.enter_context(open_stream(path)) for path in input_paths]
        target = stack.enter_context(atomic_file(output))
        made = join(
            files, target, limits=limits, keep_first=(lambda line: note(f"note: {line}")) if keep_first else None
        )
    totals = {"gops": made.gop_count, "frames": made.frame_count, "bytes": made.offset}
    if as_json:
        emit_json({"output": output, "inputs": len(input_paths), **totals})
    else:
        line = ", ".join(counted(number, name.removesuffix("s")) for name, number in totals.items())
        summary(f"{output}: {line}", err=output == "-")
