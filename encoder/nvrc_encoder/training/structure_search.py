"""Choice of structure and steps for a clip: a greedy search over trials.

A trial makes the initial grids and weights of a candidate and computes J (distortion + lambda * bits). A change that
gains enough is kept, and the next one is tried on top of it. Trials use the first frames, of large pictures the middle,
and a narrow network. They decide which grids there are, whether planes are predicted along motion, and which frames are
nodes. Width then follows the bits of the clip: weights pay where there are many bits to save, not where there are many
pixels.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nvrc_decoder.picture.planes import Plane, Planes
from nvrc_decoder.profiles import Profile, SlotKind
from nvrc_encoder.options import NODE_SPACING, EncodeOptions, profile_named
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.trainer import Trainer
from nvrc_encoder.training.workload import TRIAL_SAMPLES

__all__ = ["Choice", "Trial", "candidates", "choose", "is_open", "memo", "settled", "steps", "untried"]

log = logging.getLogger("nvrc_encoder")

TRIAL_FIT = 40
"""Iterations that fit the context network to a candidate's initial grids."""
TRIAL_CHANNELS = 8
LEAST_GAIN = 0.01
"""Share of J that a change has to gain. It makes up for the longer training of the larger structure."""
_LARGEST_STRIDE = 32
LEAST_NODE_SPACING = 2
"""Smallest distance of nodes, in frames, that is worth a trial."""
WIDTHS = (8, 12, 16, 24, 32, 48, 64)
"""Widths to choose from. With fewer than 8 channels the four phases of the luma plane do not pass the network."""
WEIGHT_SHARE = 0.1
"""Largest share of a stream's bits for the weights of the network."""
WEIGHT_BITS = 10_000
"""Bits of the networks of `TRIAL_CHANNELS` channels, plus a third: initial grids take more bits than trained ones."""
CONTEXT_WIDTHS = ((10, 0), (16, 150_000), (24, 600_000))
"""Hidden widths of the context network, each with the least bits of grids for which it pays."""

_SETTLED = ("lagrangian", "channels", "slots", "motion", "split", "key_spacing", "node_spacing", "context_widths")
"""Options that are settled before the training."""

MakeTrainer = Callable[[Source, Sequence[Planes], EncodeOptions], Trainer]


@dataclass(frozen=True)
class Trial:
    """One candidate and the figures of its initial state.

    Attributes:
        name: the changes that it combines.
        cost: J without the networks' bits, comparable among the trials of one clip only.
        psnr: -10 log10 of the distortion.
        grid_bits: bits of the grids per frame of the clip.
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


@dataclass(frozen=True)
class Step:
    """A change of the structure that a trial judges.

    Attributes:
        name: its name in the trials.
        changes: fields of `EncodeOptions` -> values.
        after: name of the step that must have been chosen before; None for none.
        alone: whether it replaces all that was chosen before, in place of adding to it.
    """

    name: str
    changes: Mapping[str, Any]
    after: str | None = None
    alone: bool = False


def first_choice(options: EncodeOptions) -> EncodeOptions:
    """The first candidate: where `options` leave it open, planes, smooth motion and nodes every 8 frames."""
    key = options.spacings[0]
    values: dict[str, Any] = {"key_spacing": key, "slots": _planes(options), "motion": True, "split": False}
    return _filled(options, values | {"node_spacing": min(NODE_SPACING, key)})


def untried(options: EncodeOptions) -> EncodeOptions:
    """Options with nothing left open, without a trial: the first candidate, in the width of a trial."""
    chosen = first_choice(options)
    return dataclasses.replace(
        chosen,
        channels=chosen.channels or _trial_width(chosen),
        context_widths=chosen.context_widths or (CONTEXT_WIDTHS[0][0],) * 2,
    )


def _trial_width(options: EncodeOptions) -> int:
    return min(TRIAL_CHANNELS, max(profile_named(options.profile).max_channels))


def steps(options: EncodeOptions) -> list[Step]:
    """The changes to try on top of the first choice, in this order, without those that `options` fix."""
    profile = profile_named(options.profile)
    features = [i for i, slot in enumerate(profile.slots) if slot.kind is SlotKind.FEATURE]
    found = []
    spacing, before = min(NODE_SPACING, options.spacings[0]), None
    while options.node_spacing is None and spacing > LEAST_NODE_SPACING:
        spacing //= 2
        name = f"nodes every {spacing}"
        found.append(Step(name, {"node_spacing": spacing}, before))
        before = name
    if options.split is None and options.motion is not False:
        found.append(Step("split", {"split": True}))
    if _slots_are_open(options):
        stride_8 = next(i for i in features if profile.slots[i].stride == 8)
        found.append(Step("1/8 a frame", {"slots": tuple(sorted((*_planes(options), stride_8)))}))
    if options.motion is None:
        everything = {"slots": tuple(sorted((*features, *_planes(options)))), "motion": False, "split": False}
        found.append(Step("all grids, no motion", everything, alone=True))
    return found


def _first_name(options: EncodeOptions) -> str:
    return "planes" if _slots_are_open(options) else "as given"


def candidates(options: EncodeOptions) -> tuple[str, ...]:
    """Names of what trials may compare: the first choice, and the changes that may be tried on top of it."""
    start = first_choice(options)
    first = _first_name(options)
    changes = [
        step.name for step in steps(options) if _differ(_filled(options, {**vars(start), **step.changes}), start)
    ]
    return first, *changes


def is_open(options: EncodeOptions) -> bool:
    """Whether there is anything to settle."""
    if options.channels is None or options.context_widths is None:
        return True
    start = first_choice(options)
    changed = (_filled(options, {**vars(start), **step.changes}) for step in steps(options))
    return any(_differ(candidate, start) for candidate in changed)


def _differ(one: EncodeOptions, other: EncodeOptions) -> bool:
    """Whether two options differ in what a trial settles."""
    return one.structure() != other.structure()


def _slots_are_open(options: EncodeOptions) -> bool:
    return options.slots is None and options.grid_channels is None


def _planes(options: EncodeOptions) -> tuple[int, ...]:
    return profile_named(options.profile).node_slots


def _filled(options: EncodeOptions, values: Mapping[str, Any]) -> EncodeOptions:
    """The options, with these values where they leave one open."""
    fixed = {"slots"} if options.grid_channels is not None else set()
    chosen = {name: v for name, v in values.items() if getattr(options, name) is None and name not in fixed}
    return dataclasses.replace(options, **chosen)


def _width(profile: Profile, total: float) -> int:
    """Widest network whose weights stay within `WEIGHT_SHARE` beside `total` bits of grids.

    Bits of weights grow a little faster than width.
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
    """The settled options and the trials at the start of a stage, in a form that a checkpoint can hold."""
    return {
        "stage": stage,
        "options": {name: getattr(options, name) for name in _SETTLED},
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }


def settled(options: EncodeOptions, found: Mapping[str, Any]) -> tuple[EncodeOptions, tuple[Trial, ...]]:
    """The options and trials of a `memo`."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in found["options"].items()}
    return dataclasses.replace(options, **values), tuple(Trial(**trial) for trial in found["trials"])


def middle(
    source: Source, frames: Sequence[Planes], count: int, samples: int = TRIAL_SAMPLES
) -> tuple[Source, list[Planes]]:
    """The first `count` frames of a clip, and of a picture of more than about `samples` its middle."""
    most = math.sqrt(samples / (source.width * source.height))
    sizes = [size if most >= 1 else min(size, _round_up(size * most)) for size in (source.width, source.height)]
    # Even, so that chroma planes of half the size are cut at the same place.
    left, top = ((whole - size) // 4 * 2 for whole, size in zip((source.width, source.height), sizes, strict=True))
    width, height = sizes

    def cut(plane: Plane) -> Plane:
        finer = 1 if plane.shape == (source.height, source.width) else 2
        rows, columns = -(-height // finer), -(-width // finer)
        return plane[top // finer : top // finer + rows, left // finer : left // finer + columns]

    some = [Planes(*map(cut, frame.planes())) for frame in frames[:count]]
    picture = dataclasses.replace(source.picture, width=width, height=height)
    return Source(source.name, picture, len(some), lambda: iter(some)), some


def _round_up(size: float) -> int:
    """A size that all grids divide."""
    return -(-math.ceil(size) // _LARGEST_STRIDE) * _LARGEST_STRIDE


def _tried(name: str, trainer: Trainer, samples: int) -> Trial:
    """The trial of a candidate's trainer; `samples` is the number of luma samples of a whole frame."""
    trainer.fit_context(TRIAL_FIT)
    estimate = trainer.estimate()
    per_frame = sum(b for b in estimate.grid_bits if b is not None) / sum(trainer.frame_counts)
    cost = estimate.distortion + trainer.lagrangian * per_frame / trainer.pixels
    psnr = -10 * math.log10(max(estimate.distortion, 1e-12))
    return Trial(name, cost, psnr, per_frame * samples / trainer.pixels, 0.0)


class _Search:
    """The choice in the making: the trials so far, and what they have chosen.

    Args:
        source, frames, options, make_trainer: as in `choose`.

    Attributes:
        chosen: the options of the best candidate so far.
        trials: the trials so far; the first is that of `first_choice`.
        best: the trial of `chosen`.
    """

    def __init__(
        self, source: Source, frames: Sequence[Planes], options: EncodeOptions, make_trainer: MakeTrainer
    ) -> None:
        self._options, self._make_trainer = options, make_trainer
        self._small, self._some = middle(source, frames, options.plan().trial_frames)
        self._samples = source.width * source.height
        self._channels = options.channels or _trial_width(options)
        self._start = self.chosen = first_choice(options)
        self._names = [_first_name(options)]
        self.trials: list[Trial] = []
        self.best = self._judge(self._names[0], self._start)

    def _judge(self, name: str, candidate: EncodeOptions) -> Trial:
        started = time.monotonic()
        trainer = self._make_trainer(self._small, self._some, dataclasses.replace(candidate, channels=self._channels))
        trial = _tried(name, trainer, self._samples)
        self.trials.append(dataclasses.replace(trial, seconds=time.monotonic() - started))
        log.info("trial: %s, J %.6f", name, trial.cost)
        return trial

    def _changed(self, step: Step) -> EncodeOptions | None:
        """The candidate that a step makes of what is chosen so far; None where it is not worth a trial."""
        if step.after is not None and step.after not in self._names:
            return None
        candidate = _filled(self._options, {**vars(self._start if step.alone else self.chosen), **step.changes})
        return candidate if _differ(candidate, self.chosen) else None

    def possible(self, steps: Sequence[Step]) -> int:
        """Most of `steps` that may still be tried: one that follows another counts while that may be chosen."""
        names: list[str | None] = []
        for step in steps:
            if step.after in names or self._changed(step) is not None:
                names.append(step.name)
        return len(names)

    def consider(self, step: Step) -> bool:
        """Try a step and keep it where it gains enough; whether it was worth a trial."""
        candidate = self._changed(step)
        if candidate is None:
            return False
        names = [step.name] if step.alone else [*self._names, step.name]
        trial = self._judge(", ".join(names), candidate)
        if trial.cost < (1 - LEAST_GAIN) * self.best.cost:
            self.best, self.chosen, self._names = trial, candidate, names
        return True


def choose(
    source: Source,
    frames: Sequence[Planes],
    options: EncodeOptions,
    make_trainer: MakeTrainer,
    told: Callable[[int, int, Trial], None] = lambda done, all_, trial: None,
    may_try: Callable[[float, float], bool] = lambda used, last: True,
) -> Choice:
    """Settle what `options` leave open: slots, motion, nodes, channels, widths of the context network.

    Args:
        source: gives the format.
        frames: the whole clip.
        options: those that are given are kept.
        make_trainer: makes a trainer from a source, frames and options.
        told: called after each trial with the number of trials done, the number of all, and the trial.
        may_try: says whether there is time for another trial, given the seconds of all so far and of the last one.
    """
    search = _Search(source, frames, options, make_trainer)
    to_try = steps(options)
    told(1, 1 + search.possible(to_try), search.trials[0])
    for i, step in enumerate(to_try):
        if not may_try(sum(trial.seconds for trial in search.trials), search.trials[-1].seconds):
            log.info("the time for trials is over after %d", len(search.trials))
            break
        if search.consider(step):
            done = len(search.trials)
            told(done, done + search.possible(to_try[i + 1 :]), search.trials[-1])
    chosen, bits = search.chosen, search.best.grid_bits * len(frames)
    if chosen.channels is None:
        chosen = dataclasses.replace(chosen, channels=_width(profile_named(options.profile), bits))
    if chosen.context_widths is None:
        width = max(width for width, least in CONTEXT_WIDTHS if least <= bits)
        chosen = dataclasses.replace(chosen, context_widths=(width, width))
    return Choice(chosen, tuple(search.trials))
