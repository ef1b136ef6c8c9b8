"""Bytes from a file or a pipe, and whole units from those bytes (spec 2.3).

Nothing here seeks unless asked to. A payload is read in bounded chunks, so a length that lies costs no more memory
than the bytes that are really there.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, cast

from nvrc_decoder.bitstream.container import HEADER_BYTES, MAGIC, OPTIONAL_TYPE, VERSION, unit_name
from nvrc_decoder.bitstream.descriptors import read_leb128
from nvrc_decoder.bitstream.units import UnitType
from nvrc_decoder.errors import InvalidStreamError, OutputError, UnsupportedError
from nvrc_decoder.limits import Limits, check_limit

__all__ = ["ByteSource", "RawUnit", "binary_file", "read_any_unit", "read_stream_header", "read_unit"]

_CHUNK = 1 << 16
_KNOWN = frozenset(int(kind) for kind in UnitType)


def binary_file(file: object) -> BinaryIO:
    """`file`, checked to be a binary file object.

    Raises:
        TypeError: it is not.
    """
    if isinstance(file, io.TextIOBase):
        raise TypeError('a stream is not text: open the file with mode "rb"')
    if not callable(getattr(file, "read", None)):
        hint = "; put bytes into io.BytesIO" if isinstance(file, bytes) else ""
        raise TypeError(f"a stream is a file name or a binary file object, not {type(file).__name__}{hint}")
    return cast(BinaryIO, file)


class ByteSource:
    """Exact reads from a binary file object, which may be a pipe that returns less than was asked for.

    Attributes:
        offset: absolute offset of the next byte, counted from the start of the stream.
    """

    def __init__(self, fileobj: BinaryIO) -> None:
        self._file = binary_file(fileobj)
        self.offset = 0

    def read_some(self, count: int) -> bytes:
        """Between 1 and `count` bytes, or none at the end of the file.

        Raises:
            OutputError: E_READ, the operating system could not read.
        """
        try:
            data = self._file.read(count)
        except OSError as error:
            raise OutputError("E_READ", f"cannot read the stream: {error}", offset=self.offset) from error
        if data is None:
            raise OutputError("E_READ", "the input is not ready: it must be in blocking mode", offset=self.offset)
        self.offset += len(data)
        return data

    def read_exact(self, count: int, unit: str | None = None) -> bytes:
        """`count` bytes.

        Raises:
            InvalidStreamError: E_TRUNCATED (R2.3), the file ends before.
        """
        data = bytearray()
        while len(data) < count:
            chunk = self.read_some(min(count - len(data), _CHUNK))
            if not chunk:
                message = f"the file ends where {count - len(data)} more bytes are needed"
                raise InvalidStreamError("E_TRUNCATED", message, offset=self.offset, unit=unit, section="2.3, R2.3")
            data += chunk
        return bytes(data)

    def seek(self, offset: int) -> None:
        """Move to an offset; only for seekable files, in which the stream begins at byte 0."""
        self._file.seek(offset)
        self.offset = offset

    def length(self) -> int:
        """Length of the stream, which must be seekable; the position stays."""
        end = self._file.seek(0, 2)
        self._file.seek(self.offset)
        return end


@dataclass(frozen=True)
class RawUnit:
    """A unit, not yet parsed.

    Attributes:
        type: its type byte.
        offset: absolute offset of its first byte.
        payload_offset, payload_length: where its payload lies.
        payload: the payload, None where the type is unknown.
        fault: E_CRC where its CRC is wrong; `read_unit` returns no such units.
    """

    type: int
    offset: int
    payload_offset: int
    payload_length: int
    payload: bytes | None
    fault: InvalidStreamError | None = None

    @property
    def size(self) -> int:
        """Bytes of the whole unit."""
        return self.payload_offset - self.offset + self.payload_length + 4


def read_stream_header(source: ByteSource) -> int:
    """Reads magic, version and minor (spec 2.2), and returns the minor; every one is accepted.

    Raises:
        InvalidStreamError: E_MAGIC (R2.1), E_TRUNCATED. UnsupportedError: E_VERSION (R2.2).
    """
    start = source.offset
    magic = b""
    while len(magic) < len(MAGIC):
        chunk = source.read_some(len(MAGIC) - len(magic))
        magic += chunk
        if not MAGIC.startswith(magic):
            raise InvalidStreamError("E_MAGIC", "this is not a .nvrc stream", offset=start, section="2.2, R2.1")
        if not chunk:
            message = f"the file ends within the {HEADER_BYTES} bytes of the stream header"
            raise InvalidStreamError("E_TRUNCATED", message, offset=source.offset, section="2.3, R2.3")
    version, minor = source.read_exact(2)
    if version != VERSION:
        message = f"the stream is of version {version}; this decoder knows version {VERSION}"
        raise UnsupportedError("E_VERSION", message, offset=start + len(MAGIC), section="2.2, R2.2")
    return int(minor)


def read_unit(source: ByteSource, limits: Limits, name_of: Callable[[int], str] = unit_name) -> RawUnit:
    """Reads one unit and checks its CRC; the payload of an unknown type is skipped, not kept.

    Args:
        source: stands at the unit's first byte.
        limits: the longest payloads.
        name_of: names the unit in errors, by its type byte.

    Raises:
        InvalidStreamError: E_TRUNCATED, E_LEB128, E_CRC (R2.4). UnsupportedError: an unknown critical type (R2.5).
        LimitError: the payload is longer than `limits` allow.
    """
    raw = read_any_unit(source, limits, name_of)
    if raw.fault is not None:
        raise raw.fault
    return raw


def read_any_unit(source: ByteSource, limits: Limits, name_of: Callable[[int], str] = unit_name) -> RawUnit:
    """As `read_unit`, but a unit with a wrong CRC is returned, with its `fault`; `source` then stands after it."""
    offset = source.offset
    kind = source.read_exact(1)[0]
    name = name_of(kind)
    head = bytearray([kind])

    def next_byte() -> int:
        head.extend(source.read_exact(1, name))
        return head[-1]

    length = read_leb128(next_byte, source.offset, name)
    limit = "max_metadata_bytes" if kind == UnitType.METADATA else "max_unit_bytes"
    check_limit(limit, length, limits, offset=offset, unit=name)
    payload_offset = source.offset
    known = kind in _KNOWN
    payload = bytearray()
    crc = zlib.crc32(head)
    left = length
    while left:
        chunk = source.read_exact(min(left, _CHUNK), name)
        left -= len(chunk)
        crc = zlib.crc32(chunk, crc)
        if known:
            payload += chunk
    stored = int.from_bytes(source.read_exact(4, name), "little")
    fault = None
    if stored != crc:
        message = f"the unit's CRC-32 is {crc:#010x}, the stream says {stored:#010x}"
        fault = InvalidStreamError("E_CRC", message, offset=offset, unit=name, section="2.3, R2.4")
    elif not known and kind < OPTIONAL_TYPE:
        message = f"the unit type {kind:#04x} is critical and unknown to this decoder"
        raise UnsupportedError("E_UNSUPPORTED", message, offset=offset, unit=unit_name(kind), section="2.3, R2.5")
    return RawUnit(kind, offset, payload_offset, length, bytes(payload) if known else None, fault)
