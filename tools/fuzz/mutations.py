"""Seeded damage to a stream: flipped bits, deleted and inserted bytes, units swapped, repeated or dropped."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

from nvrc_decoder.bitstream.container import FOOTER_BYTES, HEADER_BYTES

__all__ = ["mutations", "reseal", "truncations", "unit_spans"]

_MANY = 8


def unit_spans(stream: bytes) -> list[tuple[int, int]]:
    """(first byte, end) of each unit of a valid stream, without the footer."""
    spans = []
    position = HEADER_BYTES
    while position < len(stream) and len(stream) - position != FOOTER_BYTES:
        start, shift, length = position, 0, 0
        while True:
            position += 1
            length |= (stream[position] & 127) << shift
            shift += 7
            if stream[position] < 128:
                break
        position += 1 + length + 4
        spans.append((start, position))
    return spans


def reseal(stream: bytes) -> bytes:
    """The stream with every CRC made right, as far as the unit lengths can be followed."""
    data = bytearray(stream)
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
            break
        data[end : end + 4] = zlib.crc32(data[start:end]).to_bytes(4, "little")
        position = end + 4
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


def _move_units(generator: random.Random, original: bytes, data: bytearray) -> None:
    """Swap, repeat or drop whole units, whose CRCs stay right."""
    spans = unit_spans(original)
    units = [original[start:end] for start, end in spans]
    i, j = generator.randrange(len(units)), generator.randrange(len(units))
    match generator.randrange(3):
        case 0:
            units[i], units[j] = units[j], units[i]
        case 1:
            units.insert(i, units[j])
        case _:
            del units[i]
    data[:] = original[:HEADER_BYTES] + b"".join(units) + original[spans[-1][1] :]


def mutations(stream: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` streams with one or two faults each; half of them with right CRCs, so that later checks are reached."""
    generator = random.Random(seed)
    for number in range(count):
        data = bytearray(stream)
        if number % 5 == 4:
            _move_units(generator, stream, data)
        for _ in range(generator.randint(1, 2) if number % 5 != 4 else generator.randint(0, 1)):
            damage = generator.choice((_flip, _flip, _overwrite, _delete, _insert, _move_bytes))
            damage(generator, data)
        yield reseal(bytes(data)) if number % 2 else bytes(data)
