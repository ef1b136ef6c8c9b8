"""An iteration reads no value of a tensor, which would wait for a GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from case_choice import full_except
from encoder_cases import gradient_source
from torch.utils._python_dispatch import TorchDispatchMode

from nvrc_encoder import EncodeOptions
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.training.run import Run

ASKING = ("_local_scalar_dense", "item", "nonzero", "masked_select", "equal", "unique", "is_nonzero")


class Questions(TorchDispatchMode):
    """Records the operations whose result, or its size, depends on the values of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        name = str(func.overloadpacket.__name__)
        masked = name in ("index", "index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if masked or name.startswith(ASKING):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "question", [lambda x: x.sum().item(), lambda x: bool(x[0] > 1), lambda x: x.nonzero(), lambda x: x[x > 2]]
)
def test_waiting_is_noticed(question: Callable[[torch.Tensor], object]) -> None:
    with Questions() as questions:
        question(torch.arange(4.0))
    assert questions.found


@pytest.mark.parametrize("node_spacing", full_except([8, 2], 2))
def test_iterations_do_not_wait(node_spacing: int) -> None:
    source = gradient_source(48, 32, 12)
    options = EncodeOptions(device="cpu", trials=False, node_spacing=node_spacing, gop=12, iterations=100)
    trainer, _, _ = make_trainer(source, list(source), options)
    run = Run(trainer, dataclasses.replace(options.plan(), pretrain=2))
    windows = len(trainer.windows(run.plan.window))
    assert windows < 8
    # Float weights, quantised ones, and the exact phase.
    for first in (0, 40, 80):
        run.iteration = first
        # Fill the caches of all windows.
        for _ in range(10):
            run.advance()
        # The tenth iteration is reported, and reads the loss.
        with Questions() as questions:
            for _ in range(windows):
                run.advance()
        assert questions.operations > 100
        assert questions.found == []
