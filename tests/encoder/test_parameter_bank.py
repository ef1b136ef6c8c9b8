"""The bank's integers stay within the numerical contract, whatever training does to the raw parameters."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from encoder_cases import gradient_source, written_integers

from nvrc_decoder.errors import InternalError
from nvrc_decoder.prior import Prior
from nvrc_decoder.profiles import context_layers
from nvrc_decoder.synthesis.arithmetic import BIAS_SHIFT_MAX, MULTIPLIERS, SHIFT_MAX, make_layer
from nvrc_encoder.options import EncodeOptions, profile_named
from nvrc_encoder.preparation import make_trainer
from nvrc_encoder.rate.parameters import ParameterBank

# Half of the widest gap between neighbours of 4, 5, 6, 7, 8 on a logarithmic scale.
NEAREST = math.log2(5 / 4) / 2 + 1e-4


def whole_profile(profile: str) -> EncodeOptions:
    """Every grid of a profile, with all channels."""
    channels = tuple(slot.max_channels for slot in profile_named(profile).slots)
    return EncodeOptions(profile=profile, device="cpu", context_widths=(5, 4), grid_channels=channels)


def fresh_bank(profile: str = "nano", chroma_format: int = 1, bit_depth: int = 8) -> ParameterBank:
    source = gradient_source(8, 8, 1, chroma_format, bit_depth)
    trainer, _, _ = make_trainer(source, list(source), whole_profile(profile))
    return trainer.bank


def part(bank: ParameterBank, name: str) -> tuple[slice, slice]:
    """Slices of the weights and the biases of a layer in the flat vector."""
    at = 0
    for layer in bank.layers:
        count = math.prod(layer.weight_shape)
        if layer.name == name:
            return slice(at, at + count), slice(at + count, at + count + layer.outputs)
        at += count + layer.outputs
    raise AssertionError(name)


def prove(bank: ParameterBank) -> None:
    """Assert that every layer's integers pass the decoder's own check and are within the ranges of the syntax."""
    for spec, q in zip(bank.layers, bank.integers(), strict=True):
        assert q.name == spec.name
        assert q.multiplier in MULTIPLIERS
        assert 0 <= q.shift <= SHIFT_MAX
        assert 0 <= q.bias_shift <= BIAS_SHIFT_MAX
        make_layer(spec, q.weight, q.bias, q.multiplier, q.shift, q.bias_shift, q.prior)


@pytest.mark.parametrize("profile", ["nano", "lite", "main"])
@pytest.mark.parametrize(("chroma_format", "bit_depth"), [(0, 8), (1, 8), (2, 10)])
def test_fresh_bank_is_within_the_contract(profile: str, chroma_format: int, bit_depth: int) -> None:
    bank = fresh_bank(profile, chroma_format, bit_depth)
    learned = bank.log_step.detach().clone()
    bank.freeze_steps()
    prove(bank)
    structure = whole_profile(profile).structure()
    assert bank.layers == context_layers(5, 4) + structure.layers(chroma_format, bit_depth)
    assert float((bank.log_step.detach() - learned).abs().max()) <= NEAREST


@pytest.mark.parametrize("learned", [-40.0, -9.3, -6.8, -4.1, -3.0, 2.7, 30.0])
def test_learned_steps_snap_to_those_of_the_format(learned: float) -> None:
    bank = fresh_bank()
    with torch.no_grad():
        bank.log_step.fill_(learned)
    bank.freeze_steps()
    prove(bank)
    for q, step in zip(bank.integers(), bank.log_step.tolist(), strict=True):
        gain = bank.gains[q.name]
        assert step == pytest.approx(math.log2(q.multiplier) - q.shift - gain, abs=1e-5)
    if -6 < learned < 0:
        assert float((bank.log_step.detach() - learned).abs().median()) <= NEAREST


@pytest.mark.parametrize("factor", [0.0, 1e-8, 30.0, 1e3, 1e6, 1e30])
def test_extreme_parameters_are_projected(factor: float) -> None:
    bank = fresh_bank("lite")
    rng = torch.Generator().manual_seed(4)
    with torch.no_grad():
        bank.raw.copy_(torch.randn(bank.raw.shape, generator=rng) * factor)
    before = bank.raw.detach().clone()
    bank.freeze_steps()
    prove(bank)
    assert bool((bank.raw * before >= 0).all()), "a sign has changed"
    # The written integers are those of the training.
    torch.testing.assert_close(written_integers(bank), torch.round(bank.quantised().detach()), rtol=0, atol=0)


# 8000 as a bias is within 2^24 for many a step, but over 65535 units of every one.
@pytest.mark.parametrize("value", [1e9, 8000])
@pytest.mark.parametrize("kind", ["weight", "bias"])
@pytest.mark.parametrize("name", ["context.hidden1", "context.output", "stage2.block0.pointwise", "head.pointwise"])
def test_extreme_layer_leaves_the_others_alone(name: str, kind: str, value: float) -> None:
    bank = fresh_bank()
    reference = fresh_bank()
    where = part(bank, name)[kind == "bias"]
    with torch.no_grad():
        bank.raw[where] = value
    bank.freeze_steps()
    reference.freeze_steps()
    prove(bank)
    for q, other in zip(bank.integers(), reference.integers(), strict=True):
        if q.name == name:
            assert (q.weight if kind == "weight" else q.bias).min() > 0
        else:
            np.testing.assert_array_equal(q.weight, other.weight)
            np.testing.assert_array_equal(q.bias, other.bias)
            assert (q.multiplier, q.shift, q.bias_shift) == (other.multiplier, other.shift, other.bias_shift)


def test_layers_can_be_coarsened_after_freezing() -> None:
    bank = fresh_bank()
    bank.freeze_steps()
    assert bank.enforce_contract() == []
    with torch.no_grad():
        bank.raw[part(bank, "stage1.inject")[0]] *= 300
    assert bank.enforce_contract() == ["stage1.inject"]
    prove(bank)
    assert bank.enforce_contract() == []
    torch.testing.assert_close(written_integers(bank), torch.round(bank.quantised().detach()), rtol=0, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parameters_that_are_not_finite_are_an_error(value: float) -> None:
    bank = fresh_bank()
    with torch.no_grad():
        bank.raw[part(bank, "head.depthwise")[0].start] = value
    with pytest.raises(InternalError, match=r"head\.depthwise") as caught:
        bank.freeze_steps()
    assert caught.value.code == "E_DIVERGED"


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_exact_real_is_what_the_integers_mean(bit_depth: int) -> None:
    """``(sum w x + b) / 2^s`` in integers equals the real layer in real units, for inputs of one integer step."""
    bank = fresh_bank(bit_depth=bit_depth)
    bank.freeze_steps()
    exact = bank.exact_real()
    near = bank.real(bank.quantised())
    units = {"context.hidden1": 1, "context.hidden2": 32, "context.output": 32}
    for spec, q in zip(bank.layers, bank.integers(), strict=True):
        layer = make_layer(spec, q.weight, q.bias, q.multiplier, q.shift, q.bias_shift, q.prior)
        weight, bias = exact[spec.name]
        output = bank.output_units[spec.name]
        np.testing.assert_array_equal(layer.weight * 2.0**-q.shift, weight.numpy() * output / units.get(spec.name, 128))
        np.testing.assert_array_equal(layer.bias * 2.0**-q.shift, bias.numpy() * output)
        for a, b, c in zip(exact[spec.name], bank.exact_real(torch.float32)[spec.name], near[spec.name], strict=True):
            assert torch.equal(a, b.double()), "float32 does not hold it"
            torch.testing.assert_close(b, c, rtol=1e-5, atol=0)


def test_segment_bits_follow_the_size_of_the_integers() -> None:
    bank = fresh_bank()
    with torch.no_grad():
        # A tensor of zeros, as some are at first, costs the same at any step.
        bank.raw += 0.05 * torch.randn(bank.raw.shape, generator=torch.Generator().manual_seed(0))
    q = bank.quantised()
    bits = bank.segment_bits(q)
    assert bits.shape == (2 * len(bank.layers),)
    totals = [float(bank.segment_bits(factor * q.detach()).sum()) for factor in (0, 1, 4)]
    assert totals[0] < 0.05 * q.numel()
    assert totals == sorted(set(totals))
    bits.sum().backward()
    assert bank.raw.grad is not None
    assert bank.log_step.grad is not None
    assert float(bank.log_step.grad.abs().min()) > 0


def test_steps_learn_until_they_are_frozen() -> None:
    bank = fresh_bank()
    bank.freeze_steps()
    bank.segment_bits(bank.quantised()).sum().backward()
    assert bank.log_step.grad is None


@pytest.mark.parametrize(
    ("chroma_format", "channels", "wanted"), [(0, 8, False), (1, 8, True), (2, 8, False), (1, 7, False), (1, 12, True)]
)
def test_networks_start_from_the_prior_that_suits(chroma_format: int, channels: int, wanted: bool) -> None:
    source = gradient_source(16, 16, 2, chroma_format)
    chosen = EncodeOptions(profile="lite", device="cpu", channels=channels, trials=False)
    trainer, _, _ = make_trainer(source, list(source), chosen)
    assert trainer.prior == Prior(True, wanted)
    without, _, _ = make_trainer(source, list(source), replace(chosen, prior=False))
    assert without.prior == Prior(False, False)
    layers = {q.name: q for q in trainer.bank.integers()}
    context, head = layers["context.hidden2"], layers["head.pointwise"]
    assert not context.weight.any()
    assert context.integer_weight.any()
    assert bool(head.weight.any()) != wanted or channels > 8


def test_layers_with_a_prior_match_the_decoder() -> None:
    bank = fresh_bank()
    with torch.no_grad():
        bank.raw += 0.1 * torch.randn(bank.raw.shape, generator=torch.Generator().manual_seed(3))
    bank.freeze_steps()
    real = bank.exact_real()
    assert any(q.prior.weight.any() for q in bank.integers())
    for (weight, bias), near in zip(bank.real(bank.quantised()).values(), real.values(), strict=True):
        torch.testing.assert_close(weight.double(), near[0], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(bias.double(), near[1], rtol=1e-5, atol=1e-7)
    for spec, q in zip(bank.layers, bank.integers(), strict=True):
        layer = make_layer(spec, q.weight, q.bias, q.multiplier, q.shift, q.bias_shift, q.prior)
        np.testing.assert_array_equal(layer.weight, q.integer_weight)
        np.testing.assert_array_equal(layer.bias, q.integer_bias)
