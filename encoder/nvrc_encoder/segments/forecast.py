"""What an encode would do, from a pass over the source and a small encode of its first frames."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.system.threads import cores
from nvrc_encoder.encoding import no_frames
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.plan import Plan
from nvrc_encoder.probe import PROBE_FRAMES, is_worthwhile, measure_speed
from nvrc_encoder.segments.goal import SAMPLES, has_goal
from nvrc_encoder.segments.job import torch_threads
from nvrc_encoder.segments.splitting import SegmentedSource
from nvrc_encoder.segments.time_shares import time_share, time_until_done
from nvrc_encoder.training.deadline import Deadline
from nvrc_encoder.training.pacing import Pacer
from nvrc_encoder.training.structure_search import candidates, is_open
from nvrc_encoder.training.workload import NOMINAL, Speed, expected_memory, expected_work

__all__ = ["Forecast", "Time", "first_estimate", "forecast"]

_COORDINATOR_BYTES = 300e6
"""Memory of the process that only reads the video and starts others."""
_JOB_START = 3.0
"""Seconds of work until a process that encodes has loaded PyTorch."""


@dataclass(frozen=True)
class Time:
    """How long an encode takes.

    Attributes:
        wall: wall time in seconds.
        processor: seconds of all processors together.
    """

    wall: float
    processor: float


@dataclass(frozen=True)
class Forecast:
    """What an encode would take.

    Attributes:
        segments: number of frames of each segment; one for a video that is not cut.
        iterations: number of iterations of each segment.
        memory: peak memory of all processes in bytes, roughly.
        disk: largest number of bytes of frames that wait in the work folder.
        time: how long it would take, by the speed that this machine had for a small encode.
        candidates: names of the structures that trials would compare in each segment; empty where nothing is open.
    """

    segments: tuple[int, ...]
    iterations: tuple[int, ...]
    memory: float
    disk: int
    time: Time
    candidates: tuple[str, ...]

    @property
    def frames(self) -> int:
        """Number of frames of the video."""
        return sum(self.segments)

    def document(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        first, listed = 0, []
        for count in self.segments:
            listed.append({"first_frame": first, "frames": count})
            first += count
        return {
            "dry_run": True,
            "frames": self.frames,
            "segments": listed,
            "memory_bytes": round(self.memory),
            "disk_bytes": self.disk,
            "seconds": round(self.time.wall, 1),
            "processor_seconds": round(self.time.processor, 1),
            "iterations": list(self.iterations),
            "trials": bool(self.candidates),
            "candidates": list(self.candidates),
        }


def _expected_time(
    cut: SegmentedSource,
    counts: Sequence[int],
    plans: Sequence[Plan],
    options: EncodeOptions,
    jobs: int,
    speeds: tuple[Speed, Speed],
) -> Time:
    """How long an encode takes.

    Args:
        cut: the video.
        counts, plans: number of frames and plan of each segment.
        options: as in `encode`.
        jobs: number of processes.
        speeds: of wall time and of processor time, each process with a core for itself.
    """
    picture, goal = cut.source.picture, has_goal(options)
    jobs = min(jobs, len(counts))
    trying = options.trials and is_open(options)
    sampling = goal and len(counts) > 1 and not cut.source.once
    totals = []
    for speed in speeds:
        works = [
            speed.seconds(expected_work(picture, count, plan, goal and number == 0, True, trying))
            for number, (count, plan) in enumerate(zip(counts, plans, strict=True))
        ]
        seconds = [sum(work.values()) for work in works]
        # The pilots of three segments, which all others wait for, and the first segment, which has rate control.
        pilots = SAMPLES * (works[0]["pilot start"] + works[0]["pilot"]) if sampling else 0.0
        begin = _JOB_START * speed.training
        working = time_until_done(seconds, min(jobs, cores()), alone=goal)
        waited = begin if jobs > 1 else 0.0
        processes = 1 if jobs == 1 else jobs + 1
        totals.append((pilots + waited + working, pilots + begin * processes + sum(seconds)))
    return Time(totals[0][0], totals[1][1])


def first_estimate(cut: SegmentedSource, options: EncodeOptions, jobs: int, threads: int) -> Time | None:
    """How long an encode takes of a video that is cut, before its segments are known.

    Args:
        cut: the video; none of its segments has been taken.
        options, jobs, threads: as in `encode_segments`.

    Returns:
        None where the number of frames is not known, or the encode is not much longer than finding out.
    """
    frames, longest = cut.source.frame_count, cut.longest
    if frames is None or frames <= longest:
        return None
    counts = [longest] * (frames // longest) + [frames % longest] * bool(frames % longest)
    plans = [options.plan(count) for count in counts]
    nominal = _expected_time(cut, counts, plans, options, jobs, (NOMINAL, NOMINAL))
    if not is_worthwhile(cut.source, longest, options, nominal.wall):
        return None
    with torch_threads(threads):
        wall, processor = measure_speed(cut.source, cut.head(PROBE_FRAMES), options)
    return _expected_time(cut, counts, plans, options, jobs, (wall, processor))


def _plans(
    cut: SegmentedSource,
    counts: Sequence[int],
    options: EncodeOptions,
    jobs: int,
    speed: Speed,
    time_limit: float | None,
) -> list[Plan]:
    """The plan of each segment; with a time limit, by its share of it."""
    if time_limit is None:
        return [options.plan(count) for count in counts]
    goal = has_goal(options)
    pace = time_share(counts, time_limit, [], jobs, goal) / counts[0]
    trying = options.trials and is_open(options)
    plans = []
    for number, count in enumerate(counts):
        deadline = Deadline(max(1.0, pace * count))
        pacer = Pacer(deadline, options, cut.source.picture, count, goal and number == 0, speed)
        plans.append(pacer.plan(True, trying and pacer.may_try(0.0)))
    return plans


def forecast(
    cut: SegmentedSource,
    options: EncodeOptions,
    jobs: int,
    threads: int | None = None,
    time_limit: float | None = None,
) -> Forecast:
    """What an encode of a video would take; its frames are read, each once, and the first ones encoded.

    Args:
        cut: the video.
        options: as in `encode`.
        jobs: number of processes.
        threads: threads of PyTorch in each; None for PyTorch's choice, or 1 where the video is cut.
        time_limit: seconds that the encode may take; None for no limit.

    Raises:
        InputError: E_SOURCE, the video has no frames.
    """
    whole = cut.whole is not None
    some: list[Planes] = []
    if cut.whole is not None:
        frames = iter(cut.whole)
        some = list(itertools.islice(frames, PROBE_FRAMES))
        counts = [len(some) + sum(1 for _ in frames)]
    else:
        counts = []
        for part in cut:
            some = some or part.frames[:PROBE_FRAMES]
            counts.append(len(part.frames))
    if not some:
        raise no_frames(cut.source)
    with torch_threads(threads if threads is not None or whole else 1):
        wall, processor = measure_speed(cut.source, some, options)
    jobs = min(jobs, len(counts))
    plans = _plans(cut, counts, options, jobs, wall, time_limit)
    memory = jobs * expected_memory(cut.source.picture, max(counts), plans[0].window)
    return Forecast(
        segments=tuple(counts),
        iterations=tuple(plan.iterations for plan in plans),
        memory=memory + (_COORDINATOR_BYTES if jobs > 1 else 0),
        disk=0 if whole else jobs * max(counts) * cut.source.picture.frame_bytes,
        time=_expected_time(cut, counts, plans, options, jobs, (wall, processor)),
        candidates=candidates(options) if options.trials and is_open(options) else (),
    )
