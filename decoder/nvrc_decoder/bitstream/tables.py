"""The syntax tables of every payload (spec chapter 3). Reader, writer and specification interpret these."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from nvrc_decoder.bitstream.headers import ScheduleKind
from nvrc_decoder.bitstream.syntax import (
    BitField,
    Bits,
    Check,
    Derived,
    Element,
    Field,
    Loop,
    Option,
    Scope,
    Table,
    in_range,
)
from nvrc_decoder.profiles import MIX_GROUP, PROFILES, context_layers, synthesis_layers

__all__ = ["MAX_SPLITS", "PAYLOADS", "Payload"]

MAX_SPLITS = 32
_RATE_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class Payload:
    """One unit type's payload: its name, section of the specification and syntax."""

    name: str
    section: str
    table: Table


def _multiple_of_4(name: str, identifier: str) -> Check:
    return Check(identifier, "E_LENGTH", f"{name} is a multiple of 4", lambda value, _: value % 4 == 0)


def _utf8(value: bytes, _: Scope) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _number(name: str, descriptor: str, identifier: str, low: int | str, high: int | str, meaning: str) -> Field:
    return Field(name, descriptor, meaning, (in_range(name, identifier, low, high),))


_SEQUENCE: Table = (
    _number("width", "leb128", "R3.1", 1, 65535, "Width of a picture in luma samples."),
    _number("height", "leb128", "R3.2", 1, 65535, "Height of a picture in luma samples."),
    _number(
        "rate_numerator",
        "leb128",
        "R3.3",
        1,
        _RATE_MAX,
        "Pictures are shown at rate_numerator / rate_denominator a second. The fraction need not be reduced.",
    ),
    _number("rate_denominator", "leb128", "R3.4", 1, _RATE_MAX, "See rate_numerator."),
    _number(
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
        "Further values are for later profiles: a decoder reports them as unsupported, not as invalid.",
        (in_range("profile", "R3.10", 0, len(PROFILES) - 1, "E_UNSUPPORTED"),),
    ),
    _number("level", "u8", "R3.11", 0, 6, "The level, which caps sizes and rates (9.4)."),
)


def _layers(scope: Scope) -> tuple[str, ...]:
    """Names of the layers that NETWORK carries, in canonical order."""
    channels = [0] * scope["NumSlots"]
    for slot, grid in zip(scope["PresentSlots"], scope["grids"], strict=True):
        channels[slot] = grid["grid_channels"]
    profile = PROFILES[scope["profile"]]
    context = context_layers(scope["context_width_1"], scope["context_width_2"])
    shape = scope["stage_channels"], scope["stage_blocks"], channels
    base = any(grid["has_base"] for grid in scope["grids"])
    synthesis = synthesis_layers(profile, *shape, scope["chroma_format"], scope["bit_depth"], base)
    return tuple(layer.name for layer in (*context, *synthesis))


def _is_present(slot: str, scope: Scope) -> bool:
    return bool(scope["grid_mask"] >> scope[slot] & 1)


_SPLIT: tuple[Element, ...] = (
    Bits(
        "split",
        (
            BitField(
                "halve",
                0,
                3,
                "The axes whose spacing this split halves: bit 0 x, bit 1 y, bit 2 t.",
                (Check("R3.18", "E_SCHEDULE", "halve is not 0", lambda value, _: value != 0),),
            ),
            BitField(
                "phase",
                4,
                3,
                "The axes along which each coset is coded in two parities: bit 0 x, bit 1 y, bit 2 t.",
                (
                    Check(
                        "R3.19",
                        "E_SCHEDULE",
                        "phase has no axis that halve has",
                        lambda value, scope: value & scope["halve"] == 0,
                    ),
                ),
            ),
        ),
        "R3.20",
    ),
    _number("repeat", "u8", "R3.21", 1, 16, "The number of times that the split is applied in a row."),
)

_NETWORK: Table = (
    Field(
        "stage_channels",
        "u8",
        "Active channels of each synthesis stage.",
        (in_range("stage_channels[i]", "R3.12", 1, "MaxStageChannels[i]"),),
        count="NumStages",
    ),
    Field(
        "stage_blocks",
        "u8",
        "Active blocks of each synthesis stage: the first of those that it has (7.1).",
        (in_range("stage_blocks[i]", "R3.37", 0, "MaxStageBlocks[i]"),),
        count="NumStages",
    ),
    Field(
        "grid_mask",
        "u16",
        "Bit i = 1: the grid of slot i is present. Bit FlowSlot: motion is on (7.6).",
        (
            Check(
                "R3.13",
                "E_RANGE",
                "a bit of grid_mask other than bit FlowSlot is 1",
                lambda value, scope: value & ~(1 << scope["FlowSlot"]) != 0,
            ),
            Check(
                "R3.14",
                "E_RESERVED",
                "bits NumSlots and above of grid_mask are 0",
                lambda value, scope: value >> scope["NumSlots"] == 0,
            ),
        ),
    ),
    Derived(
        "PresentSlots",
        "the slots i with bit i of grid_mask set, ascending",
        lambda scope: [i for i in range(16) if scope["grid_mask"] >> i & 1],
    ),
    Loop(
        "grids",
        "slot",
        "PresentSlots",
        (
            Bits(
                "grid_layout",
                (
                    BitField(
                        "grid_channels",
                        0,
                        6,
                        "Channels of the grid.",
                        (
                            in_range("grid_channels", "R3.15", 1, "MaxGridChannels[slot]"),
                            Check(
                                "R3.39",
                                "E_RANGE",
                                "grid_channels of the slot FlowSlot is 2",
                                lambda value, scope: value == 2 or scope["slot"] != scope["FlowSlot"],
                            ),
                            Check(
                                "R3.40",
                                "E_RANGE",
                                f"where slot FlowSlot is present, grid_channels of the slot MixedSlot is a multiple "
                                f"of {MIX_GROUP}",
                                lambda value, scope: (
                                    value % MIX_GROUP == 0
                                    or scope["slot"] != scope["MixedSlot"]
                                    or not _is_present("FlowSlot", scope)
                                ),
                            ),
                        ),
                    ),
                    BitField(
                        "has_base",
                        6,
                        1,
                        "1: channel 0 is a base channel (7.6.4).",
                        (
                            Check(
                                "R3.26",
                                "E_RESERVED",
                                "has_base is 0 for a slot other than BaseSlot",
                                lambda value, scope: value == 0 or scope["slot"] == scope["BaseSlot"],
                            ),
                            Check(
                                "R3.41",
                                "E_RANGE",
                                "has_base is 0 where slot FlowSlot or slot MixedSlot is absent",
                                lambda value, scope: (
                                    value == 0 or (_is_present("FlowSlot", scope) and _is_present("MixedSlot", scope))
                                ),
                            ),
                        ),
                    ),
                    BitField("one_multiplier", 7, 1, "1: all channels share one multiplier."),
                ),
                None,
            ),
            Derived(
                "NumMultipliers",
                "1 if one_multiplier is 1, else grid_channels",
                lambda scope: 1 if scope["one_multiplier"] else scope["grid_channels"],
            ),
            Field(
                "multiplier",
                "leb128",
                "The factor that turns a decoded value of channel i, or of every channel, into an activation (7.4).",
                (in_range("multiplier[i]", "R3.16", 1, 2048),),
                count="NumMultipliers",
            ),
            _number(
                "schedule",
                "u8",
                "R3.38",
                0,
                2,
                "The grid's schedule (5.1): 0 TemporalFirst and 1 Octree, for the grid's own shape in each GOP; "
                "2 the runs that follow.",
            ),
            Option(
                "schedule = 2",
                lambda scope: scope["schedule"] == ScheduleKind.EXPLICIT,
                (
                    _number("run_count", "u8", "R3.17", 0, 16, "Number of runs of the grid's schedule (chapter 5)."),
                    Loop("runs", "run", "run_count", _SPLIT),
                    Derived(
                        "NumSplits",
                        "the sum of repeat over the runs",
                        lambda scope: sum(run["repeat"] for run in scope["runs"]),
                        (
                            Check(
                                "R3.22",
                                "E_SCHEDULE",
                                f"NumSplits is at most {MAX_SPLITS}",
                                lambda value, _: value <= MAX_SPLITS,
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
    _number("context_width_1", "u8", "R3.23", 1, 64, "Outputs of the layer context.hidden1."),
    _number("context_width_2", "u8", "R3.24", 1, 64, "Outputs of the layer context.hidden2."),
    Derived(
        "Layers",
        "the layers in canonical order: context.hidden1, context.hidden2, context.output (5.5), then those of "
        "synthesis (7.13) for stage_channels, stage_blocks, grid_channels, has_base and chroma_format",
        _layers,
    ),
    Loop(
        "layers",
        "layer",
        "Layers",
        (
            Bits(
                "layer_scales",
                (
                    BitField("weight_step", 0, 2, "The weight multiplier m is weight_step + 4 (chapter 6)."),
                    BitField(
                        "shift",
                        2,
                        5,
                        "The shift s of the layer's rounding.",
                        (in_range("shift", "R3.25", 0, 24),),
                    ),
                    BitField(
                        "weight_table",
                        7,
                        6,
                        "Scale index of the table that codes the weights.",
                        (in_range("weight_table", "R3.27", 0, 39),),
                    ),
                    BitField(
                        "bias_shift",
                        13,
                        5,
                        "The shift k of the biases: b = b_q << k.",
                        (in_range("bias_shift", "R3.28", 0, 23),),
                    ),
                    BitField(
                        "bias_table",
                        18,
                        6,
                        "Scale index of the table that codes the biases.",
                        (in_range("bias_table", "R3.29", 0, 39),),
                    ),
                ),
                None,
                "u24",
            ),
        ),
    ),
    Field(
        "parameter_length",
        "leb128",
        "Bytes of parameter_payload.",
        (_multiple_of_4("parameter_length", "R3.30"),),
    ),
    Field(
        "parameter_payload",
        "bytes",
        "The coded weights and biases of all layers (chapter 4).",
        length="parameter_length",
    ),
)

_GOP: Table = (
    _number("frame_count", "leb128", "R3.31", 1, 65536, "Number of pictures in this GOP."),
    Loop(
        "grids",
        "slot",
        "CodingOrder",
        (
            Field("grid_length", "leb128", "Bytes of grid_payload.", (_multiple_of_4("grid_length", "R3.32"),)),
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
        "The first 16 bytes of the SHA-256 of the pictures of the GOP before it (chapter 8).",
        length=16,
    ),
)

_METADATA: Table = (
    _number("key_length", "leb128", "R3.33", 1, 255, "Bytes of key."),
    Field(
        "key",
        "bytes",
        "Name of the entry.",
        (Check("R3.34", "E_UTF8", "key is well-formed UTF-8", _utf8),),
        length="key_length",
    ),
    Field("value", "bytes", "The entry: all bytes that are left, in a form that the key implies."),
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
            Field("first_frame", "leb128", "Number of pictures in all GOPs before this one."),
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
    Field("frame_count", "leb128", "Number of pictures of the stream."),
    Field("gop_count", "leb128", "Number of GOP units of the stream."),
)

PAYLOADS: dict[str, Payload] = {
    payload.name: payload
    for payload in (
        Payload("SEQUENCE", "3.2", _SEQUENCE),
        Payload("NETWORK", "3.3", _NETWORK),
        Payload("GOP", "3.4", _GOP),
        Payload("DIGEST", "3.5", _DIGEST),
        Payload("METADATA", "3.6", _METADATA),
        Payload("INDEX", "3.7", _INDEX),
        Payload("END", "3.8", _END),
    )
}
