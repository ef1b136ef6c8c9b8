"""Choice of structure for a clip: short trainings of a few candidates, judged by J (distortion + lambda * bits).

The trials run on the first frames at a narrow width and settle which grids there are, whether they move, and which
frames are nodes. Width then follows the bits that the clip will take: weights pay where there are many bits to save,
not many pixels.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nvrc_decoder.frames import Planes
from nvrc_decoder.profiles import Profile, SlotKind

from .options import NODE_SPACING, EncodeOptions, profile_named
from .run import Run
from .source import Source
from .training import Trainer

__all__ = ["Choice", "Trial", "candidates", "choose", "memo", "settled"]

log = logging.getLogger("nvrc_encoder")

TRIAL_FRAMES = 32
"""Frames of a trial, the first of the clip."""
TRIAL_SHARE, TRIAL_LEAST = 0.03, 40
"""Length of a trial: this share of the iterations of the encode, and at least so many."""
TRIAL_CHANNELS = 8
PYRAMID_NODE_SPACING = 2
"""Frames between nodes in the trial of a pyramid."""
WIDTHS = (8, 12, 16, 24, 32, 48, 64)
"""Below 8 channels the four phases of the luma plane have no way through the network."""
WEIGHT_SHARE = 0.1
"""Most of a stream's bits that may go to the weights of the network."""
CONTEXT_WIDTHS = ((10, 0), (16, 150_000), (24, 600_000))
"""Hidden width of the context network, and the bits of grids from which on it pays."""

_SETTLED = ("lagrangian", "channels", "slots", "motion", "split", "key_spacing", "node_spacing", "context_widths")
"""Options that are found before the training."""

MakeTrainer = Callable[[Sequence[Planes], EncodeOptions], Trainer]


@dataclass(frozen=True)
class Trial:
    """One candidate and what its short training came to.

    Attributes:
        name: what it switches on.
        cost: J, comparable among the trials of one clip only.
        grid_bits, weight_bits: per frame, and of the whole network.
        seconds: wall time.
    """

    name: str
    cost: float
    grid_bits: float
    weight_bits: float
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


def _width(profile: Profile, trial: Trial, frames: int) -> int:
    """Widest network whose weights stay within their share of the clip's bits; they grow a little faster than width."""
    total = trial.grid_bits * frames
    largest = max(profile.max_channels)
    fitting = [
        width
        for width in WIDTHS
        if width <= largest
        and trial.weight_bits * (width / TRIAL_CHANNELS) ** 1.2 <= WEIGHT_SHARE / (1 - WEIGHT_SHARE) * total
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


def _tried(name: str, run: Run, finish: Callable[[Run], None], source: Source, frames: int) -> Trial:
    """What a trial on the first frames of a clip of so many comes to."""
    started = time.monotonic()
    finish(run)
    trainer = run.trainer
    estimate = trainer.estimate()
    grid_bits = sum(b for b in estimate.grid_bits if b is not None) / sum(trainer.frame_counts)
    weight_bits = sum(estimate.segment_bits)
    # Weights are shared by all frames of the clip, of which the trial saw some.
    bits = grid_bits + weight_bits / frames
    cost = estimate.distortion + trainer.lagrangian * bits / (source.width * source.height)
    return Trial(name, cost, grid_bits, weight_bits, time.monotonic() - started)


def choose(
    source: Source,
    frames: Sequence[Planes],
    options: EncodeOptions,
    make_trainer: MakeTrainer,
    finish: Callable[[Run], None],
    known: Sequence[Trial] = (),
) -> Choice:
    """Settle what `options` leave open: slots, motion, nodes, channels, widths of the context network.

    Args:
        source: gives the format.
        frames: the whole clip.
        options: what is given there is kept.
        make_trainer: trainer of some frames under some options.
        finish: trains a run to its end; the run's `memo` says which trial it is and what is known so far.
        known: the first trials, where they have been made already.
    """
    profile = profile_named(options.profile)
    plan = options.plan()
    iterations = min(plan.iterations, max(TRIAL_LEAST, round(plan.iterations * TRIAL_SHARE)))
    some = list(frames[: min(len(frames), TRIAL_FRAMES)])
    trials: list[Trial] = []
    best: tuple[Trial, EncodeOptions] | None = None
    for number, (name, fixed) in enumerate(candidates(options).items()):
        if number < len(known):
            trial = known[number]
        else:
            narrow = fixed.channels or min(TRIAL_CHANNELS, max(profile.max_channels))
            trial_options = dataclasses.replace(fixed, channels=narrow, iterations=iterations)
            run = Run(
                make_trainer(some, trial_options),
                dataclasses.replace(trial_options.plan(), search=0.0),
                memo=memo(f"trial {number}", options, trials),
            )
            trial = _tried(name, run, finish, source, len(frames))
            log.info("trial: %s, J %.6f", name, trial.cost)
        trials.append(trial)
        if best is None or trial.cost < best[0].cost:
            best = trial, fixed
    if best is None:
        raise ValueError("no candidate is compatible with the options")
    chosen = best[1]
    if chosen.channels is None:
        chosen = dataclasses.replace(chosen, channels=_width(profile, best[0], len(frames)))
    if chosen.context_widths is None:
        width = max(width for width, bits in CONTEXT_WIDTHS if bits <= best[0].grid_bits * len(frames))
        chosen = dataclasses.replace(chosen, context_widths=(width, width))
    return Choice(chosen, tuple(trials))
