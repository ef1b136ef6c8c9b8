"""`nvrc-ref encode`: overfit a video and write a stream."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import click

from nvrc_decoder.profiles import PROFILES
from nvrc_decoder.system.allocator import keep_large_arrays
from nvrc_decoder.system.packages import require_packages
from nvrc_encoder.options import (
    CHANNELS_MAX,
    DEVICES,
    GOP_MAX,
    KEY_SPACING,
    NODE_SPACING,
    PRESETS,
    SEED_MAX,
    SPACING_MAX,
    TUNES,
    EncodeOptions,
)
from nvrc_encoder.source.input_video import CHROMA, InputFormat, open_input
from nvrc_output.text import emit_json, note, summary
from nvrc_ref.encoding.files import check_files, open_stream_file, write_report
from nvrc_ref.encoding.missed_target import missed_target
from nvrc_ref.encoding.progress import encode_progress
from nvrc_ref.encoding.report import report_document, report_table
from nvrc_ref.option_groups import GroupedCommand
from nvrc_ref.options import json_option, quiet_option
from nvrc_ref.quantities import parse_bitrate, parse_size

__all__ = ["command"]

_RATE_MAX = (1 << 31) - 1
_POSITIVE = click.FloatRange(min=0, min_open=True)
_GROUPS = {
    "Common options": (
        *("output", "preset", "profile", "bitrate", "target_size", "target_psnr"),
        *("frames", "skip", "threads", "quiet"),
    ),
    "Rate and distortion": ("lagrangian", "target_bpp", "tune"),
    "Training": ("iterations", "seed", "device"),
    "Structure (docs/encoding.md)": (
        *("trials", "motion", "split", "key_spacing", "node_spacing", "gop", "prior"),
        *("channels", "blocks", "grids", "grid_scale"),
    ),
    "What the input is": ("size", "rate", "chroma", "bit_depth", "cicp", "sample_range"),
    "Breaking off": ("resume", "checkpoint"),
    "Results": ("report", "as_json"),
}


def _parse_size(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,5})[xX]([0-9]{1,5})", value)
    if match is None or not all(1 <= int(side) <= 65535 for side in match.groups()):
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, such as 352x288")
    return int(match[1]), int(match[2])


def _parse_rate(context: click.Context, parameter: click.Parameter, value: str | None) -> Fraction | None:
    if value is None:
        return None
    try:
        # Without an exponent, whose power of ten might be endless.
        rate = Fraction(value.replace(":", "/") if re.fullmatch(r"[0-9./:]{1,40}", value) else "")
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{value!r} is not a frame rate, such as 25 or 30000/1001") from None
    if rate <= 0 or rate.numerator > _RATE_MAX or rate.denominator > _RATE_MAX:
        raise click.BadParameter(f"{value!r} is not a frame rate that the format can carry")
    return rate


def _parse_numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})*", value) is None:
        raise click.BadParameter(f"{value!r} is not a list of numbers, such as 0,0,0,0,3,4,3,3,3,0,0")
    return tuple(int(part) for part in value.split(","))


def _parse_cicp(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})/([0-9]{1,3})", value)
    if match is None or any(int(part) > 255 for part in match.groups()):
        raise click.BadParameter(f"{value!r} is not PRIMARIES/TRANSFER/MATRIX, such as 1/1/1 for BT.709")
    return int(match[1]), int(match[2]), int(match[3])


def _require_encoder() -> None:
    require_packages(("torch", "rich", "cv2"), "encoding")


@click.command("encode", cls=GroupedCommand, groups=_GROUPS)
@click.argument("input_path", metavar="INPUT")
@click.option("-o", "--output", required=True, help="Stream to write; - for the standard output.")
@click.option(
    "--profile",
    type=click.Choice([profile.name for profile in PROFILES]),
    default=EncodeOptions.profile,
    show_default=True,
    help="What the network may grow to, and what a decoder has to be able to run.",
)
@click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default=EncodeOptions.preset,
    show_default=True,
    help=f"How long to train: {', '.join(f'{name} {plan.iterations}' for name, plan in PRESETS.items())} iterations.",
)
@click.option("--iterations", type=click.IntRange(min=1), help="Length of the training, in place of the preset's.")
@click.option(
    "--lambda",
    "lagrangian",
    type=_POSITIVE,
    help="Weight of bits per pixel against the distortion; larger is smaller.  "
    f"[default: {EncodeOptions.lagrangian:g}]",
)
@click.option("--target-bpp", type=_POSITIVE, help="In place of --lambda: bits of the stream per luma sample.")
@click.option(
    "--target-size",
    callback=parse_size,
    metavar="BYTES",
    help="In place of --lambda: bytes of the stream; 12.5k, 3M.",
)
@click.option(
    "--bitrate",
    callback=parse_bitrate,
    metavar="KBIT/S",
    help="In place of --lambda: kbit/s of the stream at the video's frame rate; 60, 60k, 1.5M.",
)
@click.option(
    "--target-psnr", type=_POSITIVE, metavar="DB", help="In place of --lambda: mean of the frames' luma PSNRs."
)
@click.option(
    "--motion/--no-motion",
    default=None,
    help="Predict planes along a flow.  [default: by trials, or yes]",
)
@click.option(
    "--split/--no-split",
    default=None,
    help="Give 8x8 blocks motion of their own where it pays.  [default: by trials, or no]",
)
@click.option(
    "--key-spacing",
    type=click.IntRange(1, SPACING_MAX),
    metavar="N",
    help=f"Frames between keys: 1, 2, 4, 8 or 16.  [default: {KEY_SPACING}]",
)
@click.option(
    "--node-spacing",
    type=click.IntRange(1, SPACING_MAX),
    metavar="N",
    help="Frames between nodes, whose planes have residuals; no more than between keys.  "
    f"[default: by trials, or {NODE_SPACING}]",
)
@click.option(
    "--trials/--no-trials",
    default=True,
    help="Settle --motion, --split, --node-spacing, --grids, --grid-scale and --channels, where not given, by J of "
    "what they start from.  [default: yes]",
)
@click.option(
    "--prior/--no-prior",
    default=True,
    help="Start from the format's own networks and code what differs from them.  [default: yes]",
)
@click.option(
    "--channels",
    type=click.IntRange(1, CHANNELS_MAX),
    help="Active channels of every stage; where the profile has fewer, those.",
)
@click.option("--blocks", type=click.IntRange(min=0), help="Most active blocks of a stage, up to the profile's.")
@click.option(
    "--grids",
    callback=_parse_numbers,
    metavar="N,N,...",
    help="Channels of each grid slot of the profile, 0 to leave it out (docs/encoding.md).",
)
@click.option(
    "--grid-scale",
    type=click.FloatRange(0.1, 10),
    metavar="X",
    help="Factor on the quantisation steps that lambda gives; under 1 it makes keys finer.  [default: by trials, or 1]",
)
@click.option(
    "--tune",
    type=click.Choice(TUNES),
    default=EncodeOptions.tune,
    show_default=True,
    help="What the distortion of luma is: MSE, or 1 - MS-SSIM, which wants pictures of 97x97 or more.",
)
@click.option(
    "--gop",
    type=click.IntRange(1, GOP_MAX),
    default=EncodeOptions.gop,
    show_default=True,
    help="Most frames of a GOP.",
)
@click.option("--frames", type=click.IntRange(min=1), help="Encode at most this many frames.")
@click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out this many frames at the start.")
@click.option(
    "--seed",
    type=click.IntRange(0, SEED_MAX),
    default=EncodeOptions.seed,
    show_default=True,
    help="Of every random draw.",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default=EncodeOptions.device,
    show_default=True,
    help="Where to train; auto is CUDA where PyTorch has it.",
)
@click.option("--threads", type=click.IntRange(1, 256), help="Threads of PyTorch on the CPU; it chooses by default.")
@click.option("--size", callback=_parse_size, metavar="WxH", help="Size of headerless YUV input.")
@click.option(
    "--rate",
    callback=_parse_rate,
    metavar="FPS",
    help="Frame rate of headerless YUV, or of other input that does not say it.  [default: 25]",
)
@click.option(
    "--chroma", type=click.Choice(list(CHROMA)), help="Of headerless YUV and of PNGs.  [default: 420; of PNGs 444]"
)
@click.option("--bit-depth", type=click.Choice(["8", "10"]), help="Of headerless YUV.  [default: 8]")
@click.option(
    "--cicp",
    callback=_parse_cicp,
    metavar="P/T/M",
    help="Code points (H.273) of primaries, transfer and matrix, in place of the input's.",
)
@click.option("--range", "sample_range", type=click.Choice(["limited", "full"]), help="In place of the input's.")
@click.option(
    "--resume", is_flag=True, help="Go on from the checkpoint of an encode that was cut off, if there is one."
)
@click.option("--checkpoint", metavar="FILE", help="Where checkpoints go; OUTPUT.checkpoint unless given.")
@quiet_option
@click.option("--report", metavar="FILE", help="Write the JSON document to FILE, too.")
@json_option
def command(
    input_path: str,
    output: str,
    profile: str,
    preset: str,
    iterations: int | None,
    lagrangian: float | None,
    target_bpp: float | None,
    target_size: int | None,
    bitrate: float | None,
    target_psnr: float | None,
    motion: bool | None,
    split: bool | None,
    key_spacing: int | None,
    node_spacing: int | None,
    trials: bool,
    prior: bool,
    channels: int | None,
    blocks: int | None,
    grids: tuple[int, ...] | None,
    grid_scale: float | None,
    tune: str,
    gop: int,
    frames: int | None,
    skip: int,
    seed: int,
    device: str,
    threads: int | None,
    size: tuple[int, int] | None,
    rate: Fraction | None,
    chroma: str | None,
    bit_depth: str | None,
    cicp: tuple[int, int, int] | None,
    sample_range: str | None,
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
    _one_target(click.get_current_context())
    state = check_files(input_path, output, report, checkpoint, resume=resume, as_json=as_json)
    _require_encoder()
    from nvrc_encoder.source.png import is_png_input

    source = open_input(
        input_path, InputFormat(size, rate, chroma, bit_depth, cicp, sample_range), frames=frames, skip=skip
    )
    if rate is None and not quiet and is_png_input(input_path):
        note(f"note: PNGs have no frame rate: {source.rate} a second are taken, --rate says another")
    from nvrc_encoder import encode

    wanted = {
        "lagrangian": lagrangian,
        "target_bpp": target_bpp,
        "target_size": target_size,
        "target_bitrate": bitrate,
        "target_psnr": target_psnr,
        "motion": motion,
        "split": split,
        "key_spacing": key_spacing,
        "node_spacing": node_spacing,
        "iterations": iterations,
        "trials": trials,
        "prior": prior,
        "channels": channels,
        "blocks": blocks,
        "grid_channels": grids,
        "grid_scale": grid_scale,
    }
    chosen: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    try:
        options = EncodeOptions(profile=profile, preset=preset, tune=tune, gop=gop, seed=seed, device=device, **chosen)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    keep_large_arrays()
    with open_stream_file(output, state) as (file, interruption), encode_progress(options, quiet) as shown:
        outcome = encode(
            source,
            file,
            options,
            None if shown is None else shown.update,
            checkpoint=state,
            resume=resume,
            interruption=interruption,
            outlook=None if shown is None else shown.outlook,
        )
    missed = missed_target(outcome)
    if missed is not None:
        note(f"warning: {missed}")
    document = report_document(outcome, output)
    write_report(report, document)
    if as_json:
        emit_json(document)
    else:
        summary(report_table(outcome, output), err="-" in (output, report))


def _one_target(context: click.Context) -> None:
    """Refuse two answers to how large the stream is to be."""
    names = ("lagrangian", "target_bpp", "target_size", "bitrate", "target_psnr")
    given = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names and context.params[parameter.name] is not None
    ]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other")
