"""The prior: constants that the weights and biases of a NETWORK may be coded as differences from (spec 6.5).

The constants are data: `prior.bin` is a copy of `spec/tables/prior.bin`, pinned by its SHA-256. They cover the layers
that most streams have, with eight channels and a context network of width ten.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InternalError
from nvrc_decoder.profiles import CONTEXT_INPUTS, LUMA_CHANNELS, STAGE_STRIDES, LayerSpec, Profile

__all__ = [
    "NO_PRIOR",
    "PRIOR_BITS",
    "PRIOR_CHANNELS",
    "PRIOR_LAYERS",
    "PRIOR_SHA256",
    "WITHOUT_PRIOR",
    "LayerPrior",
    "Prior",
    "constants_of",
    "layer_prior",
]

PRIOR_SHA256 = "5875222f6d7d216185ba85572b7ed87ce5c29906dc02fe767c3121b3118c787c"
PRIOR_BITS = 16
"""Fraction bits of the constants, which are in units of 2^-16."""
PRIOR_CHANNELS = 8
"""Channels of the stages in the prior."""
_CONTEXT_WIDTH, _PLANES, _SUBPLANES = 10, 3, 6

PRIOR_LAYERS: dict[str, tuple[int, ...]] = {
    "context.hidden1": (_CONTEXT_WIDTH, CONTEXT_INPUTS),
    "context.hidden2": (_CONTEXT_WIDTH, _CONTEXT_WIDTH),
    "context.output": (2, _CONTEXT_WIDTH),
    "stage3.inject": (PRIOR_CHANNELS, _PLANES, 3, 3),
    "stage3.block0.depthwise": (PRIOR_CHANNELS, 3, 3),
    "stage3.block0.pointwise": (PRIOR_CHANNELS, PRIOR_CHANNELS),
    "stage4.inject": (PRIOR_CHANNELS, LUMA_CHANNELS, 3, 3),
    "stage4.block0.depthwise": (PRIOR_CHANNELS, 3, 3),
    "stage4.block0.pointwise": (PRIOR_CHANNELS, PRIOR_CHANNELS),
    "head.depthwise": (PRIOR_CHANNELS, 4, 3, 3),
    "head.pointwise": (_SUBPLANES, 4 * PRIOR_CHANNELS),
}
"""Layer -> shape of its weights in the prior, in the order of the file."""

_CENTRES = {
    "temporal": np.s_[:, 1],
    "depthwise": np.s_[:, 1, 1],
    "head_depthwise": np.s_[:, 0, 1, 1],
}
"""Kind of layer -> the weights that pass a channel through unchanged."""

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerPrior:
    """Prior of one layer, in units of 2^-16.

    Attributes:
        weight: int64, shaped as the layer's weights, or one 0 for all.
        bias: int64 [outputs], or one 0 for all.
    """

    weight: Int64Array
    bias: Int64Array

    def weight_at(self, shift: int) -> Int64Array:
        """What the prior adds to the integer weights of a layer with this shift (spec 6.1)."""
        return _scaled(self.weight, shift)

    def bias_at(self, shift: int) -> Int64Array:
        """What the prior adds to the integer biases of a layer with this shift (spec 6.1)."""
        return _scaled(self.bias, shift)


NO_PRIOR = LayerPrior(np.zeros((), dtype=np.int64), np.zeros((), dtype=np.int64))
"""The prior of a layer whose weights and biases are coded directly."""


def _scaled(constant: Int64Array, shift: int) -> Int64Array:
    # |constant| <= 2^33 and shift <= 24, so this is within int64.
    scaled: Int64Array = ((constant << shift) + (1 << PRIOR_BITS >> 1)) >> PRIOR_BITS
    return scaled


@dataclass(frozen=True)
class Prior:
    """Which networks of a NETWORK are coded as differences from the prior (spec 3.3).

    Attributes:
        context: the context network.
        synthesis: the synthesis network.
    """

    context: bool = False
    synthesis: bool = False

    def layers(
        self, profile: Profile, specs: Sequence[LayerSpec], grid_channels: Sequence[int]
    ) -> dict[str, LayerPrior]:
        """The prior of each layer of a NETWORK by name; arguments as in `layer_prior`."""
        return {
            spec.name: layer_prior(profile, spec, grid_channels)
            if (self.context if spec.name.startswith("context.") else self.synthesis)
            else NO_PRIOR
            for spec in specs
        }


WITHOUT_PRIOR = Prior()
"""Both networks are coded directly."""


@functools.cache
def _constants() -> dict[str, LayerPrior]:
    """The whole table: layer -> its constants."""
    data = resources.files("nvrc_decoder").joinpath("prior.bin").read_bytes()
    if hashlib.sha256(data).hexdigest() != PRIOR_SHA256:
        raise InternalError("E_INTERNAL", "the installed table file prior.bin is damaged; install the package again")
    return constants_of(data)


def constants_of(data: bytes) -> dict[str, LayerPrior]:
    """The table of a file: for each of `PRIOR_LAYERS` its weights in C order, then its biases, int32 little-endian."""
    values, at = np.frombuffer(data, dtype="<i4").astype(np.int64), 0
    table = {}
    for name, shape in PRIOR_LAYERS.items():
        weights, biases = math.prod(shape), _bias_count(name)
        weight = values[at : at + weights].reshape(shape)
        table[name] = LayerPrior(weight, values[at + weights : at + weights + biases])
        at += weights + biases
    return table


def _bias_count(name: str) -> int:
    """Biases of a layer in the prior."""
    shape = PRIOR_LAYERS[name]
    return shape[0] * shape[1] if name == "head.depthwise" else shape[0]


def layer_prior(profile: Profile, spec: LayerSpec, grid_channels: Sequence[int]) -> LayerPrior:
    """The prior of one layer of a NETWORK (spec 6.5).

    Args:
        profile: the stream's profile.
        spec: the layer.
        grid_channels: channels of each slot, 0 where it is absent.

    Returns:
        Shaped as the layer. Where the table has no value, depthwise and temporal filters pass their channel through,
        and all else is 0.

    Raises:
        InternalError: E_INTERNAL, the installed table file is damaged.
    """
    weight, bias = np.zeros(spec.weight_shape, dtype=np.int64), np.zeros(spec.outputs, dtype=np.int64)
    if spec.kind in _CENTRES:
        weight[_CENTRES[spec.kind]] = 1 << PRIOR_BITS
    if spec.name not in PRIOR_LAYERS:
        return LayerPrior(weight, bias)
    known = _constants()[spec.name]
    target, source = weight, known.weight
    if spec.kind == "inject":
        first, count = _injected_planes(profile, int(spec.name[5]), grid_channels)
        target, source = target[:, first : first + count], source[:, :count]
    overlap = tuple(slice(min(a, b)) for a, b in zip(target.shape, source.shape, strict=True))
    target[overlap] = source[overlap]
    common = min(bias.size, known.bias.size)
    bias[:common] = known.bias[:common]
    # Samples of 10 bits are four times those of 8.
    finer = (spec.high + 1).bit_length() - 9 if spec.kind == "head_pointwise" else 0
    return LayerPrior(weight << finer, bias << finer)


def _injected_planes(profile: Profile, stage: int, grid_channels: Sequence[int]) -> tuple[int, int]:
    """First and number of the injected channels that the prior knows: the planes at stage 3, luma's phases at 4."""
    slots = profile.slots_of_stage(stage)
    features = sum(grid_channels[i] for i in slots if not profile.slots[i].at_nodes)
    if stage == len(STAGE_STRIDES) - 1:
        return features, LUMA_CHANNELS if profile.has_luma(grid_channels) else 0
    return features, min(_PLANES, grid_channels[profile.plane_slot])
