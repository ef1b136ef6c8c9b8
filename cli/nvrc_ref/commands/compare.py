"""`nvrc-ref compare`: how near a decoded video is to its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from nvrc_decoder.decode.engines import Engine
from nvrc_decoder.errors import InputError
from nvrc_decoder.limits import Limits
from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_encoder.source.input_video import CHROMA
from nvrc_output.files import atomic_file, prove_writable, spare_inputs
from nvrc_output.standard_streams import require_stdout
from nvrc_output.text import counted, emit_json, note, table
from nvrc_ref.comparison.measure import Comparison, measure
from nvrc_ref.comparison.videos import OpenVideo, check_formats, open_either
from nvrc_ref.damage import DamageReport
from nvrc_ref.options import engine_options, json_option, limit_option, quiet_option
from nvrc_ref.progress import frame_bar

__all__ = ["command"]

_PLOTS = ("png", "svg", "pdf")
_WORST = 3


def _check_outputs(png: str | None, plot: str | None, inputs: list[str]) -> str:
    """Refuse what could not be written, before anything is decoded; the format of the plot."""
    spare_inputs([png, plot], inputs)
    for target in (png, plot):
        if target is not None:
            prove_writable(Path(target))
    if png is not None and Path(png).suffix.lower() != ".png":
        raise click.UsageError(f"--png writes a PNG: {png!r} does not end in .png")
    if plot is None:
        return ""
    from nvrc_bench.plot import require_matplotlib

    kind = Path(plot).suffix.lower().lstrip(".")
    if kind not in _PLOTS:
        raise click.UsageError(f"cannot tell the format of the plot from {plot!r}; use .png, .svg or .pdf")
    require_matplotlib()
    return kind


@click.command("compare")
@click.argument("source_path", metavar="SOURCE")
@click.argument("decoded_path", metavar="DECODED")
@click.option("--frames", type=click.IntRange(min=1), help="Compare at most this many frames.")
@click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out this many frames of SOURCE first.")
@click.option("--ms-ssim/--no-ms-ssim", default=True, help="Measure MS-SSIM of luma, too.  [default: yes]")
@click.option("--per-frame", is_flag=True, help="List every frame.")
@click.option("--png", metavar="FILE", help="Write source, decoded frame and difference side by side.")
@click.option("--frame", type=click.IntRange(min=0), metavar="N", help="Frame of --png.  [default: the worst]")
@click.option("--plot", metavar="FILE", help='Draw PSNR over frames as .png, .svg or .pdf (extra "bench").')
@click.option("--size", metavar="WxH", help="Size of headerless YUV.")
@click.option(
    "--chroma", type=click.Choice(list(CHROMA)), help="Of headerless YUV and of PNGs.  [default: 420; of PNGs 444]"
)
@click.option("--bit-depth", type=click.Choice(["8", "10"]), default="8", show_default=True, help="Of headerless YUV.")
@quiet_option
@engine_options
@limit_option
@json_option
def command(
    source_path: str,
    decoded_path: str,
    frames: int | None,
    skip: int,
    ms_ssim: bool,
    per_frame: bool,
    png: str | None,
    frame: int | None,
    plot: str | None,
    size: str | None,
    chroma: str | None,
    bit_depth: str,
    quiet: bool,
    engine: Engine,
    threads: int | None,
    limits: Limits,
    as_json: bool,
) -> None:
    """Compare DECODED with SOURCE: PSNR and MS-SSIM of every frame, their means, and the worst frames.

    Both are a stream of this codec, y4m, headerless YUV (with --size), a folder of PNGs or frame%04d.png, converted as
    for encode, or a video that FFmpeg reads (extra "encoder"); one of them may be - for the standard input. Sizes,
    chroma formats and bit depths have to be the same. If one has more frames, those that both have are compared. A
    stream that was encoded with --skip wants the same --skip here.

    PSNR is the mean of the frames' PSNRs, 100 dB for an equal frame; YUV weighs Y, U, V 6:1:1. The PNG has source,
    decoded frame, and 4 times the difference of luma around grey.
    """
    if source_path == decoded_path == "-":
        raise click.UsageError("only one of the two can be the standard input")
    if frame is not None and png is None:
        raise click.UsageError("--frame says which frame --png shows: give --png, too")
    require_stdout()
    kind = _check_outputs(png, plot, [source_path, decoded_path])
    raw = _raw_format(size, chroma or "420", bit_depth)
    chroma_format = None if chroma is None else CHROMA[chroma]
    return_large_arrays()
    decoding: dict[str, Any] = {"engine": engine, "threads": threads, "limits": limits}
    with (
        open_either(source_path, raw, chroma_format, skip, **decoding) as source,
        open_either(decoded_path, raw, chroma_format, 0, **decoding) as decoded,
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
                keep=frame,
                advance=advance,
            )
    if png is not None and result.kept is None:
        raise InputError(
            "E_NO_FRAME", f"there is no frame {frame}: only {counted(len(result.frames), 'frame')} compared"
        )
    _write(result, source, decoded, png, plot, kind)
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
    """What is called after each frame; there is a bar where the number of frames is known."""
    if decoded.video is None:
        return nullcontext(lambda: None)
    return frame_bar(decoded.video, DamageReport(), shown, 0, frames)


def _raw_format(size: str | None, chroma: str, bit_depth: str) -> Any:
    """The format of headerless input; None without --size."""
    if size is None:
        return None
    from nvrc_encoder.source.video import RawFormat

    width, _, height = size.lower().partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise click.UsageError(f"--size {size!r} is not WIDTHxHEIGHT, such as 352x288")
    return RawFormat(int(width), int(height), chroma_format=CHROMA[chroma], bit_depth=int(bit_depth))


def _write(
    result: Comparison, source: OpenVideo, decoded: OpenVideo, png: str | None, plot: str | None, kind: str
) -> None:
    """The picture and the plot that were asked for."""
    if png is not None and result.kept is not None:
        from nvrc_ref.comparison.picture import side_by_side

        data = side_by_side(*result.kept, (source.picture, decoded.picture))
        with atomic_file(png) as file:
            file.write(data)
    if plot is not None:
        from nvrc_ref.comparison.plot import draw

        data = draw(result, f"{Path(decoded.name).name} against {Path(source.name).name}", kind)
        with atomic_file(plot) as file:
            file.write(data)


def _rate(decoded: OpenVideo, result: Comparison) -> dict[str, Any]:
    """What DECODED takes as a file, where all of its frames were compared."""
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
    """What was found, for people."""
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
