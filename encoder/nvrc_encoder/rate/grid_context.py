"""Where each position of a grid finds its context under the octree model, worked out once per shape (spec 5.3, 5.4).

Which neighbours are available follows from the schedule's own steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nvrc_decoder.octree.context import NEIGHBOURS, constant_inputs
from nvrc_decoder.octree.schedule import expand_schedule
from nvrc_decoder.profiles import GridSlot
from nvrc_decoder.pyramid import Pyramid

__all__ = ["GridContext", "build_context"]


@dataclass(frozen=True)
class GridContext:
    """Indices of the context of each position of one grid.

    Attributes:
        neighbours: int64 [N, H*W, 18], indices into the flattened [N*H*W + 1] positions; the last one is the zero.
        coarse: int64 [N, H*W], indices into the next coarser grid, or None in the first grid.
        classes: int64 [N, H*W], rows of `triples`.
        triples: int64 [K, 3], the distinct triples of one-hot inputs (kind and level, step, slot), as columns.
        motion: whether the grid is no context of others (a flow or split grid).
        centred: whether the grid's contexts are relative to a centre (a flow grid).
        skipped: whether nodes whose values are all zero are not coded (a grid with a node map).
    """

    neighbours: Tensor
    coarse: Tensor | None
    classes: Tensor
    triples: Tensor
    motion: bool
    centred: bool
    skipped: bool


def build_context(
    shape: tuple[int, int, int],
    splits: Sequence[int],
    slot_index: int,
    slot: GridSlot,
    pyramid: Pyramid,
    coarser: tuple[GridSlot, tuple[int, int, int]] | None,
    device: torch.device,
) -> GridContext:
    """Work out the context of every position of a grid.

    Args:
        shape: (nodes, rows, columns).
        splits: the schedule's split bytes.
        slot_index: index of the slot in the profile.
        slot: the grid's slot.
        pyramid: says which frames the nodes of this grid and of the coarser one belong to.
        coarser: slot and shape of the previous present grid, or None.
        device: where the index tensors live.
    """
    nodes, height, width = shape
    order = np.zeros(shape, np.int32)
    spacing = np.zeros((*shape, 3), np.int32)
    classes = np.zeros(shape, np.int64)
    triples: list[tuple[int, int, int]] = []
    for ordinal, step in enumerate(expand_schedule(shape, splits)):
        where = step.slices
        ones = constant_inputs(step, slot_index)
        if ones not in triples:
            triples.append(ones)
        order[where], spacing[where], classes[where] = ordinal, step.spacing, triples.index(ones)
    neighbours = _neighbour_rows(order, spacing).reshape(nodes, height * width, len(NEIGHBOURS))
    coarse = None
    if coarser is not None:
        rows = _coarse_rows(shape, slot, pyramid, *coarser)
        coarse = torch.from_numpy(rows.reshape(nodes, height * width)).to(device)
    return GridContext(
        torch.from_numpy(neighbours).to(device),
        coarse,
        torch.from_numpy(classes.reshape(nodes, height * width)).to(device),
        torch.tensor(triples, device=device),
        slot.motion,
        slot.flow,
        slot.mapped,
    )


def _neighbour_rows(order: npt.NDArray[np.int32], spacing: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The flat index of each neighbour of each position, int64 [N, H, W, 18] (spec 5.3).

    A neighbour in time that is not coded yet is replaced by its mirror image; one that is not available by the index
    behind the last position.

    Args:
        order: [N, H, W] the step that codes each position.
        spacing: [N, H, W, 3] distance of its neighbours along each axis.
    """
    shape = order.shape
    position = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    limit = np.array(shape)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    flat_order = order.reshape(-1)

    def locate(offset: tuple[int, int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        there = position + np.array(offset) * spacing
        inside = ((there >= 0) & (there < limit)).all(-1)
        index = np.where(inside, (there * strides).sum(-1), 0)
        return index, inside & (flat_order[index] < order)

    rows = []
    for offset in NEIGHBOURS:
        index, available = locate(offset)
        other: npt.NDArray[np.int64] | int = order.size
        if offset[0] != 0:
            mirror, mirrored = locate((-offset[0], offset[1], offset[2]))
            other = np.where(mirrored, mirror, order.size)
        rows.append(np.where(available, index, other))
    return np.stack(rows, -1).astype(np.int64)


def _coarse_rows(
    shape: tuple[int, int, int], slot: GridSlot, pyramid: Pyramid, below: GridSlot, coarse_shape: tuple[int, int, int]
) -> npt.NDArray[np.int64]:
    """The flat index of the value of the coarser grid at each position, int64 [N, H, W] (spec 5.3).

    Args:
        shape, slot, pyramid: as in `build_context`.
        below, coarse_shape: slot and shape of the coarser grid.
    """
    nodes, height, width = coarse_shape
    finer, wider = pyramid.spacing(slot.at_nodes), pyramid.spacing(below.at_nodes)
    n = np.minimum(np.arange(shape[0]) * finer // wider, nodes - 1)
    y = np.minimum(np.arange(shape[1]) * slot.stride // below.stride, height - 1)
    x = np.minimum(np.arange(shape[2]) * slot.stride // below.stride, width - 1)
    index: npt.NDArray[np.int64] = (n[:, None, None] * height + y[:, None]) * width + x
    return index
