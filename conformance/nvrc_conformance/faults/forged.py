"""An INDEX that leads into SEQUENCE, where the bytes happen to be a NETWORK.

SEQUENCE ends, and an optional unit after it goes on, like a NETWORK unit with a right crc:

    of SEQUENCE    rate_numerator                                      unit_type of NETWORK
                   rate_denominator                                    its unit_length
                   chroma_format .. matrix_coefficients                stage_channels
                   colour_flags .. level, the first byte of crc        stage_blocks
                   second and third byte of crc                        grid_mask
                   last byte of crc                                    spacings
    of the unit    unit_type, unit_length                              step_factor
                   payload                                             all that follows, and the crc

The real NETWORK has the same payload, so that the GOP decodes with either. Only the place of the entry is wrong.
"""

from __future__ import annotations

from dataclasses import replace

from nvrc_conformance.faults.parts import NEW_OPTIONAL, Fault, Parts, assemble, rejected
from nvrc_conformance.faults.plain import plain
from nvrc_decoder.bitstream.container import HEADER_BYTES, encode_unit
from nvrc_decoder.bitstream.units import (
    Index,
    IndexEntry,
    UnitType,
    serialise_gop,
    serialise_index,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.pyramid import Pyramid

__all__ = ["FORGED_FAULTS"]

# A search over sizes and channels found a SEQUENCE whose crc has the four bytes that are wanted.
_SIZE = {"width": 40, "height": 204}
_CHANNELS = {
    "chroma_format": 1,
    "bit_depth": 8,
    "colour_primaries": 7,
    "transfer_characteristics": 3,
    "matrix_coefficients": 5,
}
_SLOTS = (2, 3, 4)
_KEY_SPACING, _NODE_SPACING = 8, 2
_NETWORK_BYTES = 77
_BYTES_FROM_SEQUENCE = 15


def _forged(parts: Parts) -> bytes:
    """The whole stream, the DIGEST right.

    Raises:
        ValueError: a change of the sibling or of the format has made the bytes others.
    """
    rest_bytes = 2 + _NETWORK_BYTES + 4 - _BYTES_FROM_SEQUENCE - 2
    kind = {"rate_numerator": int(UnitType.NETWORK), "rate_denominator": _NETWORK_BYTES}
    (grid,) = parts.network.grids
    stream = plain(
        parts,
        {**_SIZE, **kind, **_CHANNELS},
        stage_channels=tuple(_CHANNELS.values()),
        stage_blocks=(0, 0, 0, 0, 0),
        grids=tuple(replace(grid, slot=slot) for slot in _SLOTS),
        pyramid=Pyramid(_KEY_SPACING, _NODE_SPACING, (NEW_OPTIONAL, rest_bytes)),
    )
    header = stream.header()
    network = serialise_network(header, stream.sequence)
    sequence = serialise_sequence(stream.sequence)
    forged = encode_unit(UnitType.NETWORK, network)
    before = encode_unit(UnitType.SEQUENCE, sequence)
    rest = forged[_BYTES_FROM_SEQUENCE + 2 :]
    place = len(before) - _BYTES_FROM_SEQUENCE
    if not (before + encode_unit(NEW_OPTIONAL, rest))[place:].startswith(forged):
        raise ValueError("SEQUENCE and what follows it are no NETWORK: search for other sizes and channels")
    start = HEADER_BYTES + len(before) + len(encode_unit(NEW_OPTIONAL, rest)) + len(forged)
    index = Index((IndexEntry(start, 0, HEADER_BYTES + place),))
    units = [
        (UnitType.SEQUENCE, sequence),
        (NEW_OPTIONAL, rest),
        (UnitType.NETWORK, network),
        (UnitType.GOP, serialise_gop(stream.gop(), header, stream.sequence.profile_spec)),
        (UnitType.DIGEST, stream.digest()),
        (UnitType.INDEX, serialise_index(index)),
        (UnitType.END, b""),
    ]
    return assemble(units, remade=(UnitType.END,))


FORGED_FAULTS: tuple[Fault, ...] = (
    rejected(
        "R2.15",
        "forged",
        "network_offset of an entry leads into SEQUENCE, where the bytes are those of the NETWORK",
        "A decoder that compares no offset with the end of SEQUENCE decodes all frames by random access.",
        _forged,
    ),
)
