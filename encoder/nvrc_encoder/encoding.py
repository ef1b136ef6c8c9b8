"""`encode`: a video in, a verified stream out."""

from __future__ import annotations

import dataclasses
import io
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import torch

import nvrc_decoder
from nvrc_decoder.bitstream.units import ScheduleKind, SequenceHeader
from nvrc_decoder.errors import InputError, InternalError, InvalidStreamError, UnsupportedError
from nvrc_decoder.limits import Limits
from nvrc_decoder.octree.schedule import octree_schedule, temporal_first_schedule
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import node_shape
from nvrc_decoder.system.out_of_memory import memory_errors
from nvrc_encoder.goal import Goal, clamp_lambda, guess_lambda
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.model.structure import Structure
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.processes import check_process
from nvrc_encoder.quality.measures import Quality, mean_similarity, measure
from nvrc_encoder.quality.similarity import Similarity
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.checkpoint import fingerprint, taken_up, train
from nvrc_encoder.training.interruption import Interruption
from nvrc_encoder.training.outlook import Outlook
from nvrc_encoder.training.run import Progress, Run, Summary
from nvrc_encoder.training.structure_search import Trial, choose, is_open, memo, settled
from nvrc_encoder.training.target import make_target
from nvrc_encoder.training.trainer import Estimate, Trainer
from nvrc_encoder.writing.stream import estimate_bytes, over_default_limits, reconstruct, sequence_header, write_stream

__all__ = ["EncodeReport", "Quality", "encode", "make_trainer", "measure"]

log = logging.getLogger("nvrc_encoder")

_NO_LIMITS = Limits(*(1 << 62 for _ in dataclasses.fields(Limits)))


@dataclass(frozen=True)
class EncodeReport:
    """What an encode came to.

    Attributes:
        frames, width, height: of the video.
        bytes: size of the stream.
        estimated_bytes: the training loss's own estimate at its last step, made before anything was written.
        bits_per_pixel: stream bits over luma samples.
        components: part of the stream -> bytes; they add up to `bytes`.
        quality: PSNR of the decoded frames against the source.
        float_quality: the same if everything were clipped as it is, but nothing rounded except the samples.
        ms_ssim_y: mean of the frames' MS-SSIM of luma where that was tuned for.
        cost: J, the distortion that was tuned for plus lambda times the estimated bits per pixel, without headers.
        lagrangian: lambda: the one given, or where rate control ended.
        goal: what rate control was asked for; None for a fixed lambda.
        training: how the training ended.
        structure: what the stream switches on of its profile.
        trials: what chose it; none where everything was given.
        kmac_per_pixel: synthesis cost of the active layers.
        seconds: wall time of training, and of everything.
        frame_md5: MD5 of each decoded frame.
        rate: frames a second.
    """

    frames: int
    width: int
    height: int
    bytes: int
    estimated_bytes: int
    bits_per_pixel: float
    components: dict[str, float]
    quality: Quality
    float_quality: Quality
    ms_ssim_y: float | None
    cost: float
    lagrangian: float
    goal: Goal | None
    training: Summary
    structure: Structure
    trials: tuple[Trial, ...]
    kmac_per_pixel: float
    training_seconds: float
    seconds: float
    frame_md5: tuple[str, ...]
    rate: Fraction

    @property
    def kilobits_per_second(self) -> float:
        """Of the stream at the video's frame rate."""
        return float(8 * self.bytes * self.rate / self.frames) / 1000


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError("E_DEVICE", "PyTorch sees no CUDA device: use --device cpu")
    return torch.device(name)


def _split(frames: Sequence[Planes], gop: int) -> list[list[Planes]]:
    return [list(frames[i : i + gop]) for i in range(0, len(frames), gop)]


_SCHEDULES = {
    "temporal-first": (ScheduleKind.TEMPORAL_FIRST, temporal_first_schedule),
    "octree": (ScheduleKind.OCTREE, octree_schedule),
}


def make_trainer(
    source: Source, frames: Sequence[Planes], options: EncodeOptions, *, kind: type[Trainer] = Trainer
) -> tuple[Trainer, SequenceHeader, ScheduleKind]:
    """A trainer for a video, ready to run, with its SEQUENCE and the schedule of its grids.

    Args:
        source: gives the format.
        frames: the frames, at least one.
        options: see `EncodeOptions`.
        kind: the trainer's class.
    """
    size = (source.height, source.width)
    gops = _split(frames, options.gop)
    structure = options.structure()
    longest = len(gops[0])
    shapes = [node_shape(slot, longest, *size, structure.pyramid) for slot in structure.profile.slots]
    schedule, make_splits = _SCHEDULES[options.schedule]
    symbols = sum(math.prod(shape) * n for shape, n in zip(shapes, structure.grid_channels, strict=True))
    try:
        sequence = sequence_header(source.picture, structure.profile.id, longest, symbols)
    except InvalidStreamError as error:
        raise UnsupportedError(error.code, f"{source.name} cannot be encoded: {error.message}") from error
    trainer = kind(
        structure,
        source.chroma_format,
        source.bit_depth,
        size,
        [make_target(gop, source.chroma_format) for gop in gops],
        options.multipliers(structure),
        make_splits,
        options.lagrangian,
        options.seed,
        _device(options.device),
        Similarity(size, source.bit_depth) if options.tune == "ms-ssim" else None,
        options.prior,
    )
    return trainer, sequence, schedule


_PILOT, _TRAINING = "pilot", "training"
"""Stages of an encode; between the two lie the trials."""


def _has_index(trainer: Trainer, options: EncodeOptions) -> bool:
    """Whether the stream has an INDEX: of one GOP it would say nothing."""
    return options.index and len(trainer.frame_counts) > 1


def first_lambda(
    source: Source, frames: Sequence[Planes], options: EncodeOptions, goal: Goal, finish: Callable[[Run], None]
) -> float:
    """Lambda for the start of a run with a goal, from a guess and a short pilot run with it.

    Args:
        source, frames, options: as in `make_trainer`.
        goal: what is asked for.
        finish: trains a run to its end.
    """
    guess = guess_lambda(goal, len(frames) * source.width * source.height)
    options = dataclasses.replace(options, lagrangian=guess)
    trainer, sequence, schedule = make_trainer(source, frames, options)
    plan = options.plan()
    short = dataclasses.replace(plan, iterations=plan.pilot, pretrain=plan.pretrain // 2, search=0.0)
    finish(Run(trainer, short, memo=memo(_PILOT, options, ())))
    estimate = trainer.estimate()
    index = _has_index(trainer, options)
    size = estimate_bytes(trainer, sequence, schedule, estimate, index=index, metadata=options.metadata)
    return clamp_lambda(guess * math.exp(2 * goal.step(goal.error(size, estimate.psnr_y))))


def _settle(
    source: Source,
    frames: Sequence[Planes],
    options: EncodeOptions,
    goal: Goal | None,
    finish: Callable[[Run, str], None],
    told: Callable[[int, int, Trial], None],
    state: dict[str, Any] | None,
) -> tuple[EncodeOptions, tuple[Trial, ...]]:
    """Fill in what has to be fixed before the training: the first lambda and the structure.

    Where `state` is of the training, it is there. The pilot goes on from `state`; trials take seconds and begin anew.
    """
    if state is not None and state["memo"].get("stage") == _TRAINING:
        return settled(options, state["memo"])
    if goal is not None:
        lagrangian = first_lambda(source, frames, options, goal, lambda run: finish(run, _PILOT))
        options = dataclasses.replace(options, lagrangian=lagrangian)
    if not (options.trials and is_open(options)):
        return options, ()
    choice = choose(source, frames, options, lambda *args: make_trainer(*args)[0], told)
    return choice.options, choice.trials


def _with_metadata(source: Source, options: EncodeOptions) -> EncodeOptions:
    """The options with the METADATA of a source that has been read; says what is carried, and what is not."""
    for line in source.losses:
        log.warning("%s", line)
    carried = source.metadata
    if not carried:
        return options
    log.info("carried: %s", ", ".join(source.carried))
    return dataclasses.replace(options, metadata={**carried, **options.metadata})


@memory_errors("encode smaller pictures, or fewer frames at a time")
def encode(
    source: Source,
    output: BinaryIO,
    options: EncodeOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    interruption: Interruption | None = None,
    outlook: Outlook | None = None,
) -> EncodeReport:
    """Overfit a network to a video, write the stream, decode it and compare.

    Args:
        source: the video.
        output: receives the whole stream at once, after it has been verified.
        options: see `EncodeOptions`.
        progress: called after every tenth iteration and each step of the search, in pilot and trials, too.
        checkpoint: file that the state of the training goes to about twice a minute; the caller removes it when
            `output` is safe, and keeps other processes from it. On one machine a resumed encode gives the file that an
            unbroken one gives. If it cannot be written, a warning says so.
        resume: go on from `checkpoint` if that file exists.
        interruption: asked between the steps of a training that has a checkpoint; the encode ends with what was asked.
        outlook: keeps count of the time that is left; no result depends on it.

    Raises:
        InputError: E_SOURCE, the video has no frames; E_CHECKPOINT, the checkpoint is not of this encode; E_FORK, this
            process was forked from one that has encoded.
        UnsupportedError: E_DEVICE, there is no CUDA device; E_LEVEL, no level admits the video; E_UNSUPPORTED, it is
            too small for MS-SSIM.
        MissingExtraError: E_MISSING_EXTRA, MS-SSIM needs a package that is not installed.
        InternalError: E_DIVERGED, training ran into infinities; E_RECONSTRUCTION, the decoder's frames differ from
            the encoder's own. Nothing is written in either case.
        LimitError: E_MEMORY, there is not enough memory.
        TypeError: `source` or `output` is something else.
    """
    if not isinstance(source, Source):
        raise TypeError(f"source is {type(source).__name__}: open_source and array_source make one")
    if not callable(getattr(output, "write", None)):
        raise TypeError(f"output is {type(output).__name__}: it must be a binary file that can be written")
    check_process()
    options = options or EncodeOptions()
    started = time.monotonic()
    if options.tune == "ms-ssim":
        Similarity((source.height, source.width), source.bit_depth)  # too small: known before the frames are read
    _device(options.device)
    interruption = interruption or Interruption()
    saved = taken_up(checkpoint, resume)
    if saved is not None:
        interruption.kept = saved.place
    frames = list(source)
    if not frames:
        skip = source.window.skip
        raise InputError("E_SOURCE", f"{source.name} has no frames{f' after the first {skip}' if skip else ''}")
    options = _with_metadata(source, options)
    key = {} if checkpoint is None else fingerprint(source.picture, frames, options)
    if saved is not None:
        saved.check(key)
    duration = source.findings.duration(source.window, source.rate, len(frames))
    goal = options.goal(source.width, source.height, len(frames), len(frames) / duration)
    outlook = outlook or Outlook()
    settling = saved is None or saved.stage != _TRAINING
    trying = settling and options.trials and is_open(options)
    outlook.plan(source.picture, len(frames), options.plan(), goal is not None, settling, trying)

    def finish(run: Run, phase: str | None = None) -> None:
        """Train to the end, from the checkpoint if it is of this stage."""

        def told(one: Progress) -> None:
            if progress is not None:
                progress(one if phase is None else dataclasses.replace(one, phase=phase))

        stage = run.memo["stage"]
        if saved is not None and saved.stage == stage:
            saved.restore(run)
            log.info("resumed in the %s, iteration %d of %d", stage, run.iteration, run.plan.iterations)
        outlook.enter(stage)
        run.watch = outlook.follow
        train(run, told, path=checkpoint, key=key, interruption=interruption)
        outlook.leave()

    first_lagrangian = options.lagrangian

    def tried(done: int, all_: int, trial: Trial) -> None:
        outlook.reach(1 - done / all_, done, all_)
        if progress is not None:
            bpp = trial.grid_bits / (source.width * source.height)
            progress(Progress(done, all_, "trial", trial.psnr, bpp, time.monotonic() - started, first_lagrangian))

    options, trials = _settle(source, frames, options, goal, finish, tried, None if saved is None else saved.state)
    outlook.enter("start")
    trainer, sequence, schedule = make_trainer(source, frames, options)
    index, metadata = _has_index(trainer, options), options.metadata

    def size_of(estimate: Estimate) -> int:
        return estimate_bytes(trainer, sequence, schedule, estimate, index=index, metadata=metadata)

    # What the format cannot carry fails here, not after the training.
    size_of(Estimate([0.0] * len(trainer.model.profile.slots), [0.0], 0.0))
    over = over_default_limits(trainer, sequence, schedule)
    if over is not None:
        log.warning("decoders will refuse the stream unless told otherwise: %s", over)

    def multipliers_at(lagrangian: float) -> list[list[int] | None]:
        return dataclasses.replace(options, lagrangian=lagrangian).multipliers(trainer.model.structure)

    following = multipliers_at if options.grid_step is None else None
    run = Run(trainer, options.plan(), goal, size_of, following, memo(_TRAINING, options, trials))
    finish(run)
    estimate = trainer.estimate()
    estimated = size_of(estimate)
    lagrangian = trainer.lagrangian
    pixels = len(frames) * source.width * source.height
    cost = estimate.distortion + lagrangian * estimate.bits / pixels
    log.info(
        "estimate before writing: %d bytes (%.5f bits per pixel), J %.6f",
        estimated,
        8 * estimated / pixels,
        cost,
    )
    training_seconds = time.monotonic() - started
    promised = reconstruct(trainer)
    outlook.reach(0.5)
    written = write_stream(trainer, sequence, schedule, promised, index=index, metadata=metadata)
    own = [frame for gop in promised for frame in gop]
    unrounded = [frame for gop in reconstruct(trainer, Arithmetic.FLOAT) for frame in gop]
    outlook.reach(0.2)
    _verify(written.data, own)
    outlook.leave()
    output.write(written.data)
    return EncodeReport(
        frames=len(frames),
        width=source.width,
        height=source.height,
        bytes=len(written.data),
        estimated_bytes=estimated,
        bits_per_pixel=8 * len(written.data) / pixels,
        components=written.components,
        quality=measure(frames, own, source.bit_depth),
        float_quality=measure(frames, unrounded, source.bit_depth),
        ms_ssim_y=mean_similarity(source, frames, own) if options.tune == "ms-ssim" else None,
        cost=cost,
        lagrangian=lagrangian,
        goal=goal,
        training=run.summary(),
        structure=trainer.model.structure,
        trials=trials,
        kmac_per_pixel=trainer.model.structure.kmac_per_pixel(source.chroma_format),
        training_seconds=training_seconds,
        seconds=time.monotonic() - started,
        frame_md5=tuple(frame.md5() for frame in own),
        rate=source.rate,
    )


def _verify(data: bytes, promised: Sequence[Planes]) -> None:
    """Decode the stream with the installed decoder and hold every frame against the promised one.

    Local limits are off: they are the policy of whoever decodes, and training took more than decoding does.
    """
    count = 0
    try:
        with nvrc_decoder.open(io.BytesIO(data), limits=_NO_LIMITS) as video:
            for number, frame in enumerate(video):
                if number >= len(promised) or frame.md5() != promised[number].md5():
                    raise InternalError(
                        "E_RECONSTRUCTION", f"frame {number} of the written stream does not decode to the encoder's own"
                    )
                count += 1
    except InvalidStreamError as error:
        raise InternalError("E_RECONSTRUCTION", f"the written stream does not decode: {error}") from error
    if count != len(promised):
        raise InternalError("E_RECONSTRUCTION", f"the written stream decodes to {count} of {len(promised)} frames")
