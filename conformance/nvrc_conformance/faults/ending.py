"""Faults of the end of a stream, chapter 2: totals, INDEX and footer."""

from __future__ import annotations

from dataclasses import replace

from nvrc_conformance.faults.parts import NEW_OPTIONAL, Break, Fault, Parts, rejected
from nvrc_decoder.bitstream.container import encode_footer, encode_unit
from nvrc_decoder.bitstream.units import End, Index, UnitType, serialise_end, serialise_index

__all__ = ["ENDING_FAULTS"]


def _totals(frames: int, gops: int) -> Break:
    return lambda parts: parts.with_payload(UnitType.END, serialise_end(End(frames, gops)))


def _entry(place: int, **shifts: int) -> Break:
    """Elements of an entry of INDEX shifted."""

    def make(parts: Parts) -> bytes:
        entries = list(parts.index.entries)
        shifted = {name: getattr(entries[place], name) + shift for name, shift in shifts.items()}
        entries[place] = replace(entries[place], **shifted)
        return parts.with_index(entries)

    return make


def _other_network(place: int, of: int) -> Break:
    """The network_offset of an entry of INDEX is that of another one."""

    def make(parts: Parts) -> bytes:
        entries = list(parts.index.entries)
        entries[place] = replace(entries[place], network_offset=entries[of].network_offset)
        return parts.with_index(entries)

    return make


def _entry_to_optional(parts: Parts) -> bytes:
    """The entry of INDEX leads to a unit of unknown optional type between GOP and DIGEST, which has GOP's payload."""
    place, payload, (entry,) = parts.place(UnitType.DIGEST), parts.payload(UnitType.GOP), parts.index.entries
    moved = replace(entry, offset=entry.offset + len(encode_unit(UnitType.GOP, payload)))
    index = serialise_index(Index((moved,)))
    units = [*parts.units[:place], (NEW_OPTIONAL, payload), *parts.units[place:]]
    return parts.rebuilt([(kind, index if kind == UnitType.INDEX else old) for kind, old in units])


def _footer(shift: int = 0, magic: bytes = b"NVRX") -> Break:
    """index_offset shifted, or another footer_magic."""

    def make(parts: Parts) -> bytes:
        body, footer = parts.data[:-12], parts.data[-12:]
        offset = int.from_bytes(footer[:8], "little")
        return body + encode_footer(offset + shift)[:8] + magic

    return make


ENDING_FAULTS: tuple[Fault, ...] = (
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
        "R2.13",
        "fewer",
        "frame_count of END is one less than there are",
        "A frame that was put in is noticed here only.",
        _totals(2, 1),
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
        "R2.14",
        "twice",
        "the footer stands twice",
        "What stands between END and the footer could be anything.",
        lambda parts: parts.data + parts.data[-12:],
    ),
    rejected(
        "R2.14",
        "footer",
        "a byte follows the footer",
        "Streams that are written one after the other would pass for one.",
        lambda parts: parts.data + b"\0",
    ),
    rejected(
        "R2.15",
        "fewer",
        "INDEX lacks the last GOP",
        "A seek to the frames behind would end in another GOP.",
        lambda parts: parts.with_index(parts.index.entries[:-1]),
        "nano-two-gops",
    ),
    rejected(
        "R2.10",
        "type",
        "INDEX leads to a unit of unknown optional type between GOP and DIGEST, with the payload of the GOP",
        "A seek would decode what playing skips.",
        _entry_to_optional,
    ),
    rejected(
        "R3.36",
        "network-after",
        "network_offset of the first entry of INDEX is that of a NETWORK behind its GOP",
        "A seek would decode with the weights of another NETWORK.",
        _other_network(0, 1),
        "nano-order",
    ),
    rejected(
        "R3.36",
        "network-before",
        "network_offset of the third entry of INDEX is less than that of the second",
        "A seek would decode with the weights of another NETWORK.",
        _other_network(2, 0),
        "nano-order",
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
