"""Writes the graphs of motion: the planes of nodes and of the frames between them, made on a device (spec 7.6).

They are built operator by operator rather than from a PyTorch definition, so that all indices are 32-bit integers and
the taps of a cell of 4x4 samples are fetched together. `nvrc_graphs.export` writes them with the others.

- ``wavelet`` makes one level of the residual of luma.
- ``moves`` gives the displacements and the blend weights of each cell at some frames.
- ``predict`` fetches from two nodes and blends.
- ``refine`` adds the residual and makes a node: planes with half samples and repeated edges. They are int16, which
  halves the memory and doubles the speed of reads out of order.
- ``join`` concatenates frames.

``predict`` and ``refine`` exist twice: for the luma plane, with stride 1, and for the planes of the plane slot, with
stride 4.

Every edge of a graph holds integers of at most 2^24 in magnitude, or such integers times 2^-13, so float32 is exact
(spec 6.3).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, FLOW_CHANNELS, LIFTING_UNIT
from nvrc_decoder.pyramid import BLEND_UNIT
from nvrc_decoder.synthesis.onnx.session import BORDER

__all__ = ["MOTION_GRAPHS", "export_join", "export_moves", "export_predict", "export_refine", "export_wavelet"]

OPSET, IR_VERSION = 18, 10
# Steps of a displacement in a half sample, and in a step of a position.
UNIT, FINER = 16, 4
# Names of the inputs from the two nodes.
NODES = ("before", "after")
# Stride of planes in luma samples -> samples along an axis that share a displacement.
CELLS = {1: 4, 4: 1}
# Spec 7.6.5: factors and shifts of the lifting steps.
GAIN, LIFTS = (315, 8), ((7, 4), (113, 7), (217, 12), (203, 7))


@dataclass
class _Graph:
    """A graph under construction; every method returns the name of the value that it adds."""

    model: onnx.ModelProto = field(
        default_factory=lambda: onnx.ModelProto(ir_version=IR_VERSION, opset_import=[helper.make_opsetid("", OPSET)])
    )

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.model.graph.node)}"
        self.model.graph.node.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def value(self, values: object, dtype: type[np.generic]) -> str:
        """A constant."""
        array = np.array(values, dtype)
        name = f"c{len(self.model.graph.initializer)}"
        self.model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values: int) -> str:
        """An int64 constant of one dimension."""
        return self.value(values, np.int64)

    def input(self, name: str, dtype: int, *shape: int | str) -> str:
        self.model.graph.input.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, source: str, name: str, dtype: int, *shape: int | str) -> onnx.ModelProto:
        """Name the last value as the graph's output, and return the finished model."""
        self.model.graph.node[-1].output[0] = name
        if source != f"v{len(self.model.graph.node) - 1}":
            raise RuntimeError("the output is not the last value")
        self.model.graph.name = "motion"
        self.model.graph.output.append(helper.make_tensor_value_info(name, dtype, shape))
        return self.model

    def clip(self, x: str, low: float, high: float) -> str:
        return self.node("Clip", x, self.value(low, np.float32), self.value(high, np.float32))

    def activations(self, x: str, unit: int = 1) -> str:
        """x clipped to activations, in steps of 1 / `unit`."""
        return self.clip(x, unit * ACTIVATION_MIN, unit * ACTIVATION_MAX)

    def size(self, x: str, axis: int) -> str:
        """Length of an axis, int64 [1]."""
        return self.node("Shape", x, start=axis, end=axis + 1)

    def slice(self, x: str, axis: int, start: int | str, stop: int | str) -> str:
        first, last = (self.ints(end) if isinstance(end, int) else end for end in (start, stop))
        return self.node("Slice", x, first, last, self.ints(axis))

    def padded(self, x: str, borders: Sequence[int]) -> str:
        """[., ., H, W] with its edges repeated; `borders` are the repeats at the top, left, bottom and right."""
        top, left, bottom, right = borders
        return self.node("Pad", x, self.ints(0, 0, top, left, 0, 0, bottom, right), mode="edge")

    def reshaped(self, x: str, *sizes: int | str) -> str:
        """x with other sizes, each a constant or an int64 [1]."""
        parts = [self.ints(size) if isinstance(size, int) else size for size in sizes]
        return self.node("Reshape", x, self.node("Concat", *parts, axis=0))

    def scaled(self, x: str, factor: float) -> str:
        return self.node("Mul", x, self.value(factor, np.float32))

    def rounded(self, x: str) -> str:
        """x rounded to the nearest integer, a half upwards."""
        return self.node("Floor", self.node("Add", x, self.value(0.5, np.float32)))

    def complement(self, x: str, whole: int) -> str:
        """`whole` - x."""
        return self.node("Sub", self.value(whole, np.float32), x)

    def halved(self, n: str) -> str:
        """Half of each size, rounded up."""
        return self.node("Div", self.node("Add", n, self.ints(1)), self.ints(2))


def export_wavelet() -> onnx.ModelProto:
    """One level of the inverse wavelet transform (spec 7.6.5).

    Inputs: ``low`` float32 [1, 1, H', W'], cut to the size of the details, and ``details`` [1, 3, H, W] (HL, LH, HH).
    Output ``up`` float32 [1, 1, 2 * H, 2 * W]. ``details`` has activations, ``low`` and ``up`` quarters of their steps.
    """
    g = _Graph()
    low = g.input("low", TensorProto.FLOAT, 1, 1, "low_rows", "low_columns")
    details = g.input("details", TensorProto.FLOAT, 1, 3, "rows", "columns")
    low = g.node("Slice", low, g.ints(0, 0), g.node("Shape", details, start=2, end=4), g.ints(2, 3))
    details = g.scaled(details, LIFTING_UNIT)
    # Channels hold the low and high halves of a row, then also the even and odd rows.
    left = g.node("Concat", low, g.slice(details, 1, 0, 1), axis=1)
    rows = _lifted(g, left, g.slice(details, 1, 1, 3), 2)
    above, below = (g.node("Concat", *(g.slice(row, 1, k, k + 1) for row in rows), axis=1) for k in range(2))
    columns = _lifted(g, above, below, 3)
    phases = g.node("Concat", *(g.slice(column, 1, k, k + 1) for k in range(2) for column in columns), axis=1)
    up = g.node("DepthToSpace", phases, blocksize=2, mode="DCR")
    return g.output(up, "up", TensorProto.FLOAT, 1, 1, "up_rows", "up_columns")


def _lifted(g: _Graph, low: str, high: str, axis: int) -> tuple[str, str]:
    """Samples at even and at odd places of the axis, from low and high ones."""
    ends = g.size(low, axis), g.node("Add", g.size(low, axis), g.ints(1))
    border = [0, 0]
    border[axis - 2] = 1

    def pairs(x: str, later: int) -> str:
        """Sums of neighbours: of a sample and the one before, or after."""
        wide = g.padded(x, [n * (1 - later) for n in border] + [n * later for n in border])
        return g.node("Add", g.slice(wide, axis, 0, ends[0]), g.slice(wide, axis, 1, ends[1]))

    def scaled(x: str, factor: int, shift: int) -> str:
        return g.rounded(g.scaled(x, factor / 2**shift))

    even, odd = scaled(low, *GAIN), high
    even = g.node("Sub", even, scaled(pairs(odd, 0), *LIFTS[0]))
    odd = g.node("Sub", odd, scaled(pairs(even, 1), *LIFTS[1]))
    even = g.node("Add", even, scaled(pairs(odd, 0), *LIFTS[2]))
    odd = g.node("Add", odd, scaled(pairs(even, 1), *LIFTS[3]))
    return g.activations(even, LIFTING_UNIT), g.activations(odd, LIFTING_UNIT)


def export_moves() -> onnx.ModelProto:
    """Displacements of the cells of some frames to two nodes, and the weight of the later one (spec 7.6.1).

    Inputs: ``here`` float32 [B, 3, H, W], dequantised positions and blend; ``before`` and ``after`` [1, 3, H, W], those
    of the nodes; ``split`` [B, 5, H', W'], what 8x8 samples add to each channel of the output; ``share`` [B, 1, 1, 1];
    ``size`` int64 [2], rows and columns of cells. Output ``moves`` float32 [B, 5, rows, columns]: vertical and
    horizontal displacement to the node before, then to the one after; weight.
    """
    g = _Graph()
    here = g.input("here", TensorProto.FLOAT, "batch", FLOW_CHANNELS, "flow_rows", "flow_columns")
    nodes = [g.input(name, TensorProto.FLOAT, 1, FLOW_CHANNELS, "flow_rows", "flow_columns") for name in NODES]
    split = g.input("split", TensorProto.FLOAT, "batch", 5, "split_rows", "split_columns")
    share = g.input("share", TensorProto.FLOAT, "batch", 1, 1, 1)
    size = g.input("size", TensorProto.INT64, 2)
    position = g.slice(here, 1, 0, 2)
    steps = (g.scaled(g.node("Sub", g.slice(node, 1, 0, 2), position), FINER) for node in nodes)
    moves = g.node("Concat", *steps, g.slice(here, 1, 2, 3), axis=1)
    for sizes in (g.halved(size), size):
        moves = _doubled(g, moves, sizes)
    # Each value of the split grid is that of 2x2 cells.
    added = g.node("DepthToSpace", g.node("Concat", *(4 * [split]), axis=1), blocksize=2, mode="DCR")
    moves = g.node("Add", moves, g.node("Slice", added, g.ints(0, 0), size, g.ints(2, 3)))
    weight = g.clip(g.node("Add", g.slice(moves, 1, 4, 5), share), 0, BLEND_UNIT)
    moves = g.node("Concat", g.slice(moves, 1, 0, 4), weight, axis=1)
    return g.output(moves, "moves", TensorProto.FLOAT, "batch", 5, "cell_rows", "cell_columns")


def export_predict(stride: int) -> onnx.ModelProto:
    """Planes at some frames from those of two nodes (spec 7.6.3), as they enter their stage (spec 7.6.6).

    Inputs: ``before`` and ``after`` int16 [1, P, H', W'] of `export_refine`; ``moves`` of `export_moves`. Output
    ``predicted`` float32: [B, P, H, W], or the phases of the luma plane [B, 4, H, W].
    """
    g = _Graph()
    nodes = [g.input(name, TensorProto.INT16, 1, "planes", "node_rows", "node_columns") for name in NODES]
    moves = g.input("moves", TensorProto.FLOAT, "batch", 5, "cell_rows", "cell_columns")
    cell = CELLS[stride]
    batch, count, columns = g.size(moves, 0), g.size(nodes[0], 1), g.size(moves, 3)
    # The parts of both in BLEND_UNIT, [1, B, 1, 1, cells].
    later = g.reshaped(g.slice(moves, 1, 4, 5), 1, batch, 1, 1, -1)
    parts = (g.scaled(part, 1 / (BLEND_UNIT * UNIT**2)) for part in (g.complement(later, BLEND_UNIT), later))
    samples = [
        _fetched(g, node, g.slice(moves, 1, 2 * k, 2 * k + 2), part, cell)
        for k, (node, part) in enumerate(zip(nodes, parts, strict=True))
    ]
    blended = g.rounded(g.node("Add", *samples))
    if cell == 1:
        planes = g.node("Transpose", g.reshaped(blended, count, batch, -1), perm=[1, 0, 2])
        result = g.reshaped(planes, batch, count, -1, columns)
    else:
        # A cell's row is 2 * i + k, its column 2 * j + l: (k, l) is the channel, and (i, j) go back between the cells.
        phases = g.node("Transpose", g.reshaped(blended, batch, 2, 2, 2, 2, -1), perm=[0, 2, 4, 1, 3, 5])
        whole = g.node("DepthToSpace", g.reshaped(phases, batch, 16, -1, columns), blocksize=2, mode="CRD")
        # The last cells may stand out of the plane, which has 2 * n - 1 half samples and the borders.
        ends = (
            g.node("Div", g.node("Sub", g.size(nodes[0], axis), g.ints(2 * BORDER - 1)), g.ints(4)) for axis in (2, 3)
        )
        result = g.node("Slice", whole, g.ints(0, 0), g.node("Concat", *ends, axis=0), g.ints(2, 3))
    return g.output(result, "predicted", TensorProto.FLOAT, "batch", "channels", "rows", "columns")


def export_refine(stride: int) -> onnx.ModelProto:
    """A node from its prediction and its residual, with half samples (spec 7.6.2, 7.6.4).

    Inputs: ``predicted`` of `export_predict` for one frame, ``residual`` float32 [1, P, H, W] or zero [1, 1, 1, 1], of
    luma in quarters of an activation step.
    Output ``refined`` int16 [1, P, 2 * H - 1 + 2 * BORDER, 2 * W - 1 + 2 * BORDER], the edges repeated.
    """
    g = _Graph()
    predicted = g.input("predicted", TensorProto.FLOAT, 1, 4 if stride == 1 else "planes", "rows", "columns")
    residual = g.input("residual", TensorProto.FLOAT, 1, "residuals", "residual_rows", "residual_columns")
    if stride == 1:
        predicted = g.node("DepthToSpace", predicted, blocksize=2, mode="CRD")
        residual = g.rounded(g.scaled(residual, 1 / LIFTING_UNIT))
    x = g.activations(g.node("Add", predicted, residual))
    for axis in (3, 2):
        x = _refined(g, x, axis)
    x = g.node("Cast", g.padded(x, 4 * [BORDER]), to=TensorProto.INT16)
    return g.output(x, "refined", TensorProto.INT16, 1, "planes", "node_rows", "node_columns")


def export_join() -> onnx.ModelProto:
    """Frames behind others: ``first`` [B, C, H, W] and ``second`` [D, C, H, W] are ``joined`` [B + D, C, H, W]."""
    g = _Graph()
    first, second = (
        g.input(name, TensorProto.FLOAT, f"{name}_frames", "channels", "rows", "columns")
        for name in ("first", "second")
    )
    x = g.node("Concat", first, second, axis=0)
    return g.output(x, "joined", TensorProto.FLOAT, "frames", "channels", "rows", "columns")


def _refined(g: _Graph, x: str, axis: int) -> str:
    """Samples halfway between those along an axis of [1, P, H, W], put between them."""
    near = [0, 0]
    near[axis - 2] = 1
    wide = g.padded(x, near + [2 * n for n in near])
    size = g.size(x, axis)
    # One too many: there is none behind the last sample.
    taps = [g.slice(wide, axis, k, g.node("Add", size, g.ints(k))) for k in range(4)]
    inner, outer = g.node("Add", taps[1], taps[2]), g.node("Add", taps[0], taps[3])
    sums = g.node("Sub", g.scaled(inner, 19), g.scaled(outer, 3))
    between = g.activations(g.rounded(g.scaled(sums, 1 / 32)))
    sizes = [g.size(x, k) for k in range(4)]
    pairs = [g.reshaped(part, *sizes[: axis + 1], 1, *sizes[axis + 1 :]) for part in (x, between)]
    twice = g.node("Add", size, size)
    x = g.reshaped(g.node("Concat", *pairs, axis=axis + 1), *sizes[:axis], twice, *sizes[axis + 1 :])
    return g.slice(x, axis, 0, g.node("Sub", twice, g.ints(1)))


def _doubled(g: _Graph, x: str, sizes: str) -> str:
    """x2, cropped (spec 7.10).

    It uses sums and no convolution, as displacements have more bits than TF32 keeps of a convolution's operands.
    """
    ends = {axis: g.node("Add", g.size(x, axis), g.ints(1)) for axis in (2, 3)}

    def phases(padded: str, axis: int) -> list[str]:
        """Four times the samples at even and at odd places of the axis."""
        near = g.scaled(g.slice(padded, axis, 1, ends[axis]), 3)
        before, after = g.slice(padded, axis, 0, g.size(x, axis)), g.slice(padded, axis, 2, g.size(padded, axis))
        return [g.node("Add", near, far) for far in (before, after)]

    sums = [both for rows in phases(g.padded(x, (1, 1, 1, 1)), 2) for both in phases(rows, 3)]
    x = g.rounded(g.scaled(g.node("Concat", *sums, axis=1), 1 / 16))
    x = g.node("DepthToSpace", x, blocksize=2, mode="DCR")
    return g.node("Slice", x, g.ints(0, 0), sizes, g.ints(2, 3))


def _fetched(g: _Graph, node: str, moves: str, part: str, cell: int) -> str:
    """The samples of a node's planes at displaced places, times its weight: float32 [P, B, cell, cell, cells].

    Args:
        node: planes of the node, int16 [1, P, H', W'].
        moves: displacements, float32 [B, 2, rows, columns].
        part: blend weight of the node, [1, B, 1, 1, cells], divided by UNIT^2.
        cell: samples along an axis that share a displacement.
    """
    if cell == 1:
        moves = g.rounded(g.scaled(moves, 1 / 4))
    whole = g.node("Floor", g.scaled(moves, 1 / UNIT))
    fraction = g.node("Sub", moves, g.scaled(whole, UNIT))
    batch, count = g.size(moves, 0), g.size(node, 1)
    index = _index(g, node, g.node("Cast", whole, to=TensorProto.INT32), cell)
    fetched = g.node("GatherElements", g.reshaped(node, count, -1), g.reshaped(index, count, -1), axis=1)
    fetched = g.reshaped(g.node("Cast", fetched, to=TensorProto.FLOAT), count, batch, 2 * cell, 2 * cell, -1)
    # Weight of the later of two half samples along each axis.
    down, across = (g.reshaped(g.slice(fraction, 1, k, k + 1), 1, batch, 1, 1, -1) for k in range(2))
    for axis, later, scale in ((3, across, None), (2, down, part)):
        weights = [g.complement(later, UNIT), later]
        if scale is not None:
            weights = [g.node("Mul", weight, scale) for weight in weights]
        halves = g.slice(fetched, axis, 0, cell), g.slice(fetched, axis, cell, 2 * cell)
        fetched = g.node("Add", *(g.node("Mul", *pair) for pair in zip(halves, weights, strict=True)))
    return fetched


def _index(g: _Graph, node: str, whole: str, cell: int) -> str:
    """Indices of the taps of each cell in a flattened plane: int32 [P, B, taps^2, cells].

    Along each axis the first taps of all samples of the cell come first, then the second ones. A cell's corner is
    clamped to the plane with its border, beyond which every sample equals the edge.

    Args:
        node: planes of the node, int16 [1, P, H', W'].
        whole: displacements in whole half samples, int32 [B, 2, rows, columns].
        cell: samples along an axis that share a displacement.
    """
    places = []
    for k, shape in enumerate(((-1, 1), (1, -1))):
        cells = g.node("Squeeze", g.size(whole, 2 + k))
        numbers = g.node(
            "Cast", g.node("Range", g.value(0, np.int64), cells, g.value(1, np.int64)), to=TensorProto.INT32
        )
        starts = g.node("Add", g.node("Mul", numbers, g.value(2 * cell, np.int32)), g.value(BORDER, np.int32))
        moved = g.node("Add", g.slice(whole, 1, k, k + 1), g.reshaped(starts, *shape))
        most = g.node("Sub", g.size(node, 2 + k), g.ints(2 * cell))
        most = g.node("Squeeze", g.node("Cast", most, to=TensorProto.INT32))
        places.append(g.node("Clip", moved, g.value(0, np.int32), most))
    line = g.node("Cast", g.size(node, 3), to=TensorProto.INT32)
    corner = g.reshaped(g.node("Add", g.node("Mul", places[0], line), places[1]), 1, g.size(whole, 0), 1, -1)
    taps = np.add.outer((0, 1), 2 * np.arange(cell)).reshape(-1)
    steps = g.node("Add", g.node("Mul", g.value(taps[:, None], np.int32), line), g.value(taps, np.int32))
    # The indices are the same in each plane.
    steps = g.node("Expand", g.reshaped(steps, 1, 1, -1, 1), g.node("Concat", g.size(node, 1), g.ints(1, 1, 1), axis=0))
    return g.node("Add", corner, steps)


MOTION_GRAPHS: dict[str, Callable[[], onnx.ModelProto]] = {
    "wavelet": export_wavelet,
    "moves": export_moves,
    "join": export_join,
    **{f"predict-{stride}": functools.partial(export_predict, stride) for stride in CELLS},
    **{f"refine-{stride}": functools.partial(export_refine, stride) for stride in CELLS},
}
