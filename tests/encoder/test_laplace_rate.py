"""The rate model's Laplace bits agree with the stream's tables, and their gradient with the bits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nvrc_decoder.entropy.tables import FRACTION_COUNT, RADII, SCALE_COUNT, frequencies
from nvrc_encoder.rate.laplace import laplace_bits, quantised_scale
from nvrc_encoder.rate.parameters import likely_scale


def test_gradient_is_that_of_the_value() -> None:
    # Away from the kinks at x = 0 and |x| = 1/2.
    x = torch.tensor([-7.3, -2.0, -0.75, -0.2, 0.1, 0.4, 0.9, 3.3, 6.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([2.0, 0.7, 0.3, 0.2, 1.0, 0.15, 5.0, 0.9, 40.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(laplace_bits, (x, scale))


def test_gradient_sums_over_a_broadcast_scale() -> None:
    x = torch.tensor([-1.2, 0.3, 2.6], dtype=torch.float64)
    scale = torch.tensor([0.8], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: laplace_bits(x, s), (scale,))


@pytest.mark.parametrize("scale_index", range(SCALE_COUNT))
def test_bits_are_those_of_the_integer_tables(scale_index: int) -> None:
    """Within 0.003 bits, plus the rounding to multiples of 2^-24, for every residual that is no escape."""
    radius = RADII[scale_index]
    scale = torch.tensor(2.0 ** (-4 + scale_index / 4), dtype=torch.float64)
    for fraction in range(FRACTION_COUNT):
        table = frequencies(scale_index * FRACTION_COUNT + fraction)[1:]
        written = 24 - np.log2(table)
        residuals = torch.arange(-radius, radius + 1, dtype=torch.float64) - fraction / FRACTION_COUNT
        modelled = laplace_bits(residuals, scale).numpy()
        # Two units of the frequency: one for the rounding of the table, one for the model's floor.
        slack = 3e-3 + 2 * math.log2(math.e) / table
        assert (np.abs(written - modelled) <= slack).all(), (fraction, np.abs(written - modelled).max())


def test_bits_never_exceed_the_smallest_frequency() -> None:
    bits = laplace_bits(torch.tensor([1e6, -1e6]), torch.tensor(0.1))
    assert bits.tolist() == [24.0, 24.0]


def test_quantised_scale_is_the_nearest_table() -> None:
    exact = torch.exp2(-4 + torch.arange(SCALE_COUNT) / 4)
    assert quantised_scale(exact).tolist() == list(range(SCALE_COUNT))
    eighth = 2 ** (1 / 8)
    assert quantised_scale(exact * (eighth * 0.999)).tolist() == list(range(SCALE_COUNT))
    assert quantised_scale(exact * (eighth * 1.001)).tolist() == [*range(1, SCALE_COUNT), SCALE_COUNT - 1]
    assert quantised_scale(torch.tensor([1e-9, 1e9])).tolist() == [0, SCALE_COUNT - 1]


@pytest.mark.parametrize("scale", [0.1, 0.2, 0.5, 1.0, 3.0, 20.0, 50.0])
def test_likely_scale_inverts_the_mean_magnitude(scale: float) -> None:
    k = np.arange(1, 4000)
    mass = math.sinh(1 / (2 * scale)) * np.exp(-k / scale)
    magnitude = float((2 * k * mass).sum())
    assert float(likely_scale(torch.tensor(magnitude, dtype=torch.float64))) == pytest.approx(scale, rel=1e-3)


def test_likely_scale_of_zeros_is_about_the_smallest() -> None:
    assert int(quantised_scale(likely_scale(torch.tensor(0.0)))) <= 1
