"""Losses and gradients ask the device for no value: each question would stall a GPU. Seen on the CPU, by operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import pytest
import torch
from encoder_cases import gradient_source
from torch.utils._python_dispatch import TorchDispatchMode

from nvrc_encoder import EncodeOptions
from nvrc_encoder.encoding import make_trainer
from nvrc_encoder.plan import Plan

# What has to know values before it can go on: .item(), bool(), and results whose size depends on values.
ASKING = (
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "unique",
    "is_nonzero",
    "equal.default",
    "repeat_interleave",
    "bincount",
)
# Those that ask without an operator.
ASKING_METHODS = ("tolist", "numpy", "cpu", "item")


class Questions(TorchDispatchMode):
    """Keeps the operators that ask."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        masks = "index" in name and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for index in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ())
        )
        if masks or any(part in name for part in ASKING):
            self.found.append(name)
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> Self:
        self._patch = pytest.MonkeyPatch()
        for method in ASKING_METHODS:
            honest = getattr(torch.Tensor, method)

            def asked(tensor: torch.Tensor, *more: Any, honest: Any = honest, method: str = method) -> Any:
                self.found.append(method)
                return honest(tensor, *more)

            self._patch.setattr(torch.Tensor, method, asked)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        self._patch.undo()
        super().__exit__(*error)


@pytest.mark.parametrize(
    "question",
    [
        lambda x: bool(x.sum() > 1),
        lambda x: x.nonzero(),
        lambda x: x[x > 2],
        lambda x: x.masked_select(x > 2),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: x.cpu(),
        lambda x: torch.repeat_interleave(torch.ones(3, dtype=torch.int64)),
    ],
)
def test_questions_are_seen(question: Callable[[torch.Tensor], object]) -> None:
    with Questions() as questions:
        question(torch.ones(3))
    assert questions.found


def test_what_is_no_question_is_not_seen() -> None:
    with Questions() as questions:
        x = torch.ones(3)
        x[torch.tensor([1, 0])] + x[1:] @ x[:2] + torch.where(x > 2, x, 0).sum()
    assert questions.found == []


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
