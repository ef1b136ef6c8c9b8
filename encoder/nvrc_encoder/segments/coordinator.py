"""`encode_segments`: reads a video once, has its segments encoded, and joins their streams."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nvrc_decoder.errors import InputError
from nvrc_decoder.picture.presentation import TIMES
from nvrc_encoder.encoding import no_frames, warn_if_passed
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.preparation import check_before_reading
from nvrc_encoder.segments.goal import first_options, following_options, has_goal, survey, whole_goal
from nvrc_encoder.segments.job import Job, torch_threads
from nvrc_encoder.segments.joining import join_segments
from nvrc_encoder.segments.pool import Here, Pool, Processes, Shown
from nvrc_encoder.segments.report import SegmentedReport, summarise
from nvrc_encoder.segments.splitting import Segment, SegmentedSource
from nvrc_encoder.segments.time_shares import time_share
from nvrc_encoder.segments.workspace import Workspace
from nvrc_encoder.training.checkpoint import fingerprint
from nvrc_encoder.training.deadline import Deadline
from nvrc_encoder.training.interruption import Interruption

__all__ = ["Overall", "encode_segments"]

log = logging.getLogger("nvrc_encoder")

_REFRESH = 0.25
"""Seconds between two looks at jobs that run elsewhere."""
_JOINING, _JOINING_SHARE = 5.0, 0.1
"""Time before a deadline for the start of processes and the join: seconds, at most, and share of the whole."""


@dataclass(frozen=True)
class Overall:
    """Progress of a segmented encode.

    Attributes:
        segments: number of finished segments, with those of an earlier run.
        frames: number of their frames, and of running segments the share that is done.
        fresh: the same without what an earlier run had finished.
        all_segments, all_frames: numbers of segments and of frames of the video; None where they are not known.
        running: number of each running segment -> share that is done, 0..1.
        seconds: wall time of this run.
    """

    segments: int
    frames: float
    fresh: float
    all_segments: int | None
    all_frames: int | None
    running: dict[int, float]
    seconds: float

    @property
    def remaining(self) -> float | None:
        """Remaining seconds; None where they cannot be told."""
        if self.all_frames is None or self.fresh <= 0:
            return None
        return self.seconds / self.fresh * max(0.0, self.all_frames - self.frames)


class _StopError(Exception):
    """An end was asked for, and jobs run elsewhere."""


def encode_segments(
    cut: SegmentedSource,
    output: BinaryIO,
    options: EncodeOptions | None = None,
    *,
    folder: Path,
    resume: bool = False,
    jobs: int = 1,
    pool: Pool | None = None,
    threads: int = 1,
    interruption: Interruption | None = None,
    shown: Shown | None = None,
    told: Callable[[Overall], None] | None = None,
    deadline: Deadline | None = None,
) -> SegmentedReport:
    """Encode a video in segments that share nothing, and write them as one stream.

    At most `jobs` segments have their samples in `folder`, one more is in memory. The bytes depend on `threads`, not on
    `jobs`. Each finished segment, and each checkpoint of the others, stays in `folder` until the caller removes it with
    `Workspace.remove`, when `output` is safe.

    Args:
        cut: the video; where it fits in one segment, `encode` does the same without a folder.
        output: receives the stream, unit by unit, after all segments have been encoded and verified.
        options: as in `encode`; a goal holds for the whole.
        folder: the folder for frames, streams and checkpoints; the caller keeps other processes from it.
        resume: whether to continue what it holds.
        jobs: number of processes; with 1, this one encodes.
        pool: runs the jobs instead, and is closed at the end.
        threads: threads of PyTorch in each.
        interruption: as in `encode`.
        shown: with one job, gives `progress` and `outlook` of each segment's `encode`.
        told: called with the progress of the whole when it changes.
        deadline: when all has to be done; each segment has its share of the time that is left when it begins. See
            `encode`.

    Raises:
        InputError: E_SOURCE, a size or a deadline is wanted of a video whose length is not known before its end.
        NvrcError: as `encode`; LimitError, E_WORKER, processes were killed again and again.
    """
    interruption = interruption or Interruption()
    options = options or EncodeOptions()
    check_before_reading(cut.source, options)
    workspace = Workspace(folder, resume)
    if pool is None:
        shown = shown or (lambda job: nullcontext((None, None)))
        pool = Here(shown, interruption) if jobs == 1 else Processes(jobs)
    work = _Coordinator(cut, options, workspace, pool, threads, interruption, told or (lambda state: None), deadline)
    with work.keeping(), closing(pool):
        work.settle()
        with interruption.deferred() if pool.elsewhere else nullcontext():
            work.encode()
        report = work.join(output)
    if deadline is not None:
        warn_if_passed(deadline)
    return report


class _Coordinator:
    """One segmented encode: `settle`, `encode`, `join`; arguments as in `encode_segments`."""

    def __init__(
        self,
        cut: SegmentedSource,
        options: EncodeOptions,
        workspace: Workspace,
        pool: Pool,
        threads: int,
        interruption: Interruption,
        told: Callable[[Overall], None],
        deadline: Deadline | None,
    ) -> None:
        self._deadline = deadline
        self._until: dict[int, float] = {}
        self._survey: list[int] | None = None
        self._cut, self._source, self._options = cut, cut.source, options
        self._workspace, self._pool, self._threads = workspace, pool, threads
        self._interruption, self._told = interruption, told
        self._started = time.monotonic()
        self._counts: list[int] = []
        self._running: set[int] = set()
        self._done = self._frames = self._fresh = 0
        self._said: set[str] = set()
        self._first = self._following = options
        self._all_segments: int | None = None
        self._all_frames = self._source.frame_count

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Where the encode ends early, say in the interruption what is kept, and remove the rest."""
        try:
            yield
        except BaseException:
            self._interruption.kept = self._place()
            self._workspace.tidy()
            raise

    def _place(self) -> str | None:
        if not self._pool.elsewhere and self._interruption.kept is not None:
            return f"segment {self._done + 1}, {self._interruption.kept}"
        finished, half_done = self._workspace.count()
        parts = [f"{finished} finished"] * bool(finished) + [f"{half_done} half-done"] * bool(half_done)
        noun = "segment" if finished + half_done == 1 else "segments"
        return f"{' and '.join(parts)} {noun}" if parts else None

    def settle(self) -> None:
        """Count the segments, if a goal or a deadline needs that; settle what the first one has to meet of a goal."""
        goal = has_goal(self._options)
        if not goal and self._deadline is None:
            return
        if self._deadline is not None and self._source.once:
            raise InputError(
                "E_SOURCE",
                f"the length of {self._source.name} is not known before its end, so that --time-limit cannot be shared "
                "among its segments: use a file, or --segment whole",
            )
        if not self._source.once:
            self._survey = survey(self._cut)
            self._all_segments, self._all_frames = len(self._survey), sum(self._survey)
        if goal:
            hasty = self._deadline is not None
            with torch_threads(self._threads):
                self._first = first_options(self._cut, self._options, self._survey, self._workspace, hasty)
        if self._survey is not None:
            self._cut = self._cut.again()

    def _options_of(self, number: int) -> EncodeOptions:
        """The options of a segment; with a goal, those of all but the first have its lambda, once it is finished."""
        if number == 1 and has_goal(self._options):
            while self._running:
                self._wait()
            self._following = following_options(self._options, float(self._workspace.finished(0)["lambda"]))
        return dataclasses.replace(self._following if number else self._first, metadata={}, index=False)

    def encode(self) -> None:
        """Encode all segments that are not finished."""
        try:
            for segment in self._cut:
                if segment.number == 0:
                    self._say_losses()
                self._begin(segment)
            while self._running:
                self._wait()
            if not self._counts:
                raise no_frames(self._source)
        except _StopError:
            self._pool.stop()
        except Exception:
            self._pool.stop()
            raise
        finally:
            self._pool.close()  # before the join: workers that wait hold memory

    def _begin(self, segment: Segment) -> None:
        """Begin to encode a segment, as soon as there is room; count it if it is finished."""
        self._check_asked()  # also while the segments of an earlier run are passed over
        number, count = segment.number, len(segment.frames)
        self._counts.append(count)
        options = self._options_of(number)
        key = fingerprint(self._source.picture, segment.frames, options)
        if self._workspace.result(number, key) is not None:
            self._done, self._frames = self._done + 1, self._frames + count
            return
        while len(self._running) >= self._pool.size:
            self._wait()
        self._workspace.write_frames(segment)
        files = self._workspace.frames(number), self._workspace.stream(number), self._workspace.checkpoint(number)
        limit = self._time_limit(number)
        self._running.add(number)
        self._pool.submit(
            Job(number, self._source.name, self._source.picture, count, *files, key, options, self._threads, limit)
        )

    def _time_limit(self, number: int) -> float | None:
        """Seconds for a segment that begins now: its share of what is left; None without a deadline."""
        deadline, survey = self._deadline, self._survey
        if deadline is None or survey is None:
            return None
        later = [k for k in range(number + 1, len(survey)) if not self._workspace.is_finished(k)]
        now = deadline.left
        left = now - min(_JOINING, _JOINING_SHARE * deadline.seconds)
        busy = [max(0.0, now - self._until[running]) for running in self._running]
        alone = number == 0 and has_goal(self._options)
        limit = time_share([survey[k] for k in (number, *later)], left, busy, self._pool.size, alone)
        self._until[number] = now - limit
        return limit

    def _wait(self) -> None:
        """Wait for a while, or until a job is done."""
        job = self._pool.next_done(_REFRESH)
        if job is not None:
            self._workspace.forget(job.number)
            self._running.discard(job.number)
            self._done += 1
            self._frames += job.count
            self._fresh += job.count
        shares = self._pool.shares()
        partly = sum(share * self._counts[number] for number, share in shares.items())
        seconds = time.monotonic() - self._started
        frames, fresh = self._frames + partly, self._fresh + partly
        self._told(Overall(self._done, frames, fresh, self._all_segments, self._all_frames, shares, seconds))
        self._check_asked()

    def _check_asked(self) -> None:
        if self._pool.elsewhere and self._interruption.asked:
            raise _StopError

    def _say_losses(self) -> None:
        """Log what the stream will not have, each once."""
        source = self._source
        for line in source.findings.losses(source.window, source.rate, self._counts):
            if line not in self._said:
                self._said.add(line)
                log.warning("%s", line)

    def join(self, output: BinaryIO) -> SegmentedReport:
        """Write the streams of all segments as one; the report."""
        self._say_losses()
        source, options = self._source, self._options
        if source.carried:
            log.info("carried: %s", ", ".join(source.carried))
        times = source.findings.times(source.window, source.rate, self._counts)
        if TIMES in options.metadata:  # for all frames, in place of the source's
            times = None
        numbers = range(len(self._counts))
        found = [self._workspace.finished(number) for number in numbers]
        made = join_segments(
            [self._workspace.stream(number) for number in numbers],
            output,
            metadata={**source.findings.entries, **options.metadata},
            times=times,
            index=options.index,
        )
        seconds = time.monotonic() - self._started
        goal = whole_goal(source, options, sum(self._counts))
        return summarise(found, made.offset, goal, source.rate, seconds)
