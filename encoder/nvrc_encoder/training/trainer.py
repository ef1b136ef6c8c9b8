"""The parameters of a training and their loss: grids, weights and context network, by rate and distortion together.

One iteration takes a window of consecutive frames of one GOP: its distortion, the bits of the grid nodes that it
touches, and the bits of all weights. A node's bits are divided by the number of windows that touch it, so that the
estimate is unbiased. The context network is evaluated for the window's share of the nodes; see `GopRate.window_bits`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nvrc_decoder.errors import InternalError
from nvrc_decoder.prior import WITHOUT_PRIOR
from nvrc_decoder.profiles import Q_MAX, GridSlot, node_shape
from nvrc_encoder.model.rounding import Arithmetic, straight_through_round
from nvrc_encoder.model.soft_rounding import soft_round_noise
from nvrc_encoder.model.structure import Structure
from nvrc_encoder.model.synthesis import SynthesisModel
from nvrc_encoder.model.windows import Window, split_frames, windows_of
from nvrc_encoder.plan import Plan, Settings
from nvrc_encoder.quality.similarity import DISSIMILARITY_WEIGHT, Similarity
from nvrc_encoder.rate.forecast import Forecast
from nvrc_encoder.rate.grid_context import GridContext, build_context
from nvrc_encoder.rate.grids import GopRate, weighted_sum
from nvrc_encoder.start.initial_bank import initial_bank
from nvrc_encoder.start.initial_grids import initial_grids
from nvrc_encoder.training.source_rows import SourceRows

__all__ = ["Estimate", "Schedule", "Trainer"]

_RATE_WINDOW = Plan.window
"""Frames whose bits are computed together outside of the iterations: the presets' windows, whose contexts exist."""


Schedule = Callable[[int, int, int], Sequence[int]]
"""Nodes, rows and columns of a grid -> its split bytes."""


@dataclass
class Estimate:
    """The loss over the whole video, hard-rounded.

    Attributes:
        grid_bits: bits of each slot, summed over GOPs; None where the slot is absent.
        segment_bits: [2L] bits of the weights and of the biases of each layer.
        distortion: the distortion that is minimised, as in `Trainer.losses`.
        psnr_y: mean of the frames' luma PSNRs in dB, 100 for an exact frame.
    """

    grid_bits: list[float | None]
    segment_bits: list[float]
    distortion: float
    psnr_y: float = 0.0

    @property
    def bits(self) -> float:
        """Bits of grids and layers together; headers are not counted."""
        return sum(b for b in self.grid_bits if b is not None) + sum(self.segment_bits)


class Trainer:
    """The parameters and grids of one sequence, and their loss.

    Args:
        structure: active part of the profile.
        chroma_format: 0 (4:0:0), 1 (4:2:0) or 2 (4:4:4).
        bit_depth: 8 or 10.
        size: (height, width) in luma samples.
        source_rows: the video, GOP by GOP.
        multipliers: per slot, the integer step M of each channel; None where the slot is absent.
        schedule: gives the split bytes of a grid of (nodes, rows, columns).
        lagrangian: lambda, weight of bits per pixel against the distortion.
        seed: seed of every random draw.
        device: device to train on.
        similarity: if given, 1 - MS-SSIM, scaled, replaces luma's MSE.
        prior: whether networks start from the prior, where it suits, and are coded as differences from it.
        start: whether to search for initial grids; they are 0 otherwise, until a checkpoint fills them.
    """

    def __init__(
        self,
        structure: Structure,
        chroma_format: int,
        bit_depth: int,
        size: tuple[int, int],
        source_rows: Sequence[SourceRows],
        multipliers: Sequence[Sequence[int] | None],
        schedule: Schedule,
        lagrangian: float,
        seed: int,
        device: torch.device,
        similarity: Similarity | None = None,
        prior: bool = True,
        start: bool = True,
    ) -> None:
        self._similarity = similarity
        self.model = SynthesisModel(structure, chroma_format, bit_depth)
        self.model.set_size(*size)
        self.size = size
        self.source_rows = [gop.to(device) for gop in source_rows]
        self.lagrangian = lagrangian
        self.device = device
        self.frame_counts = [len(gop.rows) for gop in source_rows]
        self.pixels = size[0] * size[1]
        generator = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator(device=device).manual_seed(seed + 1)
        self.order = torch.Generator().manual_seed(seed + 2)
        self.multipliers = [None if m is None else torch.tensor(m, device=device) for m in multipliers]
        to_eight = 2.0 ** -(bit_depth - 8)
        self.prior = structure.prior(chroma_format) if prior else WITHOUT_PRIOR
        bank = initial_bank(self.model, self.prior, generator)
        self.grids: list[list[Tensor | None]] = []
        for gop in source_rows:
            if start:
                parameters = bank.exact_real(torch.float32)
                grids = initial_grids(self.model, parameters, gop.rows * to_eight, multipliers, lagrangian)
            else:
                grids = self._zero_grids(len(gop.rows))
            self.grids.append([None if g is None else g.to(device).requires_grad_() for g in grids])
        # GOPs of one length share their contexts, which take far more memory than the grids.
        by_length = {
            frames: GopRate(self._contexts(structure, frames, schedule), structure.grid_channels)
            for frames in set(self.frame_counts)
        }
        self.rates = [by_length[frames] for frames in self.frame_counts]
        self.forecasts = [Forecast.initial(grids) for grids in self.grids]
        self._rated = self.windows(_RATE_WINDOW)
        self.bank = bank.to(device)

    def _zero_grids(self, frames: int) -> list[Tensor | None]:
        structure = self.model.structure
        grids: list[Tensor | None] = []
        for slot, channels in zip(structure.profile.slots, structure.grid_channels, strict=True):
            nodes, rows, columns = node_shape(slot, frames, *self.size, structure.pyramid)
            grids.append(torch.zeros(nodes, channels, rows, columns) if channels else None)
        return grids

    def _contexts(self, structure: Structure, frames: int, schedule: Schedule) -> list[GridContext | None]:
        out: list[GridContext | None] = []
        coarser: tuple[GridSlot, tuple[int, int, int]] | None = None
        for i, (slot, channels) in enumerate(zip(structure.profile.slots, structure.grid_channels, strict=True)):
            if not channels:
                out.append(None)
                continue
            shape = node_shape(slot, frames, *self.size, structure.pyramid)
            place = i, slot, structure.pyramid, None if slot.motion else coarser
            out.append(build_context(shape, schedule(*shape), *place, self.device))
            if not slot.motion:
                coarser = (slot, shape)
        return out

    def windows(self, length: int) -> list[Window]:
        """All windows of about `length` frames."""
        slots, pyramid = self.model.profile.slots, self.model.structure.pyramid
        return [
            window
            for gop, frames in enumerate(self.frame_counts)
            for window in windows_of(slots, pyramid, gop, frames, length, self.device)
        ]

    def losses(self, window: Window, settings: Settings) -> tuple[Tensor, Tensor]:
        """Distortion and bits per pixel of one window, with gradients.

        Args:
            window: one of `windows`.
            settings: phase, temperature and noise.

        Returns:
            Weighted MSE in units of the full range, its luma part replaced by that of `similarity` if given; and an
            unbiased estimate of the stream's bits per pixel.
        """
        gop = window.gop
        if settings.hard:
            rounded = [None if g is None else straight_through_round(g) for g in self.grids[gop]]
        else:
            rounded = [
                None if g is None else soft_round_noise(g, settings.temperature, settings.noise, self.noise)
                for g in self.grids[gop]
            ]
        q = self.bank.quantised() if settings.quantised else None
        real = self.bank.real(q)
        frames = range(window.frames.start, window.frames.stop)
        count = self.frame_counts[gop]
        arithmetic = Arithmetic.EXACT if settings.hard else Arithmetic.FLOAT
        rows = self.model.forward(real, rounded, self.multipliers, frames, count, arithmetic)
        bpp = self.window_bits(real, rounded, window, settings.hard) / (count * self.pixels)
        if q is not None:
            bpp = bpp + self.bank.segment_bits(q).sum() / (sum(self.frame_counts) * self.pixels)
        return self._distortion(rows, gop, window.frames), bpp

    @torch.no_grad()
    def change_steps(self, multipliers: Sequence[Sequence[int] | None]) -> None:
        """Quantise the grids with other steps from now on; their dequantised values stay.

        Args:
            multipliers: per slot, the integer step M of each channel.
        """
        for slot, wanted in enumerate(multipliers):
            before = self.multipliers[slot]
            if before is None or wanted is None or before.tolist() == list(wanted):
                continue
            after = torch.tensor(wanted, device=self.device)
            for grids in self.grids:
                grid = grids[slot]
                if grid is not None:
                    grid *= (before / after).view(1, -1, 1, 1)
            self.multipliers[slot] = after

    def check_finite(self) -> None:
        """Raise InternalError E_DIVERGED if a grid or a parameter is not a finite number."""
        tensors = [self.bank.raw, self.bank.log_step, *(g for grids in self.grids for g in grids if g is not None)]
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
            raise InternalError("E_DIVERGED", "training diverged: a grid or a weight is not a finite number")

    def fit_context(self, iterations: int) -> None:
        """Fit the context network to the initial grids, before anything else is trained. The prior's needs no fit."""
        if self.prior.context:
            return
        optimiser = torch.optim.Adam([self.bank.raw], lr=2e-2, betas=(0.9, 0.99))
        per_gop = [[window for window in self._rated if window.gop == gop] for gop in range(len(self.grids))]
        for i in range(iterations):
            own = per_gop[i % len(per_gop)]
            window = own[i // len(per_gop) % len(own)]
            rounded = [None if g is None else torch.round(g.detach()) for g in self.grids[window.gop]]
            nodes = [touched.cpu() for touched in window.touched]
            bits = self.grid_rate(self.bank.real(None), rounded, window.gop, nodes, False)
            optimiser.zero_grad(set_to_none=True)
            weighted_sum(bits, window.weights).backward()
            optimiser.step()

    def grid_rate(
        self,
        real: dict[str, tuple[Tensor, Tensor]],
        grids: Sequence[Tensor | None],
        gop: int,
        nodes: Sequence[Tensor],
        exact: bool,
    ) -> list[Tensor | None]:
        """Bits of each node of each grid. This and `window_bits` are the entropy model that the training assumes."""
        return self.rates[gop].bits(real, grids, nodes, exact)

    def window_bits(
        self, real: dict[str, tuple[Tensor, Tensor]], grids: Sequence[Tensor | None], window: Window, exact: bool
    ) -> Tensor:
        """An estimate of the bits of all grids of the window's GOP, with gradients."""
        return self.rates[window.gop].window_bits(real, grids, window, self.forecasts[window.gop], exact)

    def _distortion(self, rows: Tensor, gop: int, window: slice) -> Tensor:
        weights, wanted = self.source_rows[gop].weights, self.source_rows[gop].rows[window]
        peak = (1 << self.model.bit_depth) - 1
        if self._similarity is None:
            return ((rows - wanted).square() * (weights / (peak * peak * rows.shape[0]))).sum()
        error = (rows[:, 4:] - wanted[:, 4:]) / peak
        chroma = (error * error * weights[4:]).sum() / rows.shape[0]
        unlike = 1 - self._similarity.of_phases(rows[:, :4], wanted[:, :4]).mean()
        return weights[:4].sum() * DISSIMILARITY_WEIGHT * unlike + chroma

    @torch.no_grad()
    def final_grids(self, gop: int) -> list[Tensor | None]:
        """Per slot the integers of a GOP as they are written, float32 [N, C, H, W], |q| <= 2047."""
        return [None if g is None else torch.round(g.detach()).clamp(-Q_MAX, Q_MAX) for g in self.grids[gop]]

    @torch.no_grad()
    def estimate(self) -> Estimate:
        """Bits and distortion of the hard-rounded state over the whole video."""
        # Not `quantised` and `real`: their float32 steps are slightly off, and sums near a half would round otherwise.
        real = self.bank.exact_real(torch.float32)
        distortion, psnr_y = self.whole_distortion(real)
        return Estimate(self.whole_grid_bits(real), self.bank.written_bits(), distortion, psnr_y)

    @torch.no_grad()
    def whole_grid_bits(
        self, real: dict[str, tuple[Tensor, Tensor]], grids: Sequence[Sequence[Tensor | None]] | None = None
    ) -> list[float | None]:
        """Per slot the bits of the hard-rounded grids, summed over GOPs; None where absent.

        Args:
            real: parameters as real values; only the context network's are used.
            grids: `final_grids` of each GOP; None to make them here.
        """
        slots: list[float | None] = [None] * len(self.model.profile.slots)
        rounded = [self.final_grids(gop) for gop in range(len(self.grids))] if grids is None else grids
        for window in self._rated:
            nodes = self.grid_rate(real, rounded[window.gop], window.gop, window.share, True)
            for i, bits in enumerate(nodes):
                if bits is not None:
                    slots[i] = (slots[i] or 0.0) + float(bits.double().sum())
        return slots

    @torch.no_grad()
    def whole_distortion(
        self,
        real: dict[str, tuple[Tensor, Tensor]],
        grids: Sequence[Sequence[Tensor | None]] | None = None,
        model: SynthesisModel | None = None,
    ) -> tuple[float, float]:
        """Distortion as in `losses` over all frames, hard-rounded, and the mean of the frames' luma PSNRs.

        Args:
            real: parameters as real values.
            grids: `final_grids` of each GOP; None to make them here.
            model: synthesises the frames in place of the trainer's own model.
        """
        distortion = psnr = 0.0
        for gop, frames in enumerate(self.frame_counts):
            rounded = self.final_grids(gop) if grids is None else grids[gop]
            source = self.source_rows[gop]
            luma = source.weights[:4]
            for window in split_frames(frames, 8):
                at = range(window.start, window.stop)
                rows = (model or self.model).forward(real, rounded, self.multipliers, at, frames, Arithmetic.EXACT)
                distortion += float(self._distortion(rows, gop, window)) * (window.stop - window.start)
                error = (rows[:, :4] - source.rows[window, :4]) / ((1 << self.model.bit_depth) - 1)
                mse = (error * error * luma).sum((1, 2, 3)) / luma.sum()
                psnr += float((-10 * torch.log10(mse.clamp(min=1e-10))).double().sum())
        count = sum(self.frame_counts)
        return distortion / count, psnr / count
