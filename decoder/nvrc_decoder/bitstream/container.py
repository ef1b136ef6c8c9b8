"""The container's constants and the bytes around a payload (spec chapter 2)."""

from __future__ import annotations

import zlib

from nvrc_decoder.bitstream.descriptors import encode_leb128
from nvrc_decoder.bitstream.units import UnitType

__all__ = [
    "FOOTER_BYTES",
    "FOOTER_MAGIC",
    "HEADER_BYTES",
    "MAGIC",
    "MINOR",
    "MINOR_PRESENTATION",
    "OPTIONAL_TYPE",
    "VERSION",
    "encode_footer",
    "encode_header",
    "encode_unit",
    "unit_name",
]

MAGIC = bytes.fromhex("894e5652430d0a1a")
VERSION = 4
MINOR = 0
"""Minor version of a stream without presentation METADATA (spec 2.2)."""
MINOR_PRESENTATION = 1
"""Minor version of a stream whose METADATA says how to show it (spec 3.6.1)."""
HEADER_BYTES = len(MAGIC) + 2
FOOTER_MAGIC = b"NVRX"
FOOTER_BYTES = 8 + len(FOOTER_MAGIC)
OPTIONAL_TYPE = 0x80

_ONCE = frozenset({UnitType.SEQUENCE, UnitType.INDEX, UnitType.END})


def unit_name(kind: int, number: int | None = None) -> str:
    """How errors and listings name a unit: ``GOP 3``, ``unit type 0x99``; ``END``, since a stream has only one.

    Args:
        kind: the unit's type byte.
        number: units of its type before it; None where that is not known.
    """
    try:
        name = UnitType(kind).name
    except ValueError:
        name = f"unit type {kind:#04x}"
    return name if number is None or kind in _ONCE else f"{name} {number}"


def encode_header(minor: int = MINOR) -> bytes:
    """The stream header: magic, version, minor."""
    return MAGIC + bytes([VERSION, minor])


def encode_unit(kind: int, payload: bytes) -> bytes:
    """A whole unit: type, length, payload and the CRC-32 of the three."""
    body = bytes([kind]) + encode_leb128(len(payload)) + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def encode_footer(index_offset: int) -> bytes:
    """The footer that follows END in a stream with an INDEX."""
    return index_offset.to_bytes(8, "little") + FOOTER_MAGIC
