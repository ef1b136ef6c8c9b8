"""What an encode will take: memory from the size of the video, time from the steps that this machine has made so far.

Free of PyTorch. Nothing here has a say in what is encoded.
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
"""In their order. Not every encode has the first three."""
_STARTS = frozenset({"pilot start", "trials", "start"})
"""Their pace says little about that of the iterations, nor does theirs about it."""

# Seconds on the processor that this was measured on. Only their ratios matter once anything has been timed.
_ITERATION, _ITERATION_LEAST = 0.42, 0.015
"""Of an iteration before the exact phase, for each million samples of its window, and however small that is."""
_EXACT = 1.4
"""Times that for an iteration of the exact phase, with its share of the evaluations of the whole video."""
_START, _START_LEAST = 4.5, 0.3
"""Of what the training starts from, for each million samples of the video, and however small that is."""
_EVALUATION, _WRITING = 0.15, 1.8
"""Of an evaluation in the search, and of writing and checking the stream, for each million samples of the video."""
_TRIALS = 6
_TRIAL_SAMPLES = 1 << 17
_EXTRA_LIKELY = 0.3
"""Share of the iterations that rate control may add which it usually adds."""
_KNOWN_AFTER = 3
"""Iterations after which their pace is good enough to be told."""

_BASE_BYTES = 400e6
_FRAME_BYTES = 130
"""Of memory, for each sample of the video: frames, grids with gradients and averages, contexts."""
_WINDOW_BYTES = 500
"""The same for each sample of the frames that one iteration looks at."""
_WARM_UP = 0.5
"""Seconds that the first step takes longer, whatever it is."""
_LEAST_SHOWN = 1.0


def iterations_ahead(plan: Plan, iteration: int, end: int, goal: bool) -> float:
    """What lies ahead of an iteration, in iterations before the exact phase.

    Args:
        plan: of the training.
        iteration: made so far.
        end: of the training as it stands.
        goal: whether rate control may add some.
    """
    likely = max(end, plan.iterations + round(_EXTRA_LIKELY * plan.extra * plan.iterations)) if goal else end
    return max(0, plan.hard_from - iteration) + _EXACT * max(0, likely - max(iteration, plan.hard_from))


def expected_memory(picture: VideoFormat, frames: int, window: int) -> float:
    """Bytes that an encode takes at its peak, roughly; `window` is frames an iteration."""
    samples = picture.width * picture.height
    return _BASE_BYTES + samples * (frames * _FRAME_BYTES + min(frames, window) * _WINDOW_BYTES)


def expected_work(
    picture: VideoFormat, frames: int, plan: Plan, goal: bool, settling: bool, trying: bool
) -> dict[str, float]:
    """Stage -> seconds on a processor like the one that was measured; arguments as in `Outlook.plan`."""
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
    """Seconds that a unit of work takes here."""

    def __init__(self) -> None:
        self.seconds = self.work = 0.0

    def add(self, seconds: float, work: float) -> None:
        # What is minutes old counts less: a machine may get busy, or quiet.
        fading = 0.5 ** (seconds / 120)
        self.seconds = self.seconds * fading + seconds
        self.work = self.work * fading + work

    @property
    def value(self) -> float | None:
        return self.seconds / self.work if self.work else None


class Outlook:
    """Time that is left, over all stages of an encode.

    Args:
        changed: called after each step, from the thread that encodes.
        clock: seconds.

    Attributes:
        picture, frames, memory: format, frames and expected bytes of memory; known with the first call of `changed`.
        stage: the present one; empty before they are planned.
        step, steps: iterations or trials of the stage, made and to make; 0 where it has none.
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
        """Begin with the first stage.

        Args:
            picture: format of the video.
            frames: of the video, at least one.
            plan: of the training.
            goal: whether rate control has one.
            settling: whether what comes before the training lies ahead, as it does not after a resumption.
            trying: whether trials are a part of that.
        """
        self.picture, self.frames = picture, frames
        self.memory = expected_memory(picture, frames, plan.window)
        self._ahead = expected_work(picture, frames, plan, goal, settling, trying)
        self._enter(next(iter(self._ahead)))

    def follow(self, run: Run) -> None:
        """Tell how far a training run is, after one of its steps."""
        if run.searched is not None:
            if self.stage != "pilot":  # whose search is over at once
                self.enter("search")
                self.reach(1 - run.searched)
            return
        goal = run.goal is not None
        left = iterations_ahead(run.plan, run.iteration, run.end, goal)
        self.reach(left / iterations_ahead(run.plan, 0, run.plan.iterations, goal), run.iteration, run.end)

    def enter(self, stage: str) -> None:
        """Begin a stage, or go on in it; those before it are done or left out."""
        while stage in self._ahead and self.stage != stage:
            self.leave()

    def leave(self) -> None:
        """The stage is done: begin the next one, if there is one."""
        # Iterations that were not needed after all have taken no time.
        self._take(0.0, counted=self.stage in _STARTS)
        del self._ahead[self.stage]
        if self._ahead:
            self._enter(next(iter(self._ahead)))

    def reach(self, left: float, step: int = 0, steps: int = 0) -> None:
        """A step is done.

        Args:
            left: share of the stage that lies ahead, 0..1.
            step, steps: made and to make, where the stage counts any.
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
        """Note that a share of the stage lies ahead, and, if it is `counted`, what the rest took."""
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
        """Whether enough iterations have been timed to tell how long it all takes."""
        return self._timed >= _KNOWN_AFTER

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    @property
    def remaining(self) -> float | None:
        """Seconds that are left, at least 1 until all is done; None before anything has been timed."""
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
        """Share of the time that has passed, 0..1."""
        left = self.remaining
        return 0.0 if left is None else self.elapsed / max(self.elapsed + left, 1e-9)
