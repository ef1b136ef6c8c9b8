"""The options of an encode: profile, preset, lambda or target, GOP length, structure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from nvrc_decoder.picture.presentation import check_entry
from nvrc_decoder.profiles import PROFILES, SPLIT_CHANNELS, Profile, SlotKind
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, MULTIPLIER_MAX, SPACING_LOG2_MAX, Pyramid
from nvrc_encoder.model.band_gains import HIGH_HIGH_GAIN, HIGH_LOW_GAIN, LOW_LOW_GAIN
from nvrc_encoder.model.structure import Structure
from nvrc_encoder.plan import Plan
from nvrc_encoder.rate_goal import RateGoal

__all__ = ["PRESETS", "PRESET_FRAMES", "SCHEDULES", "TUNES", "EncodeOptions", "profile_named"]

PRESETS: dict[str, Plan] = {
    "draft": Plan(
        iterations=150, trial_frames=9, pretrain=60, grid_rate=8e-2, temperature=(0.5, 0.15), noise=(0.5, 0.3)
    ),
    "fast": Plan(iterations=1000, temperature=(0.3, 0.12), noise=(0.5, 0.3)),
    "medium": Plan(iterations=3000, weight_rate=5e-3),
    "slow": Plan(iterations=9000, weight_rate=5e-3),
    "placebo": Plan(iterations=30000, weight_rate=5e-3),
}
"""Preset -> plan for a video of `PRESET_FRAMES` frames. A shorter or longer one has iterations in proportion."""
PRESET_FRAMES = 64
_LEAST_FRAMES = 16
"""Fewer frames have as many iterations as these: the networks have to be trained all the same."""

TUNES = ("psnr", "ms-ssim")
"""Distortions to tune for: the weighted MSE, or 1 - MS-SSIM in place of the MSE of luma."""
SCHEDULES = ("temporal-first", "octree")
"""Names of the schedules that the encoder writes (spec 5)."""


def profile_named(name: str) -> Profile:
    """The profile of that name; ValueError for an unknown one."""
    for profile in PROFILES:
        if profile.name == name:
            return profile
    raise ValueError(f"unknown profile {name!r}: choose from {', '.join(p.name for p in PROFILES)}")


DEVICES = ("auto", "cpu", "cuda")
GOP_MAX = 1 << 16
CHANNELS_MAX = 255
CONTEXT_WIDTH_MAX = 64
ITERATIONS_MAX = 10_000_000
METADATA_KEY_MAX = 255
SEED_MAX = (1 << 32) - 1
SPACING_MAX = 1 << SPACING_LOG2_MAX
KEY_SPACING, NODE_SPACING = 16, 8
"""Frames between keys and between nodes unless options or trials say otherwise."""
LEVEL_FACTORS = (24, 31, 38, 38)
"""Step factors of nodes between keys, in sixteenths, coarse level first. Fewer frames depend on them than on keys."""
STEP_FACTOR_MAX = 255
CONTEXT_WIDTHS = (10, 10)
_REFERENCE_LAMBDA = 5e-3
_STEP_AT_REFERENCE = 76
_PLANE_STEP_AT_REFERENCE = 180
"""Values of predicted planes are coefficients of an orthonormal transform, and bear the large steps of theory."""
_CHROMA_STEP_AT_REFERENCE = 74
"""Planes of stride 4 beside a luma plane hold chroma: each value stands for many samples."""
_FLOW_STEP_AT_REFERENCE = 4.4
"""Step of the positions of the flow grid in eighths of a sample."""
_BLEND_STEP = 4
"""Step of the blend channel of the flow grid in 1/32."""
_POSITION_IN_DISPLACEMENTS = 4
"""Thirty-seconds of a sample in an eighth: the split grid holds displacements, the flow grid positions."""
_SPLIT_BLEND_STEP = 8
"""Step of the blend channel of the split grid in 1/32: two steps take a block from both references to one."""
_FLOW_GROWTH = 0.4
"""Exponent of lambda in the step of the positions: measured, see docs/decisions/0005-motion-by-a-flow-grid.md."""
_PLANE_GROWTH = 0.4
"""Exponent of lambda in the steps of predicted planes: measured, see docs/decisions/0028-keys-every-16-frames.md."""
_GRID_GROWTH = 0.5
"""Exponent of lambda in the steps of grids that are not predicted, that of high-rate theory."""


@dataclass(frozen=True)
class EncodeOptions:
    """Options of `nvrc_encoder.encode`. The constructor raises ValueError for a value outside its range.

    Attributes:
        profile: `nano`, `lite` or `main`.
        preset: `draft`, `fast`, `medium`, `slow` or `placebo`.
        lagrangian: lambda, > 0: weight of bits per pixel against the distortion (peak 1). A target overrides it.
        target_bpp, target_size, target_bitrate, target_psnr: at most one: bits of the stream per luma sample, its
            bytes, its kbit/s at the video's frame rate, or the mean of the frames' luma PSNRs in dB.
        tune: one of `TUNES`.
        gop: largest number of frames of a GOP, 1..65536.
        seed: seed of every random draw, 0..2^32 - 1.
        device: `auto`, `cpu` or `cuda`.
        schedule: one of `SCHEDULES`.
        trials: whether trials (`choose`) settle those of slots, motion, split, node_spacing, channels and
            context_widths that are None. Without trials, None means: the slots of planes and flow; motion; no split; 8;
            as many channels as the profile has; 10 and 10.
        channels: active channels of every stage, or as many as the profile has if it has fewer.
        blocks: largest number of active blocks of a stage; None for as many as the profile has.
        slots: grid slots to use, at least one; those of bands all or none. `motion` and `split` decide on the last two.
        grid_channels: channels of each slot, 0 to leave it out; None for as many as the profile has in `slots`. Bands
            have all of their channels, or none. The entries of the flow and the split slot are ignored.
        motion: whether planes, if there are any, are predicted along a flow grid.
        split: whether 8x8 blocks may have motion of their own in addition to that of the flow grid.
        key_spacing, node_spacing: frames between keys, 16 where it is None (8 in GOPs of up to 9 frames), and
            between nodes (spec 7.5): powers of two, 1..16, the second no larger.
        grid_step: quantisation step of the grids in integer activation steps (1/8 of a pixel level at 8 bits), of bands
            that of an orthonormal transform; 1..2048; None chooses it by lambda.
        grid_scale: factor on the steps that lambda gives, 0.1..10. A factor below 1 applies to keys alone, on which
            more frames depend than on the nodes between them.
        context_widths: hidden widths of the context network, 1..64.
        iterations: number of iterations in place of the preset's, whatever the number of frames.
        prior: whether networks start from the format's prior, where it suits, and are coded as differences from it
            (spec 6.5).
        index: whether to write INDEX and footer, if there is more than one GOP.
        metadata: key -> value, written as METADATA units in addition to the source's. Keys that begin with `nvrc.`
            are those of spec 3.6.1 and override the source's.
    """

    profile: str = "nano"
    preset: str = "medium"
    lagrangian: float = 5e-3
    target_bpp: float | None = None
    target_size: int | None = None
    target_bitrate: float | None = None
    target_psnr: float | None = None
    tune: str = "psnr"
    gop: int = 32
    seed: int = 0
    device: str = "auto"
    schedule: str = "temporal-first"
    trials: bool = True
    channels: int | None = None
    blocks: int | None = None
    slots: tuple[int, ...] | None = None
    grid_channels: tuple[int, ...] | None = None
    motion: bool | None = None
    split: bool | None = None
    key_spacing: int | None = None
    node_spacing: int | None = None
    grid_step: int | None = None
    grid_scale: float = 1.0
    context_widths: tuple[int, int] | None = None
    iterations: int | None = None
    prior: bool = True
    index: bool = True
    metadata: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        profile = profile_named(self.profile)
        slots = len(profile.slots)
        self._one_of("preset", self.preset, tuple(PRESETS))
        self._one_of("tune", self.tune, TUNES)
        self._one_of("device", self.device, DEVICES)
        self._one_of("schedule", self.schedule, SCHEDULES)
        if not (math.isfinite(self.lagrangian) and self.lagrangian > 0):
            raise ValueError(f"lambda is {self.lagrangian}: it must be a positive number")
        self._check_targets()
        self._within("gop", self.gop, 1, GOP_MAX)
        self._within("seed", self.seed, 0, SEED_MAX)
        for name, value, largest in (
            ("channels", self.channels, CHANNELS_MAX),
            ("grid_step", self.grid_step, MULTIPLIER_MAX),
            ("iterations", self.iterations, ITERATIONS_MAX),
        ):
            if value is not None:
                self._within(name, value, 1, largest)
        if not 0.1 <= self.grid_scale <= 10:
            raise ValueError(f"grid_scale (--grid-scale) is {self.grid_scale}: it must be 0.1 to 10")
        for width in self.context_widths or ():
            self._within("context_widths", width, 1, CONTEXT_WIDTH_MAX)
        self._check_spacings()
        if self.slots is not None:
            if not self.slots:
                raise ValueError("slots is empty: a stream has at least one grid")
            for number in self.slots:
                self._within("slots", number, 0, slots - 1)
        if self.blocks is not None:
            self._within("blocks", self.blocks, 0, max(profile.blocks))
        if self.grid_channels is not None:
            if len(self.grid_channels) != slots:
                raise ValueError(
                    f"grid_channels (--grids) has {len(self.grid_channels)} numbers: profile {profile.name} takes "
                    f"{slots}, one for each slot"
                )
            for i, (slot, channels) in enumerate(zip(profile.slots, self.grid_channels, strict=True)):
                self._within(f"grid_channels (--grids) of slot {i}", channels, 0, slot.max_channels)
        grids = self.structure().grid_channels
        if not any(n for n, slot in zip(grids, profile.slots, strict=True) if not slot.motion):
            raise ValueError("no grid is left: choose one besides the flow's")
        bands = [(grids[i], profile.slots[i].max_channels) for i in profile.band_slots]
        if any(n for n, _ in bands) and any(n != most for n, most in bands):
            wanted = ",".join(str(most) for _, most in bands)
            raise ValueError(
                f"grid_channels (--grids) or slots leave out a part of the bands, slots {profile.band_slots[0]} to "
                f"{profile.band_slots[-1]}: give them {wanted} channels, or all 0"
            )
        for key, entry in self.metadata.items():
            check_entry(key, entry)
            if not 1 <= len(key.encode()) <= METADATA_KEY_MAX:
                raise ValueError(f"the metadata key {key!r} is not 1 to {METADATA_KEY_MAX} bytes long")

    def _check_spacings(self) -> None:
        names = "key_spacing (--key-spacing)", "node_spacing (--node-spacing)"
        for name, value in zip(names, (self.key_spacing, self.node_spacing), strict=True):
            if value is not None and (value & (value - 1) or not 1 <= value <= SPACING_MAX):
                raise ValueError(f"{name} is {value}: it must be a power of two, 1 to {SPACING_MAX}")
        key, node = self.spacings
        if node > key:
            raise ValueError(f"{names[1]} is {node}: it must be no larger than key_spacing, {key}")

    def _check_targets(self) -> None:
        targets = ("target_bpp", "target_size", "target_bitrate", "target_psnr")
        given = [name for name in targets if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} cannot be met at once: choose one")
        for name in given:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}: it must be a positive number")

    def goal(self, width: int, height: int, frames: int, rate: Fraction) -> RateGoal | None:
        """The goal of rate control for a video; None where lambda is fixed.

        Args:
            width, height: size in luma samples.
            frames: number of frames.
            rate: frames per second.
        """
        if self.target_psnr is not None:
            return RateGoal("psnr", self.target_psnr)
        if self.target_size is not None:
            return RateGoal("size", self.target_size)
        if self.target_bpp is not None:
            return RateGoal("size", self.target_bpp * width * height * frames / 8)
        if self.target_bitrate is not None:
            return RateGoal("size", self.target_bitrate * 125 * frames / float(rate))
        return None

    @staticmethod
    def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
        if value not in choices:
            raise ValueError(f"unknown {name} {value!r}: choose from {', '.join(choices)}")

    @staticmethod
    def _within(name: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}: it must be {low} to {high}")

    def _step(self, reference: float, growth: float) -> float:
        """A step that grows with lambda, within the format's range, not rounded."""
        factor: float = (self.lagrangian / _REFERENCE_LAMBDA) ** growth
        return max(1.0, min(float(MULTIPLIER_MAX), reference * factor))

    def multipliers(self, structure: Structure) -> list[list[int] | None]:
        """The multiplier M of each channel of each slot; None where a slot is absent."""
        given, scale = None if self.grid_step is None else float(self.grid_step), self.grid_scale
        plane = given or self._step(scale * _PLANE_STEP_AT_REFERENCE, _PLANE_GROWTH)
        feature = plane if structure.moving else given or self._step(scale * _STEP_AT_REFERENCE, _GRID_GROWTH)
        quarter = plane
        if structure.has_luma and given is None:
            quarter = self._step(scale * _CHROMA_STEP_AT_REFERENCE, _PLANE_GROWTH)
        position = self._step(_FLOW_STEP_AT_REFERENCE, _FLOW_GROWTH)
        out: list[list[int] | None] = []
        for slot, channels in zip(structure.profile.slots, structure.grid_channels, strict=True):
            if slot.kind is SlotKind.FLOW:
                steps = [position, position, _BLEND_STEP]
            elif slot.kind is SlotKind.SPLIT:
                step = position * _POSITION_IN_DISPLACEMENTS
                steps = [step, step, _SPLIT_BLEND_STEP]
            elif slot.kind is SlotKind.BAND:
                # A step is worth twice as much at each coarser level.
                level = 2 * plane / slot.stride
                low = [LOW_LOW_GAIN * level] * (channels - 3)
                steps = [*low, HIGH_LOW_GAIN * level, HIGH_LOW_GAIN * level, HIGH_HIGH_GAIN * level]
            else:
                steps = [quarter if slot.at_nodes else feature] * channels
            out.append([max(1, min(MULTIPLIER_MAX, round(step))) for step in steps] if channels else None)
        return out

    @property
    def spacings(self) -> tuple[int, int]:
        """Frames between keys and between nodes, with defaults in place of None."""
        # In a shorter GOP the second key would be far behind the last frame.
        default = KEY_SPACING if self.gop > NODE_SPACING + 1 else NODE_SPACING
        key = self.key_spacing or max(default, self.node_spacing or 1)
        return key, self.node_spacing or min(NODE_SPACING, key)

    def _grid_channels(self, profile: Profile) -> list[int]:
        moving = self.motion is not False
        channels = [slot.max_channels for slot in profile.slots] if self.grid_channels is None else self.grid_channels
        wanted: Sequence[int] = range(len(profile.slots)) if self.slots is None else self.slots
        if self.slots is None and self.grid_channels is None and moving:
            wanted = profile.node_slots
        grids = [n if i in wanted and not profile.slots[i].motion else 0 for i, n in enumerate(channels)]
        if moving and profile.has_planes(grids):
            grids[profile.flow_slot] = profile.slots[profile.flow_slot].max_channels
            grids[profile.split_slot] = SPLIT_CHANNELS if self.split else 0
        return grids

    def structure(self) -> Structure:
        """The part of the profile that these options make active."""
        profile = profile_named(self.profile)
        grids = self._grid_channels(profile)
        stages = range(len(profile.max_channels))
        # Stages before the first one that a grid enters have no features.
        entered = min((k for k in stages if profile.injected(k, grids)), default=0)
        key, node = self.spacings
        levels = (key // node).bit_length() - 1
        return Structure(
            profile,
            tuple(m if self.channels is None else min(self.channels, m) for m in profile.max_channels),
            tuple(
                0 if k < entered else m if self.blocks is None else min(self.blocks, m)
                for k, m in enumerate(profile.blocks)
            ),
            tuple(grids),
            self.context_widths or CONTEXT_WIDTHS,
            Pyramid(key, node, self._factors(levels)) if profile.has_planes(grids) else DEFAULT_PYRAMID,
        )

    def _factors(self, levels: int) -> tuple[int, ...]:
        """Step factors of the nodes between keys; they make up for finer steps of the keys."""
        finer = min(1.0, self.grid_scale)
        return tuple(min(STEP_FACTOR_MAX, round(factor / finer)) for factor in LEVEL_FACTORS[:levels])

    def plan(self, frames: int = PRESET_FRAMES) -> Plan:
        """The preset's plan, with `iterations` if they are given.

        Args:
            frames: number of frames of the video. Iterations of a preset follow it, so that each frame is trained
                equally often; see docs/decisions/0027-iterations-follow-frames.md.
        """
        plan = PRESETS[self.preset]
        return dataclasses.replace(plan, iterations=self.iterations or _iterations(plan, frames))

    def plan_within(self, frames: int, iterations: int) -> Plan:
        """A plan of that many iterations, of which `plan` may have more.

        It has the rates of the slowest preset that is not slower than this one and has no more iterations, of `draft`
        at least; with `iterations` given, those of this preset.
        """
        names = list(PRESETS)
        usable = names[: names.index(self.preset) + 1] if self.iterations is None else [self.preset]
        fitting = [name for name in usable if _iterations(PRESETS[name], frames) <= iterations]
        return dataclasses.replace(PRESETS[fitting[-1] if fitting else usable[0]], iterations=iterations)


def _iterations(plan: Plan, frames: int) -> int:
    """Iterations of a preset's plan for that many frames."""
    return max(1, round(plan.iterations * max(frames, _LEAST_FRAMES) / PRESET_FRAMES))
