"""Faults of chapter 3, NETWORK apart, and of levels, chapter 9."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

from nvrc_conformance.faults.parts import Break, Fault, Parts, rejected, unsupported
from nvrc_conformance.faults.reasons import LEVEL, RESERVED, TABLE
from nvrc_decoder.bitstream.units import (
    End,
    UnitType,
    node_map,
    parse_end,
    serialise_end,
    serialise_gop,
    serialise_sequence,
)
from nvrc_decoder.decode.gop import grid_shape
from nvrc_decoder.limits import LEVELS

__all__ = ["HEADER_FAULTS"]

_TWO, _MOTION = "nano-two-gops", "nano-motion-frame"
_FREE = ("limit",)


def _sequence(**changes: int) -> Break:
    return lambda parts: parts.with_sequence(**changes)


def _gop(**changes: Any) -> Break:
    return lambda parts: parts.with_gop(**changes)


def _longer_grid(parts: Parts) -> bytes:
    """The first grid's payload a byte longer."""
    return parts.with_gop(grids=(parts.gop.grids[0] + b"\0", *parts.gop.grids[1:]))


def _node_beyond(parts: Parts) -> bytes:
    """The highest bit of the first node map set, which stands for no node."""
    first, *rest = parts.gop.node_maps
    return parts.with_gop(node_maps=(first[:-1] + bytes([first[-1] | 0x80]), *rest))


def _without_frames(parts: Parts) -> bytes:
    """A last GOP of no frames, with grids without values and the DIGEST of nothing."""
    count = len([unit for unit in parts.units if unit[0] == UnitType.GOP])
    frames = sum(parse_end(payload).frame_count for kind, payload in parts.units if kind == UnitType.END)
    empty = replace(parts.gop, frame_count=0, grids=(b"",) * len(parts.gop.grids))
    gop = serialise_gop(empty, parts.network, parts.sequence.profile_spec, check=False)
    last = [(UnitType.GOP, gop), (UnitType.DIGEST, sha256().digest()[:16])]
    end = (UnitType.END, serialise_end(End(frames, count + 1)))
    return parts.rebuilt([*(unit for unit in parts.units if unit[0] != UnitType.END), *last, end])


def _metadata(payload: bytes) -> Break:
    return lambda parts: parts.with_payload(UnitType.METADATA, payload)


def _too_many_symbols(parts: Parts) -> bytes:
    """A GOP of an allowed length of frames of an allowed size, which together have too many values for level 0."""
    frames = LEVELS[0].max_gop_frames
    header = replace(parts.sequence, width=512, height=256, rate_numerator=1)
    (grid,) = parts.network.grids
    nodes, *_ = grid_shape(header, parts.network, grid, frames)
    larger = Parts(parts.with_payload(UnitType.SEQUENCE, serialise_sequence(header)))
    return larger.with_gop(frame_count=frames, grids=(b"",), node_maps=(node_map([False] * nodes),))


_SIZE = "A frame without samples divides by zero or allocates nothing."

_SEQUENCE_FAULTS = (
    rejected("R3.1", "width", "width is 0", _SIZE, _sequence(width=0)),
    rejected(
        "R3.2", "height", "height is 65536", "The height would not fit 16 bits.", _sequence(height=65536), also=_FREE
    ),
    rejected(
        "R3.1",
        "width-2-32",
        "width is 2^32 more than that of the frames",
        "In 32 bits it is a width that is allowed.",
        lambda parts: parts.with_sequence(width=parts.sequence.width + (1 << 32)),
        also=_FREE,
    ),
    rejected("R3.2", "height-0", "height is 0", _SIZE, _sequence(height=0)),
    rejected("R3.3", "rate", "rate_numerator is 0", "A frame would last for ever.", _sequence(rate_numerator=0)),
    rejected(
        "R3.3",
        "rate-2-31",
        "rate_numerator is 2^31",
        "It would be negative in 32 bits.",
        _sequence(rate_numerator=1 << 31, rate_denominator=2, level=6),
    ),
    rejected(
        "R3.4",
        "rate",
        "rate_denominator is 2^31",
        "It would be negative in 32 bits.",
        _sequence(rate_denominator=1 << 31),
    ),
    rejected(
        "R3.4",
        "rate-0",
        "rate_denominator is 0",
        "The rate would be a division by zero.",
        _sequence(rate_denominator=0),
    ),
    rejected("R3.5", "chroma", "chroma_format is 3", TABLE, _sequence(chroma_format=3)),
    rejected(
        "R3.6",
        "depth",
        "bit_depth is 9",
        "Samples would be scaled for a depth that is not defined.",
        _sequence(bit_depth=9),
    ),
    rejected(
        "R3.7",
        "colour",
        "bit 7 of colour_flags is 1",
        RESERVED,
        lambda parts: parts.with_bytes(UnitType.SEQUENCE, 9, b"\x80"),
    ),
    rejected(
        "R3.7",
        "colour-1",
        "bit 1 of colour_flags is 1",
        RESERVED,
        lambda parts: parts.with_bytes(UnitType.SEQUENCE, 9, b"\x02"),
    ),
    rejected(
        "R3.8",
        "position",
        "chroma_sample_position is 4",
        "No place of the chroma samples is defined for it.",
        _sequence(chroma_sample_position=4),
    ),
    rejected(
        "R3.9",
        "position",
        "chroma_sample_position is 1 in 4:4:4",
        "The place of samples would be told where there is no choice.",
        _sequence(chroma_sample_position=1),
        "nano-444",
    ),
    unsupported(
        "R3.10",
        "profile",
        "profile is 3",
        "A profile of a later version would be decoded as another one.",
        _sequence(profile=3),
    ),
    unsupported(
        "R3.10",
        "level",
        "profile is 3 and level is 7",
        "The elements of SEQUENCE are checked in their order (9.1.1).",
        _sequence(profile=3, level=7),
    ),
    rejected(
        "R3.1",
        "profile",
        "width is 0 and profile is 3",
        "The elements of SEQUENCE are checked in their order (9.1.1).",
        _sequence(width=0, profile=3),
    ),
    rejected("R3.11", "level", "level is 7", TABLE, _sequence(level=7)),
)

_OTHER_FAULTS = (
    rejected(
        "R3.31",
        "frames",
        "frame_count of GOP is 0",
        "A GOP without frames has no first frame to seek to.",
        _gop(frame_count=0),
    ),
    rejected(
        "R3.31",
        "frames-0",
        "a last GOP has no frames, no values, and the DIGEST of that",
        "A GOP without frames has no first frame to seek to.",
        _without_frames,
        "nano-units",
    ),
    rejected(
        "R3.31",
        "frames-2-31",
        "frame_count of GOP is 2^31",
        "A few bytes would ask for years of work.",
        _gop(frame_count=1 << 31),
        also=_FREE,
    ),
    rejected(
        "R3.32",
        "length",
        "grid_length is not a multiple of 4",
        "The last word would be read behind the end.",
        _longer_grid,
    ),
    rejected(
        "R3.33",
        "key",
        "key_length of METADATA is 0",
        "A value without a name cannot be asked for.",
        _metadata(b"\x00value"),
        "nano-presentation",
    ),
    rejected(
        "R3.34",
        "key",
        "key of METADATA is not UTF-8",
        "A program that prints the key would fail later.",
        _metadata(b"\x02\xc3\x28value"),
        "nano-presentation",
    ),
    rejected(
        "R3.33",
        "key-256",
        "key_length of METADATA is 256",
        "A length of one byte would be 0.",
        _metadata(b"\x80\x02" + b"k" * 256),
        "nano-presentation",
    ),
    *(
        rejected(
            "R3.34",
            name,
            f"key of METADATA has {what}",
            "Two keys of other bytes would be the same text, or none.",
            _metadata(bytes([len(key)]) + key + b"value"),
            "nano-presentation",
        )
        for name, what, key in (
            ("overlong", "a character in two bytes where one does", b"\xc1\xbf"),
            ("overlong-3", "a character in three bytes where two do", b"\xe0\x9f\xbf"),
            ("overlong-4", "a character in four bytes where three do", b"\xf0\x8f\xbf\xbf"),
            ("surrogate", "a surrogate", b"\xed\xa0\x80"),
            ("beyond", "a number beyond U+10FFFF", b"\xf4\x90\x80\x80"),
            ("cut", "a character that its end cuts", b"k\xe2\x82"),
        )
    ),
    rejected(
        "R3.35",
        "index",
        "gop_count of INDEX is 0",
        "A seek would look for an entry that is not there.",
        lambda parts: parts.with_index(()),
    ),
    rejected(
        "R3.36",
        "order",
        "the entries of INDEX are in the reverse order",
        "A search by halves would find the wrong GOP.",
        lambda parts: parts.with_index(parts.index.entries[::-1]),
        _TWO,
    ),
    rejected("R3.47", "nodes", "a bit of node_map behind the last node is 1", RESERVED, _node_beyond, _MOTION),
    rejected(
        "R9.1",
        "size",
        "frames of 512x257 at level 0",
        LEVEL,
        _sequence(width=512, height=257, rate_numerator=1),
        also=_FREE,
    ),
    rejected(
        "R9.2",
        "side",
        "a width of 1025 at level 0",
        LEVEL,
        _sequence(width=1025, height=1, rate_numerator=1),
        also=_FREE,
    ),
    rejected(
        "R9.3",
        "rate",
        "33 frames of 512x256 in a second at level 0",
        LEVEL,
        _sequence(width=512, height=256, rate_numerator=33),
        also=_FREE,
    ),
    rejected(
        "R9.4",
        "frames",
        "a GOP of 1025 frames at level 0",
        LEVEL,
        _gop(frame_count=LEVELS[0].max_gop_frames + 1),
        also=_FREE,
    ),
    rejected(
        "R9.5",
        "symbols",
        "a GOP of more than 2^24 grid values at level 0, all of them in empty nodes",
        LEVEL,
        _too_many_symbols,
        "nano-planes-alone",
        _FREE,
    ),
)

HEADER_FAULTS: tuple[Fault, ...] = (*_SEQUENCE_FAULTS, *_OTHER_FAULTS)
