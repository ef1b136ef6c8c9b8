"""Rate of all grids under the context model, for training (spec 5).

The decoder walks a grid step by step; in training every position's context is known at once, so the whole grid is one
gather, along the indices of `grid_context`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nvrc_decoder.octree.context import NEIGHBOURS
from nvrc_decoder.profiles import CONTEXT_INPUT_MAX
from nvrc_encoder.model.rounding import straight_through_floor
from nvrc_encoder.model.windows import Window
from nvrc_encoder.rate.context_network import context_network
from nvrc_encoder.rate.forecast import Forecast, flat, select
from nvrc_encoder.rate.grid_context import GridContext
from nvrc_encoder.rate.laplace import laplace_bits

__all__ = ["GopRate", "weighted_sum"]


@dataclass(frozen=True)
class _Part:
    """Indices of the contexts of consecutive slots, of which all have centred contexts, or none has.

    Attributes:
        inputs: int32 [19, R] into the values that `_Rows.needed` selects.
        classes: per slot int64 [nodes, H * W], rows of the table of first-layer biases, and the channels that share it.
        centred: whether the contexts are relative to a centre.
    """

    inputs: Tensor
    classes: tuple[tuple[Tensor, int], ...]
    centred: bool

    def biases(self, table: Tensor) -> Tensor:
        """First-layer bias of each value, [width_1, R], from a table [classes, width_1]."""
        parts = []
        for classes, channels in self.classes:
            own = table.index_select(0, classes.view(-1)).t().view(table.shape[1], len(classes), 1, classes.shape[1])
            parts.append(own.expand(-1, -1, channels, -1).flatten(1))
        return torch.cat(parts, 1)


@dataclass(frozen=True)
class _Rows:
    """Gather indices of some nodes, which stay from iteration to iteration.

    Attributes:
        nodes: per slot int64, the nodes that are evaluated.
        needed: int64 [K], indices that they read in the flat vector of `GopRate`; the zero at its end comes last.
        parts: indices of the contexts, slot by slot.
    """

    nodes: tuple[Tensor, ...]
    needed: Tensor
    parts: tuple[_Part, ...]


def weighted_sum(bits: Sequence[Tensor | None], weights: Sequence[Tensor]) -> Tensor:
    """Bits of nodes times their weights, summed over all slots; both are per slot [nodes], bits None where absent."""
    return functools.reduce(
        torch.add, ((own * weight).sum() for own, weight in zip(bits, weights, strict=True) if own is not None)
    )


class GopRate:
    """The rate of one GOP's grids.

    All grids, and the magnitudes of coarser grids that finer ones see, lie in one flat vector that ends in a zero. So
    one gather gives all contexts of a window.

    Args:
        contexts: per slot, as of `build_context`; None where the slot is absent.
        channels: number of channels of each slot.
    """

    CACHE_BYTES = 1 << 30

    def __init__(self, contexts: Sequence[GridContext | None], channels: Sequence[int]) -> None:
        self.contexts = tuple(contexts)
        self._channels = tuple(channels)
        self._cache: dict[tuple[tuple[int, ...], ...], _Rows] = {}
        self._cached = 0
        values, magnitudes = 0, 0
        self._offsets: list[tuple[int, int]] = []
        for context, count in zip(self.contexts, self._channels, strict=True):
            size = 0 if context is None else context.classes.numel()
            self._offsets.append((values, magnitudes))
            values += size * count
            magnitudes += size
        self._values, self._zero = values, values + magnitudes
        present = [context.triples for context in self.contexts if context is not None]
        self._triples = torch.cat(present)
        starts = [0]
        for triples in present:
            starts.append(starts[-1] + len(triples))
        counter = iter(starts)
        # Grids with centred contexts never have the last column, the magnitude of a coarser grid.
        faces = [sum(map(abs, offset)) == 1 for offset in NEIGHBOURS] + [False]
        self._faces = torch.tensor(faces, device=self._triples.device).view(-1, 1)
        self._class_start = [0 if context is None else next(counter) for context in self.contexts]

    def _rows(self, nodes: Sequence[Tensor]) -> _Rows:
        key = tuple(tuple(which.tolist()) for which in nodes)
        if key in self._cache:
            return self._cache[key]
        nodes = [which.to(self._triples.device) for which in nodes]
        found: list[_Part] = []
        below: int | None = None
        for slot, (context, which) in enumerate(zip(self.contexts, nodes, strict=True)):
            if context is None:
                continue
            index = context.neighbours[which]
            count, area, _ = index.shape
            channels, start = self._channels[slot], self._offsets[slot][0]
            node = torch.div(index, area, rounding_mode="floor")
            channel = torch.arange(channels, device=index.device).view(1, -1, 1, 1)
            inner = (node * channels * area + index - node * area).unsqueeze(1) + channel * area + start
            outside = (index == context.classes.numel()).unsqueeze(1)
            gathered = torch.where(outside, self._zero, inner)
            if context.coarse is None or below is None:
                coarse = torch.full((count, channels, area, 1), self._zero, device=index.device)
            else:
                coarse = (context.coarse[which] + self._values + self._offsets[below][1]).view(count, 1, area, 1)
                coarse = coarse.expand(-1, channels, -1, -1)
            inputs = torch.cat([gathered, coarse], 3).flatten(0, 2).t()
            classes: tuple[tuple[Tensor, int], ...] = ((context.classes[which] + self._class_start[slot], channels),)
            if found and found[-1].centred == context.centred:
                last = found.pop()
                inputs, classes = torch.cat([last.inputs, inputs], 1), last.classes + classes
            found.append(_Part(inputs, classes, context.centred))
            if not context.motion:
                below = slot
        # Only the values read are gathered from: they stay in the processor's cache, and so does their gradient.
        read = torch.zeros(self._zero + 1, dtype=torch.bool, device=self._triples.device)
        read[self._zero] = True
        for part in found:
            read[part.inputs.reshape(-1)] = True
        needed = read.nonzero().view(-1)
        places = torch.empty(self._zero + 1, dtype=torch.int32, device=needed.device)
        places[needed] = torch.arange(len(needed), dtype=torch.int32, device=needed.device)
        parts = tuple(_Part(places[part.inputs].contiguous(), part.classes, part.centred) for part in found)
        rows = _Rows(tuple(nodes), needed, parts)
        size = needed.numel() * 8
        for part in parts:
            size += part.inputs.numel() * 4 + sum(classes.numel() for classes, _ in part.classes) * 8
        if self._cached + size <= self.CACHE_BYTES:
            self._cache[key] = rows
            self._cached += size
        return rows

    def _centred(self, flat: Tensor, index: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
        """Inputs [19, R] relative to the mean of the available face neighbours, and that mean [R] (spec 5.3).

        `flat` ends in the zero, which stands for unavailable neighbours.
        """
        values = flat.index_select(0, index.view(-1)).view(index.shape)
        there = index != len(flat) - 1
        faces = there & self._faces
        count = faces.sum(0).clamp(min=1)
        centre = (values * faces).sum(0) / count
        if exact:
            centre = straight_through_floor(centre)
        around = ((values - centre) * there).clamp(-CONTEXT_INPUT_MAX, CONTEXT_INPUT_MAX)
        return around, centre

    def _predict(
        self, parameters: dict[str, tuple[Tensor, Tensor]], grids: Sequence[Tensor | None], rows: _Rows, exact: bool
    ) -> tuple[Tensor, Tensor]:
        """Predicted mean and scale of each value of the nodes of `rows`, [R] each, in their order."""
        present = [grid for grid in grids if grid is not None]
        magnitudes = [grid.abs().sum(1).reshape(-1) for grid in present]
        whole = torch.cat([*(grid.reshape(-1) for grid in present), *magnitudes, present[0].new_zeros(1)])
        seen = whole.index_select(0, rows.needed)
        clipped = seen.clamp(-CONTEXT_INPUT_MAX, CONTEXT_INPUT_MAX)
        w1, b1 = parameters["context.hidden1"]
        table = w1.t()[self._triples].sum(1) + b1
        means, scales = [], []
        for part in rows.parts:
            if part.centred:
                inputs, centre = self._centred(seen, part.inputs, exact)
            else:
                inputs = clipped.index_select(0, part.inputs.view(-1)).view(part.inputs.shape)
            mean, log_scale = context_network(parameters, inputs, part.biases(table), exact)
            means.append(mean + centre if part.centred else mean)
            scales.append(log_scale)
        return torch.cat(means), torch.exp2(torch.cat(scales))

    def _per_node(self, bits: Tensor, values: Sequence[Tensor | None], exact: bool) -> list[Tensor | None]:
        """Bits of each node, [nodes] per slot, from the `bits` of `values`, [nodes, C, H, W] per slot or None.

        If `exact`, nodes that are not coded cost nothing.
        """
        out: list[Tensor | None] = []
        parts = iter(bits.split([own.numel() for own in values if own is not None]))
        for own, context in zip(values, self.contexts, strict=True):
            if own is None or context is None:
                out.append(None)
                continue
            sums = next(parts).view(own.shape).flatten(1).sum(1)
            out.append(sums * (own != 0).flatten(1).any(1) if exact and context.skipped else sums)
        return out

    def bits(
        self,
        parameters: dict[str, tuple[Tensor, Tensor]],
        grids: Sequence[Tensor | None],
        nodes: Sequence[Tensor],
        exact: bool,
    ) -> list[Tensor | None]:
        """Bits of each node of each grid.

        Args:
            parameters: the context layers as real values.
            grids: per slot [N, C, H, W] integer (or noisy) values, None where absent.
            nodes: per slot int64 on the CPU, which nodes to evaluate; the others serve as context.
            exact: as in `context_network`; also, nodes that are not coded cost nothing.

        Returns:
            Per slot a tensor [nodes evaluated], or None.
        """
        rows = self._rows(nodes)
        mean, scale = self._predict(parameters, grids, rows, exact)
        values = select(grids, rows.nodes)
        return self._per_node(laplace_bits(flat(values) - mean, scale), values, exact)

    def window_bits(
        self,
        parameters: dict[str, tuple[Tensor, Tensor]],
        grids: Sequence[Tensor | None],
        window: Window,
        forecast: Forecast,
        exact: bool,
    ) -> Tensor:
        """An estimate of the bits of all grids of this GOP, from one window.

        The bits of a node have a gradient in its own values, and one in its contexts and the network. Each window that
        touches the node gives the first, with the mean and scale last predicted for it. The second costs most: only the
        window that has the node in its share gives it, weighted by the number of windows.

        Args:
            parameters, grids, exact: as in `bits`.
            window: a window of this GOP.
            forecast: the last predictions of this GOP; those made here are stored in it.
        """
        rows = self._rows(window.share)
        mean, scale = self._predict(parameters, grids, rows, exact)
        values = select(grids, rows.nodes)
        forecast.update(rows.nodes, values, mean.detach(), scale.detach())
        predicted = self._per_node(laplace_bits(flat(values).detach() - mean, scale), values, exact)
        values = select(grids, window.touched)
        known_mean, known_scale = (flat(select(part, window.touched)) for part in (forecast.means, forecast.scales))
        own = self._per_node(laplace_bits(flat(values) - known_mean, known_scale), values, exact)
        shared = functools.reduce(torch.add, (bits.sum() for bits in predicted if bits is not None)) * window.count
        # `shared` adds only a gradient; the first sum has its value already.
        return weighted_sum(own, window.weights) + shared - shared.detach()
