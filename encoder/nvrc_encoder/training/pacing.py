"""An encode with a deadline: how long it may train, so that learning rates fall and the exact phase comes in time."""

from __future__ import annotations

import dataclasses

from nvrc_decoder.picture.format import VideoFormat
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.plan import Plan
from nvrc_encoder.training.deadline import Deadline
from nvrc_encoder.training.pace import Pace
from nvrc_encoder.training.run import Run
from nvrc_encoder.training.workload import NOMINAL, STARTS, TRIALS, Speed, expected_work, iterations_ahead

__all__ = ["Pacer"]

_TRIALS_SHARE = 0.15
"""Largest share of the time for trials."""
_MARGIN = 1.1
"""What follows the training is planned to take this much longer than expected."""
_WARM_UP = 2
"""Iterations that are not timed."""
_FADING = 60.0
"""Seconds after which an iteration counts half in the pace."""


class Pacer:
    """Plans a training by the time that is left, and again after each of its iterations.

    The plan's iterations change; learning rates, noise and the beginning of the exact phase are functions of the share
    of them that is done, and so follow. In the exact phase, the plan stays, and the training may end early.

    Args:
        deadline: of the whole encode.
        options: those of the encode; the training is no longer than theirs.
        picture: format of the video.
        frames: number of frames.
        goal: whether rate control has a goal.
        speed: how fast this machine is, where that has been measured.
    """

    def __init__(
        self,
        deadline: Deadline,
        options: EncodeOptions,
        picture: VideoFormat,
        frames: int,
        goal: bool,
        speed: Speed = NOMINAL,
    ) -> None:
        self._deadline, self._options = deadline, options
        self._picture, self._frames, self._goal = picture, frames, goal
        self._speed = speed
        self._most = options.plan(frames).iterations
        self._pace = Pace(_FADING)
        self._marked: tuple[float, int] | None = None
        self._timed = 0

    def _expected(self, plan: Plan) -> dict[str, float]:
        """Stage -> seconds of an encode with this plan, by the speed measured first."""
        work = expected_work(self._picture, self._frames, plan, self._goal, True, True)
        return self._speed.seconds(work)

    def _expected_pace(self, plan: Plan) -> float:
        """Seconds of an iteration before the exact phase, by the speed measured first."""
        return self._expected(plan)["training"] / iterations_ahead(plan, 0, plan.iterations, self._goal)

    def may_try(self, used: float, last: float | None = None) -> bool:
        """Whether there is time for another trial.

        Args:
            used: seconds of all trials so far.
            last: seconds of the last one; None for what is expected of the first.
        """
        if last is None:
            last = self._expected(self._options.plan(self._frames))["trials"] / TRIALS
        return used + last <= _TRIALS_SHARE * self._deadline.seconds

    def plan(self, settling: bool = False, trying: bool = False, done: int = 0) -> Plan:
        """The plan of a training that begins now, or goes on.

        Args:
            settling: whether the start, and with a goal that of the pilot, come before it. The pilot itself is a small
                share of the training, and is planned as a part of it.
            trying: whether trials do; they take no more than their share of the time.
            done: iterations that an earlier run has made.
        """
        whole = self._options.plan(self._frames)
        work = expected_work(self._picture, self._frames, whole, self._goal, settling, trying)
        before = self._speed.seconds({stage: amount for stage, amount in work.items() if stage in STARTS})
        if "trials" in before:
            before["trials"] = min(before["trials"], _TRIALS_SHARE * self._deadline.seconds)
        left = self._deadline.left - sum(before.values())
        return self._options.plan_within(self._frames, self._longest(whole, done, self._expected_pace(whole), left))

    def follow(self, run: Run) -> None:
        """Plan the rest of a run; to be called after each of its steps."""
        self._time(run)
        pace = self._pace.value or self._expected_pace(run.plan)
        left = self._deadline.left - self._later(run.plan, pace, "writing")
        if run.searched is not None:
            if left <= 0:
                run.hurry()
        elif run.iteration < run.plan.hard_from:
            run.replan(self._longest(run.plan, run.iteration, pace, self._deadline.left))
        elif left <= pace + self._later(run.plan, pace, "search"):
            run.hurry()

    def _later(self, plan: Plan, pace: float, *stages: str) -> float:
        """Seconds that stages after the training take, if they are as much slower as the iterations are."""
        expected = self._expected(plan)
        return _MARGIN * pace / self._expected_pace(plan) * sum(expected[stage] for stage in stages)

    def _longest(self, plan: Plan, done: int, pace: float, left: float) -> int:
        """The most iterations that leave time for what follows, at least one more than are done.

        Args:
            plan: rates and shares.
            done: iterations done.
            pace: seconds of an iteration before the exact phase.
            left: seconds until the whole encode has to be done.
        """
        low, high = done + 1, max(done + 1, self._most)
        while low < high:
            tried = (low + high + 1) // 2
            candidate = dataclasses.replace(plan, iterations=tried)
            training = pace * iterations_ahead(candidate, done, tried, self._goal)
            if training + self._later(candidate, pace, "search", "writing") <= left:
                low = tried
            else:
                high = tried - 1
        return low

    def _time(self, run: Run) -> None:
        """Count the iterations since the last call."""
        now, before = self._deadline.clock(), self._marked
        self._marked = now, run.iteration
        if before is None or run.iteration <= before[1]:
            return
        self._timed += 1
        if self._timed <= _WARM_UP:
            return
        plan, end = run.plan, run.end
        work = iterations_ahead(plan, before[1], end, False) - iterations_ahead(plan, run.iteration, end, False)
        self._pace.add(now - before[0], work)
