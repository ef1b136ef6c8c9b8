"""Descriptors: how one syntax element lies in bytes (spec 1.4).

`ByteReader` and `ByteWriter` know u8, u16, u24, u32, u64, leb128 and bytes, all little-endian. Offsets in errors are
absolute: the reader is told where in the stream its first byte lies.
"""

from __future__ import annotations

from collections.abc import Callable

from nvrc_decoder.errors import InternalError, InvalidStreamError

__all__ = ["LEB128_MAX", "LEB128_MAX_BYTES", "ByteReader", "ByteWriter", "encode_leb128", "read_leb128"]

LEB128_MAX_BYTES = 9
LEB128_MAX = (1 << (7 * LEB128_MAX_BYTES)) - 1
_FIXED = {"u8": 1, "u16": 2, "u24": 3, "u32": 4, "u64": 8}


def read_leb128(next_byte: Callable[[], int], offset: int, unit: str | None = None) -> int:
    """The value of a leb128 (spec 1.4), whose bytes come from calls of `next_byte`.

    Raises:
        InvalidStreamError: E_LEB128 where it is longer than 9 bytes (R1.1) or longer than it need be (R1.2).
    """
    value = 0
    for i in range(LEB128_MAX_BYTES):
        byte = next_byte()
        value |= (byte & 0x7F) << (7 * i)
        if not byte & 0x80:
            if byte == 0 and i > 0:
                message = f"leb128 of value {value} takes {i + 1} bytes, which is more than it needs"
                raise InvalidStreamError("E_LEB128", message, offset=offset, unit=unit, section="1.4, R1.2")
            return value
    message = f"leb128 does not end within {LEB128_MAX_BYTES} bytes"
    raise InvalidStreamError("E_LEB128", message, offset=offset, unit=unit, section="1.4, R1.1")


def encode_leb128(value: int) -> bytes:
    """The shortest leb128 of `value`, 0..2^63-1.

    Raises:
        InternalError: the value is out of range.
    """
    if not 0 <= value <= LEB128_MAX:
        raise InternalError("E_LEB128", f"{value} does not fit in a leb128", section="1.4")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class ByteReader:
    """Reads syntax elements from one payload.

    Args:
        data: the payload.
        base: absolute offset of its first byte in the stream.
        unit: name of the unit, for errors.
    """

    def __init__(self, data: bytes, base: int = 0, unit: str | None = None) -> None:
        self._data = data
        self._base = base
        self._position = 0
        self.unit = unit

    @property
    def offset(self) -> int:
        """Absolute offset of the next byte."""
        return self._base + self._position

    @property
    def remaining(self) -> int:
        """Bytes left in the payload."""
        return len(self._data) - self._position

    def raw(self, count: int) -> bytes:
        """The next `count` bytes.

        Raises:
            InvalidStreamError: E_LENGTH (R2.6) where the payload has fewer.
        """
        if count > self.remaining:
            message = f"a field of {count} bytes does not fit in the {self.remaining} bytes left of the payload"
            raise InvalidStreamError("E_LENGTH", message, offset=self.offset, unit=self.unit, section="2.3, R2.6")
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def unsigned(self, descriptor: str) -> int:
        """The next integer, by its descriptor: u8, u16, u24, u32, u64 or leb128."""
        if descriptor == "leb128":
            return read_leb128(lambda: self.raw(1)[0], self.offset, self.unit)
        return int.from_bytes(self.raw(_FIXED[descriptor]), "little")

    def finish(self) -> None:
        """Check that the whole payload has been read.

        Raises:
            InvalidStreamError: E_LENGTH (R2.7) where bytes are left.
        """
        if self.remaining:
            message = f"{self.remaining} bytes are left in the payload after its last field"
            raise InvalidStreamError("E_LENGTH", message, offset=self.offset, unit=self.unit, section="2.3, R2.7")


class ByteWriter:
    """Writes syntax elements; the mirror of `ByteReader`."""

    def __init__(self) -> None:
        self._data = bytearray()

    def raw(self, data: bytes) -> None:
        """Appends bytes as they are."""
        self._data += data

    def unsigned(self, descriptor: str, value: int) -> None:
        """Appends an integer by its descriptor.

        Raises:
            InternalError: the value does not fit.
        """
        if descriptor == "leb128":
            self._data += encode_leb128(value)
            return
        size = _FIXED[descriptor]
        if not 0 <= value < 1 << (8 * size):
            raise InternalError("E_RANGE", f"{value} does not fit in a {descriptor}", section="1.4")
        self._data += value.to_bytes(size, "little")

    def getvalue(self) -> bytes:
        """The bytes written so far."""
        return bytes(self._data)
