"""First guess of the flow grid's positions: motion between frames and references, by optical flow and block search."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN
from nvrc_decoder.pyramid import Pyramid
from nvrc_encoder.model.motion import POSITION_UNITS

__all__ = ["initial_flow"]

_SMALLEST = 16
"""Side in samples below which a picture starts without motion: the optical flow needs a larger one."""
_RIDGE = 1e-3
_STEADY = 1.0
"""Weight of the second difference in time against the displacements found."""
_PENALTY = 1.0
"""Cost of a displacement: pixel levels per row of a block for each sample of difference from the optical flow."""
_SEARCHES = ((4.0, 2.0, 1.0), (1.0, 0.5, 0.25))
"""Steps in samples of each pass over the displacements of the blocks."""

Field = npt.NDArray[np.float32]  # [rows, columns, 2] displacements of blocks in samples, horizontal first
Luma = npt.NDArray[np.uint8]  # [H, W]


def _medians(x: Field, stride: int) -> Field:
    """Medians of [H, W, 2] over each block of `stride` x `stride`: [rows, columns, 2]."""
    height, width = x.shape[:2]
    rows, columns = -(-height // stride), -(-width // stride)
    x = np.pad(x, [(0, rows * stride - height), (0, columns * stride - width), (0, 0)], mode="edge")
    medians: Field = np.median(x.reshape(rows, stride, columns, stride, 2), axis=(1, 3))
    return medians


class _BlockSearch:
    """Improves the displacements of the blocks of a frame to its reference, all blocks together.

    Args:
        current, reference: the frames.
        start: displacements to start from; differences from them have a cost.
        stride: samples along each side of a block.
    """

    def __init__(self, current: Luma, reference: Luma, start: Field, stride: int) -> None:
        self._current, self._reference = current.astype(np.float32), reference.astype(np.float32)
        height, width = current.shape
        self._x, self._y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._start, self._stride = start, stride
        self.best = start
        self._least = self._cost(start)

    def _cost(self, field: Field) -> npt.NDArray[np.float32]:
        """Sum of absolute differences of each block, plus the cost of its displacement: [rows, columns]."""
        height, width = self._current.shape
        moves = field.repeat(self._stride, 0).repeat(self._stride, 1)[:height, :width]
        x, y = self._x + moves[..., 0], self._y + moves[..., 1]
        found = cv2.remap(self._reference, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        costs = np.abs(found - self._current)
        for axis, size in ((0, height), (1, width)):
            costs = np.add.reduceat(costs, range(0, size, self._stride), axis)
        total: npt.NDArray[np.float32] = costs + _PENALTY * self._stride * np.abs(field - self._start).sum(2)
        return total

    def _try(self, field: Field) -> None:
        """Take the displacements of `field` where they cost less."""
        costs = self._cost(field)
        better = costs < self._least
        self._least = np.where(better, costs, self._least)
        self.best = np.where(better[..., None], field, self.best)

    def run(self) -> Field:
        """The best of: no motion, the median motion, the motion of neighbours, and a shrinking pattern around them."""
        rows, columns, _ = self._start.shape
        self._try(np.zeros_like(self._start))
        common = np.median(self._start.reshape(-1, 2), axis=0).astype(np.float32)
        self._try(np.broadcast_to(common, self._start.shape))
        for steps in _SEARCHES:
            padded = np.pad(self.best, ((1, 1), (1, 1), (0, 0)), mode="edge")
            for top, left in ((0, 1), (1, 0), (1, 2), (2, 1)):
                self._try(padded[top : top + rows, left : left + columns])
            for step in steps:
                centre = self.best
                for dy, dx in itertools.product((-step, 0.0, step), repeat=2):
                    if dy or dx:
                        self._try(centre + np.array([dx, dy], np.float32))
        return self.best


def initial_flow(luma: npt.NDArray[np.uint8], stride: int, pyramid: Pyramid) -> Tensor:
    """Positions whose differences fit the displacements found: float32 [T, 2, rows, columns], in eighths, rows first.

    Args:
        luma: [T, H, W] luma planes of 8 bits.
        stride: stride of the flow grid.
        pyramid: gives the references of each frame.
    """
    frames, height, width = luma.shape
    shape = (frames, 2, -(-height // stride), -(-width // stride))
    if frames == 1 or min(height, width) < _SMALLEST:
        return torch.zeros(shape)
    optical: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # OpenCV's stubs know no flow of None
    rows: list[npt.NDArray[np.float64]] = []
    found: list[npt.NDArray[np.float32]] = []
    for t in range(frames):
        references = pyramid.references(t)
        for reference in () if references is None else sorted({references.before, references.after}):
            there = min(reference, frames - 1)
            if there == t:
                continue
            row = np.zeros(frames)
            row[there], row[t] = 1, -1
            rows.append(row)
            start = _medians(optical.calc(luma[t], luma[there], None), stride)
            field = _BlockSearch(luma[t], luma[there], start, stride).run()
            found.append(np.moveaxis(field[..., ::-1], 2, 0))
    # Where the search is unsure, steady motion is the better guess, and takes fewer bits.
    for j in range(1, frames - 1):
        bend = np.zeros(frames)
        bend[j - 1 : j + 2] = (_STEADY, -2 * _STEADY, _STEADY)
        rows.append(bend)
        found.append(np.zeros_like(found[0]))
    matrix = np.stack(rows)
    gram = matrix.T @ matrix + _RIDGE * np.eye(frames)
    solved = np.linalg.solve(gram, matrix.T @ np.stack(found).reshape(len(found), -1).astype(np.float64))
    positions = solved.reshape(shape) * POSITION_UNITS
    return torch.from_numpy(positions.astype(np.float32)).clamp(ACTIVATION_MIN, ACTIVATION_MAX)
