"""Forecast of the remaining time of an encode, from the work ahead and the steps timed so far.

Free of PyTorch. No result of the encode depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from nvrc_decoder.picture.format import VideoFormat
from nvrc_encoder.plan import Plan
from nvrc_encoder.training.pace import Pace
from nvrc_encoder.training.workload import (
    STARTS,
    Speed,
    expected_memory,
    expected_work,
    iterations_ahead,
)

if TYPE_CHECKING:
    from nvrc_encoder.training.run import Run

__all__ = ["Outlook"]

_KNOWN_AFTER = 3
"""Iterations to time before the forecast is good enough to show."""

_WARM_UP = 0.5
"""Extra seconds of the very first step."""
_LEAST_SHOWN = 1.0
_FADING = 120.0
"""Seconds after which a step counts half in the pace."""


class Outlook:
    """Forecast of the remaining time over all stages of an encode.

    Args:
        changed: called after each step, from the thread that encodes.
        clock: gives the time in seconds.
        probing: whether the encode may time a small encode first (`measure_speed`), so that a forecast is there from
            the start; worth its time in a long one.

    Attributes:
        picture, frames, memory: video format, number of frames and expected memory in bytes; known when `changed` is
            called first.
        stage: current stage; empty before `plan`.
        step, steps: iterations or trials of the stage, done and in all; 0 where it counts none.
    """

    def __init__(
        self,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        probing: bool = False,
    ) -> None:
        self.probing = probing
        self._changed = changed
        self._clock = clock
        self._began = self._marked = clock()
        self._ahead: dict[str, float] = {}
        self._whole = 0.0
        self._paces = {True: Pace(_FADING), False: Pace(_FADING)}
        self._timed = 0
        self._iterations = 1.0
        self._foreseen = False
        self.picture: VideoFormat | None = None
        self.frames = 0
        self.memory = 0.0
        self.stage = ""
        self.step = self.steps = 0

    def plan(
        self,
        picture: VideoFormat,
        frames: int,
        plan: Plan,
        goal: bool,
        settling: bool = True,
        trying: bool = True,
        speed: Speed | None = None,
    ) -> None:
        """Plan the stages and enter the first one.

        Args:
            picture: format of the video.
            frames: number of frames, at least one.
            plan: plan of the training.
            goal: whether rate control has a goal.
            settling: whether pilot, trials and start lie ahead; not so where the training is resumed.
            trying: whether there are trials.
            speed: how fast this machine is, where that has been measured.
        """
        self.picture, self.frames = picture, frames
        self.memory = expected_memory(picture, frames, plan.window)
        self._ahead = expected_work(picture, frames, plan, goal, settling, trying)
        self._iterations = iterations_ahead(plan, 0, plan.iterations, goal)
        self._foreseen = speed is not None
        if speed is not None:
            self._ahead = speed.seconds(self._ahead)
            for pace in self._paces.values():
                pace.assumed = 1.0
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
        # With a deadline the plan of the training changes.
        whole = iterations_ahead(run.plan, 0, run.plan.iterations, goal) if self.stage == "pilot" else self._iterations
        self.reach(left / whole, run.iteration, run.end)

    def enter(self, stage: str) -> None:
        """Enter a stage, or stay in it; the stages before it are done or skipped."""
        while stage in self._ahead and self.stage != stage:
            self.leave()

    def leave(self) -> None:
        """Finish the stage and enter the next one, if there is one."""
        # Iterations that turned out not to be needed took no time, and must not raise the pace.
        self._take(0.0, counted=self.stage in STARTS)
        del self._ahead[self.stage]
        if self._ahead:
            self._enter(next(iter(self._ahead)))

    def reach(self, left: float, step: int = 0, steps: int = 0) -> None:
        """Note that a step is done.

        Args:
            left: share of the stage that lies ahead, 0..1.
            step, steps: steps done and in all; 0 where the stage counts none.
        """
        if self.stage in STARTS or not step:
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
            self._paces[self.stage in STARTS].add(seconds, before - after)
        self._marked = now
        self._ahead[self.stage] = after

    @property
    def known(self) -> bool:
        """Whether there is a good forecast: the speed was measured, or enough iterations have been timed."""
        return self._foreseen or self._timed >= _KNOWN_AFTER

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
            pace = paces[stage in STARTS]
            seconds += work * (any_pace if pace is None else pace)
        return max(_LEAST_SHOWN, seconds - (self._clock() - self._marked)) if self._ahead else 0.0

    @property
    def share(self) -> float:
        """Share of the whole time that has passed, 0..1."""
        left = self.remaining
        return 0.0 if left is None else self.elapsed / max(self.elapsed + left, 1e-9)
