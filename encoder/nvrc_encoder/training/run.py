"""One training run, step by step; it can be stopped after any step and resumed.

A run makes the iterations of its plan, some more where rate control has not met its goal by then, and then searches the
quantisation steps. Evaluated states compete: the search begins from the best one.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from nvrc_decoder.errors import InternalError
from nvrc_encoder.plan import Plan
from nvrc_encoder.rate_goal import RateGoal, clamp_lambda
from nvrc_encoder.training.snapshot import Snapshot, restore_trainer, trainer_state
from nvrc_encoder.training.step_search import StepSearch
from nvrc_encoder.training.trainer import Estimate, Trainer

__all__ = ["Progress", "Run", "Summary"]

_BETAS = (0.9, 0.99)
_EPSILON = 2.5e-4
"""Adam's epsilon times the pixels of a frame: gradients of J, a mean over pixels, are smaller in a larger picture."""
_REPORT_EVERY = 10
_WINDOWS_BETWEEN, _WINDOWS_BETWEEN_WITH_GOAL = 10, 5
"""Passes over the video between two evaluations of all frames. One costs less than half a pass: under 5 %, or 10 %."""
_LATE = 2.0
"""Largest factor by which rate control changes lambda in the exact phase."""


@dataclass(frozen=True)
class Progress:
    """Progress of a run or of the trials; `psnr` is -10 log10 of the distortion, whatever the encode is tuned for."""

    iteration: int
    iterations: int
    phase: str
    psnr: float
    bpp: float
    seconds: float
    lagrangian: float


@dataclass(frozen=True)
class Summary:
    """Length and outcome of a run.

    Attributes:
        iterations: number of iterations, with those that rate control added.
        best_iteration: number of iterations before the state that the search began from.
        lagrangian: lambda at the end.
        evaluations, moves: evaluations of the video in the search, and steps that it changed.
        gain: share of J that the search saved.
    """

    iterations: int
    best_iteration: int
    lagrangian: float
    evaluations: int
    moves: int
    gain: float


class Run:
    """Optimises a trainer by a plan.

    On one machine, with one number of threads, a run restored from `state` ends in the same bits as an uninterrupted
    one.

    Args:
        trainer: holds the parameters and grids to optimise.
        plan: length and rates.
        goal: goal of rate control; None for a fixed lambda.
        size_of: gives the bytes of the stream by an estimate; a goal needs it.
        multipliers_at: with a goal, gives the grids' multipliers at a lambda; None where they stay.
        memo: notes of the caller for the state, which can be read before there is a trainer; text, numbers and lists of
            them.
    """

    def __init__(
        self,
        trainer: Trainer,
        plan: Plan,
        goal: RateGoal | None = None,
        size_of: Callable[[Estimate], int] | None = None,
        multipliers_at: Callable[[float], Sequence[Sequence[int] | None]] | None = None,
        memo: dict[str, Any] | None = None,
    ) -> None:
        self.trainer = trainer
        self.plan = plan
        self.goal = goal
        self.iteration = 0
        self.done = False
        self._size_of = size_of or (lambda estimate: math.ceil(estimate.bits / 8))
        self._begun = False
        self._seconds = 0.0
        self._queue: list[int] = []
        self._smoothed: tuple[float, float] | None = None
        self._end = plan.iterations
        self._hurried = False
        self._best: Snapshot | None = None
        self._error: float | None = None
        self._hard_lagrangian: float | None = None
        self._search: StepSearch | None = None
        bank = trainer.bank
        adam = functools.partial(torch.optim.Adam, betas=_BETAS, eps=_EPSILON / trainer.pixels, fused=True)
        self._network = adam([{"params": [bank.raw]}, {"params": [bank.log_step]}])
        self._latents = [adam([g for g in grids if g is not None]) for grids in trainer.grids]
        self._windows = trainer.windows(plan.window)
        self._pixels = sum(trainer.frame_counts) * trainer.pixels
        self.memo = dict(memo or {})
        self._between = len(self._windows) * (_WINDOWS_BETWEEN if goal is None else _WINDOWS_BETWEEN_WITH_GOAL)
        self._multipliers_at = multipliers_at
        self.watch: Callable[[Run], None] = lambda run: None
        """Called after each iteration and each step of the search, in `advance`."""

    @property
    def end(self) -> int:
        """Iterations of the training as it stands: rate control may add some."""
        return self._end

    @property
    def searched(self) -> float | None:
        """Share of the search's evaluations that are done; None before the search begins."""
        if self._search is None:
            return None
        most = self.plan.search_evaluations(len(self._windows))
        return 1.0 if self.done or not most else min(1.0, int(self._search.state()["evaluations"]) / most)

    @property
    def best(self) -> Snapshot | None:
        """The best state evaluated so far."""
        return self._best

    @property
    def place(self) -> str:
        """Position of the run, in words."""
        stage = "pilot" if self.memo.get("stage") == "pilot" else "training"
        if self.done:
            return f"the end of the {stage}"
        where = f"{self.iteration}/{self._end}"
        if stage == "pilot":
            return f"{where} of the pilot"
        return where if self._search is None else f"{where}, in the search of the steps"

    def replan(self, iterations: int) -> None:
        """Change the length of the training before its exact phase has begun; the plan's shares stay.

        Args:
            iterations: new number of iterations, more than are done.
        """
        if self.iteration >= self.plan.hard_from or iterations <= self.iteration:
            raise ValueError(f"{iterations} iterations cannot be planned after {self.iteration}")
        self.plan = replace(self.plan, iterations=iterations)
        self._end = iterations

    def hurry(self) -> None:
        """End the exact phase after one more iteration, or the search at once; add no iterations for a goal."""
        self._hurried = True
        self._end = min(self._end, self.iteration + 1)

    def begin(self) -> None:
        """Fit the context network to the initial grids. The first `advance` does it, unless that was done before."""
        if not self._begun:
            self.trainer.fit_context(self.plan.pretrain)
        self._begun = True

    def advance(self) -> Progress | None:
        """Make one iteration, or search the steps of one tensor.

        Returns:
            Progress, after every tenth iteration, the last one, and each tensor.

        Raises:
            InternalError: E_DIVERGED, the loss is not a finite number.
        """
        began = time.monotonic()
        progress = self._iterate() if self._search is None else self._advance_search()
        self._seconds += time.monotonic() - began
        self.watch(self)
        return progress

    def _iterate(self) -> Progress | None:
        trainer, plan, iteration = self.trainer, self.plan, self.iteration
        if iteration == 0:
            self.begin()
        if iteration >= plan.hard_from and not trainer.bank.steps_frozen:
            trainer.bank.freeze_steps()
        settings = plan.at(iteration) if iteration < plan.iterations else plan.extra_settings()
        if not self._queue:
            self._queue = torch.randperm(len(self._windows), generator=trainer.order).tolist()
        window = self._windows[self._queue.pop()]
        latents = self._latents[window.gop]
        self._network.param_groups[0]["lr"] = settings.weight_rate
        self._network.param_groups[1]["lr"] = settings.step_rate
        latents.param_groups[0]["lr"] = settings.grid_rate
        distortion, bpp = trainer.losses(window, settings)
        loss = distortion + trainer.lagrangian * bpp
        told = iteration % _REPORT_EVERY == _REPORT_EVERY - 1 or iteration + 1 == self._end
        if told and not bool(torch.isfinite(loss)):
            raise InternalError("E_DIVERGED", f"training diverged: the loss of iteration {iteration} is not finite")
        self._network.zero_grad(set_to_none=True)
        latents.zero_grad(set_to_none=True)
        loss.backward()
        self._network.step()
        latents.step()
        self.iteration += 1
        if self._is_evaluated():
            self._evaluate(settings.hard)
        if self.iteration == self._end:
            self._finish_training()
        return self._progress(settings.phase, float(distortion.detach()), float(bpp.detach())) if told else None

    def _is_evaluated(self) -> bool:
        """Whether the present state is to be evaluated over all frames."""
        after = self.iteration
        if after == self._end:
            return True
        if after > self.plan.hard_from:
            return (after - self.plan.hard_from) % self._between == 0
        return self.goal is not None and after >= self.plan.control_from and after % self._between == 0

    def _evaluate(self, hard: bool) -> None:
        """Compare the present state with the best one, and let lambda follow the goal."""
        trainer = self.trainer
        trainer.check_finite()
        if hard:
            # Since the steps were frozen, the exact phase may have carried a layer out of the contract.
            trainer.bank.freeze_steps()
            estimate = trainer.estimate()
            size = self._size_of(estimate)
            self._offer(Snapshot.take(trainer, estimate, size, self.iteration))
            if self.goal is not None:
                if self._hard_lagrangian is None:
                    self._hard_lagrangian = trainer.lagrangian
                self._steer(self.goal, self.goal.error(size, estimate.psnr_y), self.plan.hard_gain)
        elif self.goal is not None:
            error = self._soft_error(self.goal)
            if error is not None:
                size = self.goal.kind == "size"
                self._steer(self.goal, error, self.plan.gain_at(self.iteration) if size else self.plan.psnr_gain)

    def _soft_error(self, goal: RateGoal) -> float | None:
        """Distance of the hard-rounded state from the goal; None where the weights cannot be written yet."""
        trainer = self.trainer
        try:
            segments, real = trainer.bank.written_bits(), trainer.bank.exact_real(torch.float32)
        except InternalError as error:
            if error.code != "E_BOUND":
                raise
            return None
        if goal.kind != "size":
            return goal.error(1, trainer.whole_distortion(real)[1])
        return goal.error(self._size_of(Estimate(trainer.whole_grid_bits(real), segments, 0.0)), 0.0)

    def _steer(self, goal: RateGoal, error: float, gain: float) -> None:
        """Change lambda to correct an error, and the trend that will add to it before the correction takes effect."""
        trainer = self.trainer
        trend = 0.0 if self._error is None or goal.kind != "size" else error - self._error
        self._error = error
        wanted = trainer.lagrangian * math.exp(gain * goal.step(error + self.plan.damping * trend))
        if self._hard_lagrangian is not None:
            # A large change so late would cost more quality than it is worth.
            wanted = max(self._hard_lagrangian / _LATE, min(self._hard_lagrangian * _LATE, wanted))
        trainer.lagrangian = clamp_lambda(wanted)
        if self._multipliers_at is not None:
            trainer.change_steps(self._multipliers_at(trainer.lagrangian))

    def _offer(self, found: Snapshot) -> None:
        if self._best is None or self._rank(found) < self._rank(self._best):
            self._best = found

    def _rank(self, snapshot: Snapshot) -> tuple[float, float]:
        """Sort key, lower is better: the distance from the goal, 0 where it is met, then J."""
        missed = 0.0
        if self.goal is not None and not self.goal.met(snapshot.size, snapshot.psnr_y):
            missed = abs(self.goal.error(snapshot.size, snapshot.psnr_y))
        return missed, snapshot.cost(self.trainer.lagrangian, self._pixels)

    def _finish_training(self) -> None:
        """Add iterations if the goal is not met yet; else return to the best state and search from there."""
        best = self._best
        if best is None:  # pragma: no cover - the last iteration is evaluated
            raise ValueError("no state has been evaluated")
        if self.goal is not None and not self._hurried and not self.goal.met(best.size, best.psnr_y):
            most = self.plan.iterations + self.plan.most_extra(self._between)
            if self._end < most:
                self._end = min(most, self._end + self.plan.extra_chunk(self._between))
                return
        restore_trainer(self.trainer, best.state)
        self.trainer.lagrangian = best.lagrangian
        self._search = StepSearch(self.trainer, self.plan.search_evaluations(len(self._windows)), self._admissible)

    def _admissible(self, estimate: Estimate) -> bool:
        """Whether the search may accept a state: within the goal's tolerance, or no farther from it than the start."""
        goal, best = self.goal, self._best
        if goal is None or best is None:
            return True
        allowed = max(goal.tolerance, abs(goal.error(best.size, best.psnr_y)))
        return abs(goal.error(self._size_of(estimate), estimate.psnr_y)) <= allowed

    def _advance_search(self) -> Progress:
        search = self._search
        if search is None:  # pragma: no cover - `advance` has asked
            raise ValueError("the search has not begun")
        if self._hurried or not search.advance():
            self.trainer.bank.freeze_steps()
            self.done = True
        estimate = search.estimate
        psnr = -10 * math.log10(max(estimate.distortion, 1e-12))
        return self._told("search", psnr, estimate.bits / self._pixels)

    def _progress(self, phase: str, distortion: float, bpp: float) -> Progress:
        before = self._smoothed or (distortion, bpp)
        self._smoothed = 0.7 * before[0] + 0.3 * distortion, 0.7 * before[1] + 0.3 * bpp
        return self._told(phase, -10 * math.log10(max(self._smoothed[0], 1e-12)), self._smoothed[1])

    def _told(self, phase: str, psnr: float, bpp: float) -> Progress:
        return Progress(self.iteration, self._end, phase, psnr, bpp, self._seconds, self.trainer.lagrangian)

    def summary(self) -> Summary:
        """Length and outcome of the run, which must be done."""
        search = self._search
        if not self.done or search is None or self._best is None:
            raise ValueError("the run is not done")
        state = search.state()
        return Summary(
            self.iteration,
            self._best.iteration,
            self.trainer.lagrangian,
            int(state["evaluations"]),
            search.moves,
            search.gain,
        )

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on: tensors, numbers, and lists and dictionaries of them.

        The search needs no optimisers and no forecasts, and of the grids only the integers.
        """
        trainer, best, searching = self.trainer, self._best, self._search is not None
        return {
            "place": self.place,
            "iteration": self.iteration,
            "iterations": self.plan.iterations,
            "end": self._end,
            "done": self.done,
            "seconds": self._seconds,
            "queue": list(self._queue),
            "smoothed": list(self._smoothed or ()),
            "lagrangian": trainer.lagrangian,
            "memo": self.memo,
            "error": self._error,
            "hard_lagrangian": self._hard_lagrangian,
            "trainer": trainer_state(trainer, written=searching),
            "best": None if best is None else {**vars(best), "state": {} if searching else best.state},
            "search": None if self._search is None else self._search.state(),
            "forecasts": [] if searching else [vars(forecast) for forecast in trainer.forecasts],
            "network": {} if searching else self._network.state_dict(),
            "latents": [] if searching else [latents.state_dict() for latents in self._latents],
            "order": trainer.order.get_state(),
            "noise": trainer.noise.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state` of a run of the same video, options and plan."""
        trainer = self.trainer
        restore_trainer(trainer, state["trainer"])
        if state["search"] is None:
            for forecast, saved in zip(trainer.forecasts, state["forecasts"], strict=True):
                forecast.restore(saved["means"], saved["scales"])
            self._network.load_state_dict(state["network"])
            for latents, saved in zip(self._latents, state["latents"], strict=True):
                latents.load_state_dict(saved)
        trainer.order.set_state(state["order"].cpu())
        trainer.noise.set_state(state["noise"].cpu())
        trainer.lagrangian = float(state["lagrangian"])
        # With a deadline, the plan is not that of the options.
        self.plan = replace(self.plan, iterations=int(state.get("iterations", self.plan.iterations)))
        self.iteration, self._end = int(state["iteration"]), int(state["end"])
        self.done = bool(state["done"])
        self._seconds = float(state["seconds"])
        self._queue = [int(i) for i in state["queue"]]
        self._smoothed = (state["smoothed"][0], state["smoothed"][1]) if state["smoothed"] else None
        self._error, self._hard_lagrangian = state["error"], state["hard_lagrangian"]
        self._best = None if state["best"] is None else Snapshot(**state["best"])
        if state["search"] is not None:
            most = self.plan.search_evaluations(len(self._windows))
            self._search = StepSearch(trainer, most, self._admissible, state["search"])
