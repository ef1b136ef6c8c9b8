"""Layers of the streams for extremes: shifts, biases and sizes of weights that are asked for, random in the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nvrc_conformance.sampling import LayerParameters, fan_in
from nvrc_decoder.octree.context import COARSE_INPUT
from nvrc_decoder.profiles import CONTEXT_INPUTS, PROFILES, LayerSpec
from nvrc_decoder.synthesis.arithmetic import MULTIPLIERS, WEIGHT_MAX

__all__ = ["LayerDraft", "drafted_layer", "sparse_context"]

_MULTIPLIER = MULTIPLIERS[0]
_LARGEST = WEIGHT_MAX // _MULTIPLIER
# With magnitudes that sum to this, inputs of 2048 leave half of the 2^24 bound to the bias and the rounding.
_TOTAL_MAX = 4000
_RAW_TABLE = 39
# The last inputs of the context network say which slot it is (spec 5.4).
_SLOT_INPUT = CONTEXT_INPUTS - len(PROFILES[0].slots)


@dataclass(frozen=True)
class LayerDraft:
    """What is asked of a layer.

    Attributes:
        shift, bias_shift: as in NETWORK.
        biases: coded biases, repeated over the outputs. None for random ones of 0, -1 and -2 times the rounding term,
            or about that.
        total: sum of the magnitudes of the weights of an output. None for 2^shift, an amplification of 1, or for as
            much of it as the bound allows.
        signs: whether `biases` get random signs.
        positive: whether all weights are positive; otherwise they have random signs.
    """

    shift: int
    bias_shift: int
    biases: tuple[int, ...] | None = None
    total: int | None = None
    signs: bool = True
    positive: bool = False


def drafted_layer(rng: np.random.RandomState, spec: LayerSpec, draft: LayerDraft) -> LayerParameters:
    """A layer whose outputs have random weights from a few of their inputs each.

    Args:
        rng: the random generator.
        spec: the layer.
        draft: what is asked of it.
    """
    inputs = fan_in(spec)
    total = min(1 << draft.shift, _TOTAL_MAX) if draft.total is None else draft.total
    units = min(max(1, total // _MULTIPLIER), inputs * _LARGEST)
    used = min(inputs, units, max(4, -(-units // _LARGEST)))
    weight = np.zeros((spec.outputs, inputs), dtype=np.int32)
    for o in range(spec.outputs):
        for n, i in enumerate(rng.permutation(inputs)[:used].tolist()):
            sign = 1 if draft.positive else 1 - 2 * rng.randint(0, 2)
            weight[o, i] = sign * (units // used + (n < units % used))
    if draft.biases is None:
        # A bias of -1 times the rounding term removes it.
        half = max(1, (1 << draft.shift) >> 1 >> draft.bias_shift)
        bias = rng.randint(-2, 1, size=spec.outputs) * half
    else:
        bias = np.resize(np.array(draft.biases), spec.outputs)
        if draft.signs:
            bias = bias * (1 - 2 * rng.randint(0, 2, size=spec.outputs))
    shaped = weight.reshape(spec.weight_shape)
    return LayerParameters(
        shaped, bias.astype(np.int32), _MULTIPLIER, draft.shift, _RAW_TABLE, draft.bias_shift, _RAW_TABLE
    )


def sparse_context(spec: LayerSpec, loudness: Mapping[int, int]) -> LayerParameters:
    """A layer of a context network under which most values are 0, and those near others that are not are larger.

    The scale index is the loudness of the slot, plus half the magnitude of the sum of the 18 neighbours, plus half the
    coarser grid's magnitude.

    Args:
        spec: one of `context_layers`, of widths of at least 4 and 3; further units are 0.
        loudness: slot -> scale index where all is 0, 0..39.
    """
    weight = np.zeros(spec.weight_shape, dtype=np.int32)
    # With the shift 2, coded weights are factors; with 5 they are eighths.
    shift = 5 if spec.name == "context.output" else 2
    if spec.name == "context.hidden1":
        weight[0, :COARSE_INPUT], weight[1, :COARSE_INPUT], weight[2, COARSE_INPUT] = 4, -4, 4
        for slot, scale in loudness.items():
            weight[3, _SLOT_INPUT + slot] = 8 * scale
    elif spec.name == "context.hidden2":
        weight[0, :2] = weight[1, 2] = weight[2, 3] = 1
    else:
        weight[1, :3] = 1
    return LayerParameters(weight, np.zeros(spec.outputs, dtype=np.int32), _MULTIPLIER, shift, 12, 0, 0)
