"""Seeded damage to a stream: flipped bits, deleted and inserted bytes, units swapped, repeated or dropped."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Sequence

from nvrc_conformance.faults.parts import assemble
from nvrc_decoder.bitstream.container import HEADER_BYTES
from nvrc_decoder.bitstream.units import UnitType

__all__ = [
    "Change",
    "chosen_stream",
    "damage",
    "mutations",
    "repaired_mutant",
    "reseal",
    "split_units",
    "truncations",
    "unit_spans",
]

Change = Callable[[random.Random, bytearray], None]
"""Damages bytes in place."""

_MANY = 8
# Most of the syntax of NETWORK and GOP comes before the coded bytes; half of the damage to a payload is here.
_HEAD_BYTES = 48


def _spans(data: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """The first byte of each unit, of its payload and of its CRC, up to END or as far as lengths can be followed."""
    position = HEADER_BYTES
    while position < len(data):
        start, shift, length = position, 0, 0
        position += 1
        while position < len(data) and shift < 63:
            byte = data[position]
            length |= (byte & 127) << shift
            shift += 7
            position += 1
            if byte < 128:
                break
        end = position + length
        if end + 4 > len(data):
            return
        yield start, position, end
        if data[start] == UnitType.END:
            return
        position = end + 4


def unit_spans(stream: bytes) -> list[tuple[int, int]]:
    """(first byte, end) of each unit, without the footer."""
    return [(start, end + 4) for start, _, end in _spans(stream)]


def split_units(stream: bytes) -> list[tuple[int, bytes]]:
    """Type and payload of each unit, up to END or as far as the lengths can be followed."""
    return [(stream[start], stream[payload:end]) for start, payload, end in _spans(stream)]


def reseal(stream: bytes) -> bytes:
    """The stream with every CRC made right, as far as the unit lengths can be followed."""
    data = bytearray(stream)
    for start, _, end in _spans(data):
        data[end : end + 4] = zlib.crc32(data[start:end]).to_bytes(4, "little")
    return bytes(data)


def truncations(stream: bytes) -> Iterator[bytes]:
    """The stream cut before each of its bytes."""
    for length in range(len(stream)):
        yield stream[:length]


def _flip(generator: random.Random, data: bytearray) -> None:
    for _ in range(generator.randint(1, 3)):
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def _overwrite(generator: random.Random, data: bytearray) -> None:
    data[generator.randrange(len(data))] = generator.choice((0, 1, 0x7F, 0x80, 0xFF, generator.randrange(256)))


def _add_one(generator: random.Random, data: bytearray) -> None:
    at = generator.randrange(len(data))
    data[at] = (data[at] + generator.choice((-1, 1))) % 256


def _delete(generator: random.Random, data: bytearray) -> None:
    at = generator.randrange(len(data))
    del data[at : at + generator.randint(1, _MANY)]


def _insert(generator: random.Random, data: bytearray) -> None:
    at = generator.randrange(len(data) + 1)
    data[at:at] = generator.randbytes(generator.randint(1, _MANY))


def _move_bytes(generator: random.Random, data: bytearray) -> None:
    """Overwrite a piece of the stream with another one."""
    length = generator.randint(1, 2 * _MANY)
    source, target = generator.randrange(len(data)), generator.randrange(len(data))
    piece = data[source : source + length]
    data[target : target + len(piece)] = piece


def damage(generator: random.Random, data: bytearray) -> None:
    """One fault of a random kind; bytes are inserted where there are none."""
    kinds = (_flip, _flip, _overwrite, _add_one, _delete, _insert, _move_bytes)
    chosen = generator.choice(kinds) if data else _insert
    chosen(generator, data)


def _move_units(generator: random.Random, units: list[tuple[int, bytes]]) -> None:
    """Swap, repeat or drop a unit."""
    i, j = generator.randrange(len(units)), generator.randrange(len(units))
    match generator.randrange(3):
        case 0:
            units[i], units[j] = units[j], units[i]
        case 1:
            units.insert(i, units[j])
        case _:
            del units[i]


def repaired_mutant(generator: random.Random, stream: bytes, change: Change = damage) -> bytes:
    """The stream with `change` to the payload of one unit, or with units moved, and all around it made right.

    Lengths, CRCs and footer are right, and INDEX and END agree with the GOPs unless they are what was changed. DIGEST
    is left as it is. Of a stream that no unit can be read from, all bytes are changed.
    """
    units = split_units(stream)
    if not units:
        data = bytearray(stream)
        change(generator, data)
        return bytes(data)
    remade = {UnitType.INDEX, UnitType.END}
    if generator.random() < 0.15:
        _move_units(generator, units)
        return assemble(units, stream[9], remade)
    kind = generator.choice(sorted({kind for kind, _ in units}))
    place = generator.choice([place for place, unit in enumerate(units) if unit[0] == kind])
    payload = bytearray(units[place][1])
    head, tail = (payload[:_HEAD_BYTES], payload[_HEAD_BYTES:]) if generator.random() < 0.5 else (payload, b"")
    for _ in range(generator.randint(1, 2)):
        change(generator, head)
    units[place] = (generator.randrange(256) if generator.random() < 0.02 else kind, bytes(head + tail))
    return assemble(units, stream[9], remade - {kind})


def chosen_stream(generator: random.Random, streams: Sequence[bytes]) -> bytes:
    """One of the streams, a small one more often: its chance falls with the square of its length."""
    return generator.choices(streams, [len(stream) ** -2 for stream in streams])[0]


def mutations(streams: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged streams, of small ones more than of large ones.

    Half of them are damaged in one unit and made right around it, a quarter anywhere with right CRCs, and a quarter
    anywhere with nothing made right.
    """
    generator = random.Random(seed)
    for number in range(count):
        stream = chosen_stream(generator, streams)
        if number % 2:
            yield repaired_mutant(generator, stream)
            continue
        data = bytearray(stream)
        for _ in range(generator.randint(1, 2)):
            damage(generator, data)
        yield reseal(bytes(data)) if number % 4 else bytes(data)
