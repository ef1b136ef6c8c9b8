"""Losses and gradients on PyTorch's `meta`, a device without values: a rehearsal for a GPU.

A tensor left on the CPU is an error there, and so is each read of a value, which would wait for a GPU.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from encoder_cases import gradient_source
from torch.fx.experimental import _config

from nvrc_encoder import EncodeOptions, preparation
from nvrc_encoder.plan import Plan
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.training.trainer import Trainer

META = torch.device("meta")


@pytest.fixture(autouse=True)
def _whole_pytorch() -> None:
    """Without it PyTorch imports a part of itself later, while a test has replaced another."""
    importlib.import_module("torch._dynamo")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat([x, torch.ones(3)]),
        lambda x: bool(x.sum() > 1),
        lambda x: float(x[0]),
        lambda x: x.nonzero(),
        lambda x: x[x > 2],
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: x.cpu(),
    ],
)
def test_operations_that_wait_for_a_gpu_are_errors(wrong: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
        wrong(torch.ones(3, device=META))


def trainer_elsewhere(monkeypatch: pytest.MonkeyPatch, width: int, height: int, **options: Any) -> Trainer:
    """A trainer whose tensors are all on `meta`."""
    generator = torch.Generator
    monkeypatch.setattr(preparation, "_device", lambda _: META)
    # `meta` has no random numbers of its own.
    monkeypatch.setattr(torch, "Generator", lambda device=None: generator())
    source = gradient_source(width, height, 10)
    chosen = EncodeOptions(preset="draft", trials=False, gop=10, channels=8, **options)
    trainer, _, _ = make_trainer(source, list(source), chosen)
    return trainer


@pytest.mark.full
@pytest.mark.parametrize(
    ("profile", "more"),
    [
        ("nano", {}),
        ("lite", {}),
        ("main", {}),
        ("nano", {"node_spacing": 2}),
        ("nano", {"motion": False, "slots": tuple(range(9))}),
        ("nano", {"tune": "ms-ssim"}),
    ],
    ids=["nano", "lite", "main", "pyramid", "no motion", "ms-ssim"],
)
def test_losses_and_gradients(profile: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    size = (97, 97) if "tune" in more else (32, 24)
    trainer = trainer_elsewhere(monkeypatch, *size, profile=profile, **more)
    plan = Plan(iterations=20)
    windows = trainer.windows(plan.window)

    def iterate() -> None:
        for window in windows:
            for iteration in (0, 10, 19):
                distortion, bpp = trainer.losses(window, plan.at(iteration))
                assert distortion.device == bpp.device == META
                (distortion + bpp).backward()  # type: ignore[no-untyped-call]

    # Cached values may be computed with reads of tensors.
    with _config.patch(meta_nonzero_assume_all_nonzero=True):  # type: ignore[attr-defined]
        iterate()
    iterate()
    assert trainer.bank.raw.grad is not None
    assert all(grid.grad is not None for grid in trainer.grids[0] if grid is not None)
