"""Small streams that declare too much: frames, samples, bytes."""

from __future__ import annotations

from dataclasses import replace

from nvrc_conformance.faults.parts import NEW_OPTIONAL, SMALL, Break, Fault, Parts
from nvrc_decoder.bitstream.container import encode_header, encode_unit
from nvrc_decoder.bitstream.descriptors import encode_leb128
from nvrc_decoder.bitstream.units import UnitType, serialise_sequence

__all__ = ["LIMIT_FAULTS"]


def _limit(name: str, fault: str, why: str, make: Break) -> Fault:
    """A stream that is invalid, too, but only behind the place where a limit stops a decoder."""
    return Fault(f"limit-{name}", None, SMALL, fault, why, make, "limit", ("reject",))


def _with_metadata(size: int) -> Break:
    """A valid stream, with one METADATA more: `size` bytes of zeros after a key."""
    key = b"big"
    payload = encode_leb128(len(key)) + key + bytes(size)
    return lambda parts: parts.with_unit(parts.place(UnitType.SEQUENCE) + 1, UnitType.METADATA, payload)


def _declared(kind: int, length: int) -> Break:
    """A unit after SEQUENCE that declares a length, and ends with the file."""

    def make(parts: Parts) -> bytes:
        head = encode_header() + encode_unit(UnitType.SEQUENCE, parts.payload(UnitType.SEQUENCE))
        return head + bytes([kind]) + encode_leb128(length)

    return make


def _resized(width: int, height: int) -> Break:
    return lambda parts: parts.with_sequence(width=width, height=height, level=6)


def _frames(count: int) -> Break:
    """A first GOP that declares more frames, at level 6."""

    def make(parts: Parts) -> bytes:
        payload = serialise_sequence(replace(parts.sequence, level=6))
        return Parts(parts.with_payload(UnitType.SEQUENCE, payload)).with_gop(frame_count=count)

    return make


LIMIT_FAULTS: tuple[Fault, ...] = (
    _limit(
        "size",
        "frames of 65535x65535 at level 6, in less than 300 bytes; the DIGEST is wrong",
        "Memory for a frame would be 6 GB before a sample is decoded.",
        _resized(65535, 65535),
    ),
    _limit(
        "width",
        "frames of 65535x1 at level 6; the DIGEST is wrong",
        "Each side has a limit of its own.",
        _resized(65535, 1),
    ),
    _limit(
        "frames",
        "a GOP of 65536 frames at level 6, in less than 300 bytes; the DIGEST is wrong",
        "A few bytes would ask for hours of work.",
        _frames(65536),
    ),
    _limit(
        "unit",
        "an optional unit of 2^62 bytes, with which the file ends",
        "Memory would be taken for a length that nobody has checked against the file.",
        _declared(NEW_OPTIONAL, 1 << 62),
    ),
    _limit(
        "network",
        "a NETWORK of 2^40 bytes, with which the file ends",
        "Memory would be taken for a length that nobody has checked against the file.",
        _declared(UnitType.NETWORK, 1 << 40),
    ),
    _limit(
        "metadata",
        "a METADATA of 2^26 bytes, with which the file ends",
        "Memory would be taken for a length that nobody has checked against the file.",
        _declared(UnitType.METADATA, 1 << 26),
    ),
    Fault(
        "limit-valid",
        None,
        SMALL,
        "a METADATA of 2^20 bytes and a few more; nothing is wrong with the stream",
        "A stream over a limit is not invalid: the decoder has a limit, or the frames of the sibling.",
        _with_metadata(1 << 20),
        "limit",
        ("valid",),
    ),
)
