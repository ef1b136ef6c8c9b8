"""Writes the graphs of motion: what a NETWORK makes of the grids that move, and the warp to a frame (spec 7.6).

They are built operator by operator rather than from a PyTorch definition: that way indices are 32-bit integers from
the first to the last, and the taps of a cell of 4x4 samples are fetched together. `nvrc_encoder.export_profile` writes
them with the others.

``moves`` gives the displacements of each cell at a frame. ``nodes`` makes planes with repeated edges of one node of a
grid, to whose first channel ``base`` may add another, upsampled. ``chain`` adds to them what the planes of the node
before predict, and ``warp`` moves the planes of two nodes to a frame and blends them. The last three exist for slots of
stride 2, whose planes are of full resolution, and of stride 4. The planes are int16, which is half the memory and twice
the speed where they are read out of order.

Every edge of a graph holds integers of at most 2^24 in magnitude, or multiples of 2^-13 of such, so float32 is exact
(spec 6.3).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nvrc_decoder.profiles import ACTIVATION_MAX, ACTIVATION_MIN, PROFILES, WARPED_TEMPORAL_STRIDE

__all__ = ["MOTION_GRAPHS", "export_base", "export_chain", "export_moves", "export_nodes", "export_warp"]

OPSET, IR_VERSION = 18, 10
# Steps of a displacement in a sample, and in a step of a position.
UNIT, FINER = 32, 4
# Stride of the slot -> samples of its planes along an axis that move together; the planes of stride 2 are interleaved.
CELLS = {2: 4, 4: 1}


@dataclass
class _Graph:
    """A graph in the making; every method returns the name of what it makes."""

    model: onnx.ModelProto = field(
        default_factory=lambda: onnx.ModelProto(ir_version=IR_VERSION, opset_import=[helper.make_opsetid("", OPSET)])
    )

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
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
        """int64 constant of one dimension."""
        return self.value(values, np.int64)

    def placeholder(self, name: str, *shape: int) -> str:
        """A tensor that a stream gives; as `export_profile` leaves them."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        length = 4 * int(np.prod(shape))
        for key, value in (("location", "stream"), ("offset", "0"), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        self.model.graph.initializer.append(tensor)
        return name

    def input(self, name: str, dtype: int, *shape: int | str) -> str:
        self.model.graph.input.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, source: str, name: str, dtype: int, *shape: int | str) -> onnx.ModelProto:
        """Name the result, and the graph is done."""
        self.model.graph.node[-1].output[0] = name
        if source != f"v{len(self.model.graph.node) - 1}":
            raise RuntimeError("the output is not the last value")
        self.model.graph.name = "motion"
        self.model.graph.output.append(helper.make_tensor_value_info(name, dtype, shape))
        return self.model

    def clip(self, x: str, low: float, high: float) -> str:
        return self.node("Clip", x, self.value(low, np.float32), self.value(high, np.float32))

    def dequantised(self, grid: str, multiplier: str) -> str:
        """Spec 7.4."""
        return self.clip(self.node("Mul", grid, multiplier), ACTIVATION_MIN, ACTIVATION_MAX)

    def size(self, x: str, axis: int) -> str:
        """Length of an axis, int64 [1]."""
        return self.node("Shape", x, start=axis, end=axis + 1)

    def slice(self, x: str, axis: int, start: int | str, stop: int | str) -> str:
        first, last = (self.ints(end) if isinstance(end, int) else end for end in (start, stop))
        return self.node("Slice", x, first, last, self.ints(axis))

    def padded(self, x: str, border: int) -> str:
        """Repeat the edges of [., ., H, W]."""
        return self.node("Pad", x, self.ints(0, 0, border, border, 0, 0, border, border), mode="edge")

    def reshaped(self, x: str, *sizes: int | str) -> str:
        """Sizes are constants or int64 [1]."""
        parts = [self.ints(size) if isinstance(size, int) else size for size in sizes]
        return self.node("Reshape", x, self.node("Concat", *parts, axis=0))

    def scaled(self, x: str, factor: float) -> str:
        return self.node("Mul", x, self.value(factor, np.float32))

    def rounding(self, x: str) -> str:
        return self.node("Add", x, self.value(0.5, np.float32))

    def rounded(self, x: str) -> str:
        """Halves go up."""
        return self.node("Floor", self.rounding(x))

    def complement(self, x: str, whole: int) -> str:
        """What is missing to `whole`."""
        return self.node("Sub", self.value(whole, np.float32), x)

    def halved(self, n: str) -> str:
        """Half of each size, rounded up."""
        return self.node("Div", self.node("Add", n, self.ints(1)), self.ints(2))

    def nodes_at(self, x: str, index: str, last: str) -> str:
        """Elements of axis 0, the last one repeated."""
        return self.node("Gather", x, self.node("Clip", index, "", last), axis=0)


def export_base() -> onnx.ModelProto:
    """A base channel at twice its size (spec 7.6.4).

    Inputs: ``grid`` float32 [1, 1, H, W], quantised; ``size`` int64 [2]. Output ``base`` float32 [1, 1, *size].
    Placeholder ``base.multiplier``.
    """
    g = _Graph()
    grid = g.input("grid", TensorProto.FLOAT, 1, 1, "rows", "columns")
    size = g.input("size", TensorProto.INT64, 2)
    x = _doubled(g, g.dequantised(grid, g.placeholder("base.multiplier", 1, 1, 1, 1)), size)
    return g.output(x, "base", TensorProto.FLOAT, 1, 1, "base_rows", "base_columns")


def export_nodes(stride: int, channels: int) -> onnx.ModelProto:
    """A node of a grid [1, C, H, W], quantised, as int16 planes [1, P, H', W'] with borders.

    Stride 4: a plane is a channel. Stride 2: the mix layer, then four channels are the phases of one plane (spec
    7.6.3); input ``base`` of `export_base` or, where there is none, a zero. Placeholders ``multiplier`` and, at stride
    2, ``mix.weight`` and ``mix.bias``, dense: a grouped convolution might have an algorithm of its own.
    """
    g = _Graph()
    grid = g.input("grid", TensorProto.FLOAT, 1, channels, "rows", "columns")
    planes = channels
    if stride == 2:
        base = g.input("base", TensorProto.FLOAT, 1, 1, "base_rows", "base_columns")
    x = g.dequantised(grid, g.placeholder("multiplier", 1, channels, 1, 1))
    if stride == 2:
        first = g.clip(g.node("Add", g.slice(x, 1, 0, 1), base), ACTIVATION_MIN, ACTIVATION_MAX)
        x = g.node("Concat", first, g.slice(x, 1, 1, channels), axis=1)
        weight, bias = g.placeholder("mix.weight", channels, channels, 1, 1), g.placeholder("mix.bias", channels)
        x = g.node("Conv", x, weight, bias, kernel_shape=[1, 1], strides=[1, 1], dilations=[1, 1])
        x = g.node("Floor", g.clip(x, ACTIVATION_MIN, ACTIVATION_MAX + 0.5))
        x = g.node("DepthToSpace", x, blocksize=2, mode="CRD")
        planes = channels // 4
    x = g.node("Cast", g.padded(x, CELLS[stride]), to=TensorProto.INT16)
    return g.output(x, "planes", TensorProto.INT16, 1, planes, "plane_rows", "plane_columns")


def export_moves() -> onnx.ModelProto:
    """Where the cells of some frames lie in two nodes (spec 7.6.1).

    Inputs: ``frames`` int64 [B], counted from the node before; ``flow`` float32 [M, 2, H, W], quantised, from that node
    on; ``later`` int64 [1], 1 if there is a node after, otherwise 0; ``size`` int64 [2], rows and columns of cells.
    Output ``moves`` float32 [B, 4, rows, columns]: vertical and horizontal displacement to the node before, then to the
    one after. Placeholder ``flow.multiplier``.
    """
    g = _Graph()
    frames = g.input("frames", TensorProto.INT64, "batch")
    flow = g.input("flow", TensorProto.FLOAT, "flow_nodes", 2, "flow_rows", "flow_columns")
    later = g.input("later", TensorProto.INT64, 1)
    size = g.input("size", TensorProto.INT64, 2)
    positions = g.dequantised(flow, g.placeholder("flow.multiplier", 1, 2, 1, 1))
    last = g.node("Squeeze", g.node("Sub", g.size(positions, 0), g.ints(1)))
    here = g.nodes_at(positions, frames, last)
    ratio = g.ints(WARPED_TEMPORAL_STRIDE)
    there = (g.nodes_at(positions, n, last) for n in (g.ints(0), g.node("Mul", later, ratio)))
    moves = g.scaled(g.node("Concat", *(g.node("Sub", x, here) for x in there), axis=1), FINER)
    for sizes in (g.halved(size), size):
        moves = _doubled(g, moves, sizes)
    return g.output(moves, "moves", TensorProto.FLOAT, "batch", 4, "cell_rows", "cell_columns")


def export_chain(stride: int) -> onnx.ModelProto:
    """Planes of a node: what `export_nodes` gives, and what the node before predicts (spec 7.6.3).

    Inputs: ``residual`` and ``previous`` int16 [1, P, H', W']; ``moves`` of `export_moves` for the frame of the node,
    counted from the one before; ``cells`` int64 [2], the first row of cells that is wanted and the one after the last.
    Output ``planes`` int16: those rows of the planes, with repeated edges like a whole plane.
    """
    g = _Graph()
    residual, previous = (
        g.input(name, TensorProto.INT16, 1, "planes", "plane_rows", "plane_columns")
        for name in ("residual", "previous")
    )
    moves = g.input("moves", TensorProto.FLOAT, 1, 4, "cell_rows", "cell_columns")
    cells = g.input("cells", TensorProto.INT64, 2)
    cell = CELLS[stride]
    count = g.size(previous, 1)
    samples, (first, stop) = _bilinear(g, previous, g.slice(moves, 1, 0, 2), cells, stride, 1)
    predicted = g.rounded(g.scaled(samples, 1 / UNIT**2))
    predicted = g.reshaped(predicted, 1, g.node("Mul", count, g.ints(cell * cell)), g.node("Sub", stop, first), -1)
    if cell > 1:
        predicted = g.node("DepthToSpace", predicted, blocksize=cell, mode="CRD")
    border = g.ints(cell)
    start = g.node("Add", g.node("Mul", first, border), border)
    limits = [g.node("Sub", g.size(residual, axis), border) for axis in (2, 3)]
    bottom = g.node("Min", g.node("Add", g.node("Mul", stop, border), border), limits[0])
    starts, ends = g.node("Concat", start, border, axis=0), g.node("Concat", bottom, limits[1], axis=0)
    own = g.node("Cast", g.node("Slice", residual, starts, ends, g.ints(2, 3)), to=TensorProto.FLOAT)
    # The last cells may stand out of the plane.
    sizes = g.node("Sub", ends, starts)
    predicted = g.node("Slice", predicted, g.ints(0, 0), sizes, g.ints(2, 3))
    x = g.clip(g.node("Add", own, predicted), ACTIVATION_MIN, ACTIVATION_MAX)
    x = g.node("Cast", g.padded(x, cell), to=TensorProto.INT16)
    return g.output(x, "planes", TensorProto.INT16, 1, "planes", "band_rows", "plane_columns")


def export_warp(stride: int) -> onnx.ModelProto:
    """Planes of two nodes at some frames between them, as the channels of the slot (spec 7.6.2, 7.6.5).

    Inputs: ``frames`` int64 [B], 0 .. 7, counted from the node before; ``before`` and ``after`` int16 [1, P, H', W'];
    ``moves`` of `export_moves`; ``cells`` int64 [2], the first row of cells that is wanted and the one after the last.
    Output ``warped`` float32: those rows of [B, C, H, W].
    """
    g = _Graph()
    frames = g.input("frames", TensorProto.INT64, "batch")
    nodes = [
        g.input(name, TensorProto.INT16, 1, "planes", "plane_rows", "plane_columns") for name in ("before", "after")
    ]
    moves = g.input("moves", TensorProto.FLOAT, "batch", 4, "cell_rows", "cell_columns")
    cells = g.input("cells", TensorProto.INT64, 2)
    cell = CELLS[stride]
    batch, count = g.size(frames, 0), g.size(nodes[0], 1)
    planes = g.node("Concat", *nodes, axis=0)
    # What each node has of the whole: [2, 1, B, 1, 1, 1].
    passed = g.reshaped(g.node("Cast", frames, to=TensorProto.FLOAT), 1, -1)
    shares = g.node("Concat", g.complement(passed, WARPED_TEMPORAL_STRIDE), passed, axis=0)
    shares = g.scaled(g.reshaped(shares, 2, 1, -1, 1, 1, 1), 1 / (WARPED_TEMPORAL_STRIDE * UNIT**2))
    samples, (first, stop) = _bilinear(g, planes, moves, cells, stride, 2, shares)
    samples = g.node("Floor", g.node("Add", g.rounding(g.slice(samples, 0, 0, 1)), g.slice(samples, 0, 1, 2)))
    shown, columns = g.node("Sub", stop, first), g.size(moves, 3)
    if stride == 4:
        samples = g.node("Transpose", g.reshaped(samples, count, batch, -1), perm=[1, 0, 2])
        result = g.reshaped(samples, batch, count, shown, columns)
    else:
        # A cell's row is 2 * i + k, its column 2 * j + l: (k, l) is the channel, and (i, j) go back between the cells.
        phases = g.node("Transpose", g.reshaped(samples, count, batch, 2, 2, 2, 2, -1), perm=[1, 0, 3, 5, 2, 4, 6])
        phases = g.reshaped(phases, batch, g.node("Mul", count, g.ints(16)), shown, columns)
        whole_cells = g.node("DepthToSpace", phases, blocksize=2, mode="CRD")
        # The border is as wide as a cell on both sides, and the last cells may stand out.
        rows, columns = (g.halved(g.node("Sub", g.size(nodes[0], axis), g.ints(2 * cell))) for axis in (2, 3))
        ends = g.node("Concat", g.node("Sub", rows, g.node("Mul", first, g.ints(2))), columns, axis=0)
        result = g.node("Slice", whole_cells, g.ints(0, 0), ends, g.ints(2, 3))
    return g.output(result, "warped", TensorProto.FLOAT, "batch", "channels", "rows", "columns")


def _doubled(g: _Graph, x: str, sizes: str) -> str:
    """x2, cropped (spec 7.10).

    By sums rather than a convolution: displacements have more bits than TF32 leaves to a convolution's operands.
    """
    ends = {axis: g.node("Add", g.size(x, axis), g.ints(1)) for axis in (2, 3)}

    def phases(padded: str, axis: int) -> list[str]:
        """Four times the samples at even and at odd places of the axis."""
        near = g.scaled(g.slice(padded, axis, 1, ends[axis]), 3)
        before, after = g.slice(padded, axis, 0, g.size(x, axis)), g.slice(padded, axis, 2, g.size(padded, axis))
        return [g.node("Add", near, far) for far in (before, after)]

    sums = [both for rows in phases(g.padded(x, 1), 2) for both in phases(rows, 3)]
    x = g.rounded(g.scaled(g.node("Concat", *sums, axis=1), 1 / 16))
    x = g.node("DepthToSpace", x, blocksize=2, mode="DCR")
    return g.node("Slice", x, g.ints(0, 0), sizes, g.ints(2, 3))


def _bilinear(
    g: _Graph, planes: str, moves: str, cells: str, stride: int, nodes: int, shares: str | None = None
) -> tuple[str, tuple[str, str]]:
    """UNIT^2 times the samples of planes at displaced places: float32 [nodes, P, B, cell, cell, cells].

    A cell reads (cell + 1)^2 samples of each plane and node, at one place that is cut to the plane with its border:
    further out there is only the edge's sample, whatever the fraction.

    Args:
        planes: int16 [nodes, P, H', W'].
        moves: float32 [B, 2 * nodes, rows, columns].
        cells: the first row of cells and the one after the last.
        stride: of the slot.
        nodes: how many.
        shares: a factor for each node and frame, [nodes, 1, B, 1, 1, 1].

    Returns:
        The samples, and the two values of `cells`.
    """
    cell = CELLS[stride]
    taps = cell + 1
    count = g.size(planes, 1)
    first, stop = (g.slice(cells, 0, k, k + 1) for k in range(2))
    moves = g.slice(moves, 2, first, stop)
    if stride == 4:
        moves = g.rounded(g.scaled(moves, 1 / 4))
    sizes = [g.size(moves, axis) for axis in (0, 2, 3)]
    # [nodes, axis, B, rows, columns]
    moves = g.node("Transpose", g.reshaped(moves, sizes[0], nodes, 2, *sizes[1:]), perm=[1, 2, 0, 3, 4])
    whole = g.node("Floor", g.scaled(moves, 1 / UNIT))
    part = g.node("Sub", moves, g.scaled(whole, UNIT))
    index = _index(g, planes, g.node("Cast", whole, to=TensorProto.INT32), cell, (first, stop))
    # One row for each node and plane.
    lines = g.node("Mul", count, g.ints(nodes))
    fetched = g.node("GatherElements", g.reshaped(planes, lines, -1), g.reshaped(index, lines, -1), axis=1)
    fetched = g.node("Cast", fetched, to=TensorProto.FLOAT)
    fetched = g.reshaped(fetched, nodes, count, sizes[0], taps, taps, -1)
    # What the later sample has of UNIT along each axis.
    down, across = (
        g.reshaped(g.node("Gather", part, g.value(axis, np.int64), axis=1), nodes, 1, sizes[0], 1, 1, -1)
        for axis in (0, 1)
    )
    blended = g.node(
        "Add",
        g.node("Mul", g.slice(fetched, 4, 0, cell), g.complement(across, UNIT)),
        g.node("Mul", g.slice(fetched, 4, 1, taps), across),
    )
    weights = [g.complement(down, UNIT), down]
    if shares is not None:
        weights = [g.node("Mul", weight, shares) for weight in weights]
    blended = g.node(
        "Add",
        g.node("Mul", g.slice(blended, 3, 0, cell), weights[0]),
        g.node("Mul", g.slice(blended, 3, 1, taps), weights[1]),
    )
    return blended, (first, stop)


def _index(g: _Graph, planes: str, whole: str, cell: int, rows: tuple[str, str]) -> str:
    """Where the taps of each cell lie in a flattened plane: int32 [nodes, P, B, taps, cells]."""
    taps = cell + 1
    starts = (g.node("Squeeze", rows[0]), g.value(0, np.int64))
    stops = (g.node("Squeeze", rows[1]), g.node("Squeeze", g.size(whole, 4)))
    places = []
    for axis, ends in enumerate(zip(starts, stops, strict=True)):
        numbers = g.node("Cast", g.node("Range", *ends, g.value(1, np.int64)), to=TensorProto.INT32)
        # The border is as wide as a cell.
        numbers = g.node("Mul", g.node("Add", numbers, g.value(1, np.int32)), g.value(cell, np.int32))
        if axis == 0:
            numbers = g.reshaped(numbers, -1, 1)
        moved = g.node("Add", g.node("Gather", whole, g.value(axis, np.int64), axis=1), numbers)
        most = g.node("Sub", g.size(planes, 2 + axis), g.ints(taps))
        most = g.node("Squeeze", g.node("Cast", most, to=TensorProto.INT32))
        places.append(g.node("Clip", moved, g.value(0, np.int32), most))
    row_length = g.node("Cast", g.size(planes, 3), to=TensorProto.INT32)
    corner = g.node("Add", g.node("Mul", places[0], row_length), places[1])
    steps = g.node("Mul", g.value(np.arange(taps)[:, None], np.int32), row_length)
    steps = g.reshaped(g.node("Add", steps, g.value(np.arange(taps), np.int32)), 1, 1, 1, taps * taps, 1)
    steps = g.node("Expand", steps, g.node("Concat", g.ints(1), g.size(planes, 1), g.ints(1, 1, 1), axis=0))
    nodes, batch = g.size(whole, 0), g.size(whole, 2)
    return g.node("Add", g.reshaped(corner, nodes, 1, batch, 1, -1), steps)


MOTION_GRAPHS: dict[str, Callable[[], onnx.ModelProto]] = {
    "base": export_base,
    "moves": export_moves,
    **{
        f"nodes-{stride}-{channels}": functools.partial(export_nodes, stride, channels)
        for stride, channels in sorted(
            {(p.slots[i].stride, p.slots[i].max_channels) for p in PROFILES for i in p.warped_slots}
        )
    },
    **{f"chain-{stride}": functools.partial(export_chain, stride) for stride in CELLS},
    **{f"warp-{stride}": functools.partial(export_warp, stride) for stride in CELLS},
}
