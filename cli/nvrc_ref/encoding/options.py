"""Options of `nvrc-ref encode`: those of the encoder, those of the input, and their groups in `--help`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from nvrc_decoder.profiles import PROFILES
from nvrc_encoder.options import (
    CHANNELS_MAX,
    DEVICES,
    GOP_MAX,
    KEY_SPACING,
    NODE_SPACING,
    PRESET_FRAMES,
    PRESETS,
    SEED_MAX,
    SPACING_MAX,
    TUNES,
    EncodeOptions,
)
from nvrc_encoder.source.input_video import CHROMA, InputFormat
from nvrc_ref.options.groups import gathered
from nvrc_ref.options.ray import RAY_OPTIONS, chosen_cluster
from nvrc_ref.options.values import (
    cores_here,
    parse_bitrate,
    parse_bytes,
    parse_code_points,
    parse_duration,
    parse_frame_rate,
    parse_jobs,
    parse_numbers,
    parse_segment,
    parse_size,
)

if TYPE_CHECKING:
    from nvrc_encoder.cluster import Cluster

__all__ = [
    "ENCODE_GROUPS",
    "Segmentation",
    "chroma_option",
    "encoder_options",
    "input_options",
    "segment_options",
    "time_limit_option",
    "within",
]

ENCODE_GROUPS = {
    "Common options": (
        *("output", "preset", "profile", "target_bitrate", "target_size", "target_psnr"),
        *("time_limit", "frames", "skip", "jobs", "threads", "quiet"),
    ),
    "Rate and distortion": ("lagrangian", "target_bpp", "tune"),
    "Training": ("iterations", "seed", "device"),
    "Structure (docs/encoding.md)": (
        *("trials", "motion", "split", "key_spacing", "node_spacing", "gop", "prior"),
        *("channels", "blocks", "grid_channels", "grid_scale"),
    ),
    "Segments (docs/scale.md)": ("segment", "scene_cuts", "dry_run", "ray", "ray_cpus", "ray_gpus"),
    "What the input is": ("size", "rate", "chroma", "bit_depth", "cicp", "sample_range"),
    "Resuming": ("resume", "checkpoint"),
    "Results": ("report", "as_json"),
}
"""Title in ``--help`` -> names of parameters."""

_POSITIVE = click.FloatRange(min=0, min_open=True)
_SPACING = click.IntRange(1, SPACING_MAX)
_TARGETS = {
    "lagrangian": "--lambda",
    "target_bpp": "--target-bpp",
    "target_size": "--target-size",
    "target_bitrate": "--bitrate",
    "target_psnr": "--target-psnr",
}


def _encode_options(**values: Any) -> EncodeOptions:
    """The encoder's options; those that are None are left to it.

    Raises:
        click.UsageError: two options set the rate, or options contradict each other.
    """
    targets = [option for name, option in _TARGETS.items() if values[name] is not None]
    if len(targets) > 1:
        raise click.UsageError(f"{' and '.join(targets)} exclude each other")
    try:
        return EncodeOptions(**{name: value for name, value in values.items() if value is not None})
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def within(options: EncodeOptions, time_limit: float | None) -> EncodeOptions:
    """The options of an encode with a time limit: where no length is given, the training may be the longest."""
    chosen = click.get_current_context().get_parameter_source("preset")
    if time_limit is None or options.iterations is not None or chosen is not ParameterSource.DEFAULT:
        return options
    return dataclasses.replace(options, preset=list(PRESETS)[-1])


_TRAINING = (
    click.option(
        "--profile",
        type=click.Choice([profile.name for profile in PROFILES]),
        default=EncodeOptions.profile,
        show_default=True,
        help="Bounds of the network's size: a decoder must support the profile.",
    ),
    click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        help="How long to train: "
        f"{', '.join(f'{name} {plan.iterations}' for name, plan in PRESETS.items())} iterations for {PRESET_FRAMES} "
        f"frames, and in proportion for others.  [default: {EncodeOptions.preset}; with --time-limit as long as it "
        "admits]",
    ),
    click.option(
        "--iterations", type=click.IntRange(min=1), help="Length of the training, in place of the preset's, as given."
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, SEED_MAX),
        default=EncodeOptions.seed,
        show_default=True,
        help="Seed of every random draw.",
    ),
    click.option(
        "--device",
        type=click.Choice(DEVICES),
        default=EncodeOptions.device,
        show_default=True,
        help="Where to train; auto is CUDA where PyTorch has it.",
    ),
)

_RATE_AND_DISTORTION = (
    click.option(
        "--lambda",
        "lagrangian",
        type=_POSITIVE,
        help="Weight of bits per pixel against the distortion; a larger one makes a smaller stream.  "
        f"[default: {EncodeOptions.lagrangian:g}]",
    ),
    click.option("--target-bpp", type=_POSITIVE, help="In place of --lambda: bits of the stream per luma sample."),
    click.option(
        "--target-size",
        callback=parse_bytes,
        metavar="BYTES",
        help="In place of --lambda: bytes of the stream; 12.5k, 3M.",
    ),
    click.option(
        "--bitrate",
        "target_bitrate",
        callback=parse_bitrate,
        metavar="KBIT/S",
        help="In place of --lambda: kbit/s of the stream at the video's frame rate; 60, 60k, 1.5M.",
    ),
    click.option(
        "--target-psnr", type=_POSITIVE, metavar="DB", help="In place of --lambda: mean of the frames' luma PSNRs."
    ),
    click.option(
        "--tune",
        type=click.Choice(TUNES),
        default=EncodeOptions.tune,
        show_default=True,
        help="Distortion measure of luma: MSE, or 1 - MS-SSIM, which needs pictures of 97x97 or more.",
    ),
)

_STRUCTURE = (
    click.option(
        "--trials/--no-trials",
        default=True,
        help="Choose --motion, --split, --node-spacing, --grids and --channels, where not given, by cost J before "
        "training.  [default: yes]",
    ),
    click.option(
        "--motion/--no-motion", default=None, help="Predict planes along a flow.  [default: by trials, or yes]"
    ),
    click.option(
        "--split/--no-split",
        default=None,
        help="Give 8x8 blocks motion of their own where it pays.  [default: by trials, or no]",
    ),
    click.option(
        "--key-spacing",
        type=_SPACING,
        metavar="N",
        help=f"Frames between keys: 1, 2, 4, 8 or 16.  [default: {KEY_SPACING}; in GOPs of up to 9 frames 8]",
    ),
    click.option(
        "--node-spacing",
        type=_SPACING,
        metavar="N",
        help="Frames between nodes, whose planes have residuals; no more than between keys.  "
        f"[default: by trials, or {NODE_SPACING}]",
    ),
    click.option(
        "--gop",
        type=click.IntRange(1, GOP_MAX),
        default=EncodeOptions.gop,
        show_default=True,
        help="Largest number of frames in a GOP.",
    ),
    click.option(
        "--prior/--no-prior",
        default=True,
        help="Start from the format's own networks and code what differs from them.  [default: yes]",
    ),
    click.option(
        "--channels",
        type=click.IntRange(1, CHANNELS_MAX),
        help="Active channels of every stage; where the profile has fewer, those.",
    ),
    click.option("--blocks", type=click.IntRange(min=0), help="Largest number of active blocks of a stage."),
    click.option(
        "--grids",
        "grid_channels",
        callback=parse_numbers,
        metavar="N,N,...",
        help="Channels of each grid slot of the profile, 0 to leave it out (docs/encoding.md).",
    ),
    click.option(
        "--grid-scale",
        type=click.FloatRange(0.1, 10),
        default=EncodeOptions.grid_scale,
        show_default=True,
        metavar="X",
        help="Factor on the quantisation steps that lambda gives; under 1 it makes keys finer.",
    ),
)

time_limit_option = click.option(
    "--time-limit",
    callback=parse_duration,
    metavar="TIME",
    help="Plan the encode so that it ends within this time from its start: 90s, 10m, 2h; of several jobs and segments, "
    "each has its share. The bytes then depend on the speed of the machine. With --resume the time begins anew.",
)
"""``--time-limit``."""

encoder_options = gathered("options", _encode_options, *_TRAINING, *_RATE_AND_DISTORTION, *_STRUCTURE)
"""Options of the encoder, as the argument `options`."""


@dataclass(frozen=True)
class Segmentation:
    """How a long video is cut and encoded.

    Attributes:
        segment: frames of a segment; 0 for one segment, None for the encoder's choice.
        scene_cuts: whether a scene cut ends a segment.
        jobs: number of jobs that run concurrently; None for as many as the cluster has room for.
        cluster: the cluster that runs them; None for this machine.
    """

    segment: int | None
    scene_cuts: bool
    jobs: int | None
    cluster: Cluster | None = None


def _segmentation(segment: int | None, scene_cuts: bool, jobs: int | None, **ray: Any) -> Segmentation:
    """How the options say that a long video is cut and encoded.

    Raises:
        click.UsageError: as `chosen_cluster`.
    """
    cluster = chosen_cluster(**ray)
    if cluster is None:
        return Segmentation(segment, scene_cuts, cores_here() if jobs == 0 else jobs or 1)
    return Segmentation(segment, scene_cuts, jobs or None, cluster)


segment_options = gathered(
    "segmentation",
    _segmentation,
    click.option(
        "--segment",
        callback=parse_segment,
        metavar="FRAMES",
        help="Longest segment with a network of its own, in whole GOPs; whole for one network in all.  "
        "[default: what fits in about 2 GB]",
    ),
    click.option(
        "--scene-cuts/--no-scene-cuts",
        default=True,
        help="Whether a scene cut ends a segment, in a video longer than one.  [default: yes]",
    ),
    click.option(
        "--jobs",
        callback=parse_jobs,
        metavar="N",
        help="Segments to encode concurrently, each in a process; auto for one on each core, or as many as a cluster "
        "has room for.  [default: 1, with --ray auto]",
    ),
    *RAY_OPTIONS,
)
"""Options of a long video, as the argument `segmentation`."""

chroma_option = click.option(
    "--chroma",
    type=click.Choice(list(CHROMA)),
    help="Chroma format of headerless YUV and of PNGs.  [default: 420; of PNGs 444]",
)
"""``--chroma``."""

input_options = gathered(
    "picture",
    InputFormat,
    click.option("--size", callback=parse_size, metavar="WxH", help="Size of headerless YUV input."),
    click.option(
        "--rate",
        callback=parse_frame_rate,
        metavar="FPS",
        help="Frame rate of headerless YUV, or of other input that states none.  [default: 25]",
    ),
    chroma_option,
    click.option("--bit-depth", type=click.Choice(["8", "10"]), help="Bit depth of headerless YUV.  [default: 8]"),
    click.option(
        "--cicp",
        callback=parse_code_points,
        metavar="P/T/M",
        help="Code points (H.273) of primaries, transfer and matrix, in place of the input's.",
    ),
    click.option(
        "--range", "sample_range", type=click.Choice(["limited", "full"]), help="Sample range, in place of the input's."
    ),
)
"""Options that describe the input, as the argument `picture`."""
