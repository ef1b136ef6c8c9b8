"""Which outcome a stream has that is both invalid and unsupported (spec 9.1.1)."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from stream_builders import SEQUENCE, assemble, make_stream, read_all, split, with_payload

from nvrc_decoder.bitstream.container import VERSION
from nvrc_decoder.bitstream.random_access import RandomAccess
from nvrc_decoder.bitstream.units import UnitType, serialise_sequence
from nvrc_decoder.errors import InvalidStreamError, NvrcError, UnsupportedError

PLAIN = make_stream(index=False)
UNKNOWN = 0x06


def with_unknown_unit(place: int) -> bytes:
    """A critical unit of unknown type at a place in the order of units."""
    units = split(PLAIN)
    units.insert(place, (UNKNOWN, b"?"))
    return assemble(units)


def after_index() -> bytes:
    units = split(make_stream(index=True))
    return assemble([*units[:-1], (UNKNOWN, b""), units[-1]])


def damaged_unknown_unit() -> bytes:
    stream = bytearray(with_unknown_unit(1))
    stream[stream.index(bytes([UNKNOWN, 1]) + b"?") + 2] ^= 1
    return bytes(stream)


def sequence(cut: int = 0, tail: bytes = b"", **changes: int) -> bytes:
    """A stream whose SEQUENCE is of profile 3, without its last `cut` bytes."""
    payload = serialise_sequence(replace(SEQUENCE, profile=3, **changes), check=False)
    return with_payload(PLAIN, UnitType.SEQUENCE, payload[: len(payload) - cut] + tail)


def headed(magic: bytes, *rest: int) -> bytes:
    return magic + bytes(rest)


MAGIC = PLAIN[:8]
CASES: dict[str, tuple[Callable[[], bytes], type[NvrcError], str]] = {
    "unknown-unit-first": (lambda: with_unknown_unit(0), UnsupportedError, "R2.5"),
    "unknown-unit-for-digest": (lambda: with_unknown_unit(4), UnsupportedError, "R2.5"),
    "unknown-unit-after-index": (after_index, UnsupportedError, "R2.5"),
    "unknown-unit-damaged": (damaged_unknown_unit, InvalidStreamError, "R2.4"),
    "width-0": (lambda: sequence(width=0), InvalidStreamError, "R3.1"),
    "chroma-position-4": (lambda: sequence(chroma_sample_position=4), InvalidStreamError, "R3.8"),
    "level-7": (lambda: sequence(level=7), UnsupportedError, "R3.10"),
    "over-its-level": (lambda: sequence(width=1025), UnsupportedError, "R3.10"),
    "no-level": (lambda: sequence(cut=1), UnsupportedError, "R3.10"),
    "no-profile": (lambda: sequence(cut=2), InvalidStreamError, "2.3, R2.6"),
    "a-byte-too-many": (lambda: sequence(tail=b"\x00"), UnsupportedError, "R3.10"),
    "other-version-alone": (lambda: headed(MAGIC, VERSION + 1, 0), UnsupportedError, "R2.2"),
    "other-version-cut": (lambda: headed(MAGIC, VERSION + 1), InvalidStreamError, "R2.3"),
    "other-magic-and-version": (lambda: headed(b"RIFFxxxx", 9, 9), InvalidStreamError, "R2.1"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_check_decides(name: str) -> None:
    make, kind, requirement = CASES[name]
    with pytest.raises(kind) as caught:
        read_all(make())
    assert caught.value.section is not None
    assert caught.value.section.endswith(requirement)


def test_hopping_finds_an_unknown_unit_anywhere() -> None:
    for place in range(len(split(PLAIN))):
        with pytest.raises(UnsupportedError) as caught:
            RandomAccess(io.BytesIO(with_unknown_unit(place)))
        assert caught.value.code == "E_UNSUPPORTED"
