"""The initial parameter bank of a training: units, steps, priors and weights of every layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nvrc_decoder.prior import Prior
from nvrc_decoder.profiles import LayerSpec, context_layers
from nvrc_encoder.model.rounding import FEATURE_SCALE
from nvrc_encoder.model.synthesis import SynthesisModel
from nvrc_encoder.rate.context_network import HIDDEN_UNIT, OUTPUT_UNIT
from nvrc_encoder.rate.parameters import ParameterBank
from nvrc_encoder.start.initial_weights import WEIGHT_STEP, initial_context, initial_weights

__all__ = ["initial_bank"]


@dataclass(frozen=True)
class _Units:
    """Units of a layer's integers, in real values of the training.

    Attributes:
        gain: log2 of (integer output units per real one) / (integer input units per real one).
        output_unit: integer steps in one real unit of the layer's output.
        weight_step: initial step of the weights, real.
        bias_step: fixed step of the biases, real.
    """

    gain: int
    output_unit: int
    weight_step: float
    bias_step: float


def _units(layers: Sequence[LayerSpec], levels_per_feature: int) -> dict[str, _Units]:
    """Layer name -> its units; `levels_per_feature` is the head's unit."""
    units = {layer.name: _Units(0, FEATURE_SCALE, WEIGHT_STEP, 2.0**-5) for layer in layers}
    head_gain = int(math.log2(levels_per_feature / FEATURE_SCALE))
    units["head.pointwise"] = _Units(head_gain, levels_per_feature, WEIGHT_STEP, 2.0**-6)
    for name, gain, unit in (
        ("context.hidden1", int(math.log2(HIDDEN_UNIT)), HIDDEN_UNIT),
        ("context.hidden2", 0, HIDDEN_UNIT),
        ("context.output", int(math.log2(OUTPUT_UNIT / HIDDEN_UNIT)), OUTPUT_UNIT),
    ):
        units[name] = _Units(gain, unit, 2.0**-4, 2.0**-4)
    return units


def initial_bank(model: SynthesisModel, prior: Prior, generator: torch.Generator) -> ParameterBank:
    """The parameters of the context network and of a model, on the CPU.

    Args:
        model: the synthesis model.
        prior: says which networks start from the prior and are coded as differences from it.
        generator: gives the random weights of the others.
    """
    structure = model.structure
    layers = context_layers(*structure.context_widths) + model.layers
    units = _units(layers, model.levels_per_feature)
    return ParameterBank(
        layers,
        {name: unit.gain for name, unit in units.items()},
        {name: unit.output_unit for name, unit in units.items()},
        initial_weights(model, generator) | initial_context(structure.context_widths, generator),
        {name: unit.weight_step for name, unit in units.items()},
        {name: unit.bias_step for name, unit in units.items()},
        prior.layers(structure.profile, layers, structure.grid_channels),
    )
