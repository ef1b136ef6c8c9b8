"""`encode`: a video in, a verified stream out."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from nvrc_decoder.errors import InputError
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.system.out_of_memory import memory_errors
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.plan import Plan
from nvrc_encoder.preparation import Prepared, check_before_reading, prepare
from nvrc_encoder.probe import PROBE_FRAMES, is_worthwhile, measure_speed
from nvrc_encoder.processes import check_process
from nvrc_encoder.quality.psnr import measure
from nvrc_encoder.quality.similarity import mean_similarity
from nvrc_encoder.rate_goal import RateGoal, clamp_lambda, guess_lambda
from nvrc_encoder.report import EncodeReport, Start
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.checkpoint import checkpoint_to_resume, fingerprint
from nvrc_encoder.training.deadline import Deadline
from nvrc_encoder.training.interruption import Interruption
from nvrc_encoder.training.loop import train
from nvrc_encoder.training.outlook import Outlook
from nvrc_encoder.training.pacing import Pacer
from nvrc_encoder.training.run import Progress, Run
from nvrc_encoder.training.structure_search import Trial, choose, is_open, memo, settled, untried
from nvrc_encoder.training.workload import NOMINAL, Speed, expected_work
from nvrc_encoder.writing.stream import over_default_limits, reconstruct, write_stream
from nvrc_encoder.writing.verification import verify_stream

__all__ = ["encode", "no_frames", "try_lambda", "warn_if_passed"]

log = logging.getLogger("nvrc_encoder")

_PILOT, _TRAINING = "pilot", "training"
"""Stages of an encode that train; the trials come between them."""
_SECONDS_TOLERATED, _SHARE_TOLERATED = 1.0, 0.02
"""By how much a time limit may be passed without a warning."""


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
    deadline: Deadline | None = None,
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
        deadline: when all has to be done. The training is as long as the time allows, and no longer than without a
            deadline; there are as many trials as fit in their share. What cannot be done without (reading, start, an
            iteration, writing) is done in any case, and a warning says by how much the limit was passed. The bytes
            depend on the speed of the machine. A resumed encode needs a deadline of its own.

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
        source,
        options or EncodeOptions(),
        progress,
        interruption or Interruption(),
        outlook or Outlook(),
        checkpoint,
        deadline,
    )
    work.begin(resume)
    trials = work.settle()
    prepared, run = work.train(trials)
    data, report = work.write(prepared, run, trials)
    output.write(data)
    if deadline is not None and not deadline.part:
        warn_if_passed(deadline)
    return report


def warn_if_passed(deadline: Deadline) -> None:
    """Log by how much an encode that is done has passed its time limit, unless that is little."""
    over = -deadline.left
    if over > max(_SECONDS_TOLERATED, _SHARE_TOLERATED * deadline.seconds):
        log.warning(
            "warning: the time limit of %.0f s was passed by %.0f s: what cannot be left out (reading, start, writing) "
            "took longer than expected; fewer frames or a smaller picture take less",
            deadline.seconds,
            over,
        )


def _check_arguments(source: Source, output: BinaryIO) -> None:
    if not isinstance(source, Source):
        raise TypeError(f"source is {type(source).__name__}: open_source and array_source make one")
    if not callable(getattr(output, "write", None)):
        raise TypeError(f"output is {type(output).__name__}: it must be a binary file that can be written")
    check_process()


def _read_frames(source: Source) -> list[Planes]:
    frames = list(source)
    if not frames:
        raise no_frames(source)
    return frames


def no_frames(source: Source) -> InputError:
    """The error for a source without frames."""
    skip = source.window.skip
    return InputError("E_SOURCE", f"{source.name} has no frames{f' after the first {skip}' if skip else ''}")


def _with_metadata(source: Source, options: EncodeOptions) -> EncodeOptions:
    """The options with the METADATA of a source that has been read; logs what is carried, and what is not."""
    for line in source.losses:
        log.warning("%s", line)
    carried = source.metadata
    if not carried:
        return options
    log.info("carried: %s", ", ".join(source.carried))
    return dataclasses.replace(options, metadata={**carried, **options.metadata})


def try_lambda(
    source: Source,
    frames: Sequence[Planes],
    options: EncodeOptions,
    finish: Callable[[Run], None] = train,
    plan: Plan | None = None,
) -> tuple[int, float]:
    """Bytes and luma PSNR of a short pilot run.

    Args:
        source: gives the format.
        frames: the frames, at least one.
        options: give lambda and the structure.
        finish: trains to the end of a run.
        plan: of the training that follows, which the pilot is a share of; None for that of the options.
    """
    pilot = prepare(source, frames, options)
    plan = plan or options.plan(len(frames))
    short = dataclasses.replace(plan, iterations=plan.pilot, pretrain=plan.pretrain // 2, search=0.0)
    finish(Run(pilot.trainer, short, memo=memo(_PILOT, options, ())))
    estimate = pilot.trainer.estimate()
    return pilot.size(estimate), estimate.psnr_y


class _Encode:
    """One encode, stage by stage: `begin`, `settle`, `train`, `write`.

    Args:
        source, options, progress, interruption, outlook, checkpoint, deadline: as in `encode`.
    """

    def __init__(
        self,
        source: Source,
        options: EncodeOptions,
        progress: Callable[[Progress], None] | None,
        interruption: Interruption,
        outlook: Outlook,
        checkpoint: Path | None,
        deadline: Deadline | None,
    ) -> None:
        self._deadline = deadline
        self._pacer: Pacer | None = None
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
        options = _with_metadata(source, self._options)
        self._key = {} if self._checkpoint is None else fingerprint(source.picture, frames, options)
        # No GOP is longer than the video: the default distance of keys follows from it.
        options = self._options = dataclasses.replace(options, gop=min(options.gop, len(frames)))
        if saved is not None:
            saved.check(self._key)
        duration = source.findings.duration(source.window, source.rate, len(frames))
        self._goal = options.goal(source.width, source.height, len(frames), len(frames) / duration)
        self._resumed = saved if saved is not None and saved.stage == _TRAINING else None
        settling = self._resumed is None
        trying = settling and options.trials and is_open(options)
        speed = self._measured_speed(settling, trying)
        goal = self._goal is not None
        self._plan = options.plan(len(frames))
        if self._deadline is not None:
            self._pacer = Pacer(self._deadline, options, source.picture, len(frames), goal, speed or NOMINAL)
            trying = trying and self._pacer.may_try(0.0)
            self._plan = self._pacer.plan(settling, trying)
        self._outlook.plan(source.picture, len(frames), self._plan, goal, settling, trying, speed)

    def _measured_speed(self, settling: bool, trying: bool) -> Speed | None:
        """How fast this machine is, if somebody wants to know and it takes little of the time; None else."""
        source, frames, options = self._source, self._frames, self._options
        work = expected_work(
            source.picture, len(frames), options.plan(len(frames)), self._goal is not None, settling, trying
        )
        whole = sum(work.values())
        if self._deadline is not None:
            whole = min(whole, self._deadline.left)
        elif not self._outlook.probing:
            return None
        clock = time.monotonic if self._deadline is None else self._deadline.clock
        if not is_worthwhile(source, len(frames), options, whole):
            return None
        return measure_speed(source, frames[:PROBE_FRAMES], options, (clock,))[0]

    def settle(self) -> tuple[Trial, ...]:
        """Fix lambda for the start of the training, then the structure; return the trials that chose it.

        A checkpoint of the training has both. With a checkpoint of the pilot, the pilot resumes, and the trials, which
        take seconds, are repeated.
        """
        if self._resumed is not None:
            self._options, trials = settled(self._options, self._resumed.state["memo"])
            return trials
        if self._goal is not None:
            lagrangian = self._first_lambda(self._goal)
            self._options = dataclasses.replace(self._options, lagrangian=lagrangian)
        if not (self._options.trials and is_open(self._options)):
            return ()
        pacer = self._pacer
        if pacer is not None and not pacer.may_try(0.0):
            log.info("there is no time for trials: what the options leave open is as in the first trial")
            self._options = untried(self._options)
            return ()
        choice = choose(
            self._source,
            self._frames,
            self._options,
            lambda *args: prepare(*args).trainer,
            self._report_trial,
            (lambda used, last: True) if pacer is None else pacer.may_try,
        )
        self._options = choice.options
        return choice.trials

    def _first_lambda(self, goal: RateGoal) -> float:
        """Lambda for the start of a run with a goal, from a guess and a short pilot run at that guess."""
        guess = guess_lambda(goal, len(self._frames) * self._source.width * self._source.height)
        options = dataclasses.replace(self._options, lagrangian=guess)
        size, psnr_y = try_lambda(
            self._source, self._frames, options, lambda run: self._finish(run, _PILOT), self._plan
        )
        return clamp_lambda(guess * math.exp(2 * goal.step(goal.error(size, psnr_y))))

    def train(self, trials: tuple[Trial, ...]) -> tuple[Prepared, Run]:
        """Train to the end; `trials` go into the checkpoints."""
        self._outlook.enter("start")
        options = self._options
        resumed = self._resumed
        began = time.monotonic()
        prepared = prepare(self._source, self._frames, options, start=resumed is None)
        trainer = prepared.trainer
        prepared.size(prepared.smallest)  # What the format cannot carry fails here, not after the training.
        over = over_default_limits(trainer, prepared.sequence, prepared.schedule)
        if over is not None:
            log.warning("decoders will refuse the stream unless told otherwise: %s", over)

        def multipliers_at(lagrangian: float) -> list[list[int] | None]:
            return dataclasses.replace(options, lagrangian=lagrangian).multipliers(trainer.model.structure)

        following = multipliers_at if options.grid_step is None else None
        if self._pacer is not None:
            self._plan = self._pacer.plan(done=0 if resumed is None else int(resumed.state["iteration"]))
        run = Run(trainer, self._plan, self._goal, prepared.size, following, memo(_TRAINING, options, trials))
        if resumed is None:
            run.begin()
            start = Start.of(trainer, time.monotonic() - began)
            log.info("start: J %.6f, Y %.2f dB, in %.1f s", start.cost, start.psnr_y, start.seconds)
            run.memo["start"] = dataclasses.asdict(start)
        else:
            run.memo["start"] = resumed.state["memo"].get("start")
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
        if self._pacer is not None and stage == _TRAINING:
            run.watch = self._follow
        train(run, report, path=self._checkpoint, key=self._key, interruption=self._interruption)
        self._outlook.leave()

    def _follow(self, run: Run) -> None:
        if self._pacer is not None:
            self._pacer.follow(run)
        self._outlook.follow(run)

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
            start=None if run.memo["start"] is None else Start(**run.memo["start"]),
            training=run.summary(),
            structure=structure,
            trials=trials,
            kmac_per_pixel=structure.kmac_per_pixel(source.chroma_format),
            training_seconds=training_seconds,
            seconds=time.monotonic() - self._started,
            frame_md5=tuple(frame.md5() for frame in own),
            rate=source.rate,
        )
