"""MS-SSIM of luma in PyTorch: the distortion of `--tune ms-ssim`, and a figure of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from nvrc_decoder.errors import UnsupportedError
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.system.packages import load_package
from nvrc_encoder.quality.ms_ssim import window_for

__all__ = ["DISSIMILARITY_WEIGHT", "Similarity", "mean_similarity"]

DISSIMILARITY_WEIGHT = 0.05
"""MSE (peak 1) per unit of 1 - MS-SSIM: about their ratio in our streams, so that a lambda keeps its meaning."""


class Similarity:
    """MS-SSIM of the luma plane (Wang, Simoncelli and Bovik 2003), by pytorch-msssim.

    Args:
        size: (height, width) of the luma plane.
        bit_depth: the peak is 2^bit_depth - 1.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, pytorch-msssim is not installed.
        UnsupportedError: E_UNSUPPORTED, the picture is too small for five levels.
    """

    def __init__(self, size: tuple[int, int], bit_depth: int) -> None:
        self._ms_ssim: Any = load_package("pytorch_msssim", "MS-SSIM").ms_ssim
        self._size = size
        self._peak = (1 << bit_depth) - 1
        self.window = window_for(size[1], size[0])
        if not self.window:
            raise UnsupportedError("E_UNSUPPORTED", f"MS-SSIM needs pictures of 97x97 or more, not {size[1]}x{size[0]}")

    def of_planes(self, a: Tensor, b: Tensor) -> Tensor:
        """MS-SSIM of each pair of planes, [T, 1, H, W] float in levels: [T]."""
        value: Tensor = self._ms_ssim(a, b, data_range=self._peak, size_average=False, win_size=self.window)
        return value

    def of_phases(self, a: Tensor, b: Tensor) -> Tensor:
        """The same for luma as rows of the head, [T, 4, ceil(H/2), ceil(W/2)] phases."""
        height, width = self._size
        planes = [functional.pixel_shuffle(x, 2)[..., :height, :width] for x in (a, b)]
        return self.of_planes(*planes)


def mean_similarity(source: Sequence[Planes], decoded: Sequence[Planes], bit_depth: int) -> float:
    """Mean of the frames' MS-SSIM of luma, of as many frames each, at least one.

    Raises:
        MissingExtraError, UnsupportedError: as for `Similarity`.
    """
    height, width = source[0].y.shape
    similarity = Similarity((height, width), bit_depth)
    values = []
    for pair in zip(source, decoded, strict=True):
        a, b = (torch.from_numpy(frame.y.astype(np.float32))[None, None] for frame in pair)
        with torch.no_grad():
            values.append(float(similarity.of_planes(a, b)))
    return float(np.mean(values))
