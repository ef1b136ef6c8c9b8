"""Builds an ONNX graph operator by operator, and takes shipped graphs in as parts of it, without the onnx package.

Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InternalError
from nvrc_decoder.export.protobuf import fields, fixed32, integer, message, packed, string

__all__ = ["OPSET", "Array", "Constants", "Graph", "tensor_head", "tensor_type"]

OPSET = 18
"""That of the shipped graphs."""

Array = npt.NDArray[np.generic]
Attribute = int | float | str | Sequence[int] | Array | bytes

_TENSOR_TYPES = {
    np.dtype(name): number
    for number, name in ((1, "f4"), (2, "u1"), (3, "i1"), (4, "u2"), (5, "i2"), (6, "i4"), (7, "i8"), (9, "?"))
}
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 3, 4, 5
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 1, 2, 5, 11, 12
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW, _TENSOR_LOCATION = 1, 2, 8, 9, 14
_MODEL_GRAPH = 7


def tensor_type(dtype: npt.DTypeLike) -> int:
    """The number of a type of values in TensorProto.DataType."""
    return _TENSOR_TYPES[np.dtype(dtype)]


def tensor_head(name: str, dtype: npt.DTypeLike, shape: Sequence[int]) -> bytes:
    """A TensorProto up to its values, which follow as the field `raw_data`; an empty `name` is left out."""
    dims = packed(_TENSOR_DIMS, tuple(shape)) if len(shape) else b""
    return dims + integer(_TENSOR_TYPE, tensor_type(dtype)) + (string(_TENSOR_NAME, name) if name else b"")


def _tensor(name: str, values: Array) -> bytes:
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return tensor_head(name, values.dtype, values.shape) + message(_TENSOR_RAW, little.tobytes())


def _value_info(name: str, dtype: npt.DTypeLike, shape: Sequence[int | str]) -> bytes:
    dims = (message(1, string(2, size) if isinstance(size, str) else integer(1, size)) for size in shape)
    return string(1, name) + message(2, message(1, integer(1, tensor_type(dtype)), message(2, *dims)))


def _attribute(name: str, value: Attribute) -> bytes:
    head = string(1, name)
    if isinstance(value, bytes):  # a graph
        return head + message(6, value) + integer(20, 5)
    if isinstance(value, str):
        return head + string(4, value) + integer(20, 3)
    if isinstance(value, int):
        return head + integer(3, value) + integer(20, 2)
    if isinstance(value, float):
        return head + fixed32(2, value) + integer(20, 1)
    if isinstance(value, np.ndarray):
        return head + message(5, _tensor("", value)) + integer(20, 4)
    return head + b"".join(integer(8, item) for item in value) + integer(20, 7)


def _node(operator: str, inputs: Iterable[str], outputs: Sequence[str], attributes: Iterable[bytes]) -> bytes:
    parts = [string(_NODE_INPUT, name) for name in inputs] + [string(_NODE_OUTPUT, name) for name in outputs]
    # ONNX Runtime 1.20 confuses nodes without a name.
    parts += [string(_NODE_NAME, outputs[0]), string(_NODE_OPERATOR, operator)]
    return b"".join([*parts, *(message(_NODE_ATTRIBUTE, item) for item in attributes)])


@dataclass
class Constants:
    """The initializers of a model and its supply of names: all its graphs, one within the other, share them.

    Attributes:
        tensors: TensorProtos in their order.
    """

    tensors: list[bytes] = field(default_factory=list)
    _known: dict[bytes, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def name(self) -> str:
        """A name that nothing else has."""
        return f"v{next(self._numbers)}"

    def add(self, values: Array, name: str = "") -> str:
        """The name of an initializer with these values; equal ones without a name of their own are one."""
        return self.take(_tensor("", values), name)

    def take(self, unnamed: bytes, name: str = "") -> str:
        """As `add`, from a TensorProto without a name."""
        if not name and unnamed in self._known:
            return self._known[unnamed]
        name = name or self.name()
        self.tensors.append(unnamed + string(_TENSOR_NAME, name))
        self._known.setdefault(unnamed, name)
        return name


class Graph:
    """A graph under construction, the model's own or the body of an operator; values are known by their names.

    Args:
        constants: of the model.
    """

    def __init__(self, constants: Constants) -> None:
        self.constants = constants
        self._nodes: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def body(self) -> Graph:
        """An empty graph, which may use the values of this one."""
        return Graph(self.constants)

    def nodes(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Attribute) -> list[str]:
        """Add an operator with several outputs."""
        names = [self.constants.name() for _ in range(outputs)]
        encoded = [_attribute(name, value) for name, value in attributes.items()]
        self._nodes.append(_node(operator, inputs, names, encoded))
        return names

    def node(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """Add an operator with one output."""
        return self.nodes(operator, inputs, 1, **attributes)[0]

    def ints(self, *values: int) -> str:
        """An int64 constant of one dimension."""
        return self.constants.add(np.array(values, np.int64))

    def scalar(self, value: float, dtype: npt.DTypeLike = np.int64) -> str:
        """A constant without dimensions."""
        return self.constants.add(np.array(value, dtype))

    def floats(self, values: Array) -> str:
        """A float32 constant."""
        return self.constants.add(values.astype(np.float32))

    def zeros(self, dtype: npt.DTypeLike, *shape: int) -> str:
        """Zeros of this shape, made when the model runs."""
        return self.node("ConstantOfShape", self.ints(*shape), value=np.zeros(1, dtype))

    def slice(self, x: str, axis: int, start: int, stop: int) -> str:
        """The values `start` to `stop` - 1 along an axis."""
        return self.node("Slice", x, self.ints(start), self.ints(stop), self.ints(axis))

    def cast(self, x: str, dtype: npt.DTypeLike) -> str:
        """Values in another type."""
        return self.node("Cast", x, to=tensor_type(dtype))

    def input(self, name: str, dtype: npt.DTypeLike, *shape: int | str) -> str:
        """Declare an input."""
        self._inputs.append(_value_info(name, dtype, shape))
        return name

    def parameter(self, dtype: npt.DTypeLike, *shape: int | str) -> str:
        """Declare an input of a body, which an operator gives its values."""
        return self.input(self.constants.name(), dtype, *shape)

    def output(self, source: str, dtype: npt.DTypeLike, *shape: int | str, name: str = "") -> None:
        """Declare an output, a copy of `source`."""
        name = name or self.constants.name()
        self._nodes.append(_node("Identity", [source], [name], ()))
        self._outputs.append(_value_info(name, dtype, shape))

    def serialised(self, name: str) -> bytes:
        """The GraphProto but for its initializers."""
        return string(_GRAPH_NAME, name) + b"".join(
            message(number, item)
            for number, items in (
                (_GRAPH_NODE, self._nodes),
                (_GRAPH_INPUT, self._inputs),
                (_GRAPH_OUTPUT, self._outputs),
            )
            for item in items
        )

    def inline(self, model: bytes, given: Mapping[str, str], outputs: Sequence[str]) -> list[str]:
        """Take in the operators and constants of a whole model.

        Args:
            model: a model whose operators have no bodies; several, one behind the other, are one.
            given: values of this graph for its inputs and for its external initializers, by their names there.
            outputs: names of the outputs wanted.

        Returns:
            The names of these outputs here.

        Raises:
            InternalError: E_INTERNAL, the model is malformed, or wants a value that is not given.
        """
        names = dict(given)
        parts = [
            item
            for number, value, _ in fields(model)
            if number == _MODEL_GRAPH and isinstance(value, bytes)
            for item in fields(value)
        ]
        for number, value, _ in parts:
            if number == _GRAPH_INITIALIZER and isinstance(value, bytes):
                self._take_constant(value, names)
        for number, value, _ in parts:
            if number == _GRAPH_NODE and isinstance(value, bytes):
                self._take_node(value, names)
        return [names[output] for output in outputs]

    def _take_constant(self, tensor: bytes, names: dict[str, str]) -> None:
        """An initializer, unless its value is given."""
        items = list(fields(tensor))
        name = b"".join(v for number, v, _ in items if number == _TENSOR_NAME and isinstance(v, bytes)).decode()
        if name in names:
            return
        if any(number == _TENSOR_LOCATION and value for number, value, _ in items):
            raise InternalError("E_INTERNAL", f"a shipped ONNX graph wants a value for {name!r}, which is not given")
        names[name] = self.constants.take(b"".join(whole for number, _, whole in items if number != _TENSOR_NAME))

    def _take_node(self, node: bytes, names: dict[str, str]) -> None:
        inputs, outputs, operator, attributes = [], [], "", []
        for number, value, _ in fields(node):
            if not isinstance(value, bytes):
                continue
            if number == _NODE_INPUT:
                old = value.decode()
                if old and old not in names:
                    raise InternalError("E_INTERNAL", f"a shipped ONNX graph wants {old!r}, which is not given")
                inputs.append(names.get(old, ""))
            elif number == _NODE_OUTPUT:
                names[value.decode()] = self.constants.name()
                outputs.append(names[value.decode()])
            elif number == _NODE_OPERATOR:
                operator = value.decode()
            elif number == _NODE_ATTRIBUTE:
                attributes.append(value)
        self._nodes.append(_node(operator, inputs, outputs, attributes))
