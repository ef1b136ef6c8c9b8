"""Faults of chapters 1 and 2: encoding of integers, units and their order, INDEX and footer."""

from __future__ import annotations

from dataclasses import replace

from nvrc_conformance.faults.parts import SMALL, Break, Fault, Parts, rejected
from nvrc_decoder.bitstream.container import VERSION, encode_footer, encode_header
from nvrc_decoder.bitstream.units import End, Index, UnitType, serialise_end, serialise_index

__all__ = ["CONTAINER_FAULTS"]

_NEW_CRITICAL, _NEW_OPTIONAL = 0x06, 0x99


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


def _padded_length(parts: Parts) -> bytes:
    """The width in two bytes where one does."""
    payload = parts.payload(UnitType.SEQUENCE)
    return parts.with_payload(UnitType.SEQUENCE, bytes([payload[0] | 0x80, 0]) + payload[1:])


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


def _totals(frames: int, gops: int) -> Break:
    return lambda parts: parts.with_payload(UnitType.END, serialise_end(End(frames, gops)))


def _entry(place: int, **shifts: int) -> Break:
    """Elements of an entry of INDEX shifted."""

    def make(parts: Parts) -> bytes:
        entries = list(parts.index.entries)
        shifted = {name: getattr(entries[place], name) + shift for name, shift in shifts.items()}
        entries[place] = replace(entries[place], **shifted)
        return parts.with_payload(UnitType.INDEX, serialise_index(Index(tuple(entries)), check=False))

    return make


def _footer(shift: int = 0, magic: bytes = b"NVRX") -> Break:
    """Another footer."""

    def make(parts: Parts) -> bytes:
        body, footer = parts.data[:-12], parts.data[-12:]
        offset = int.from_bytes(footer[:8], "little")
        return body + encode_footer(offset + shift)[:8] + magic

    return make


CONTAINER_FAULTS: tuple[Fault, ...] = (
    rejected(
        "R1.1",
        "length",
        "unit_length of SEQUENCE takes 11 bytes",
        "A loop without an end reads on, or shifts by more than the width of its integer.",
        _long_length,
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
    Fault(
        "unsupported-2-2-version",
        "R2.2",
        SMALL,
        f"version is {VERSION + 1}, the next one",
        "A stream of a later version would be decoded to wrong frames.",
        lambda parts: parts.data[:8] + bytes([VERSION + 1]) + parts.data[9:],
        "unsupported",
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
    Fault(
        "unsupported-2-5-critical",
        "R2.5",
        SMALL,
        "a unit of the unknown critical type 0x06 follows SEQUENCE",
        "Without what the unit says, the frames are not those that were meant.",
        _before(UnitType.NETWORK, _NEW_CRITICAL),
        "unsupported",
    ),
    Fault(
        "unsupported-2-5-first",
        "R2.5",
        SMALL,
        "a unit of the unknown critical type 0x06 is the first",
        "Whether the type is known is checked before the order of units (9.1.1).",
        _before(UnitType.SEQUENCE, _NEW_CRITICAL),
        "unsupported",
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
        _before(UnitType.SEQUENCE, _NEW_OPTIONAL),
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
        "R2.10",
        "between",
        "an unknown optional unit stands between GOP and DIGEST",
        "A DIGEST that may come later leaves open which frames it covers.",
        _before(UnitType.DIGEST, _NEW_OPTIONAL),
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
        _before(UnitType.END, _NEW_OPTIONAL),
    ),
    rejected(
        "R2.12",
        "gops",
        "there is no GOP, and END says so",
        "A stream without frames has no first frame to show or to seek to.",
        _without_gops,
        "nano-units",
    ),
    rejected(
        "R2.13",
        "frames",
        "frame_count of END is one more than there are",
        "A GOP that was cut out is noticed here only.",
        _totals(4, 1),
    ),
    rejected(
        "R2.13",
        "gops",
        "gop_count of END is one more than there are",
        "A GOP that was cut out is noticed here only.",
        _totals(3, 2),
    ),
    rejected(
        "R2.14",
        "trailing",
        "a byte follows END",
        "Streams that are written one after the other would pass for one.",
        lambda parts: parts.data + b"\0",
        "nano-units",
    ),
    rejected(
        "R2.15",
        "offset",
        "offset of the entry of INDEX is one too large",
        "A seek would read from the middle of a unit.",
        _entry(0, offset=1),
    ),
    rejected(
        "R2.15",
        "frame",
        "first_frame of the last entry of INDEX is one too small",
        "A seek would show another frame than playing does.",
        _entry(-1, first_frame=-1),
        "nano-two-gops",
    ),
    rejected(
        "R2.15",
        "network",
        "network_offset of an entry of INDEX is one too small",
        "A seek would decode with the weights of another NETWORK, or with none.",
        _entry(-1, network_offset=-1),
        "main-split-empty",
    ),
    rejected(
        "R2.16",
        "footer",
        "index_offset is one too large",
        "A seek would look for INDEX in the middle of a unit.",
        _footer(shift=1),
    ),
    rejected(
        "R2.17",
        "footer",
        "footer_magic ends in Y",
        "A footer that is not one would be followed to anywhere.",
        _footer(magic=b"NVRY"),
    ),
)
