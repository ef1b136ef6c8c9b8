"""The step search lowers J over all frames, reports it correctly, and keeps layers within the contract."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from encoder_cases import gradient_source

from nvrc_decoder.synthesis.arithmetic import make_layer
from nvrc_encoder import EncodeOptions
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.training.run import Run
from nvrc_encoder.training.snapshot import restore_trainer, trainer_state
from nvrc_encoder.training.step_search import StepSearch
from nvrc_encoder.training.trainer import Estimate, Trainer

PIXELS = 40 * 24 * 9


def cost(trainer: Trainer, estimate: Estimate) -> float:
    return estimate.distortion + trainer.lagrangian * estimate.bits / PIXELS


@pytest.fixture(scope="module", params=[False, True], ids=["still", "motion"])
def trained(request: pytest.FixtureRequest) -> Trainer:
    source = gradient_source(40, 24, 9)
    options = EncodeOptions(preset="draft", iterations=15, device="cpu", trials=False, motion=request.param, gop=8)
    trainer, _, _ = make_trainer(source, list(source), options)
    run = Run(trainer, dataclasses.replace(options.plan(), search=0.0))
    while not run.done:
        run.advance()
    assert trainer.model.structure.moving == request.param
    return trainer


@pytest.mark.full
def test_search_lowers_the_true_cost(trained: Trainer) -> None:
    start = trainer_state(trained)
    before = cost(trained, trained.estimate())
    search = StepSearch(trained, 60)
    while search.advance():
        pass
    after = trained.estimate()
    assert search.moves > 0
    assert cost(trained, after) < before
    assert cost(trained, search.estimate) == pytest.approx(cost(trained, after), rel=1e-5)
    assert search.estimate.psnr_y == pytest.approx(after.psnr_y, abs=1e-4)
    assert search.gain == pytest.approx(1 - cost(trained, after) / before, abs=1e-5)
    assert search.state()["evaluations"] <= 60
    assert torch.equal(trained.bank.raw.detach(), start["raw"]), "only steps move"
    for spec, q in zip(trained.bank.layers, trained.bank.integers(), strict=True):
        make_layer(spec, q.weight, q.bias, q.multiplier, q.shift, q.bias_shift, q.prior)
    restore_trainer(trained, start)


def test_inadmissible_states_are_not_taken(trained: Trainer) -> None:
    start = trainer_state(trained)
    search = StepSearch(trained, 25, lambda estimate: False)
    while search.advance():
        pass
    assert search.moves == 0
    assert search.gain == 0
    assert torch.equal(trained.bank.log_step.detach(), start["log_step"])
    assert torch.equal(trained.bank.bias_log_step, start["bias_log_step"])


def test_search_without_evaluations_ends(trained: Trainer) -> None:
    assert not StepSearch(trained, 0).advance()


def test_search_resumes_from_its_state(trained: Trainer) -> None:
    start = trainer_state(trained)
    search = StepSearch(trained, 30)
    saved = []
    for step in range(1000):
        if step in (1, 4):
            saved.append((search.state(), trainer_state(trained)))
        if not search.advance():
            break
    ended = trainer_state(trained)
    assert len(saved) == 2
    for state, trainer in saved:
        restore_trainer(trained, trainer)
        again = StepSearch(trained, 30, state=state)
        while again.advance():
            pass
        for name in ("log_step", "bias_log_step"):
            assert torch.equal(trainer_state(trained)[name], ended[name])
        assert again.state() == search.state()
    restore_trainer(trained, start)
