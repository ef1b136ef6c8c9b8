"""Copies of a training's state: for checkpoints, and of the best state so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nvrc_encoder.training.trainer import Estimate, Trainer

__all__ = ["Snapshot", "restore_trainer", "trainer_state"]


def trainer_state(trainer: Trainer, *, written: bool = False) -> dict[str, Any]:
    """Copies of everything that a run changes: parameters, grids, and the steps of both.

    Args:
        trainer: the trainer to copy from.
        written: copy the grids as the int16 that are written, which is enough once training is over.
    """
    bank = trainer.bank
    grids = [trainer.final_grids(gop) for gop in range(len(trainer.grids))] if written else trainer.grids
    return {
        "raw": bank.raw.detach().clone(),
        "base": bank.base.clone(),
        "log_step": bank.log_step.detach().clone(),
        "bias_log_step": bank.bias_log_step.clone(),
        "steps_frozen": bank.steps_frozen,
        "multipliers": [None if m is None else m.tolist() for m in trainer.multipliers],
        "grids": [[None if g is None else _copy(g, written) for g in own] for own in grids],
    }


def _copy(grid: Tensor, written: bool) -> Tensor:
    return grid.to(torch.int16) if written else grid.detach().clone()


@torch.no_grad()
def restore_trainer(trainer: Trainer, state: dict[str, Any]) -> None:
    """Put back what `trainer_state` took."""
    bank = trainer.bank
    bank.raw.copy_(state["raw"])
    bank.base.copy_(state["base"])
    bank.log_step.copy_(state["log_step"])
    bank.bias_log_step.copy_(state["bias_log_step"])
    bank.steps_frozen = bool(state["steps_frozen"])
    trainer.multipliers = [None if m is None else torch.tensor(m, device=trainer.device) for m in state["multipliers"]]
    for grids, saved in zip(trainer.grids, state["grids"], strict=True):
        for grid, values in zip(grids, saved, strict=True):
            if grid is not None:
                grid.copy_(values)


@dataclass(frozen=True)
class Snapshot:
    """One evaluated state.

    Attributes:
        iteration: iterations done before it.
        lagrangian: lambda at that iteration.
        distortion, bits, psnr_y: figures of the estimate over all frames.
        size: estimated bytes of the stream.
        state: as of `trainer_state`, with the grids as they are written; empty once the search has begun from it.
    """

    iteration: int
    lagrangian: float
    distortion: float
    bits: float
    psnr_y: float
    size: int
    state: dict[str, Any]

    @classmethod
    def take(cls, trainer: Trainer, estimate: Estimate, size: int, iteration: int) -> Snapshot:
        """A copy of the trainer's present state, of which `estimate` has just been made."""
        return cls(
            iteration,
            trainer.lagrangian,
            estimate.distortion,
            estimate.bits,
            estimate.psnr_y,
            size,
            trainer_state(trainer, written=True),
        )

    def cost(self, lagrangian: float, pixels: int) -> float:
        """J: distortion plus lambda times bits a pixel.

        Args:
            lagrangian: lambda, which need not be the snapshot's own.
            pixels: luma samples of all frames.
        """
        return self.distortion + lagrangian * self.bits / pixels
