"""Random networks and grids for the tests of the synthesis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import BIAS_Q_MAX, Q_MAX, LayerSpec, Profile, node_shape, synthesis_layers
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.arithmetic import (
    ACCUMULATOR_LIMIT,
    BIAS_SHIFT_MAX,
    SHIFT_MAX,
    WEIGHT_MAX,
    IntegerLayer,
    make_layer,
    rounding_term,
)

PYRAMIDS = (
    DEFAULT_PYRAMID,
    Pyramid(8, 2, (22, 29)),
    Pyramid(4, 1, (40, 16)),
    Pyramid(1, 1),
    Pyramid(16, 8, (255,)),
    Pyramid(2, 2),
    Pyramid(16, 1, (20, 24, 28, 1)),
)


@dataclass(frozen=True)
class Picture:
    """A picture format as the synthesis reads it."""

    width: int
    height: int
    chroma_format: int = 1
    bit_depth: int = 8


@dataclass(frozen=True)
class Case:
    """A network and the grids of one GOP."""

    profile: Profile
    picture: Picture
    frame_count: int
    stage_channels: tuple[int, ...]
    stage_blocks: tuple[int, ...]
    layers: dict[str, IntegerLayer]
    multipliers: list[list[int]]
    grids: list[npt.NDArray[np.int16] | None]
    pyramid: Pyramid = DEFAULT_PYRAMID

    @property
    def network(
        self,
    ) -> tuple[Profile, Picture, tuple[int, ...], tuple[int, ...], dict[str, IntegerLayer], list[list[int]], Pyramid]:
        """The arguments that the two synthesizers share."""
        active = self.stage_channels, self.stage_blocks
        return self.profile, self.picture, *active, self.layers, self.multipliers, self.pyramid


def layer_at_bound(rng: np.random.Generator, spec: LayerSpec, *, aligned: bool) -> IntegerLayer:
    """A layer whose weights take all that the bound leaves; where the bias has 1 as its unit, to the last integer.

    `aligned` gives all weights of an output and its bias one sign, so that saturated inputs of one sign do reach it.
    """
    multiplier = int(rng.integers(4, 8))
    taps = int(np.prod(spec.weight_shape)) // spec.outputs
    peak, unit = WEIGHT_MAX // multiplier, spec.input_max * multiplier
    total = min(taps * peak, (ACCUMULATOR_LIMIT - 1) // unit)
    # Around log2(sum of |w|) the outputs are neither all 0 nor all clipped.
    lively = int(np.log2(max(1, total * multiplier)))
    shift = max(0, lively + int(rng.integers(-3, 2)) + (3 if spec.kind == "head_pointwise" else 0))
    if rng.random() < 0.08:
        shift = int(rng.choice((0, SHIFT_MAX)))
    rounding = rounding_term(shift)
    # A large rounding term must be cancelled by a bias whose unit is over 1: leave that unit free.
    reserve = 1 << max(0, rounding.bit_length() - 15) if rounding > BIAS_Q_MAX // 2 else 0
    total = min(total, (ACCUMULATOR_LIMIT - 1 - reserve) // unit)
    spare = ACCUMULATOR_LIMIT - 1 - total * unit
    weights = np.zeros((spec.outputs, taps), dtype=np.int64)
    for row in weights:
        share = rng.random(taps) ** 3
        row[:] = np.minimum(peak, share / share.sum() * total)
        for i in rng.permutation(taps):
            row[i] += min(peak - row[i], total - row.sum())
    signs = np.repeat(rng.choice((-1, 1), (spec.outputs, 1)), taps, axis=1)
    if not aligned:
        signs = rng.choice((-1, 1), weights.shape)
    # |b + r| <= spare, so b lies in -spare - r .. spare - r.
    bias_shift = min(max(0, (spare + rounding).bit_length() - 15), BIAS_SHIFT_MAX)
    if spare + rounding <= BIAS_Q_MAX:
        bias_shift = 0
    least, most = -((spare + rounding) >> bias_shift), (spare - rounding) >> bias_shift
    biases = np.where(signs[:, 0] < 0, least, most)
    if not aligned and rng.random() < 0.5:
        biases = rng.integers(least, most + 1, spec.outputs)
    return make_layer(spec, weights * signs, biases, multiplier, shift, bias_shift)


def lively_layer(rng: np.random.Generator, spec: LayerSpec) -> IntegerLayer:
    """A layer as training makes them: small weights, outputs of about the size of its inputs."""
    weights = rng.integers(-20, 21, spec.weight_shape)
    taps = weights.reshape(spec.outputs, -1)
    multiplier = 4
    budget = (ACCUMULATOR_LIMIT >> 1) // (spec.input_max * multiplier)
    while int(np.abs(taps).sum(axis=1).max()) > budget:
        taps //= 2
    gain = float(np.sqrt((taps.astype(float) ** 2).sum(axis=1).mean())) * multiplier
    shift = max(0, round(np.log2(max(1.0, gain))))
    if spec.kind == "head_pointwise":
        # Grey in the middle of the range.
        return make_layer(spec, weights, np.full(spec.outputs, (spec.high + 1) >> 1), multiplier, shift + 2, shift + 2)
    return make_layer(spec, weights, rng.integers(-30, 31, spec.outputs), multiplier, shift, 2)


def random_case(
    seed: int,
    profile: Profile,
    picture: Picture,
    frame_count: int,
    *,
    style: str = "lively",
    full: bool = False,
    motion: bool | None = None,
    pyramid: Pyramid | None = None,
) -> Case:
    """A network and grids drawn from `seed`.

    Args:
        style: ``"lively"``, ``"bound"`` (weights at the bound) or ``"aligned"`` (and inputs that reach it).
        full: every channel and block active and every slot present; otherwise drawn.
        motion: whether the flow grid, and with it a node grid, is present; None for drawn, or present where `full`.
        pyramid: of the NETWORK, where a node slot is present; None for drawn from `PYRAMIDS`.
    """
    rng = np.random.default_rng(seed)
    if full:
        stage_channels, stage_blocks = profile.max_channels, profile.blocks
        counts = [slot.max_channels for slot in profile.slots]
        motion = motion is not False
    else:
        stage_channels = tuple(int(rng.integers(1, most + 1)) for most in profile.max_channels)
        stage_blocks = tuple(int(rng.integers(0, most + 1)) for most in profile.blocks)
        motion = bool(rng.integers(2)) if motion is None else motion
        counts = _drawn_channels(rng, profile, motion=motion)
    counts[profile.flow_slot] *= motion
    counts[profile.split_slot] *= motion
    drawn = PYRAMIDS[int(rng.integers(len(PYRAMIDS)))]
    pyramid = (drawn if pyramid is None else pyramid) if profile.has_planes(counts) else DEFAULT_PYRAMID
    specs = synthesis_layers(profile, stage_channels, stage_blocks, counts, picture.chroma_format, picture.bit_depth)
    if style == "lively":
        layers = {spec.name: lively_layer(rng, spec) for spec in specs}
        multipliers = [[int(m) for m in rng.integers(1, 40, count)] for count in counts]
        peak = 30
    else:
        layers = {spec.name: layer_at_bound(rng, spec, aligned=style == "aligned") for spec in specs}
        multipliers = [[int(m) for m in rng.choice((1, 2, 100, 2048), count)] for count in counts]
        peak = Q_MAX
    grids: list[npt.NDArray[np.int16] | None] = []
    for slot, count in zip(profile.slots, counts, strict=True):
        nodes, rows, columns = node_shape(slot, frame_count, picture.height, picture.width, pyramid)
        values = rng.integers(-peak, peak + 1, (nodes, count, rows, columns))
        if style == "aligned":
            values = np.full_like(values, int(rng.choice((-peak, peak))))
        if slot.mapped:
            # Some nodes are empty, but for the first.
            values[1:] *= rng.choice((0, 1, 1), (nodes - 1, 1, 1, 1))
        if slot.motion and count and style == "lively":
            # Some vectors within a picture, some far outside; blends that do not all end at 0 or 32.
            values[:, :2] = values[:, :2] * rng.choice((0, 1, 1, 30), (nodes, 1, 1, 1)) // 3
            values[:, 2] //= 25
        grids.append(values.astype(np.int16) if count else None)
    return Case(profile, picture, frame_count, stage_channels, stage_blocks, layers, multipliers, grids, pyramid)


def _drawn_channels(rng: np.random.Generator, profile: Profile, *, motion: bool) -> list[int]:
    """Channels of each slot; some slot that holds no motion is present, with `motion` one of nodes."""
    counts = [int(rng.integers(0, slot.max_channels + 1)) * int(rng.random() < 0.8) for slot in profile.slots]
    counts[profile.flow_slot] = counts[profile.split_slot] = 0
    luma = int(rng.integers(2))
    for i in profile.band_slots:
        counts[i] = luma * profile.slots[i].max_channels
    if not any(counts) or (motion and not profile.has_planes(counts)):
        counts[profile.plane_slot] = 1
    if motion:
        counts[profile.flow_slot] = profile.slots[profile.flow_slot].max_channels
        counts[profile.split_slot] = int(rng.integers(2)) * profile.slots[profile.split_slot].max_channels
    return counts


def differing(left: list[Planes], right: list[Planes]) -> list[str]:
    """What is not equal between two decodings, in words; empty if they are the same arrays."""
    problems = [] if len(left) == len(right) else [f"{len(left)} and {len(right)} frames"]
    for t, (a, b) in enumerate(zip(left, right, strict=False)):
        for name, p, q in zip("yuv", (a.y, a.u, a.v), (b.y, b.u, b.v), strict=True):
            if (p is None) != (q is None):
                problems.append(f"frame {t} plane {name} exists in one only")
            elif p is not None and q is not None and (p.dtype != q.dtype or p.shape != q.shape or bool((p != q).any())):
                problems.append(f"frame {t} plane {name}: {p.dtype}{p.shape} {q.dtype}{q.shape}")
    return problems
