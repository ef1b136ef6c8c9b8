"""An iteration asks the device for no value: each question would stall a GPU. Seen on the CPU, by operator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from encoder_cases import gradient_source
from torch.utils._python_dispatch import TorchDispatchMode

from nvrc_encoder import EncodeOptions
from nvrc_encoder.encoding import make_trainer
from nvrc_encoder.plan import Plan

# What has to know values before it can go on: .item(), bool(), and results whose size depends on values.
ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal.default")


class Questions(TorchDispatchMode):
    """Keeps the operators that ask."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in ASKING):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_questions_are_seen() -> None:
    with Questions() as questions:
        assert bool(torch.ones(2).sum() > 1)
        torch.ones(2).nonzero()
    assert len(questions.found) == 2


@pytest.mark.parametrize("profile", ["nano", "lite", "main"])
def test_losses_and_gradients_ask_nothing(profile: str) -> None:
    source = gradient_source(32, 24, 10)
    options = EncodeOptions(preset="draft", device="cpu", trials=False, gop=10, profile=profile, channels=8)
    trainer, _, _ = make_trainer(source, list(source), options)
    plan = Plan(iterations=20)
    windows = trainer.windows(plan.window)
    inclusion = trainer.inclusion(windows)
    assert trainer.model.structure.moving

    def iterate(iteration: int) -> None:
        for gop, window in windows:
            distortion, bpp = trainer.losses(gop, window, plan.at(iteration), inclusion[gop])
            (distortion + bpp).backward()

    for iteration in (0, 10, 19):
        if iteration == 19:
            trainer.bank.freeze_steps()
        iterate(iteration)  # what is kept from now on may have asked
        with Questions() as questions:
            iterate(iteration)
        assert questions.found == []
