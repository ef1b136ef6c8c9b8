"""All network parameters in one flat vector, with a learned quantisation step per tensor.

A weight is ``(base + q * m) * 2^-s`` with m in {4, 5, 6, 7} (spec 6.1): its steps are a quarter octave apart, and its
base is the prior's weight or 0. Biases have a fixed power-of-two step. With one vector for all tensors, rounding and
rate take a handful of operations per iteration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from nvrc_decoder.errors import InternalError
from nvrc_decoder.prior import NO_PRIOR, PRIOR_BITS, LayerPrior
from nvrc_decoder.profiles import BIAS_Q_MAX, Q_MAX, LayerSpec
from nvrc_decoder.synthesis.arithmetic import (
    ACCUMULATOR_LIMIT,
    BIAS_SHIFT_MAX,
    MULTIPLIERS,
    SHIFT_MAX,
    WEIGHT_MAX,
    Int64Array,
    rounding_term,
    worst_case,
)
from nvrc_encoder.model.rounding import straight_through_round
from nvrc_encoder.rate.code_lengths import code_lengths
from nvrc_encoder.rate.laplace import laplace_bits, quantised_scale

__all__ = ["LayerQuantisation", "ParameterBank", "likely_scale"]


def likely_scale(mean_magnitude: Tensor) -> Tensor:
    """Scale b of the discretised zero-mean Laplace distribution with the given mean magnitude."""
    m = mean_magnitude.clamp(min=1e-3)
    # With u = exp(-1 / 2b) the mean magnitude is u / (1 - u^2).
    u = (torch.sqrt(1 + 4 * m * m) - 1) / (2 * m)
    return -0.5 / torch.log(u)


@dataclass(frozen=True)
class LayerQuantisation:
    """A layer in the stream: its coded integers and their scale (spec 3.3, `layer_scales`).

    Attributes:
        name: name of the layer.
        weight, bias: coded integers, int64.
        multiplier, shift, bias_shift: their scale.
        prior: the prior that they are differences from.
    """

    name: str
    weight: Int64Array
    bias: Int64Array
    multiplier: int
    shift: int
    bias_shift: int
    prior: LayerPrior = NO_PRIOR

    @property
    def integer_weight(self) -> Int64Array:
        """The decoder's weights w, int64 (spec 6.1)."""
        return self.prior.weight_at(self.shift) + self.weight * self.multiplier

    @property
    def integer_bias(self) -> Int64Array:
        """The decoder's biases b, int64 (spec 6.1)."""
        return self.prior.bias_at(self.shift) + (self.bias << self.bias_shift)


class ParameterBank(nn.Module):
    """Parameters of the context and synthesis networks.

    Args:
        layers: the layers in stream order.
        gains: layer name -> log2 of (integer output units per real output unit) / (integer input units per real input
            unit); 0 where both sides use the same unit.
        output_units: layer name -> integer steps in one real unit of the layer's output.
        initial: layer name -> (weight, bias), real values, used where the prior is 0.
        weight_step: layer name -> initial step of the weights, real.
        bias_step: layer name -> step of the biases, real; a power of two over the output unit.
        priors: layer name -> prior of its integers; a layer that is missing has none.
    """

    base: Tensor
    bias_log_step: Tensor
    segment: Tensor
    segment_count: Tensor

    def __init__(
        self,
        layers: Sequence[LayerSpec],
        gains: Mapping[str, int],
        output_units: Mapping[str, int],
        initial: Mapping[str, tuple[Tensor, Tensor]],
        weight_step: Mapping[str, float],
        bias_step: Mapping[str, float],
        priors: Mapping[str, LayerPrior] | None = None,
    ) -> None:
        super().__init__()
        self.layers = tuple(layers)
        self.gains = dict(gains)
        self.output_units = dict(output_units)
        self._priors = [(priors or {}).get(layer.name, NO_PRIOR) for layer in self.layers]
        tensors: list[Tensor] = []
        segments: list[Tensor] = []
        steps: list[float] = []
        self._slices: list[tuple[slice, slice]] = []
        at = 0
        for i, layer in enumerate(self.layers):
            weight, bias = initial[layer.name]
            for part, tensor in enumerate((weight, bias)):
                tensors.append(tensor.reshape(-1).float())
                segments.append(torch.full((tensor.numel(),), 2 * i + part))
            self._slices.append(
                (slice(at, at + weight.numel()), slice(at + weight.numel(), at + weight.numel() + bias.numel()))
            )
            at += weight.numel() + bias.numel()
            steps += [weight_step[layer.name], bias_step[layer.name]]
        base = torch.cat([part for i in range(len(self.layers)) for part in self._base(i)])
        self.register_buffer("base", base)
        # Differences from the prior; where the prior is 0, the initial parameters themselves.
        self.raw = nn.Parameter(torch.where(base != 0, 0, torch.cat(tensors)))
        self.log_step = nn.Parameter(torch.log2(torch.tensor(steps[0::2])))
        self.register_buffer("bias_log_step", torch.log2(torch.tensor(steps[1::2])))
        segment = torch.cat(segments)
        self.register_buffer("segment", segment)
        self.register_buffer("segment_count", torch.bincount(segment, minlength=2 * len(self.layers)).float())
        self.steps_frozen = False

    def _base(self, i: int, shift: int | None = None) -> tuple[Tensor, Tensor]:
        """Prior of the weights and of the biases of layer i, flat, in real values.

        Args:
            i: index of the layer.
            shift: shift of the layer, to round the prior as the decoder does with it; None not to round.
        """
        name, prior = self.layers[i].name, self._priors[i]
        weight, bias = (
            (prior.weight * 2.0**-PRIOR_BITS, prior.bias * 2.0**-PRIOR_BITS)
            if shift is None
            else (prior.weight_at(shift) * 2.0**-shift, prior.bias_at(shift) * 2.0**-shift)
        )
        w, b = self._slices[i]
        units = 2.0 ** -self.gains[name], 1 / self.output_units[name]
        sizes = w.stop - w.start, b.stop - b.start
        parts = [
            torch.from_numpy(np.broadcast_to(part.reshape(-1) * unit, size).copy())
            for part, unit, size in zip((weight, bias), units, sizes, strict=True)
        ]
        return parts[0].float(), parts[1].float()

    def step_exponents(self) -> Tensor:
        """log2 of the step of each segment [2L]: weights (learned) and biases (fixed), interleaved."""
        log_step = self.log_step.detach() if self.steps_frozen else self.log_step
        return torch.stack([log_step, self.bias_log_step], 1).reshape(-1)

    def freeze_steps(self) -> None:
        """Snap each learned step to the nearest m * 2^e within the numerical contract, and stop learning them."""
        self.enforce_contract()
        self.steps_frozen = True
        shifts = [q.shift for q in self.integers()]
        parts = [part for i, shift in enumerate(shifts) for part in self._base(i, shift)]
        self.base.copy_(torch.cat(parts))

    def _candidates(self, i: int) -> list[tuple[int, int]]:
        """(m, e) of all steps m * 2^e of layer i whose shift and bias shift are in range, finest first."""
        gain = self.gains[self.layers[i].name]
        bias_exponent = self._bias_exponent(i)
        return [
            (m, e)
            for e in range(-(gain + SHIFT_MAX), 4)
            for m in MULTIPLIERS
            if 0 <= -(e + gain) <= SHIFT_MAX and 0 <= bias_exponent - (e + gain) <= BIAS_SHIFT_MAX
        ]

    def _bias_exponent(self, i: int) -> int:
        """log2 of the bias step in integer output units of layer i."""
        return round(float(self.bias_log_step[i])) + self.output_units[self.layers[i].name].bit_length() - 1

    def _integers(self, i: int, multiplier: int, exponent: int) -> LayerQuantisation:
        layer, (w, b) = self.layers[i], self._slices[i]
        shift = -(exponent + self.gains[layer.name])
        # Far beyond the range of the stream, and well within int64.
        most = 2.0**31
        weight = torch.round(self.raw[w].detach().double() / (multiplier * 2.0**exponent)).clamp(-most, most)
        bias = torch.round(self.raw[b].detach().double() * 2.0 ** -float(self.bias_log_step[i])).clamp(-most, most)
        return LayerQuantisation(
            layer.name,
            weight.cpu().numpy().astype(np.int64).reshape(layer.weight_shape),
            bias.cpu().numpy().astype(np.int64),
            multiplier,
            shift,
            self._bias_exponent(i) + shift,
            self._priors[i],
        )

    def _fits(self, i: int, multiplier: int, exponent: int) -> bool:
        """Whether layer i with this step keeps |q| <= 2047, |w| <= 1024, |b_q| <= 65535 and the 2^24 bound."""
        integers = self._integers(i, multiplier, exponent)
        weight = integers.integer_weight
        if int(np.abs(weight).max()) > WEIGHT_MAX or int(np.abs(integers.weight).max()) > Q_MAX:
            return False
        if int(np.abs(integers.bias).max()) > BIAS_Q_MAX:
            return False
        worst = worst_case(weight, integers.integer_bias, integers.shift, self.layers[i].input_max)
        return int(worst.max()) < ACCUMULATOR_LIMIT

    def _snap(self, i: int) -> tuple[int, int]:
        """(m, e) of the step m * 2^e nearest to the learned one that keeps layer i within the contract.

        Raises:
            InternalError: E_DIVERGED, a parameter is not finite; E_BOUND, no step keeps it there, see `_project`.
        """
        if not all(bool(torch.isfinite(self.raw[part]).all()) for part in self._slices[i]):
            raise InternalError("E_DIVERGED", f"training diverged: layer {self.layers[i].name} is not finite")
        target = float(self.log_step[i].detach())
        ranked = sorted(self._candidates(i), key=lambda me: abs(float(np.log2(me[0])) + me[1] - target))
        for multiplier, exponent in ranked:
            if self._fits(i, multiplier, exponent):
                return multiplier, exponent
        raise InternalError("E_BOUND", f"no step keeps layer {self.layers[i].name} within the numerical contract")

    def _project(self, i: int) -> None:
        """Shrink the parameters of layer i so that the coarsest step 4 * 2^e keeps it within the contract."""
        multiplier = MULTIPLIERS[0]
        exponent = max(e for m, e in self._candidates(i) if m == multiplier)
        layer, (w, b) = self.layers[i], self._slices[i]
        shape = self._integers(i, multiplier, exponent)
        base_weight, base_bias = (part.to(self.raw.device).double() for part in self._base(i, shape.shift))
        # Half of the accumulator is for biases and a quarter for weights; rounding these adds less than a quarter.
        bias_unit = 2.0 ** float(self.bias_log_step[i])
        bias_max = min(BIAS_Q_MAX, (ACCUMULATOR_LIMIT // 2 - rounding_term(shape.shift) >> shape.bias_shift) - 1)
        bias = (self.raw[b].double() + base_bias).clamp(-bias_max * bias_unit, bias_max * bias_unit) - base_bias
        step = multiplier * 2.0**exponent
        most = WEIGHT_MAX // multiplier - 1
        rows = ((self.raw[w].double() + base_weight) / step).clamp(-most, most).view(layer.outputs, -1)
        largest = ACCUMULATOR_LIMIT // 4 / (multiplier * layer.input_max)
        factor = (largest / rows.abs().sum(1, keepdim=True).clamp(min=1e-9)).clamp(max=1)
        weight = (rows * factor).reshape(-1) * step - base_weight
        self.raw[w] = (torch.round(weight / step) * step).float()
        self.raw[b] = (torch.round(bias / bias_unit).clamp(-bias_max, bias_max) * bias_unit).float()

    def enforce_contract(self) -> list[str]:
        """Bring each layer within the contract: by its step, or where no step does, by shrinking its parameters.

        Returns:
            The names of the layers whose step has changed.
        """
        moved = []
        with torch.no_grad():
            for i, layer in enumerate(self.layers):
                before = float(self.log_step[i].detach())
                try:
                    multiplier, exponent = self._snap(i)
                except InternalError as error:
                    if error.code != "E_BOUND":
                        raise
                    self._project(i)
                    multiplier, exponent = self._snap(i)
                self.log_step[i] = float(np.log2(multiplier)) + exponent
                if abs(float(self.log_step[i]) - before) > 1e-4:
                    moved.append(layer.name)
        return moved

    def quantised(self) -> Tensor:
        """q of every parameter [n], float, rounded with a straight-through gradient."""
        return straight_through_round(self.raw * torch.exp2(-self.step_exponents())[self.segment])

    def real(self, q: Tensor | None) -> dict[str, tuple[Tensor, Tensor]]:
        """layer name -> (weight, bias) as real values; the raw parameters when `q` is None."""
        flat = self.base + (self.raw if q is None else q * torch.exp2(self.step_exponents())[self.segment])
        out: dict[str, tuple[Tensor, Tensor]] = {}
        # The gradient of one split is one pass; that of as many slices would be a pass for each.
        parts = iter(flat.split([part.stop - part.start for pair in self._slices for part in pair]))
        for layer in self.layers:
            out[layer.name] = (next(parts).view(layer.weight_shape), next(parts))
        return out

    def exact_real(self, dtype: torch.dtype = torch.float64) -> dict[str, tuple[Tensor, Tensor]]:
        """layer name -> (weight, bias): the exact values of the written integers, which float32 can hold as well."""
        return {q.name: self.layer_real(i, q, dtype) for i, q in enumerate(self.integers())}

    def layer_real(self, i: int, q: LayerQuantisation, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
        """Real weight and bias of layer i for the integers `q`."""
        unit = 2.0 ** -(q.shift + self.gains[q.name])
        bias_unit = 2.0**-q.shift / self.output_units[q.name]
        device = self.raw.device
        return (
            (torch.from_numpy(q.integer_weight).to(device).double() * unit).to(dtype),
            (torch.from_numpy(q.integer_bias).to(device).double() * bias_unit).to(dtype),
        )

    def steps(self, i: int) -> list[tuple[int, int]]:
        """(m, e) of every step m * 2^e that the syntax allows for layer i, finest first."""
        return sorted(self._candidates(i), key=lambda step: step[0] * 2.0 ** step[1])

    def try_steps(self, i: int, step: tuple[int, int], bias_exponent: int) -> LayerQuantisation | None:
        """The integers of layer i with other steps; None where the contract or the syntax forbids them.

        Args:
            i: index of the layer.
            step: (m, e) of the weights.
            bias_exponent: log2 of the step of the biases, real.
        """
        before = self.bias_log_step[i].clone()
        self.bias_log_step[i] = bias_exponent
        try:
            multiplier, exponent = step
            gain = self.gains[self.layers[i].name]
            if not 0 <= self._bias_exponent(i) - (exponent + gain) <= BIAS_SHIFT_MAX:
                return None
            return self._integers(i, multiplier, exponent) if self._fits(i, multiplier, exponent) else None
        finally:
            self.bias_log_step[i] = before

    @torch.no_grad()
    def set_steps(self, i: int, step: tuple[int, int], bias_exponent: int) -> None:
        """Set the steps of layer i; arguments as in `try_steps`."""
        self.bias_log_step[i] = bias_exponent
        self.log_step[i] = float(np.log2(step[0])) + step[1]

    def segment_bits(self, q: Tensor) -> Tensor:
        """Bits of each segment [2L] under static Laplace tables, differentiable in q."""
        total = torch.zeros_like(self.segment_count).index_add_(0, self.segment, q.abs())
        index = quantised_scale(likely_scale(total / self.segment_count).detach())
        bits = laplace_bits(q, torch.exp2(-4 + index.float() / 4)[self.segment])
        return torch.zeros_like(self.segment_count).index_add_(0, self.segment, bits)

    def written_bits(self) -> list[float]:
        """Bits of each segment [2L] in the stream."""
        return [float(code_lengths(part).min()) for q in self.integers() for part in (q.weight, q.bias)]

    def integers(self) -> list[LayerQuantisation]:
        """The integers to write, in stream order, each layer with its step snapped."""
        return [self._integers(i, *self._snap(i)) for i in range(len(self.layers))]
