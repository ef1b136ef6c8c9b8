"""The work of an encode, stage by stage, and its memory: from the size of the video and the plan of the training.

Free of PyTorch. Work is in seconds of the processor that the model was measured on; a `Speed` says how many seconds
that is elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nvrc_decoder.picture.format import VideoFormat
from nvrc_encoder.plan import Plan

__all__ = [
    "NOMINAL",
    "STAGES",
    "STARTS",
    "TRIALS",
    "TRIAL_SAMPLES",
    "Speed",
    "expected_memory",
    "expected_work",
    "iterations_ahead",
]

STAGES = ("pilot start", "pilot", "trials", "start", "training", "search", "writing")
"""Stages in their order. Not every encode has the first three."""
STARTS = frozenset({"pilot start", "trials", "start"})
"""Stages with a pace of their own: it does not follow from that of the iterations."""

_ITERATION, _ITERATION_LEAST = 0.42, 0.015
"""Seconds of an iteration before the exact phase: per million samples of its window, and the least."""
_EXACT = 1.4
"""Factor on that for an iteration of the exact phase, with its share of the evaluations of the whole video."""
_START, _START_LEAST = 4.5, 0.05
"""Seconds of the initial grids and weights: per million samples of the video, and the least."""
_EVALUATION, _WRITING = 0.15, 1.8
"""Seconds of an evaluation in the search, and of writing and verifying the stream, per million samples of the video."""
_WHOLE_EVALUATIONS = 6
"""What the search takes besides: evaluations of bits and distortion together, in evaluations of one of them."""
TRIALS = 7
"""Trials of an encode that leaves all open, usually."""
TRIAL_SAMPLES = 1 << 17
"""Luma samples of a frame in trials, roughly: the middle of larger pictures."""
_EXTRA_LIKELY = 0.3
"""Share of the iterations allowed to rate control that it usually adds."""

_BASE_BYTES = 520e6
_FRAME_BYTES = 70
"""Memory per sample of the video: frames, grids with gradients and averages, contexts. 60 with nodes every 4 frames."""
_WINDOW_BYTES = 600
"""Memory per sample of the frames of one iteration."""


@dataclass(frozen=True)
class Speed:
    """How fast a machine is: seconds for each second of work.

    Attributes:
        start: of initial grids and weights, in trials too.
        training: of iterations.
        search: of the search of the steps.
        writing: of writing and verifying.
    """

    start: float = 1.0
    training: float = 1.0
    search: float = 1.0
    writing: float = 1.0

    def seconds(self, work: Mapping[str, float]) -> dict[str, float]:
        """Stage -> seconds here, of stage -> work."""
        kinds = {"search": self.search, "writing": self.writing, **dict.fromkeys(STARTS, self.start)}
        return {stage: amount * kinds.get(stage, self.training) for stage, amount in work.items()}


NOMINAL = Speed()
"""The processor that the model was measured on."""


def iterations_ahead(plan: Plan, iteration: int, end: int, goal: bool) -> float:
    """Remaining work of a training, in units of an iteration before the exact phase.

    Args:
        plan: plan of the training.
        iteration: iterations done.
        end: iterations of the training as it stands.
        goal: whether rate control may add iterations.
    """
    likely = max(end, plan.iterations + round(_EXTRA_LIKELY * plan.extra * plan.iterations)) if goal else end
    return max(0, plan.hard_from - iteration) + _EXACT * max(0, likely - max(iteration, plan.hard_from))


def expected_memory(picture: VideoFormat, frames: int, window: int) -> float:
    """Peak memory of an encode in bytes, roughly; `window` is the number of frames per iteration."""
    samples = picture.width * picture.height
    return _BASE_BYTES + samples * (frames * _FRAME_BYTES + min(frames, window) * _WINDOW_BYTES)


def expected_work(
    picture: VideoFormat, frames: int, plan: Plan, goal: bool, settling: bool, trying: bool
) -> dict[str, float]:
    """Stage -> seconds on the processor that was measured.

    Args:
        picture: format of the video.
        frames: number of frames, at least one.
        plan: plan of the training.
        goal: whether rate control has a goal.
        settling: whether pilot, trials and start lie ahead; not so where the training is resumed.
        trying: whether there are trials.
    """
    samples = picture.width * picture.height / 1e6
    video, windows = samples * frames, -(-frames // plan.window)
    iteration = _ITERATION_LEAST + _ITERATION * video / windows
    start = _START_LEAST + _START * video
    work = {
        "training": iteration * iterations_ahead(plan, 0, plan.iterations, goal),
        "search": _EVALUATION * video * (plan.search_evaluations(windows) + _WHOLE_EVALUATIONS),
        "writing": _WRITING * video,
    }
    if settling:
        work["start"] = start
    if goal and settling:
        work |= {"pilot start": start, "pilot": iteration * plan.pilot}
    if trying and settling:
        tried = min(samples, TRIAL_SAMPLES / 1e6) * min(frames, plan.trial_frames)
        work["trials"] = TRIALS * (_START_LEAST + _START * tried)
    return {stage: work[stage] for stage in STAGES if stage in work}
