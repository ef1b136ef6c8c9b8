"""`nvrc-ref verify`: decode everything, check every digest, compare the MD5."""

from __future__ import annotations

import hashlib

import click

import nvrc_decoder
from nvrc_decoder.decode.engines import Engine
from nvrc_decoder.errors import MismatchError
from nvrc_decoder.limits import Limits
from nvrc_decoder.synthesis.cuda.providers import Provider
from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_output.text import counted, emit_json
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

_MD5_DIGITS = 32


def _check_md5(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    if len(value) != _MD5_DIGITS or set(value.lower()) - set("0123456789abcdef"):
        raise click.BadParameter("an MD5 has 32 hexadecimal digits")
    return value.lower()


@click.command("verify")
@click.argument("input_path", metavar="INPUT")
@click.option("--md5", "expected", callback=_check_md5, metavar="HEX", help="MD5 that all frames together must have.")
@quiet_option
@keep_going_option
@engine_options
@provider_option
@limit_option
@json_option
def command(
    input_path: str,
    expected: str | None,
    quiet: bool,
    keep_going: bool,
    engine: Engine,
    provider: Provider,
    threads: int | None,
    limits: Limits,
    as_json: bool,
) -> None:
    """Decode all of INPUT (- is the standard input) and check every CRC, requirement and digest.

    Prints the MD5 of all frames (planes Y, U, V; 10-bit samples as 16-bit little-endian words). With --md5 another
    result is exit code 1.
    """
    check_provider(engine, provider)
    return_large_arrays()
    report = DamageReport()
    total = hashlib.md5(usedforsecurity=False)
    frame_md5s = []
    with (
        open_stream(input_path) as file,
        nvrc_decoder.open(
            file,
            engine=engine,
            provider=provider,
            threads=threads,
            limits=limits,
            on_damage=report if keep_going else None,
        ) as video,
        frame_bar(video, report, not quiet) as advance,
    ):
        for frame in video:
            frame_md5s.append(frame.md5())
            for chunk in frame.chunks():
                total.update(chunk)
            advance()
            # Not kept while the next GOP is made.
            del frame, chunk
        used, device = video.engine, video.provider
    found = total.hexdigest()
    failure = report.error()
    if as_json:
        document = {
            "frames": len(frame_md5s),
            "md5": found,
            "frame_md5s": frame_md5s,
            "engine": used,
            "provider": device,
        }
        if keep_going:
            document["damage"] = report.document()
        emit_json({**document, "expected_md5": expected, "ok": failure is None and expected in (None, found)})
    else:
        rest = "digests ok" if failure is None else "the others were lost"
        click.echo(f"{found}  {input_path}  ({counted(len(frame_md5s), 'frame')}, {rest})")
    if failure is not None:
        raise failure
    if expected not in (None, found):
        raise MismatchError("E_MD5", f"the frames have MD5 {found}, expected {expected}")
