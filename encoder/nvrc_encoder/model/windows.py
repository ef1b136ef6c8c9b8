"""Windows of frames for the iterations: their frames, the nodes that they touch, and their share of the nodes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nvrc_decoder.profiles import GridSlot
from nvrc_decoder.pyramid import Pyramid
from nvrc_encoder.model.prediction_route import touched_nodes

__all__ = ["Window", "nodes_of", "split_frames", "windows_of"]


@dataclass(frozen=True)
class Window:
    """Consecutive frames of a GOP for one iteration, and the nodes whose bits it counts.

    Attributes:
        gop: index of the GOP.
        frames: frames of the GOP.
        touched: per slot, the nodes that the frames depend on: int64, ascending, on the training's device.
        weights: per slot, the weight of each of `touched`: windows of the GOP over windows that touch the node.
        share: per slot, those of `touched` for which the context network is evaluated, on the CPU. Each node is in the
            share of one window.
        count: number of windows of the GOP.
    """

    gop: int
    frames: slice
    touched: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    share: tuple[Tensor, ...]
    count: int


def split_frames(frames: int, length: int) -> list[slice]:
    """All frames of a GOP in windows of about `length` frames."""
    count = max(1, math.ceil(frames / length))
    edges = [round(i * frames / count) for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def nodes_of(slots: Sequence[GridSlot], pyramid: Pyramid, frames: int, window: slice) -> list[Tensor]:
    """Per slot the nodes that a window of a GOP of `frames` frames touches: int64, ascending, on the CPU.

    The last window also has the nodes after the last frame, as every node must have a cost.
    """
    at_frames = torch.arange(window.start, window.stop)
    touched = set(touched_nodes(pyramid, range(window.start, window.stop)))
    if window.stop == frames:
        touched |= set(range(-(-frames // pyramid.node_spacing), pyramid.node_count(frames)))
    at_nodes = torch.tensor(sorted(touched))
    return [at_nodes if slot.at_nodes else at_frames for slot in slots]


def _deal(touched: Sequence[Tensor]) -> list[Tensor]:
    """The share of each window: each node goes to one window that touches it, to all windows about as many."""
    shares: list[list[int]] = [[] for _ in touched]
    for node in torch.cat(list(touched)).unique().tolist():
        able = (i for i, nodes in enumerate(touched) if node in nodes)
        shares[min(able, key=lambda i: len(shares[i]))].append(node)
    return [torch.tensor(share, dtype=torch.int64) for share in shares]


def windows_of(
    slots: Sequence[GridSlot], pyramid: Pyramid, gop: int, frames: int, length: int, device: torch.device
) -> list[Window]:
    """All windows of about `length` frames of a GOP of `frames` frames."""
    windows = split_frames(frames, length)
    per_slot = list(zip(*(nodes_of(slots, pyramid, frames, window) for window in windows), strict=True))
    counts = [torch.bincount(torch.cat(touched)) for touched in per_slot]
    shares = [_deal(touched) for touched in per_slot]
    return [
        Window(
            gop,
            window,
            tuple(touched[i].to(device) for touched in per_slot),
            tuple((len(windows) / n[touched[i]]).to(device) for n, touched in zip(counts, per_slot, strict=True)),
            tuple(share[i] for share in shares),
            len(windows),
        )
        for i, window in enumerate(windows)
    ]
