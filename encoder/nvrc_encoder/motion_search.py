"""First positions of the flow grid, from dense optical flow between frames and the nodes around them."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN

from .motion import POSITION_UNITS

__all__ = ["initial_flow"]

_SMALLEST = 16
"""Pictures smaller than this in either axis start without motion: the search needs room."""
_RIDGE = 1e-3
_STEADY = 1.0
"""Weight of the second difference in time against the displacements found."""


def _cells(field: np.ndarray, stride: int) -> np.ndarray:
    """Median of [H, W, 2] over each cell: [2, rows, columns], rows first."""
    height, width = field.shape[:2]
    rows, columns = -(-height // stride), -(-width // stride)
    out = np.zeros((2, rows, columns), np.float32)
    for i in range(rows):
        for j in range(columns):
            part = field[i * stride : (i + 1) * stride, j * stride : (j + 1) * stride].reshape(-1, 2)
            out[:, i, j] = np.median(part, axis=0)[::-1]
    return out


def initial_flow(
    luma: np.ndarray, stride: int, temporal_stride: int, node_stride: int, nodes: int, flow_nodes: int
) -> Tensor:
    """Positions whose differences are the displacements found: float32 [flow_nodes, 2, rows, columns], in eighths.

    Args:
        luma: uint8 [T, H, W].
        stride, temporal_stride: of the flow grid.
        node_stride, nodes: temporal stride and number of the nodes that are warped.
        flow_nodes: nodes of the flow grid.
    """
    frames, height, width = luma.shape
    shape = (flow_nodes, 2, -(-height // stride), -(-width // stride))
    if frames == 1 or min(height, width) < _SMALLEST:
        return torch.zeros(shape)
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def position(time: int) -> np.ndarray:
        """[flow_nodes] weights of the nodes in the position at a time."""
        row = np.zeros(flow_nodes, np.float64)
        first, fraction = divmod(time, temporal_stride)
        row[min(first, flow_nodes - 1)] += 1 - fraction / temporal_stride
        row[min(first + 1, flow_nodes - 1)] += fraction / temporal_stride
        return row

    rows: list[np.ndarray] = []
    found: list[np.ndarray] = []
    for t in range(frames):
        for node in {t // node_stride, min(t // node_stride + 1, nodes - 1)}:
            at = min(node * node_stride, frames - 1)
            if at == t:
                continue
            rows.append(position(node * node_stride) - position(t))
            found.append(_cells(search.calc(luma[t], luma[at], None), stride))
    if not rows:
        return torch.zeros(shape)
    # Where the search is unsure, steady motion is the better guess, and the cheaper one.
    for j in range(1, flow_nodes - 1):
        bend = np.zeros(flow_nodes)
        bend[j - 1 : j + 2] = (1, -2, 1)
        rows.append(_STEADY * bend)
        found.append(np.zeros_like(found[0]))
    matrix = np.stack(rows)
    gram = matrix.T @ matrix + _RIDGE * np.eye(flow_nodes)
    solved = np.linalg.solve(gram, matrix.T @ np.stack(found).reshape(len(found), -1).astype(np.float64))
    positions = solved.reshape(shape) * POSITION_UNITS
    return torch.from_numpy(positions.astype(np.float32)).clamp(ACTIVATION_MIN, ACTIVATION_MAX)
