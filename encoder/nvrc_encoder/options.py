"""What a user chooses for an encode: profile, preset, lambda, GOP length."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nvrc_decoder.profiles import PROFILES, Profile

from .training import Plan

__all__ = ["PRESETS", "SCHEDULES", "EncodeOptions", "profile_named"]

PRESETS: dict[str, Plan] = {
    "draft": Plan(iterations=150, pretrain=40),
    "fast": Plan(iterations=700),
    "medium": Plan(iterations=2000),
    "slow": Plan(iterations=6000),
}
"""Preset -> plan; time grows with the iterations and with the pixels of a window of frames."""

SCHEDULES = ("temporal-first", "octree")
"""Names of the schedules that the encoder writes (spec 5)."""


def profile_named(name: str) -> Profile:
    """The profile of that name; ValueError for an unknown one."""
    for profile in PROFILES:
        if profile.name == name:
            return profile
    raise ValueError(f"unknown profile {name!r}: choose from {', '.join(p.name for p in PROFILES)}")


MULTIPLIER_MAX = 2048
_REFERENCE_LAMBDA = 5e-3
_STEP_AT_REFERENCE = 76


@dataclass(frozen=True)
class EncodeOptions:
    """Options of `nvrc_encoder.encode`.

    Attributes:
        profile: `nano`, `lite` or `main`.
        preset: `draft`, `fast`, `medium` or `slow`.
        lagrangian: lambda, > 0: weight of bits per pixel against the weighted MSE (peak 1).
        gop: most frames of a GOP.
        seed: of every random draw.
        device: `auto`, `cpu` or `cuda`.
        schedule: one of `SCHEDULES`.
        channels: active channels of every stage; None for the profile's most.
        slots: grid slots to use; None for all.
        grid_step: quantisation step of the grids in integer activation steps (1/8 of a pixel level at 8 bits);
            None chooses it by lambda.
        context_widths: hidden widths of the context network.
        iterations: overrides the preset's.
        index: write INDEX and footer.
        metadata: key -> value, written as METADATA units.
    """

    profile: str = "nano"
    preset: str = "medium"
    lagrangian: float = 5e-3
    gop: int = 32
    seed: int = 0
    device: str = "auto"
    schedule: str = "temporal-first"
    channels: int | None = None
    slots: tuple[int, ...] | None = None
    grid_step: int | None = None
    context_widths: tuple[int, int] = (10, 10)
    iterations: int | None = None
    index: bool = True
    metadata: dict[str, str] = field(default_factory=dict)

    def multiplier(self) -> int:
        """The grids' step M: as given, or proportional to the square root of lambda, as at high rate theory has it."""
        if self.grid_step is not None:
            return self.grid_step
        return max(1, min(MULTIPLIER_MAX, round(_STEP_AT_REFERENCE * math.sqrt(self.lagrangian / _REFERENCE_LAMBDA))))

    def plan(self) -> Plan:
        """The preset's plan, with `iterations` in its place if it is given."""
        plan = PRESETS[self.preset]
        if self.iterations is None:
            return plan
        values = {**plan.__dict__, "iterations": self.iterations}
        return Plan(**values)
