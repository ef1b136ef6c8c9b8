"""`encode`: a video in, a verified stream out."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from nvrc_decoder.errors import InputError
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.system.out_of_memory import memory_errors
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.preparation import Prepared, check_before_reading, prepare
from nvrc_encoder.processes import check_process
from nvrc_encoder.quality.psnr import measure
from nvrc_encoder.quality.similarity import mean_similarity
from nvrc_encoder.rate_goal import RateGoal, clamp_lambda, guess_lambda
from nvrc_encoder.report import EncodeReport
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.checkpoint import checkpoint_to_resume, fingerprint
from nvrc_encoder.training.interruption import Interruption
from nvrc_encoder.training.loop import train
from nvrc_encoder.training.outlook import Outlook
from nvrc_encoder.training.run import Progress, Run
from nvrc_encoder.training.structure_search import Trial, choose, is_open, memo, settled
from nvrc_encoder.writing.stream import over_default_limits, reconstruct, write_stream
from nvrc_encoder.writing.verification import verify_stream

__all__ = ["encode"]

log = logging.getLogger("nvrc_encoder")

_PILOT, _TRAINING = "pilot", "training"
"""Stages of an encode that train; the trials come between them."""


@memory_errors("encode smaller pictures or fewer frames")
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
        output: receives the whole stream in one write, after it has been verified.
        options: see `EncodeOptions`.
        progress: called after every tenth iteration and each step of the search, also in pilot and trials.
        checkpoint: file for the state of the training, written about twice a minute. The caller removes it when
            `output` is safe, and keeps other processes from it. On one machine a resumed encode gives the same file as
            an uninterrupted one. If it cannot be written, a warning says so.
        resume: whether to continue from `checkpoint` if that file exists.
        interruption: ends the encode between two steps of a training with a checkpoint, when it is asked to.
        outlook: forecasts the remaining time; no result depends on it.

    Raises:
        InputError: E_SOURCE, the video has no frames; E_CHECKPOINT, the checkpoint is not of this encode; E_FORK, this
            process was forked from one that has encoded.
        UnsupportedError: E_DEVICE, there is no CUDA device; E_LEVEL, no level admits the video; E_UNSUPPORTED, it is
            too small for MS-SSIM.
        MissingExtraError: E_MISSING_EXTRA, MS-SSIM needs a package that is not installed.
        InternalError: E_DIVERGED, the training diverged; E_RECONSTRUCTION, the decoder's frames differ from the
            encoder's own. Nothing is written in either case.
        LimitError: E_MEMORY, there is not enough memory.
        TypeError: `source` or `output` has another type.
    """
    _check_arguments(source, output)
    work = _Encode(
        source, options or EncodeOptions(), progress, interruption or Interruption(), outlook or Outlook(), checkpoint
    )
    work.begin(resume)
    trials = work.settle()
    prepared, run = work.train(trials)
    data, report = work.write(prepared, run, trials)
    output.write(data)
    return report


def _check_arguments(source: Source, output: BinaryIO) -> None:
    if not isinstance(source, Source):
        raise TypeError(f"source is {type(source).__name__}: open_source and array_source make one")
    if not callable(getattr(output, "write", None)):
        raise TypeError(f"output is {type(output).__name__}: it must be a binary file that can be written")
    check_process()


def _read_frames(source: Source) -> list[Planes]:
    frames = list(source)
    if not frames:
        skip = source.window.skip
        raise InputError("E_SOURCE", f"{source.name} has no frames{f' after the first {skip}' if skip else ''}")
    return frames


def _with_metadata(source: Source, options: EncodeOptions) -> EncodeOptions:
    """The options with the METADATA of a source that has been read; logs what is carried, and what is not."""
    for line in source.losses:
        log.warning("%s", line)
    carried = source.metadata
    if not carried:
        return options
    log.info("carried: %s", ", ".join(source.carried))
    return dataclasses.replace(options, metadata={**carried, **options.metadata})


class _Encode:
    """One encode, stage by stage: `begin`, `settle`, `train`, `write`.

    Args:
        source, options, progress, interruption, outlook, checkpoint: as in `encode`.
    """

    def __init__(
        self,
        source: Source,
        options: EncodeOptions,
        progress: Callable[[Progress], None] | None,
        interruption: Interruption,
        outlook: Outlook,
        checkpoint: Path | None,
    ) -> None:
        self._source, self._options = source, options
        self._progress, self._interruption, self._outlook = progress, interruption, outlook
        self._checkpoint = checkpoint
        self._started = time.monotonic()

    def begin(self, resume: bool) -> None:
        """Read the checkpoint to resume from and the frames, and plan the stages ahead."""
        source = self._source
        check_before_reading(source, self._options)
        saved = self._saved = checkpoint_to_resume(self._checkpoint, resume)
        if saved is not None:
            self._interruption.kept = saved.place
        frames = self._frames = _read_frames(source)
        options = self._options = _with_metadata(source, self._options)
        self._key = {} if self._checkpoint is None else fingerprint(source.picture, frames, options)
        if saved is not None:
            saved.check(self._key)
        duration = source.findings.duration(source.window, source.rate, len(frames))
        self._goal = options.goal(source.width, source.height, len(frames), len(frames) / duration)
        settling = saved is None or saved.stage != _TRAINING
        trying = settling and options.trials and is_open(options)
        self._outlook.plan(source.picture, len(frames), options.plan(), self._goal is not None, settling, trying)

    def settle(self) -> tuple[Trial, ...]:
        """Fix lambda for the start of the training, then the structure; return the trials that chose it.

        A checkpoint of the training has both. With a checkpoint of the pilot, the pilot resumes, and the trials, which
        take seconds, are repeated.
        """
        saved = self._saved
        if saved is not None and saved.stage == _TRAINING:
            self._options, trials = settled(self._options, saved.state["memo"])
            return trials
        if self._goal is not None:
            lagrangian = self._first_lambda(self._goal)
            self._options = dataclasses.replace(self._options, lagrangian=lagrangian)
        if not (self._options.trials and is_open(self._options)):
            return ()
        choice = choose(
            self._source, self._frames, self._options, lambda *args: prepare(*args).trainer, self._report_trial
        )
        self._options = choice.options
        return choice.trials

    def _first_lambda(self, goal: RateGoal) -> float:
        """Lambda for the start of a run with a goal, from a guess and a short pilot run at that guess."""
        source, frames = self._source, self._frames
        guess = guess_lambda(goal, len(frames) * source.width * source.height)
        options = dataclasses.replace(self._options, lagrangian=guess)
        pilot = prepare(source, frames, options)
        plan = options.plan()
        short = dataclasses.replace(plan, iterations=plan.pilot, pretrain=plan.pretrain // 2, search=0.0)
        self._finish(Run(pilot.trainer, short, memo=memo(_PILOT, options, ())), _PILOT)
        estimate = pilot.trainer.estimate()
        return clamp_lambda(guess * math.exp(2 * goal.step(goal.error(pilot.size(estimate), estimate.psnr_y))))

    def train(self, trials: tuple[Trial, ...]) -> tuple[Prepared, Run]:
        """Train to the end; `trials` go into the checkpoints."""
        self._outlook.enter("start")
        options = self._options
        prepared = prepare(self._source, self._frames, options)
        trainer = prepared.trainer
        prepared.size(prepared.smallest)  # What the format cannot carry fails here, not after the training.
        over = over_default_limits(trainer, prepared.sequence, prepared.schedule)
        if over is not None:
            log.warning("decoders will refuse the stream unless told otherwise: %s", over)

        def multipliers_at(lagrangian: float) -> list[list[int] | None]:
            return dataclasses.replace(options, lagrangian=lagrangian).multipliers(trainer.model.structure)

        following = multipliers_at if options.grid_step is None else None
        run = Run(trainer, options.plan(), self._goal, prepared.size, following, memo(_TRAINING, options, trials))
        self._finish(run)
        return prepared, run

    def _finish(self, run: Run, phase: str | None = None) -> None:
        """Train to the end of a run, from the checkpoint if it is of this stage.

        Args:
            run: fresh.
            phase: name of the phase for `progress`; None for the run's own phases.
        """

        def report(one: Progress) -> None:
            if self._progress is not None:
                self._progress(one if phase is None else dataclasses.replace(one, phase=phase))

        stage = run.memo["stage"]
        if self._saved is not None and self._saved.stage == stage:
            self._saved.restore(run)
            log.info("resumed in the %s, iteration %d of %d", stage, run.iteration, run.plan.iterations)
        self._outlook.enter(stage)
        run.watch = self._outlook.follow
        train(run, report, path=self._checkpoint, key=self._key, interruption=self._interruption)
        self._outlook.leave()

    def _report_trial(self, done: int, all_: int, trial: Trial) -> None:
        self._outlook.reach(1 - done / all_, done, all_)
        if self._progress is not None:
            bpp = trial.grid_bits / (self._source.width * self._source.height)
            seconds = time.monotonic() - self._started
            self._progress(Progress(done, all_, "trial", trial.psnr, bpp, seconds, self._options.lagrangian))

    def write(self, prepared: Prepared, run: Run, trials: tuple[Trial, ...]) -> tuple[bytes, EncodeReport]:
        """The verified stream and the report of it."""
        source, frames, trainer = self._source, self._frames, prepared.trainer
        estimate = trainer.estimate()
        estimated = prepared.size(estimate)
        pixels = len(frames) * source.width * source.height
        cost = estimate.distortion + trainer.lagrangian * estimate.bits / pixels
        bpp = 8 * estimated / pixels
        log.info("estimate before writing: %d bytes (%.5f bits per pixel), J %.6f", estimated, bpp, cost)
        training_seconds = time.monotonic() - self._started
        promised = reconstruct(trainer)
        self._outlook.reach(0.5)
        written = write_stream(
            trainer, prepared.sequence, prepared.schedule, promised, index=prepared.index, metadata=prepared.metadata
        )
        own = [frame for gop in promised for frame in gop]
        unrounded = [frame for gop in reconstruct(trainer, Arithmetic.FLOAT) for frame in gop]
        self._outlook.reach(0.2)
        verify_stream(written.data, own)
        self._outlook.leave()
        structure = trainer.model.structure
        return written.data, EncodeReport(
            frames=len(frames),
            width=source.width,
            height=source.height,
            bytes=len(written.data),
            estimated_bytes=estimated,
            bits_per_pixel=8 * len(written.data) / pixels,
            components=written.components,
            quality=measure(frames, own, source.bit_depth),
            float_quality=measure(frames, unrounded, source.bit_depth),
            ms_ssim_y=mean_similarity(frames, own, source.bit_depth) if self._options.tune == "ms-ssim" else None,
            cost=cost,
            lagrangian=trainer.lagrangian,
            goal=self._goal,
            training=run.summary(),
            structure=structure,
            trials=trials,
            kmac_per_pixel=structure.kmac_per_pixel(source.chroma_format),
            training_seconds=training_seconds,
            seconds=time.monotonic() - self._started,
            frame_md5=tuple(frame.md5() for frame in own),
            rate=source.rate,
        )
