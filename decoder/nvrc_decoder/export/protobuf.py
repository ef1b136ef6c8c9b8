"""The little of protocol buffers that ONNX files need: fields read in order, fields written."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from nvrc_decoder.errors import InternalError

__all__ = ["fields", "fixed32", "integer", "message", "packed", "string"]

_VARINT, _BYTES, _FIXED32 = 0, 2, 5


def _varint(value: int) -> bytes:
    """An integer of -2^63 .. 2^64 - 1; a negative one as its 64-bit complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(number: int, value: int) -> bytes:
    """A field of an integer."""
    return _varint(number << 3 | _VARINT) + _varint(value)


def fixed32(number: int, value: float) -> bytes:
    """A field of a float32."""
    return _varint(number << 3 | _FIXED32) + struct.pack("<f", value)


def message(number: int, *parts: bytes, more: int = 0) -> bytes:
    """A field of bytes or of a message, whose last `more` bytes the caller writes after it."""
    content = b"".join(parts)
    return _varint(number << 3 | _BYTES) + _varint(len(content) + more) + content


def string(number: int, text: str) -> bytes:
    """A field of text."""
    return message(number, text.encode())


def packed(number: int, values: tuple[int, ...]) -> bytes:
    """A field of several integers."""
    return message(number, *(_varint(value) for value in values))


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise InternalError("E_INTERNAL", "a shipped ONNX graph is cut off")


def fields(data: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """The fields of a message in order: number, value (a varint as int), and all bytes of the field.

    Raises:
        InternalError: E_INTERNAL, the message is malformed.
    """
    at = 0
    while at < len(data):
        start = at
        tag, at = _read_varint(data, at)
        value: int | bytes
        if tag & 7 == _VARINT:
            value, at = _read_varint(data, at)
        elif tag & 7 in (_BYTES, _FIXED32):
            length = 4
            if tag & 7 == _BYTES:
                length, at = _read_varint(data, at)
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise InternalError("E_INTERNAL", "a shipped ONNX graph is cut off")
        else:
            raise InternalError("E_INTERNAL", f"a shipped ONNX graph has a field of the unknown kind {tag & 7}")
        yield tag >> 3, value, data[start:at]
