"""Forecast of an encode: its memory from the size of the video, its remaining time from the steps timed so far.

Free of PyTorch. No result of the encode depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from nvrc_decoder.picture.format import VideoFormat
from nvrc_encoder.plan import Plan

if TYPE_CHECKING:
    from nvrc_encoder.training.run import Run

__all__ = ["STAGES", "Outlook", "expected_memory"]

STAGES = ("pilot start", "pilot", "trials", "start", "training", "search", "writing")
"""Stages in their order. Not every encode has the first three."""
_STARTS = frozenset({"pilot start", "trials", "start"})
"""Stages with a pace of their own: it does not follow from that of the iterations."""

# Seconds on the processor that this was measured on. Only their ratios matter once anything has been timed.
_ITERATION, _ITERATION_LEAST = 0.42, 0.015
"""Seconds of an iteration before the exact phase: per million samples of its window, and the least."""
_EXACT = 1.4
"""Factor on that for an iteration of the exact phase, with its share of the evaluations of the whole video."""
_START, _START_LEAST = 4.5, 0.3
"""Seconds of the initial grids and weights: per million samples of the video, and the least."""
_EVALUATION, _WRITING = 0.15, 1.8
"""Seconds of an evaluation in the search, and of writing and verifying the stream, per million samples of the video."""
_TRIALS = 6
_TRIAL_SAMPLES = 1 << 17
_EXTRA_LIKELY = 0.3
"""Share of the iterations allowed to rate control that it usually adds."""
_KNOWN_AFTER = 3
"""Iterations to time before the forecast is good enough to show."""

_BASE_BYTES = 400e6
_FRAME_BYTES = 130
"""Memory per sample of the video: frames, grids with gradients and averages, contexts."""
_WINDOW_BYTES = 500
"""Memory per sample of the frames of one iteration."""
_WARM_UP = 0.5
"""Extra seconds of the very first step."""
_LEAST_SHOWN = 1.0


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
    """Stage -> seconds on the processor that was measured; arguments as in `Outlook.plan`."""
    samples = picture.width * picture.height / 1e6
    video, windows = samples * frames, -(-frames // plan.window)
    iteration = _ITERATION_LEAST + _ITERATION * video / windows
    work = {
        "start": _START_LEAST + _START * video,
        "training": iteration * iterations_ahead(plan, 0, plan.iterations, goal),
        "search": _EVALUATION * video * plan.search_evaluations(windows),
        "writing": _WRITING * video,
    }
    if goal and settling:
        work |= {"pilot start": work["start"], "pilot": iteration * plan.pilot}
    if trying:
        tried = min(samples, _TRIAL_SAMPLES / 1e6) * min(frames, plan.trial_frames)
        work["trials"] = _TRIALS * (_START_LEAST + _START * tried)
    return {stage: work[stage] for stage in STAGES if stage in work}


class _Pace:
    """Measured seconds per unit of work."""

    def __init__(self) -> None:
        self.seconds = self.work = 0.0

    def add(self, seconds: float, work: float) -> None:
        # Old measurements fade, as the load of the machine may change.
        fading = 0.5 ** (seconds / 120)
        self.seconds = self.seconds * fading + seconds
        self.work = self.work * fading + work

    @property
    def value(self) -> float | None:
        return self.seconds / self.work if self.work else None


class Outlook:
    """Forecast of the remaining time over all stages of an encode.

    Args:
        changed: called after each step, from the thread that encodes.
        clock: gives the time in seconds.

    Attributes:
        picture, frames, memory: video format, number of frames and expected memory in bytes; known when `changed` is
            called first.
        stage: current stage; empty before `plan`.
        step, steps: iterations or trials of the stage, done and in all; 0 where it counts none.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None, clock: Callable[[], float] = time.monotonic) -> None:
        self._changed = changed
        self._clock = clock
        self._began = self._marked = clock()
        self._ahead: dict[str, float] = {}
        self._whole = 0.0
        self._paces = {True: _Pace(), False: _Pace()}
        self._timed = 0
        self.picture: VideoFormat | None = None
        self.frames = 0
        self.memory = 0.0
        self.stage = ""
        self.step = self.steps = 0

    def plan(
        self, picture: VideoFormat, frames: int, plan: Plan, goal: bool, settling: bool = True, trying: bool = True
    ) -> None:
        """Plan the stages and enter the first one.

        Args:
            picture: format of the video.
            frames: number of frames, at least one.
            plan: plan of the training.
            goal: whether rate control has a goal.
            settling: whether pilot and trials lie ahead; not so where the training is resumed.
            trying: whether there are trials.
        """
        self.picture, self.frames = picture, frames
        self.memory = expected_memory(picture, frames, plan.window)
        self._ahead = expected_work(picture, frames, plan, goal, settling, trying)
        self._enter(next(iter(self._ahead)))

    def follow(self, run: Run) -> None:
        """Follow a training run; to be called after each of its steps."""
        if run.searched is not None:
            if self.stage != "pilot":  # whose search is over at once
                self.enter("search")
                self.reach(1 - run.searched)
            return
        goal = run.goal is not None
        left = iterations_ahead(run.plan, run.iteration, run.end, goal)
        self.reach(left / iterations_ahead(run.plan, 0, run.plan.iterations, goal), run.iteration, run.end)

    def enter(self, stage: str) -> None:
        """Enter a stage, or stay in it; the stages before it are done or skipped."""
        while stage in self._ahead and self.stage != stage:
            self.leave()

    def leave(self) -> None:
        """Finish the stage and enter the next one, if there is one."""
        # Iterations that turned out not to be needed took no time, and must not raise the pace.
        self._take(0.0, counted=self.stage in _STARTS)
        del self._ahead[self.stage]
        if self._ahead:
            self._enter(next(iter(self._ahead)))

    def reach(self, left: float, step: int = 0, steps: int = 0) -> None:
        """Note that a step is done.

        Args:
            left: share of the stage that lies ahead, 0..1.
            step, steps: steps done and in all; 0 where the stage counts none.
        """
        if self.stage in _STARTS or not step:
            self._take(left)
        else:
            # The first iteration here warms up caches and libraries, and would spoil the pace.
            self._take(left, counted=self._timed > 0)
            self._timed += 1
        self.step, self.steps = step, steps
        self._changed()

    def _enter(self, stage: str) -> None:
        self.stage, self.step, self.steps = stage, 0, 0
        self._whole = self._ahead[stage]
        self._marked = self._clock()
        self._changed()

    def _take(self, left: float, counted: bool = True) -> None:
        """Set the share of the stage that lies ahead; if `counted`, the work done since then sets the pace."""
        before, after = self._ahead[self.stage], min(self._ahead[self.stage], left * self._whole)
        now = self._clock()
        if counted and before > after:
            seconds = now - self._marked
            if all(pace.value is None for pace in self._paces.values()):
                seconds = max(seconds - _WARM_UP, seconds / 2)
            self._paces[self.stage in _STARTS].add(seconds, before - after)
        self._marked = now
        self._ahead[self.stage] = after

    @property
    def known(self) -> bool:
        """Whether enough iterations have been timed for a forecast."""
        return self._timed >= _KNOWN_AFTER

    @property
    def elapsed(self) -> float:
        """Seconds since this outlook was made."""
        return self._clock() - self._began

    @property
    def remaining(self) -> float | None:
        """Remaining seconds, at least 1 until all stages are done; None before anything has been timed."""
        paces = {kind: pace.value for kind, pace in self._paces.items()}
        any_pace = next((pace for pace in paces.values() if pace is not None), None)
        if any_pace is None:
            return None
        seconds = 0.0
        for stage, work in list(self._ahead.items()):
            pace = paces[stage in _STARTS]
            seconds += work * (any_pace if pace is None else pace)
        return max(_LEAST_SHOWN, seconds - (self._clock() - self._marked)) if self._ahead else 0.0

    @property
    def share(self) -> float:
        """Share of the whole time that has passed, 0..1."""
        left = self.remaining
        return 0.0 if left is None else self.elapsed / max(self.elapsed + left, 1e-9)
