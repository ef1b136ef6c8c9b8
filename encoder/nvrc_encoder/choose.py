"""Choice of structure for a clip: a few candidates, judged by J (distortion + lambda * bits) of what they start from.

The candidates are tried on the first frames, and of large pictures on the middle, at a narrow width. They settle which
grids there are, whether they move, and which frames are nodes. Width then follows the bits that the clip will take:
weights pay where there are many bits to save, not many pixels.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nvrc_decoder.frames import Plane, Planes
from nvrc_decoder.profiles import Profile, SlotKind

from .options import NODE_SPACING, EncodeOptions, profile_named
from .source import Source
from .training import Trainer

__all__ = ["Choice", "Trial", "candidates", "choose", "memo", "settled"]

log = logging.getLogger("nvrc_encoder")

TRIAL_FRAMES = 17
"""Frames of a trial, the first of the clip."""
TRIAL_SAMPLES = 1 << 17
"""Most luma samples of a frame in a trial, about."""
TRIAL_FIT = 40
"""Iterations that fit the context network to what a candidate starts from."""
TRIAL_CHANNELS = 8
LEAST_GAIN = 0.01
"""Share of J that a candidate has to be better than those before it, which have less to train."""
_LARGEST_STRIDE = 32
PYRAMID_NODE_SPACING = 2
"""Frames between nodes in the trial of a pyramid."""
WIDTHS = (8, 12, 16, 24, 32, 48, 64)
"""Below 8 channels the four phases of the luma plane have no way through the network."""
WEIGHT_SHARE = 0.1
"""Most of a stream's bits that may go to the weights of the network."""
WEIGHT_BITS = 6000
"""Bits that the networks of `TRIAL_CHANNELS` channels come to."""
CONTEXT_WIDTHS = ((10, 0), (16, 150_000), (24, 600_000))
"""Hidden width of the context network, and the bits of grids from which on it pays."""

_SETTLED = ("lagrangian", "channels", "slots", "motion", "split", "key_spacing", "node_spacing", "context_widths")
"""Options that are found before the training."""

MakeTrainer = Callable[[Source, Sequence[Planes], EncodeOptions], Trainer]


@dataclass(frozen=True)
class Trial:
    """One candidate and what it starts from.

    Attributes:
        name: what it switches on.
        cost: J without the networks' bits, comparable among the trials of one clip only.
        psnr: -10 log10 of the distortion.
        grid_bits: of a frame of the clip.
        seconds: wall time.
    """

    name: str
    cost: float
    psnr: float
    grid_bits: float
    seconds: float


@dataclass(frozen=True)
class Choice:
    """Options with nothing left open, and the trials behind them."""

    options: EncodeOptions
    trials: tuple[Trial, ...]


def candidates(options: EncodeOptions) -> dict[str, EncodeOptions]:
    """What to try, by name: which slots, motion, split and nodes; what `options` fix stays. None comes twice."""
    profile = profile_named(options.profile)
    features = [i for i, slot in enumerate(profile.slots) if slot.kind is SlotKind.FEATURE]
    planes = profile.node_slots
    at_stride = {profile.slots[i].stride: i for i in features}
    layouts: dict[str, tuple[Sequence[int], bool, bool, int]] = {
        "planes": (planes, True, False, NODE_SPACING),
        "planes, split": (planes, True, True, NODE_SPACING),
        "planes, split, pyramid": (planes, True, True, PYRAMID_NODE_SPACING),
        "planes, 1/8 a frame": ((*planes, at_stride[8]), True, False, NODE_SPACING),
        "all grids, no motion": ((*features, *planes), False, False, NODE_SPACING),
    }
    out: dict[str, EncodeOptions] = {}
    for name, (slots, motion, split, node_spacing) in layouts.items():
        changes: dict[str, object] = {"key_spacing": options.spacings[0]}
        if options.slots is None and options.grid_channels is None:
            changes["slots"] = tuple(sorted(slots))
        if options.motion is None:
            changes["motion"] = motion
        if options.split is None:
            changes["split"] = split
        if options.node_spacing is None:
            changes["node_spacing"] = min(node_spacing, options.spacings[0])
        candidate = dataclasses.replace(options, **changes)  # type: ignore[arg-type]
        if all(candidate.structure() != other.structure() for other in out.values()):
            out[name] = candidate
    return out


def _width(profile: Profile, total: float) -> int:
    """Widest network whose weights stay within their share of a clip of so many bits of grids.

    Weights grow a little faster than width.
    """
    largest = max(profile.max_channels)
    fitting = [
        width
        for width in WIDTHS
        if width <= largest
        and WEIGHT_BITS * (width / TRIAL_CHANNELS) ** 1.2 <= WEIGHT_SHARE / (1 - WEIGHT_SHARE) * total
    ]
    return max(fitting, default=min(TRIAL_CHANNELS, largest))


def memo(stage: str, options: EncodeOptions, trials: Sequence[Trial]) -> dict[str, Any]:
    """What is settled when a stage of the encode begins, in a form that a checkpoint holds."""
    return {
        "stage": stage,
        "options": {name: getattr(options, name) for name in _SETTLED},
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }


def settled(options: EncodeOptions, found: Mapping[str, Any]) -> tuple[EncodeOptions, tuple[Trial, ...]]:
    """The options and trials of a `memo`."""
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in found["options"].items()}
    return dataclasses.replace(options, **values), tuple(Trial(**trial) for trial in found["trials"])


def middle(source: Source, frames: Sequence[Planes]) -> tuple[Source, list[Planes]]:
    """The first frames of a clip, and of a large picture its middle: enough to judge a structure by."""
    most = math.sqrt(TRIAL_SAMPLES / (source.width * source.height))
    sizes = [size if most >= 1 else min(size, _round_up(size * most)) for size in (source.width, source.height)]
    # Even, so that it is the same place in planes of half the size.
    left, top = ((whole - size) // 4 * 2 for whole, size in zip((source.width, source.height), sizes, strict=True))
    width, height = sizes

    def cut(plane: Plane) -> Plane:
        finer = 1 if plane.shape == (source.height, source.width) else 2
        rows, columns = -(-height // finer), -(-width // finer)
        return plane[top // finer : top // finer + rows, left // finer : left // finer + columns]

    some = [Planes(*map(cut, frame.planes())) for frame in frames[:TRIAL_FRAMES]]
    picture = dataclasses.replace(source.picture, width=width, height=height)
    return Source(source.name, picture, len(some), lambda: iter(some)), some


def _round_up(size: float) -> int:
    """A size that all grids divide."""
    return -(-math.ceil(size) // _LARGEST_STRIDE) * _LARGEST_STRIDE


def _tried(name: str, trainer: Trainer, samples: int) -> Trial:
    """What a candidate starts with; `samples` are those of a whole frame."""
    trainer.fit_context(TRIAL_FIT)
    estimate = trainer.estimate()
    per_frame = sum(b for b in estimate.grid_bits if b is not None) / sum(trainer.frame_counts)
    cost = estimate.distortion + trainer.lagrangian * per_frame / trainer.pixels
    psnr = -10 * math.log10(max(estimate.distortion, 1e-12))
    return Trial(name, cost, psnr, per_frame * samples / trainer.pixels, 0.0)


def choose(
    source: Source,
    frames: Sequence[Planes],
    options: EncodeOptions,
    make_trainer: MakeTrainer,
    told: Callable[[int, int, Trial], None] = lambda done, all_, trial: None,
) -> Choice:
    """Settle what `options` leave open: slots, motion, nodes, channels, widths of the context network.

    Args:
        source: gives the format.
        frames: the whole clip.
        options: what is given there is kept.
        make_trainer: trainer of some frames under some options.
        told: called after each trial with the number of trials made and to make, and the trial.
    """
    profile = profile_named(options.profile)
    small, some = middle(source, frames)
    tried = candidates(options)
    trials: list[Trial] = []
    best: tuple[Trial, EncodeOptions] | None = None
    for name, fixed in tried.items():
        started = time.monotonic()
        narrow = fixed.channels or min(TRIAL_CHANNELS, max(profile.max_channels))
        trainer = make_trainer(small, some, dataclasses.replace(fixed, channels=narrow))
        trial = _tried(name, trainer, source.width * source.height)
        trial = dataclasses.replace(trial, seconds=time.monotonic() - started)
        log.info("trial: %s, J %.6f", name, trial.cost)
        trials.append(trial)
        told(len(trials), len(tried), trial)
        if best is None or trial.cost < (1 - LEAST_GAIN) * best[0].cost:
            best = trial, fixed
    if best is None:
        raise ValueError("no candidate is compatible with the options")
    trial, chosen = best
    bits = trial.grid_bits * len(frames)
    if chosen.channels is None:
        chosen = dataclasses.replace(chosen, channels=_width(profile, bits))
    if chosen.context_widths is None:
        width = max(width for width, least in CONTEXT_WIDTHS if least <= bits)
        chosen = dataclasses.replace(chosen, context_widths=(width, width))
    return Choice(chosen, tuple(trials))
