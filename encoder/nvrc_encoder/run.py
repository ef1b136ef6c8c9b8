"""One training run: the loop around `Trainer.losses`, which can be stopped after any iteration and taken up again."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch

from nvrc_decoder.errors import InternalError

from .plan import Plan
from .training import Trainer

__all__ = ["Progress", "Run"]

_BETAS = (0.9, 0.99)
_REPORT_EVERY = 10


@dataclass(frozen=True)
class Progress:
    """State of the run, for people who watch."""

    iteration: int
    iterations: int
    phase: str
    psnr: float
    bpp: float
    seconds: float


class Run:
    """Optimises a trainer by a plan.

    On one machine, with one number of threads, a run that is restored from `state` ends in the same bits as one that
    was never broken off.

    Args:
        trainer: whose parameters and grids are optimised.
        plan: length and rates.
    """

    def __init__(self, trainer: Trainer, plan: Plan) -> None:
        self.trainer = trainer
        self.plan = plan
        self.iteration = 0
        self._seconds = 0.0
        self._queue: list[int] = []
        self._smoothed: tuple[float, float] | None = None
        bank = trainer.bank
        self._network = torch.optim.Adam([{"params": [bank.raw]}, {"params": [bank.log_step]}], betas=_BETAS)
        self._latents = [torch.optim.Adam([g for g in grids if g is not None], betas=_BETAS) for grids in trainer.grids]
        self._windows = trainer.windows(plan.window)
        self._inclusion = trainer.inclusion(self._windows)

    @property
    def done(self) -> bool:
        """Whether all iterations have been made."""
        return self.iteration >= self.plan.iterations

    def advance(self) -> Progress | None:
        """One iteration; before the first one, the context network is fitted to the warm start.

        Returns:
            Progress, after every tenth iteration and the last.

        Raises:
            InternalError: E_DIVERGED, the loss is not a finite number.
        """
        began = time.monotonic()
        trainer, plan, iteration = self.trainer, self.plan, self.iteration
        if iteration == 0:
            trainer.pretrain(plan)
        if iteration == plan.hard_from:
            trainer.bank.freeze_steps()
        settings = plan.at(iteration)
        if not self._queue:
            self._queue = torch.randperm(len(self._windows), generator=trainer.order).tolist()
        gop, window = self._windows[self._queue.pop()]
        latents = self._latents[gop]
        self._network.param_groups[0]["lr"] = settings.weight_rate
        self._network.param_groups[1]["lr"] = settings.step_rate
        latents.param_groups[0]["lr"] = settings.grid_rate
        distortion, bpp = trainer.losses(gop, window, settings, self._inclusion[gop])
        loss = distortion + trainer.lagrangian * bpp
        told = iteration % _REPORT_EVERY == _REPORT_EVERY - 1 or iteration + 1 == plan.iterations
        if told and not bool(torch.isfinite(loss)):
            raise InternalError("E_DIVERGED", f"training diverged: the loss of iteration {iteration} is not finite")
        self._network.zero_grad(set_to_none=True)
        latents.zero_grad(set_to_none=True)
        loss.backward()
        self._network.step()
        latents.step()
        self.iteration += 1
        if self.done:
            # The exact phase may have moved a layer out of the contract since its step was frozen.
            trainer.bank.freeze_steps()
            trainer.check_finite()
        self._seconds += time.monotonic() - began
        return self._progress(settings.phase, float(distortion.detach()), float(bpp.detach())) if told else None

    def _progress(self, phase: str, distortion: float, bpp: float) -> Progress:
        before = self._smoothed or (distortion, bpp)
        self._smoothed = 0.7 * before[0] + 0.3 * distortion, 0.7 * before[1] + 0.3 * bpp
        psnr = -10 * math.log10(max(self._smoothed[0], 1e-12))
        return Progress(self.iteration, self.plan.iterations, phase, psnr, self._smoothed[1], self._seconds)

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on; tensors, numbers, lists and dictionaries of them."""
        trainer = self.trainer
        return {
            "iteration": self.iteration,
            "seconds": self._seconds,
            "queue": list(self._queue),
            "smoothed": list(self._smoothed or ()),
            "raw": trainer.bank.raw.detach(),
            "log_step": trainer.bank.log_step.detach(),
            "steps_frozen": trainer.bank.steps_frozen,
            "grids": [[None if g is None else g.detach() for g in grids] for grids in trainer.grids],
            "network": self._network.state_dict(),
            "latents": [latents.state_dict() for latents in self._latents],
            "order": trainer.order.get_state(),
            "noise": trainer.noise.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, by a run of the same video, options and plan."""
        trainer = self.trainer
        with torch.no_grad():
            trainer.bank.raw.copy_(state["raw"])
            trainer.bank.log_step.copy_(state["log_step"])
            for grids, saved in zip(trainer.grids, state["grids"], strict=True):
                for grid, values in zip(grids, saved, strict=True):
                    if grid is not None:
                        grid.copy_(values)
        trainer.bank.steps_frozen = bool(state["steps_frozen"])
        self._network.load_state_dict(state["network"])
        for latents, saved in zip(self._latents, state["latents"], strict=True):
            latents.load_state_dict(saved)
        trainer.order.set_state(state["order"].cpu())
        trainer.noise.set_state(state["noise"].cpu())
        self.iteration = int(state["iteration"])
        self._seconds = float(state["seconds"])
        self._queue = [int(i) for i in state["queue"]]
        self._smoothed = (state["smoothed"][0], state["smoothed"][1]) if state["smoothed"] else None
