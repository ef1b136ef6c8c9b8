"""The features of planes that a GOP exercises: the pyramid, empty nodes, motion, clips (spec 7.4 to 7.6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvrc_conformance.stages import DecodedGop
from nvrc_decoder.bitstream.units import coded_nodes
from nvrc_decoder.decode.gop import Grid
from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN
from nvrc_decoder.pyramid import BLEND_UNIT, FACTOR_UNIT, MULTIPLIER_MAX, References
from nvrc_decoder.synthesis.activations import Feature, PlaneArray, clip_activation, dequantise
from nvrc_decoder.synthesis.motion import GopMotion, half_samples, position, predict
from nvrc_decoder.synthesis.wavelet import luma_residual

__all__ = ["plane_features"]

_MANY_KEYS = 9


def plane_features(item: DecodedGop) -> set[str]:
    """The features of a GOP that concern planes, or a feature that says it has none."""
    profile = item.network.profile
    channels = item.network.header.grid_channels(profile)
    if not profile.has_planes(channels):
        return {"no planes"}
    found = _pyramid_features(item) | _node_features(item)
    luma, planes = profile.has_luma(channels), channels[profile.plane_slot] > 0
    found |= {"luma and planes"} if luma and planes else {"luma without planes" if luma else "planes without luma"}
    if not any(channels[i] for i in range(profile.plane_slot)):
        found.add("planes without features")
    if profile.temporal_stem and profile.injected(0, channels):
        found.add("temporal stem with planes")
    flow = item.grids[profile.flow_slot]
    if flow is None:
        found.add("planes without motion")
    else:
        found |= _motion_features(item, flow)
    for wanted, present in ((False, planes), (True, luma)):
        if present:
            found |= _Planes(item, wanted).features()
    return found


def _pyramid_features(item: DecodedGop) -> set[str]:
    """Features of the pyramid and of its step factors."""
    pyramid, profile = item.network.header.pyramid, item.network.profile
    last = item.gop.frame_count - 1
    nodes = pyramid.node_count(item.gop.frame_count)
    found = {f"pyramid {pyramid.key_spacing}-{pyramid.node_spacing}"}
    found.add("last key after the last frame" if last % pyramid.key_spacing else "last frame is a key")
    keys = 1 + (nodes - 1) * pyramid.node_spacing // pyramid.key_spacing
    if keys > 2:
        found.add("chain of keys" if keys < _MANY_KEYS else "chain of many keys")
    used = {pyramid.factor(t) for t in range(0, nodes * pyramid.node_spacing, pyramid.node_spacing)}
    found |= {f"step factor {factor}" for factor in used & {1, 255}}
    for multiplier in {m for i in profile.node_slots for m in item.network.multipliers[i]}:
        exact = {multiplier * factor / FACTOR_UNIT for factor in used}
        found |= {"node multiplier clipped at 1"} if min(exact) < 0.5 else set()
        found |= {"node multiplier clipped at 2048"} if max(exact) >= MULTIPLIER_MAX + 0.5 else set()
    return found


def _node_features(item: DecodedGop) -> set[str]:
    """Features of empty nodes."""
    pyramid, profile = item.network.header.pyramid, item.network.profile
    found = set()
    order = [header.slot for header in item.network.header.coding_order(profile)]
    maps = iter(item.gop.node_maps)
    for slot, payload in zip(order, item.gop.grids, strict=True):
        if not profile.slots[slot].mapped:
            continue
        data = next(maps)
        if not profile.slots[slot].at_nodes:
            continue
        coded = coded_nodes(data, pyramid.node_count(item.gop.frame_count))
        if coded.all():
            found.add("all nodes coded")
        elif coded.any():
            found.add("empty nodes")
        else:
            found.add("grid of empty nodes" if payload == b"" else "grid of empty nodes with a payload")
        beyond = coded[-(-item.gop.frame_count // pyramid.node_spacing) :]
        found |= {f"{'coded' if kept else 'empty'} node after the last frame" for kept in set(beyond.tolist())}
    return found


def _motion_features(item: DecodedGop, flow: Grid) -> set[str]:
    """Features of the flow grid: displacements and blend weights."""
    pyramid, profile, count = item.network.header.pyramid, item.network.profile, item.gop.frame_count
    multipliers, size = item.network.multipliers[profile.flow_slot], (item.sequence.height, item.sequence.width)
    motion = _motion_of(item)
    found = {"motion"}
    split = item.grids[profile.split_slot]
    if split is not None:
        found |= _split_features(split, item.network.multipliers[profile.split_slot])
    ends = {int(end) for t in range(count) for p in [position(flow, multipliers, t)] for end in (p.min(), p.max())}
    if {ACTIVATION_MIN, ACTIVATION_MAX} <= ends:
        found.add("motion at both clips")
    for t in range(1, count):
        references = pyramid.references(t)
        if references is None:
            continue
        for reference in {references.before, references.after}:
            d = motion.displacement(t, reference)
            if int(np.abs(d).max()) > 32 * max(size):
                found.add("displacements larger than the picture")
            if int((d[1] + 4 * 32 * np.arange(d.shape[2])).max()) > np.iinfo(np.int16).max:
                found.add("positions over 32767")
            for name, bits in (("fractional displacements", 31), ("displacements between eighths", 3)):
                if np.any(d & bits):
                    found.add(name)
            if np.any(d & 31 == 16):
                found.add("displacements of half a sample")
        if references.before != references.after:
            w = motion.weight(t, references.share)
            found |= {f"blend weight {end}" for end in (0, BLEND_UNIT) if np.any(w == end)}
            if np.any((w > 0) & (w < BLEND_UNIT) & (w != references.share)):
                found.add("blend weight between")
    return found


def _motion_of(item: DecodedGop) -> GopMotion:
    size = item.sequence.height, item.sequence.width
    return GopMotion(item.network.profile, item.grids, item.network.multipliers, size)


def _split_features(split: Grid, multipliers: Sequence[int]) -> set[str]:
    """Features of the split grid."""
    some = split.any((1, 2, 3))
    found = {"split"} if some.any() else {"split of empty frames"}
    if some.any() and not some.all():
        found.add("split of some frames")
    if set().union(*(_ends(dequantise(node[:2], multipliers[:2])) for node in split)) == {
        ACTIVATION_MIN,
        ACTIVATION_MAX,
    }:
        found.add("split at both clips")
    return found


class _Planes:
    """A second reconstruction of a GOP's nodes, which sees values before they are clipped.

    Args:
        item: the GOP.
        luma: whether to reconstruct the luma plane, or the planes of the plane slot.
    """

    def __init__(self, item: DecodedGop, luma: bool) -> None:
        self._item = item
        self._luma = luma
        self._pyramid = item.network.header.pyramid
        self._size = item.sequence.height, item.sequence.width
        self._motion = _motion_of(item)
        self._nodes: dict[int, PlaneArray] = {}

    def features(self) -> set[str]:
        """Features of values that are clipped at both ends."""
        met: dict[str, set[int]] = {"wavelet": set(), "half samples": set(), "nodes": set()}
        moving = self._item.grids[self._item.network.profile.flow_slot] is not None
        for t in self._order():
            planes = self._residual(t)
            if self._luma:
                met["wavelet"] |= _ends(planes)
            references = self._pyramid.references(t)
            if references is not None:
                planes = self._predicted(t, references, planes.shape) + planes
                met["nodes"] |= _beyond(planes)
            self._nodes[t] = clip_activation(planes).astype(np.int16)
            if moving:
                met["half samples"] |= set().union(*(_beyond(_between(plane)) for plane in self._nodes[t]))
        both = {ACTIVATION_MIN, ACTIVATION_MAX}
        return {f"{name} at both clips" for name, ends in met.items() if ends == both}

    def _order(self) -> list[int]:
        """The frames of the nodes in coding order: keys, then levels from coarse to fine."""
        key, spacing = self._pyramid.key_spacing, self._pyramid.node_spacing
        count = self._pyramid.node_count(self._item.gop.frame_count)
        levels = {t: 0 if t % key == 0 else key // (t & -t) for t in range(0, count * spacing, spacing)}
        return sorted(levels, key=lambda t: (levels[t], t))

    def _residual(self, t: int) -> Feature:
        network = self._item.network
        profile = network.profile
        activations = []
        for slot in profile.band_slots if self._luma else (profile.plane_slot,):
            grid = self._item.grids[slot]
            if grid is None:
                raise ValueError(f"slot {slot} is absent")
            factors = [self._pyramid.node_multiplier(t, m) for m in network.multipliers[slot]]
            activations.append(dequantise(grid[t // self._pyramid.node_spacing], factors))
        return luma_residual(activations) if self._luma else activations[0]

    def _predicted(self, t: int, references: References, shape: tuple[int, ...]) -> Feature:
        before, after = self._nodes[references.before], self._nodes[references.after]
        d0, d1 = (self._motion.displacement(t, r) for r in (references.before, references.after))
        weight = self._motion.weight(t, references.share)
        stride = 1 if self._luma else 4
        pairs = zip(map(half_samples, before), map(half_samples, after), strict=True)
        return np.stack([predict(a, b, d0, d1, weight, (shape[1], shape[2]), stride) for a, b in pairs])


def _between(plane: PlaneArray) -> Feature:
    """Half samples along rows before they are clipped: [rows, columns - 1]."""
    x = np.pad(plane.astype(np.int32), ((0, 0), (1, 2)), mode="edge")
    a, b, c, d = (x[:, i : i + plane.shape[1] - 1] for i in range(4))
    samples: Feature = (-3 * a + 19 * b + 19 * c - 3 * d + 16) >> 5
    return samples


def _beyond(x: Feature) -> set[int]:
    """The ends of the activations' range that values exceed."""
    clipped = clip_activation(x)
    return _ends(clipped[clipped != x])


def _ends(x: Feature) -> set[int]:
    """The ends of the activations' range that values reach."""
    return {end for end in (ACTIVATION_MIN, ACTIVATION_MAX) if np.any(x == end)}
