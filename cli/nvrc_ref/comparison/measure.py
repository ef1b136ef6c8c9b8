"""PSNR and MS-SSIM of two videos frame by frame, with NumPy alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nvrc_bench.rd.quality import means
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.quality.ms_ssim import ms_ssim, window_for
from nvrc_encoder.quality.psnr import EXACT, psnr

__all__ = ["Comparison", "FrameQuality", "measure"]


@dataclass(frozen=True)
class FrameQuality:
    """The quality of one frame.

    Attributes:
        number: its number, 0 for the first compared frame.
        psnr: PSNR of y, u, v and yuv (6:1:1) in dB, 100 where all samples are equal; u and v are None for 4:0:0.
        ms_ssim_y: MS-SSIM of luma; None where it was not wanted or the picture is too small.
    """

    number: int
    psnr: dict[str, float | None]
    ms_ssim_y: float | None

    @property
    def psnr_y(self) -> float:
        """PSNR of luma."""
        return float(self.psnr["y"] or 0.0)


@dataclass
class Comparison:
    """The result of a comparison.

    Attributes:
        frames: qualities of the frames, in order.
        longer: ``source`` or ``decoded`` if one has more frames than were compared, else None.
        whole: whether all frames of the decoded video were compared.
        no_similarity: why there is no MS-SSIM; None where there is one, or it was not wanted.
        kept: the frame to show: its quality, the source and the decoded picture.
    """

    frames: list[FrameQuality] = field(default_factory=list)
    longer: str | None = None
    whole: bool = False
    no_similarity: str | None = None
    kept: tuple[FrameQuality, Planes, Planes] | None = None

    @property
    def exact(self) -> bool:
        """Whether all samples are equal."""
        return all(value in (None, EXACT) for frame in self.frames for value in frame.psnr.values())

    def worst(self, most: int) -> list[FrameQuality]:
        """Frames of the lowest luma PSNR, the worst first."""
        return sorted(self.frames, key=lambda frame: frame.psnr_y)[:most]

    def mean(self) -> FrameQuality:
        """Means over all frames."""
        rows = [[value for name, value in f.psnr.items() if name != "yuv" and value is not None] for f in self.frames]
        similar = [frame.ms_ssim_y for frame in self.frames if frame.ms_ssim_y is not None]
        return FrameQuality(-1, means(rows), float(np.mean(similar)) if similar else None)

    def document(self) -> dict[str, Any]:
        """The comparison for JSON."""
        mean = self.mean()
        worst = self.worst(1)[0]
        return {
            "frames": len(self.frames),
            "longer": self.longer,
            "identical": self.exact,
            "psnr": mean.psnr,
            "ms_ssim_y": mean.ms_ssim_y,
            "ms_ssim_reason": self.no_similarity,
            "worst_frame": {"frame": worst.number, "psnr_y": worst.psnr_y},
            "per_frame": [
                {"frame": frame.number, "psnr": frame.psnr, "ms_ssim_y": frame.ms_ssim_y} for frame in self.frames
            ],
        }


def measure(
    source: Iterable[Planes],
    decoded: Iterable[Planes],
    bit_depth: int,
    *,
    similarity: bool = True,
    most: int | None = None,
    keep: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compare frame by frame.

    Args:
        source, decoded: frames of one format; only one pair stays in memory.
        bit_depth: 8 or 10.
        similarity: whether MS-SSIM is wanted.
        most: compare at most this many frames.
        keep: number of the frame to keep; None for the worst.
        advance: called after each frame.

    Raises:
        InvalidStreamError: E_FRAMES, there is no frame to compare.
    """
    peak = (1 << bit_depth) - 1
    result = Comparison()
    for number, (a, b) in enumerate(itertools.zip_longest(source, decoded)):
        if b is None:
            result.longer, result.whole = None if number == most else "source", True
            break
        if number == most:
            break
        if a is None:
            result.longer = "decoded"
            break
        values = [psnr(x, y, peak) for x, y in zip(a.planes(), b.planes(), strict=True)]
        rows, columns = a.y.shape
        if similarity and not window_for(columns, rows):
            similarity = False
            result.no_similarity = f"none: it needs pictures of 97x97 or more, not {columns}x{rows}"
        quality = FrameQuality(number, means([values]), ms_ssim(a.y, b.y, peak) if similarity else None)
        result.frames.append(quality)
        kept = result.kept
        if number == keep or (keep is None and (kept is None or quality.psnr_y < kept[0].psnr_y)):
            result.kept = quality, a, b
        advance()
    else:
        result.whole = True
    if not result.frames:
        raise InvalidStreamError("E_FRAMES", "there are no frames to compare: one of the videos has none")
    return result
