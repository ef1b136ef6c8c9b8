"""What is reported of a segmented encode: the whole, and each segment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from nvrc_encoder.quality.psnr import Quality
from nvrc_encoder.rate_goal import RateGoal
from nvrc_encoder.report import rate_control

__all__ = ["SegmentedReport", "summarise"]

_HEADERS = "headers"


@dataclass(frozen=True)
class SegmentedReport:
    """Size and quality of a video that was encoded in segments.

    Attributes:
        frames, width, height: number of frames, and their size in luma samples.
        bytes: size of the stream.
        components: part of the stream -> bytes; they add up to `bytes`.
        quality: means over all frames of their PSNRs, in dB.
        ms_ssim_y: mean of the frames' luma MS-SSIM; None unless the encode was tuned for it.
        cost: J of the whole, without headers.
        lagrangian: lambda of all segments, of the first one at its end.
        goal: the goal of rate control for the whole; None for a fixed lambda.
        segments: the document of each segment's `EncodeReport`.
        seconds: wall time of this run, without what an earlier one had finished.
        rate: frames per second.
    """

    frames: int
    width: int
    height: int
    bytes: int
    components: dict[str, float]
    quality: Quality
    ms_ssim_y: float | None
    cost: float
    lagrangian: float
    goal: RateGoal | None
    segments: tuple[Mapping[str, Any], ...]
    seconds: float
    rate: Fraction

    @property
    def bits_per_pixel(self) -> float:
        """Bits of the stream per luma sample."""
        return 8 * self.bytes / (self.frames * self.width * self.height)

    @property
    def kilobits_per_second(self) -> float:
        """Bitrate of the stream at the video's frame rate, kbit/s."""
        return float(8 * self.bytes * self.rate / self.frames) / 1000

    def document(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return {
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "bytes": self.bytes,
            "bits_per_pixel": round(self.bits_per_pixel, 6),
            "kilobits_per_second": round(self.kilobits_per_second, 3),
            "components": {name: round(size, 1) for name, size in self.components.items()},
            "ms_ssim_y": self.ms_ssim_y,
            "psnr": dataclasses.asdict(self.quality),
            "cost": self.cost,
            "lambda": self.lagrangian,
            "rate_control": rate_control(self.goal, self.bytes, self.quality.y),
            "seconds": round(self.seconds, 2),
            "frame_md5s": [md5 for one in self.segments for md5 in one["frame_md5s"]],
            "segments": list(self.segments),
        }


def summarise(
    segments: Sequence[Mapping[str, Any]], size: int, goal: RateGoal | None, rate: Fraction, seconds: float
) -> SegmentedReport:
    """The report of the whole.

    Args:
        segments: the segments' documents, in order.
        size: bytes of the joined stream.
        goal, rate, seconds: as in `SegmentedReport`.
    """
    frames: int = sum(one["frames"] for one in segments)

    def mean(figure: Callable[[Mapping[str, Any]], float | None]) -> float | None:
        values = [(one["frames"], figure(one)) for one in segments]
        known = [count * value for count, value in values if value is not None]
        return sum(known) / frames if len(known) == len(values) else None

    def sure(figure: Callable[[Mapping[str, Any]], float]) -> float:
        return sum(float(one["frames"] * figure(one)) for one in segments) / frames

    components: dict[str, float] = {}
    for one in segments:
        for name, share in one["components"].items():
            if name != _HEADERS:
                components[name] = components.get(name, 0.0) + share
    components[_HEADERS] = size - sum(components.values())
    return SegmentedReport(
        frames=frames,
        width=segments[0]["width"],
        height=segments[0]["height"],
        bytes=size,
        components=components,
        quality=Quality(
            sure(lambda one: one["psnr"]["y"]),
            mean(lambda one: one["psnr"]["u"]),
            mean(lambda one: one["psnr"]["v"]),
            sure(lambda one: one["psnr"]["yuv"]),
        ),
        ms_ssim_y=mean(lambda one: one["ms_ssim_y"]),
        cost=sure(lambda one: one["cost"]),
        lagrangian=segments[0]["lambda"],
        goal=goal,
        segments=tuple(segments),
        seconds=seconds,
        rate=rate,
    )
