"""The syntax tables of every payload (spec chapter 3). Reader, writer and specification interpret these."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from nvrc_decoder.bitstream.network_table import NETWORK
from nvrc_decoder.bitstream.syntax import (
    BitField,
    Bits,
    Check,
    Derived,
    Field,
    Loop,
    Option,
    Scope,
    Table,
    in_range,
    multiple_of_4,
    number_field,
)
from nvrc_decoder.picture.format import RATE_MAX
from nvrc_decoder.profiles import PROFILES

__all__ = ["PAYLOADS", "Payload"]


@dataclass(frozen=True)
class Payload:
    """One unit type's payload: its name, section of the specification and syntax."""

    name: str
    section: str
    table: Table


def _utf8(value: bytes, _: Scope) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


_SEQUENCE: Table = (
    number_field("width", "leb128", "R3.1", 1, 65535, "Width of a frame in luma samples."),
    number_field("height", "leb128", "R3.2", 1, 65535, "Height of a frame in luma samples."),
    number_field(
        "rate_numerator",
        "leb128",
        "R3.3",
        1,
        RATE_MAX,
        "rate_numerator / rate_denominator frames are shown per second. The fraction need not be reduced.",
    ),
    number_field("rate_denominator", "leb128", "R3.4", 1, RATE_MAX, "See rate_numerator."),
    number_field(
        "chroma_format",
        "u8",
        "R3.5",
        0,
        2,
        "0: 4:0:0 (luma only); 1: 4:2:0 (chroma planes of ceil(width / 2) x ceil(height / 2) samples); 2: 4:4:4.",
    ),
    Field(
        "bit_depth",
        "u8",
        "Bits of a sample, in all planes.",
        (Check("R3.6", "E_RANGE", "bit_depth is 8 or 10", lambda value, _: value in (8, 10)),),
    ),
    Field(
        "colour_primaries",
        "u8",
        "ColourPrimaries of Rec. ITU-T H.273; 2 = unspecified. Every value is allowed; it does not affect decoding.",
    ),
    Field("transfer_characteristics", "u8", "TransferCharacteristics of H.273, likewise."),
    Field("matrix_coefficients", "u8", "MatrixCoefficients of H.273, likewise."),
    Bits(
        "colour_flags",
        (BitField("full_range", 0, 1, "VideoFullRangeFlag of H.273: 1 = samples use the full range."),),
        "R3.7",
    ),
    Field(
        "chroma_sample_position",
        "u8",
        "Where a chroma sample lies among its luma samples: 0 unknown, 1 left (halfway between two rows), "
        "2 centre, 3 top left. It does not affect decoding.",
        (
            in_range("chroma_sample_position", "R3.8", 0, 3),
            Check(
                "R3.9",
                "E_RANGE",
                "chroma_sample_position is 0 where chroma_format is not 1",
                lambda value, scope: value == 0 or scope["chroma_format"] == 1,
            ),
        ),
    ),
    Field(
        "profile",
        "u8",
        "The profile, which fixes the largest network (chapter 7): 0 nano, 1 lite, 2 main. "
        "Other values are reserved for later profiles: a decoder reports them as unsupported, not as invalid.",
        (in_range("profile", "R3.10", 0, len(PROFILES) - 1, "E_UNSUPPORTED"),),
    ),
    number_field("level", "u8", "R3.11", 0, 6, "The level, which caps sizes and rates (9.4)."),
)


def _grid_nodes(scope: Scope) -> int:
    """GridNodes of the current slot (3.4)."""
    frames: int = scope["frame_count"]
    nodes: int = scope["pyramid"].node_count(frames) if scope["slot"] in scope["NodeSlots"] else frames
    return nodes


def _map_ends(value: bytes, scope: Scope) -> bool:
    return int.from_bytes(value, "little") >> _grid_nodes(scope) == 0


_GOP: Table = (
    number_field("frame_count", "leb128", "R3.31", 1, 65536, "Number of frames in this GOP."),
    Loop(
        "grids",
        "slot",
        "CodingOrder",
        (
            Option(
                "slot is one of MappedSlots",
                lambda scope: scope["slot"] in scope["MappedSlots"],
                (
                    Derived(
                        "NodeMapBytes",
                        "ceil(GridNodes / 8)",
                        lambda scope: -(-_grid_nodes(scope) // 8),
                    ),
                    Field(
                        "node_map",
                        "bytes",
                        "Bit n % 8 of byte n // 8 is 1 where node n of the slot's grid is coded, and 0 where it is "
                        "empty (5.2).",
                        (Check("R3.47", "E_RESERVED", "bits GridNodes and above of node_map are 0", _map_ends),),
                        length="NodeMapBytes",
                    ),
                ),
            ),
            Field("grid_length", "leb128", "Bytes of grid_payload.", (multiple_of_4("grid_length", "R3.32"),)),
            Field(
                "grid_payload",
                "bytes",
                "The coded values of the slot's grid (chapter 5).",
                length="grid_length",
            ),
        ),
    ),
)

_DIGEST: Table = (
    Field(
        "digest",
        "bytes",
        "The first 16 bytes of the SHA-256 of the frames of the GOP before it (8.3).",
        length=16,
    ),
)

_METADATA: Table = (
    number_field("key_length", "leb128", "R3.33", 1, 255, "Bytes of key."),
    Field(
        "key",
        "bytes",
        "Name of the entry.",
        (Check("R3.34", "E_UTF8", "key is well-formed UTF-8", _utf8),),
        length="key_length",
    ),
    Field("value", "bytes", "Value of the entry: the rest of the payload, in a form that depends on the key."),
)


def _index_ordered(entries: list[dict[str, int]], _: Scope) -> bool:
    starts = [(e["offset"], e["first_frame"]) for e in entries]
    rising = all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(starts))
    networks = [e["network_offset"] for e in entries]
    return (
        rising
        and entries[0]["first_frame"] == 0
        and all(e["network_offset"] < e["offset"] for e in entries)
        and all(a <= b for a, b in pairwise(networks))
    )


_INDEX: Table = (
    Field(
        "gop_count",
        "leb128",
        "Number of entries, one for each GOP of the stream.",
        (Check("R3.35", "E_INDEX", "gop_count is not 0", lambda value, _: value > 0),),
    ),
    Loop(
        "entries",
        "gop",
        "gop_count",
        (
            Field("offset", "leb128", "Offset in the stream of the first byte of the GOP unit."),
            Field("first_frame", "leb128", "Number of frames in all GOPs before this one."),
            Field("network_offset", "leb128", "Offset of the NETWORK unit that is in force for the GOP."),
        ),
    ),
    Derived(
        "IndexEntries",
        "the entries, in order",
        lambda scope: scope["entries"],
        (
            Check(
                "R3.36",
                "E_INDEX",
                "from each entry to the next offset and first_frame increase and network_offset does not decrease, "
                "first_frame of the first is 0, and network_offset is less than offset in each",
                _index_ordered,
            ),
        ),
    ),
)

_END: Table = (
    Field("frame_count", "leb128", "Number of frames of the stream."),
    Field("gop_count", "leb128", "Number of GOP units of the stream."),
)

PAYLOADS: dict[str, Payload] = {
    payload.name: payload
    for payload in (
        Payload("SEQUENCE", "3.2", _SEQUENCE),
        Payload("NETWORK", "3.3", NETWORK),
        Payload("GOP", "3.4", _GOP),
        Payload("DIGEST", "3.5", _DIGEST),
        Payload("METADATA", "3.6", _METADATA),
        Payload("INDEX", "3.7", _INDEX),
        Payload("END", "3.8", _END),
    )
}
