"""A valid stream of more than 2^35 bytes, nearly all of which are a hole in its file.

Offsets in its INDEX need six bytes as leb128, and more than 32 bits. No archive can hold it, so tests make it.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

from nvrc_conformance.faults.parts import NEW_OPTIONAL, Parts
from nvrc_decoder.bitstream.container import encode_footer, encode_unit
from nvrc_decoder.bitstream.descriptors import encode_leb128
from nvrc_decoder.bitstream.units import Index, UnitType, serialise_index

__all__ = ["HOLE_LOG2", "crc_with_zeros", "write_sparse"]

HOLE_LOG2 = 35


def write_sparse(path: Path, data: bytes) -> None:
    """Write a golden stream with an optional unit of 2^35 zeros before its last GOP.

    A reader that goes by INDEX decodes it like the golden stream; one that reads all units passes over 32 GiB.

    Args:
        path: the file; it takes a few blocks where the file system knows holes.
        data: a golden stream with an INDEX, of two GOPs at least.

    Raises:
        OSError: the file cannot be written, or be as large.
    """
    parts = Parts(data)
    entries = parts.index.entries
    last = entries[-1].offset
    head = bytes([NEW_OPTIONAL]) + encode_leb128(1 << HOLE_LOG2)
    crc = crc_with_zeros(zlib.crc32(head), HOLE_LOG2).to_bytes(4, "little")
    moved = len(head) + (1 << HOLE_LOG2) + len(crc)
    index_offset = int.from_bytes(data[-12:-4], "little")
    index = serialise_index(Index((*entries[:-1], replace(entries[-1], offset=last + moved))))
    end = encode_unit(UnitType.END, parts.payload(UnitType.END))
    with path.open("wb") as file:
        file.write(data[:last] + head)
        file.seek(1 << HOLE_LOG2, 1)
        file.write(crc + data[last:index_offset] + encode_unit(UnitType.INDEX, index) + end)
        file.write(encode_footer(index_offset + moved))


def crc_with_zeros(crc: int, log2: int) -> int:
    """CRC-32 (spec 2.3) of some bytes and 2^log2 zeros after them.

    A byte 0 changes the CRC by a map that is linear over single bits; the map of 2n zeros is that of n applied twice.

    Args:
        crc: that of the bytes before the zeros.
        log2: 0 or more.
    """
    zero = zlib.crc32(b"\0")
    images = [zlib.crc32(b"\0", 1 << bit) ^ zero for bit in range(32)]
    constant = zero
    for _ in range(log2):
        images, constant = [_mapped(images, image) for image in images], _mapped(images, constant) ^ constant
    return _mapped(images, crc) ^ constant


def _mapped(images: list[int], value: int) -> int:
    result = 0
    for bit, image in enumerate(images):
        if value >> bit & 1:
            result ^= image
    return result
