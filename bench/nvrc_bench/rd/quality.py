"""PSNR and MS-SSIM of decoded frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nvrc_decoder.errors import InvalidStreamError, MissingExtraError, UnsupportedError
from nvrc_decoder.picture.planes import Plane, Planes
from nvrc_decoder.system.packages import require_packages
from nvrc_encoder.quality.psnr import mean_quality, psnr

__all__ = ["compare", "means"]


class _MsSsim:
    """MS-SSIM of luma frame by frame; `reason` says why there is none."""

    def __init__(self, width: int, height: int, bit_depth: int) -> None:
        self.values: list[float] = []
        self.reason: str | None = None
        try:
            require_packages(("torch", "pytorch_msssim"), "MS-SSIM")
            from nvrc_encoder.quality.similarity import Similarity

            self._similarity = Similarity((height, width), bit_depth)
        except (MissingExtraError, UnsupportedError) as error:
            self.reason = error.message

    @property
    def window(self) -> int | None:
        """Width of the Gaussian window; None where there is no figure."""
        return self._similarity.window if self.values else None

    def add(self, a: Plane, b: Plane) -> None:
        if self.reason is not None:
            return
        import torch

        pair = [torch.from_numpy(plane.astype(np.float32))[None, None] for plane in (a, b)]
        with torch.no_grad():
            self.values.append(float(self._similarity.of_planes(*pair)))


def compare(
    source: Iterable[Planes], decoded: Iterable[Planes], size: tuple[int, int], bit_depth: int
) -> dict[str, Any]:
    """Qualities of decoded frames; every figure is the mean of the frames' figures.

    Args:
        source, decoded: as many frames each.
        size: width and height.
        bit_depth: 8 or 10; the peak is 255 or 1023.

    Returns:
        ``psnr`` with y, u, v and yuv (weights 6:1:1) in dB, at most 100 a frame; u and v are None for 4:0:0.
        ``ms_ssim_y``, None with ``ms_ssim_reason`` where it cannot be had; ``ms_ssim_window``: 11, less for
        pictures of less than 161 rows or columns (`nvrc_encoder.quality.ms_ssim.window_for`).

    Raises:
        InvalidStreamError: E_FRAMES, another number of frames or another size.
    """
    peak = (1 << bit_depth) - 1
    rows: list[list[float]] = []
    similarity = _MsSsim(*size, bit_depth)
    try:
        for a, b in zip(source, decoded, strict=True):
            pairs = list(zip(a.planes(), b.planes(), strict=True))
            if any(x.shape != y.shape for x, y in pairs):
                raise ValueError
            rows.append([psnr(x, y, peak) for x, y in pairs])
            similarity.add(a.y, b.y)
    except ValueError:
        message = f"decoding gave another number or size of frames ({len(rows)} were compared)"
        raise InvalidStreamError("E_FRAMES", message) from None
    if not rows:
        raise InvalidStreamError("E_FRAMES", "there are no frames to compare")
    return {
        "psnr": means(rows),
        "ms_ssim_y": float(np.mean(similarity.values)) if similarity.values else None,
        "ms_ssim_window": similarity.window,
        "ms_ssim_reason": similarity.reason,
        "frames": len(rows),
    }


def means(rows: Sequence[Sequence[float]]) -> dict[str, float | None]:
    """Means over frames of (y,) or (y, u, v): y, u, v and yuv, which weighs them 6:1:1; u and v may be None."""
    return dataclasses.asdict(mean_quality(rows))
