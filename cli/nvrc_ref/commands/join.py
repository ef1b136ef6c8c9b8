"""`nvrc-ref join`: concatenate streams with the same SEQUENCE."""

from __future__ import annotations

from contextlib import ExitStack

import click

from nvrc_decoder.bitstream.join import join
from nvrc_decoder.limits import Limits
from nvrc_ref.options import limit_option, open_stream
from nvrc_ref.output.files import atomic_file

__all__ = ["command"]


@click.command("join")
@click.argument("input_paths", metavar="INPUT...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="Stream to write; - for the standard output.")
@limit_option
def command(input_paths: tuple[str, ...], output: str, limits: Limits) -> None:
    """Write all of INPUT... one after the other as one stream, with a new INDEX and END.

    The streams must have the same SEQUENCE (size, rate, sample format, profile); nothing is decoded.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(open_stream(path)) for path in input_paths]
        target = stack.enter_context(atomic_file(output))
        join(files, target, limits=limits)
