"""MS-SSIM with NumPy agrees with the encoder's in PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nvrc_encoder.quality.ms_ssim import ms_ssim, window_for
from nvrc_encoder.quality.similarity import Similarity


@pytest.mark.parametrize(("height", "width", "bits"), [(97, 101, 8), (144, 176, 8), (163, 249, 10), (200, 352, 8)])
@pytest.mark.parametrize("noise", [0.005, 0.05, 0.4])
def test_numpy_and_pytorch_agree(height: int, width: int, bits: int, noise: float) -> None:
    rng = np.random.default_rng(height)
    peak = (1 << bits) - 1
    y, x = np.mgrid[:height, :width] / 16
    a = np.clip((0.5 + 0.3 * np.sin(x) * np.cos(y * 1.7)) * peak + rng.normal(0, 5, (height, width)), 0, peak).round()
    b = np.clip(a + rng.normal(0, noise * peak, a.shape), 0, peak).round()
    pair = [torch.from_numpy(plane.astype(np.float32))[None, None] for plane in (a, b)]
    expected = float(Similarity((height, width), bits).of_planes(*pair))
    assert ms_ssim(a.astype(np.uint16), b.astype(np.uint16), peak) == pytest.approx(expected, abs=1e-5)


def test_equal_planes_have_1() -> None:
    plane = np.arange(120 * 130).reshape(120, 130) % 251
    assert ms_ssim(plane, plane, 255) == pytest.approx(1, abs=1e-12)


def test_too_small_a_picture_has_none() -> None:
    assert [window_for(96, 200), window_for(97, 97), window_for(161, 161)] == [0, 7, 11]
    with pytest.raises(ValueError, match="97x97"):
        ms_ssim(np.zeros((96, 96)), np.zeros((96, 96)), 255)
