"""`nvrc-ref verify`: decode everything, check every digest, compare the MD5."""

from __future__ import annotations

import hashlib

import click

from nvrc_decoder.errors import MismatchError
from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_output.text import counted, emit_json
from nvrc_ref.decoding.keep_going import DamageReport, keep_going_option
from nvrc_ref.decoding.progress import frame_bar
from nvrc_ref.decoding.stream_input import open_stream
from nvrc_ref.options.shared import DecodingOptions, decoding_options, json_option, quiet_option

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
@decoding_options
@json_option
def command(
    input_path: str, expected: str | None, quiet: bool, keep_going: bool, decoding: DecodingOptions, as_json: bool
) -> None:
    """Decode all of INPUT (- is the standard input) and check every CRC, requirement and digest.

    Prints the MD5 of all frames (planes Y, U, V; 10-bit samples as 16-bit little-endian words). With --md5 another
    result is exit code 1.
    """
    return_large_arrays()
    report = DamageReport()
    total = hashlib.md5(usedforsecurity=False)
    frame_md5s = []
    with (
        open_stream(input_path) as file,
        decoding.open(file, on_damage=report if keep_going else None) as video,
        frame_bar(video, report, not quiet) as advance,
    ):
        for frame in video:
            frame_md5s.append(frame.md5())
            for chunk in frame.chunks():
                total.update(chunk)
            advance()
            # The next GOP is decoded before `frame` is assigned again: its memory must be free by then.
            del frame, chunk
        used, device = video.engine, video.provider
    found = total.hexdigest()
    whole = report.error() is None
    if as_json:
        document = {
            "frames": len(frame_md5s),
            "md5": found,
            "frame_md5s": frame_md5s,
            "engine": used,
            "provider": device,
            **({"damage": report.document()} if keep_going else {}),
            "expected_md5": expected,
            "ok": whole and expected in (None, found),
        }
        emit_json(document)
    else:
        rest = "digests ok" if whole else "the others were lost"
        click.echo(f"{found}  {input_path}  ({counted(len(frame_md5s), 'frame')}, {rest})")
    report.raise_any()
    if expected not in (None, found):
        raise MismatchError("E_MD5", f"the frames have MD5 {found}, expected {expected}")
