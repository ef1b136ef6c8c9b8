"""What `encode` reports of a finished encode."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from nvrc_encoder.model.structure import Structure
from nvrc_encoder.quality.psnr import Quality
from nvrc_encoder.rate_goal import RateGoal
from nvrc_encoder.training.run import Summary
from nvrc_encoder.training.structure_search import Trial
from nvrc_encoder.training.trainer import Trainer

__all__ = ["EncodeReport", "Start", "rate_control"]


@dataclass(frozen=True)
class Start:
    """The state before the first iteration, rounded as the decoder rounds.

    Attributes:
        seconds: wall time that it took, without trials.
        cost: J, as `EncodeReport.cost`.
        bits_per_pixel: estimated bits of grids and weights, per luma sample.
        psnr_y: mean of the frames' luma PSNRs.
    """

    seconds: float
    cost: float
    bits_per_pixel: float
    psnr_y: float

    @classmethod
    def of(cls, trainer: Trainer, seconds: float) -> Start:
        """The state of a trainer that nothing has been trained of yet, made in `seconds`."""
        estimate = trainer.estimate()
        bpp = estimate.bits / (sum(trainer.frame_counts) * trainer.pixels)
        return cls(seconds, estimate.distortion + trainer.lagrangian * bpp, bpp, estimate.psnr_y)


@dataclass(frozen=True)
class EncodeReport:
    """Size, quality and cost of a finished encode.

    Attributes:
        frames, width, height: number of frames, and their size in luma samples.
        bytes: size of the stream.
        estimated_bytes: size that the rate model expected after the training, before anything was written.
        bits_per_pixel: stream bits per luma sample.
        components: part of the stream -> bytes; they add up to `bytes`.
        quality: PSNR of the decoded frames against the source.
        float_quality: PSNR of frames synthesised without rounding: values are clipped, only the samples are rounded.
        ms_ssim_y: mean of the frames' luma MS-SSIM; None unless the encode was tuned for it.
        cost: J, the distortion that was minimised plus lambda times the estimated bits per pixel, without headers.
        lagrangian: lambda: the given one, or the one that rate control ended with.
        goal: the goal of rate control; None for a fixed lambda.
        start: the state before the first iteration; None where a checkpoint of an earlier release was resumed.
        training: length of the training and outcome of the step search.
        structure: active part of the profile.
        trials: the trials that chose the structure; empty where the options fix everything.
        kmac_per_pixel: synthesis cost of the active layers, thousands of multiplications per luma sample.
        training_seconds, seconds: wall time up to the end of the training, and of the whole encode.
        frame_md5: MD5 of each decoded frame.
        rate: frames per second.
    """

    frames: int
    width: int
    height: int
    bytes: int
    estimated_bytes: int
    bits_per_pixel: float
    components: dict[str, float]
    quality: Quality
    float_quality: Quality
    ms_ssim_y: float | None
    cost: float
    lagrangian: float
    goal: RateGoal | None
    start: Start | None
    training: Summary
    structure: Structure
    trials: tuple[Trial, ...]
    kmac_per_pixel: float
    training_seconds: float
    seconds: float
    frame_md5: tuple[str, ...]
    rate: Fraction

    @property
    def kilobits_per_second(self) -> float:
        """Bitrate of the stream at the video's frame rate, kbit/s."""
        return float(8 * self.bytes * self.rate / self.frames) / 1000

    def document(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        quality, structure = self.quality, self.structure
        return {
            "frames": self.frames,
            "width": self.width,
            "height": self.height,
            "bytes": self.bytes,
            "estimated_bytes": round(self.estimated_bytes, 1),
            "bits_per_pixel": round(self.bits_per_pixel, 6),
            "kilobits_per_second": round(self.kilobits_per_second, 3),
            "components": {name: round(size, 1) for name, size in self.components.items()},
            "psnr_y_of_float_layers": self.float_quality.y,
            "ms_ssim_y": self.ms_ssim_y,
            "psnr": dataclasses.asdict(quality),
            "cost": self.cost,
            "lambda": self.lagrangian,
            "rate_control": rate_control(self.goal, self.bytes, quality.y),
            "structure": {
                "profile": structure.profile.name,
                "stage_channels": list(structure.stage_channels),
                "stage_blocks": list(structure.stage_blocks),
                "grid_channels": list(structure.grid_channels),
                "motion": structure.moving,
                "split": structure.splitting,
                "key_spacing": structure.pyramid.key_spacing,
                "node_spacing": structure.pyramid.node_spacing,
                "step_factors": list(structure.pyramid.factors),
                "context_widths": list(structure.context_widths),
            },
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
            "start": None if self.start is None else dataclasses.asdict(self.start),
            "training": dataclasses.asdict(self.training),
            "kmac_per_pixel": round(self.kmac_per_pixel, 3),
            "training_seconds": round(self.training_seconds, 2),
            "seconds": round(self.seconds, 2),
            "frame_md5s": list(self.frame_md5),
        }


def rate_control(goal: RateGoal | None, size: int, psnr_y: float) -> dict[str, Any] | None:
    """The target and the value reached; None for a fixed lambda."""
    if goal is None:
        return None
    if goal.kind == "size":
        return {"target_bytes": round(goal.value), "reached_bytes": size, "tolerance": "3 %"}
    return {"target_psnr_y": goal.value, "reached_psnr_y": psnr_y, "tolerance": "0.1 dB"}
