"""`nvrc-ref compare`: how near a decoded video is to its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_output.standard_streams import require_stdout
from nvrc_output.text import counted, emit_json, note, table
from nvrc_ref.comparison.measure import Comparison, measure
from nvrc_ref.comparison.options import Headerless, headerless_options, picture_options
from nvrc_ref.comparison.pictures import Pictures
from nvrc_ref.comparison.videos import OpenVideo, check_formats, open_either
from nvrc_ref.decoding.keep_going import DamageReport
from nvrc_ref.decoding.progress import frame_bar
from nvrc_ref.options.shared import DecodingOptions, decoding_options_without_provider, json_option, quiet_option

__all__ = ["command"]

_WORST = 3


@click.command("compare")
@click.argument("source_path", metavar="SOURCE")
@click.argument("decoded_path", metavar="DECODED")
@click.option("--frames", type=click.IntRange(min=1), help="Compare at most this many frames.")
@click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out this many frames of SOURCE first.")
@click.option("--ms-ssim/--no-ms-ssim", default=True, help="Measure MS-SSIM of luma, too.  [default: yes]")
@click.option("--per-frame", is_flag=True, help="List every frame.")
@picture_options
@headerless_options
@quiet_option
@decoding_options_without_provider
@json_option
def command(
    source_path: str,
    decoded_path: str,
    frames: int | None,
    skip: int,
    ms_ssim: bool,
    per_frame: bool,
    pictures: Pictures,
    headerless: Headerless,
    quiet: bool,
    decoding: DecodingOptions,
    as_json: bool,
) -> None:
    """Compare DECODED with SOURCE: PSNR and MS-SSIM of every frame, their means, and the worst frames.

    Both are a stream of this codec, y4m, headerless YUV (with --size), a folder of PNGs or frame%04d.png, converted as
    for encode, or a video that FFmpeg reads (extra "encoder"); one of them may be - for the standard input. Sizes,
    chroma formats and bit depths have to be the same. If one has more frames, those that both have are compared. A
    stream that was encoded with --skip needs the same --skip here.

    PSNR is the mean of the frames' PSNRs, 100 dB for an identical frame; YUV weights Y, U, V 6:1:1. The PNG has source,
    decoded frame, and 4 times the difference of luma around grey.
    """
    if source_path == decoded_path == "-":
        raise click.UsageError("only one of the two can be the standard input")
    require_stdout()
    pictures.check([source_path, decoded_path])
    return_large_arrays()
    raw, chroma = headerless.raw, headerless.png_chroma
    with (
        open_either(source_path, raw, chroma, skip, decoding) as source,
        open_either(decoded_path, raw, chroma, 0, decoding) as decoded,
    ):
        for line in check_formats(source, decoded):
            note(line)
        with _bar(decoded, frames, not quiet) as advance:
            result = measure(
                source.frames,
                decoded.frames,
                source.picture.bit_depth,
                similarity=ms_ssim,
                most=frames,
                keep=pictures.frame,
                advance=advance,
            )
    pictures.write(result, source, decoded)
    if result.longer is not None:
        longer = source_path if result.longer == "source" else decoded_path
        note(f"note: {longer} has more frames than the other: only {counted(len(result.frames), 'frame')} compared")
    if as_json:
        emit_json({"source": source_path, "decoded": decoded_path, **_rate(decoded, result), **result.document()})
        return
    click.echo(table([*_rows(source, decoded, result)]))
    if per_frame:
        click.echo()
        click.echo(_per_frame(result))


def _bar(decoded: OpenVideo, frames: int | None, shown: bool) -> AbstractContextManager[Callable[[], None]]:
    """A function to call after each frame; it draws a bar if DECODED is a stream, whose length is known."""
    if decoded.video is None:
        return nullcontext(lambda: None)
    return frame_bar(decoded.video, DamageReport(), shown, 0, frames)


def _rate(decoded: OpenVideo, result: Comparison) -> dict[str, Any]:
    """The rate of DECODED as a file; nothing unless all of its frames were compared."""
    if decoded.bytes is None or not result.whole:
        return {}
    samples = decoded.picture.width * decoded.picture.height * len(result.frames)
    seconds = len(result.frames) / decoded.picture.rate
    return {
        "bytes": decoded.bytes,
        "bits_per_pixel": round(8 * decoded.bytes / samples, 6),
        "kilobits_per_second": round(float(8 * decoded.bytes / seconds) / 1000, 3),
    }


def _rows(source: OpenVideo, decoded: OpenVideo, result: Comparison) -> Iterator[tuple[str, str]]:
    """The result for people."""
    mean = result.mean()
    yield "source", f"{source.name}, {source.picture.describe()}"
    yield "decoded", f"{decoded.name}, {decoded.picture.describe()}"
    yield "frames", f"{len(result.frames)} compared" + (", all identical" if result.exact else "")
    rate = _rate(decoded, result)
    if rate:
        yield (
            "rate",
            f"{rate['kilobits_per_second']:.1f} kbit/s, {rate['bits_per_pixel']:.4f} bits per pixel, "
            f"{counted(rate['bytes'], 'byte')}",
        )
    yield "PSNR", "  ".join(f"{name.upper()} {v:.2f} dB" for name, v in mean.psnr.items() if v is not None)
    if mean.ms_ssim_y is not None:
        yield "MS-SSIM", f"Y {mean.ms_ssim_y:.5f}"
    elif result.no_similarity is not None:
        yield "MS-SSIM", result.no_similarity
    if not result.exact:
        yield "worst", ", ".join(f"frame {one.number} (Y {one.psnr_y:.2f} dB)" for one in result.worst(_WORST))


def _per_frame(result: Comparison) -> str:
    """A table of the frames."""
    names = [name for name, value in result.frames[0].psnr.items() if value is not None]
    similar = result.frames[0].ms_ssim_y is not None
    rows = [
        [f.number, *(f"{f.psnr[name]:.2f}" for name in names), *([f"{f.ms_ssim_y:.5f}"] if similar else [])]
        for f in result.frames
    ]
    header = ["frame", *(f"{name.upper()} dB" for name in names), *(["MS-SSIM"] if similar else [])]
    return table(rows, header=header, right=range(len(header)))
