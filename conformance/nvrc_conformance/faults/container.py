"""Faults of chapters 1 and 2: encoding of integers, units and their order."""

from __future__ import annotations

from zlib import crc32

from nvrc_conformance.faults.parts import NEW_OPTIONAL, Break, Fault, Parts, rejected, unsupported
from nvrc_decoder.bitstream.container import VERSION, encode_header, encode_unit
from nvrc_decoder.bitstream.units import End, UnitType, serialise_end

__all__ = ["CONTAINER_FAULTS"]

_NEW_CRITICAL = 0x06


def _flipped(position: int) -> Break:
    """One bit of the whole stream flipped."""

    def make(parts: Parts) -> bytes:
        data = bytearray(parts.data)
        data[position] ^= 1
        return bytes(data)

    return make


def _long_length(parts: Parts) -> bytes:
    """The length of SEQUENCE in eleven bytes."""
    start = len(encode_header()) + 1
    length = parts.data[start]
    return parts.data[:start] + bytes([length | 0x80]) + b"\x80" * 9 + b"\x00" + parts.data[start + 1 :]


def _ten_bytes(parts: Parts) -> bytes:
    """The length of SEQUENCE in ten bytes, the last of which has a bit that 64 bits do not hold."""
    start = len(encode_header())
    length, payload = parts.data[start + 1], parts.payload(UnitType.SEQUENCE)
    unit = bytes([UnitType.SEQUENCE, length | 0x80, *[0x80] * 8, 0x02]) + payload
    return parts.data[:start] + unit + crc32(unit).to_bytes(4, "little") + parts.data[start + 6 + len(payload) :]


def _padded_length(parts: Parts) -> bytes:
    """The width in two bytes where one does."""
    payload = parts.payload(UnitType.SEQUENCE)
    return parts.with_payload(UnitType.SEQUENCE, bytes([payload[0] | 0x80, 0]) + payload[1:])


def _damaged_critical(parts: Parts) -> bytes:
    """A unit of unknown critical type after SEQUENCE, a bit of whose crc is flipped."""
    unit = encode_unit(_NEW_CRITICAL, b"")
    return _before(UnitType.NETWORK, _NEW_CRITICAL)(parts).replace(unit, unit[:-1] + bytes([unit[-1] ^ 1]))


def _flipped_crc(kind: int) -> Break:
    """A bit of the CRC of the first unit of a type flipped."""
    return lambda parts: _flipped(parts.crc_offsets[parts.place(kind)])(parts)


def _before(kind: int, new: int, payload: bytes = b"") -> Break:
    """A new unit before the first one of a type."""
    return lambda parts: parts.with_unit(parts.place(kind), new, payload)


def _second_sequence(parts: Parts) -> bytes:
    return parts.with_unit(1, *parts.units[0])


def _without(kind: int) -> Break:
    return lambda parts: parts.rebuilt([unit for unit in parts.units if unit[0] != kind])


def _without_gops(parts: Parts) -> bytes:
    end = (UnitType.END, serialise_end(End(0, 0)))
    return parts.rebuilt([unit for unit in parts.units if unit[0] in (UnitType.SEQUENCE, UnitType.NETWORK)] + [end])


def _network_late(parts: Parts) -> bytes:
    """The first GOP comes before NETWORK."""
    network, gop = parts.place(UnitType.NETWORK), parts.place(UnitType.GOP)
    moved = parts.units[gop : gop + 2]
    rest = [unit for unit in parts.units if unit not in moved]
    return parts.rebuilt([*rest[:network], *moved, *rest[network:]])


CONTAINER_FAULTS: tuple[Fault, ...] = (
    rejected(
        "R1.1",
        "length",
        "unit_length of SEQUENCE takes 11 bytes",
        "A loop without an end reads on, or shifts by more than the width of its integer.",
        _long_length,
    ),
    rejected(
        "R1.1",
        "ten",
        "unit_length of SEQUENCE takes 10 bytes, and all else is right for a decoder that keeps its lowest 64 bits",
        "Integers of 64 bits do not hold what ten bytes may say.",
        _ten_bytes,
        "nano-units",
    ),
    rejected(
        "R1.2",
        "padded",
        "width is written in two bytes, the last of them 0",
        "Two decoders that differ here differ on which bytes are the same stream.",
        _padded_length,
    ),
    rejected(
        "R2.1",
        "magic",
        "the fourth byte is not that of magic",
        "A decoder that compares fewer than 8 bytes takes other files for streams.",
        _flipped(3),
    ),
    rejected(
        "R2.1",
        "last",
        "the last byte is not that of magic",
        "The bytes for line ends are there to show that a transfer changed the file.",
        _flipped(7),
    ),
    unsupported(
        "R2.2",
        "earlier",
        f"version is {VERSION - 1}, the one before",
        "A stream of an earlier draft would be decoded to wrong frames.",
        lambda parts: parts.data[:8] + bytes([VERSION - 1]) + parts.data[9:],
    ),
    unsupported(
        "R2.2",
        "version",
        f"version is {VERSION + 1}, the next one",
        "A stream of a later version would be decoded to wrong frames.",
        lambda parts: parts.data[:8] + bytes([VERSION + 1]) + parts.data[9:],
    ),
    rejected(
        "R2.3",
        "footer",
        "the last byte is missing, so the footer is cut",
        "A download that stopped early passes for the whole.",
        lambda parts: parts.data[:-1],
    ),
    rejected(
        "R2.3",
        "header",
        "the stream ends after version, which is that of a later one",
        "Whether the version is known is checked after both bytes are read (9.1.1).",
        lambda parts: parts.data[:8] + bytes([VERSION + 1]),
    ),
    rejected(
        "R2.3",
        "without",
        "there is an INDEX and no footer",
        "A download that stopped early passes for the whole.",
        lambda parts: parts.data[:-12],
    ),
    rejected(
        "R2.3",
        "end",
        "END is missing",
        "A stream cut between two GOPs passes for the whole.",
        _without(UnitType.END),
        "nano-units",
    ),
    rejected(
        "R2.4",
        "crc",
        "a bit of the crc of GOP is flipped",
        "Damage is not found where it is.",
        _flipped_crc(UnitType.GOP),
    ),
    rejected(
        "R2.4",
        "optional",
        "a bit of the crc of the first METADATA is flipped",
        "The length of a unit that is skipped is not to be trusted without its crc.",
        _flipped_crc(UnitType.METADATA),
        "nano-presentation",
    ),
    rejected(
        "R2.4",
        "unknown",
        "a bit of the crc of a unit of unknown optional type is flipped",
        "The length of a unit that is skipped is not to be trusted without its crc.",
        _flipped_crc(0xFF),
        "nano-units",
    ),
    rejected(
        "R2.4",
        "type",
        "a unit of the unknown critical type 0x06 has a wrong crc",
        "Damage of a unit_type passes for a stream of a later version (9.1.1).",
        _damaged_critical,
    ),
    unsupported(
        "R2.5",
        "between",
        "a unit of the unknown critical type 0x7F stands between GOP and DIGEST",
        "Whether the type is known is checked before the order of units (9.1.1).",
        _before(UnitType.DIGEST, 0x7F),
    ),
    unsupported(
        "R2.5",
        "hop",
        "a unit of the unknown critical type 0x06 stands before the first GOP, in a stream without INDEX",
        "A reader that seeks would hop over it (2.8).",
        _before(UnitType.GOP, _NEW_CRITICAL),
        "nano-units",
    ),
    unsupported(
        "R2.5",
        "index",
        "a unit of the unknown critical type 0x00 stands between INDEX and END",
        "Whether the type is known is checked before the order of units (9.1.1).",
        _before(UnitType.END, 0x00),
    ),
    unsupported(
        "R2.5",
        "critical",
        "a unit of the unknown critical type 0x06 follows SEQUENCE",
        "Without what the unit says, the frames are not those that were meant.",
        _before(UnitType.NETWORK, _NEW_CRITICAL),
    ),
    unsupported(
        "R2.5",
        "first",
        "a unit of the unknown critical type 0x06 is the first",
        "Whether the type is known is checked before the order of units (9.1.1).",
        _before(UnitType.SEQUENCE, _NEW_CRITICAL),
    ),
    rejected(
        "R2.6",
        "short",
        "DIGEST has 15 bytes",
        "A read behind the payload takes bytes of the crc for content.",
        lambda parts: parts.with_payload(UnitType.DIGEST, parts.payload(UnitType.DIGEST)[:15]),
    ),
    rejected(
        "R2.7",
        "long",
        "DIGEST has 17 bytes",
        "Bytes that nobody reads could hold anything, and a later version could not use them.",
        lambda parts: parts.with_payload(UnitType.DIGEST, parts.payload(UnitType.DIGEST) + b"\0"),
    ),
    rejected(
        "R2.8",
        "second",
        "a second SEQUENCE follows the first",
        "The size of the frames could change between GOPs.",
        _second_sequence,
    ),
    rejected(
        "R2.8",
        "late",
        "an unknown optional unit comes before SEQUENCE",
        "A decoder that looks for SEQUENCE further on accepts what others do not.",
        _before(UnitType.SEQUENCE, NEW_OPTIONAL),
    ),
    rejected(
        "R2.9",
        "network",
        "there is no NETWORK",
        "The GOP would be decoded with weights that were never set.",
        _without(UnitType.NETWORK),
        "nano-units",
    ),
    rejected(
        "R2.9",
        "late",
        "the first of two GOPs comes before NETWORK",
        "The GOP would be decoded with weights that come later.",
        _network_late,
        "nano-units",
    ),
    rejected(
        "R2.10",
        "between",
        "an unknown optional unit stands between GOP and DIGEST",
        "A DIGEST that may come later leaves open which frames it covers.",
        _before(UnitType.DIGEST, NEW_OPTIONAL),
    ),
    rejected(
        "R2.10",
        "digest",
        "a DIGEST comes before the first GOP",
        "A DIGEST that covers no frames would have to be skipped.",
        _before(UnitType.GOP, UnitType.DIGEST, bytes(16)),
    ),
    rejected(
        "R2.11",
        "index",
        "an unknown optional unit stands between INDEX and END",
        "A reader that starts from the footer expects END behind INDEX.",
        _before(UnitType.END, NEW_OPTIONAL),
    ),
    rejected(
        "R2.12",
        "gops",
        "there is no GOP, and END says so",
        "A stream without frames has no first frame to show or to seek to.",
        _without_gops,
        "nano-units",
    ),
)
