"""Puts values into an ONNX file in place of external tensors, without the onnx package.

An ONNX file is one protocol buffer message; only the few fields on the way to its initializers are looked at, and
everything else is copied as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InternalError

__all__ = ["fill_initializers"]

Float = npt.NDArray[np.float32]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_TYPE_FLOAT = 1
_LOCATION_EXTERNAL = 1


@dataclass(frozen=True)
class _Field:
    """One field: its number, its value (a varint as int, otherwise bytes), and all its bytes with the tag."""

    number: int
    value: int | bytes
    whole: bytes


def _broken(what: str) -> InternalError:
    return InternalError("E_INTERNAL", f"the shipped ONNX graph {what}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _broken("is cut off")


def _write_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(data: bytes) -> Iterator[_Field]:
    """The fields of a message in their order."""
    at = 0
    while at < len(data):
        start = at
        tag, at = _read_varint(data, at)
        kind = tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _read_varint(data, at)
        elif kind in (_BYTES, _FIXED32, _FIXED64):
            if kind == _BYTES:
                length, at = _read_varint(data, at)
            else:
                length = 4 if kind == _FIXED32 else 8
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise _broken("is cut off")
        else:
            raise _broken(f"has a field of the unknown kind {kind}")
        yield _Field(tag >> 3, value, data[start:at])


def _message(number: int, content: bytes) -> bytes:
    return _write_varint(number << 3 | _BYTES) + _write_varint(len(content)) + content


def _dims(fields: list[_Field]) -> tuple[int, ...]:
    """A tensor's shape, whose field may be repeated or packed."""
    dims: list[int] = []
    for field in fields:
        if field.number != _TENSOR_DIMS:
            continue
        if isinstance(field.value, int):
            dims.append(field.value)
            continue
        at = 0
        while at < len(field.value):
            size, at = _read_varint(field.value, at)
            dims.append(size)
    return tuple(dims)


def _filled(tensor: bytes, tensors: dict[str, Float]) -> bytes:
    """A TensorProto with the value of its name, which is taken from `tensors`; as it is if it is not external."""
    fields = list(_fields(tensor))
    if not any(field.number == _TENSOR_LOCATION and field.value == _LOCATION_EXTERNAL for field in fields):
        return tensor
    single = {field.number: field.value for field in fields}
    raw_name = single.get(_TENSOR_NAME, b"")
    name = raw_name.decode("utf-8", "replace") if isinstance(raw_name, bytes) else ""
    value = tensors.pop(name, None)
    if value is None:
        raise _broken(f"wants a value for {name!r}, which the stream does not give")
    if single.get(_TENSOR_TYPE) != _TYPE_FLOAT or value.dtype != np.float32 or value.shape != _dims(fields):
        raise _broken(f"has {name!r} in another shape or type than the stream's {value.shape}")
    kept = b"".join(f.whole for f in fields if f.number not in (_TENSOR_RAW, _TENSOR_EXTERNAL, _TENSOR_LOCATION))
    return kept + _message(_TENSOR_RAW, np.ascontiguousarray(value).astype("<f4", copy=False).tobytes())


def fill_initializers(model: bytes, tensors: Mapping[str, Float]) -> bytes:
    """An ONNX model with values where it had external tensors.

    Args:
        model: the model's bytes.
        tensors: float32 value of every external initializer, by name, and of nothing else.

    Raises:
        InternalError: E_INTERNAL, names, shapes or types do not match, or the model is malformed.
    """
    left = dict(tensors)
    parts: list[bytes] = []
    for field in _fields(model):
        if field.number != _MODEL_GRAPH or isinstance(field.value, int):
            parts.append(field.whole)
            continue
        graph = b"".join(
            _message(item.number, _filled(item.value, left))
            if item.number == _GRAPH_INITIALIZER and isinstance(item.value, bytes)
            else item.whole
            for item in _fields(field.value)
        )
        parts.append(_message(_MODEL_GRAPH, graph))
    if left:
        raise _broken(f"has no place for {sorted(left)}")
    return b"".join(parts)
