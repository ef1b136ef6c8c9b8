"""The syntax table of a NETWORK payload (spec 3.3)."""

from __future__ import annotations

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
    multiple_of_4,
    number_field,
)
from nvrc_decoder.octree.schedule import SPLITS_MAX
from nvrc_decoder.profiles import CHROMA_420, FLOW_CHANNELS, PROFILES, SPLIT_CHANNELS, context_layers, synthesis_layers
from nvrc_decoder.pyramid import SPACING_LOG2_MAX

__all__ = ["NETWORK"]


def _layers(scope: Scope) -> tuple[str, ...]:
    """Names of the layers that NETWORK carries, in canonical order."""
    channels = [0] * scope["NumSlots"]
    for slot, grid in zip(scope["PresentSlots"], scope["grids"], strict=True):
        channels[slot] = grid["grid_channels"]
    profile = PROFILES[scope["profile"]]
    context = context_layers(scope["context_width_1"], scope["context_width_2"])
    shape = scope["stage_channels"], scope["stage_blocks"], channels
    synthesis = synthesis_layers(profile, *shape, scope["chroma_format"], scope["bit_depth"])
    return tuple(layer.name for layer in (*context, *synthesis))


def _has_nodes(mask: int, scope: Scope) -> bool:
    return any(mask >> slot & 1 for slot in scope["NodeSlots"])


def _flow_has_planes(mask: int, scope: Scope) -> bool:
    return not mask >> scope["FlowSlot"] & 1 or _has_nodes(mask, scope)


def _split_has_flow(mask: int, scope: Scope) -> bool:
    return not mask >> scope["SplitSlot"] & 1 or bool(mask >> scope["FlowSlot"] & 1)


def _bands_together(mask: int, scope: Scope) -> bool:
    return len({mask >> slot & 1 for slot in scope["BandSlots"]}) == 1


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
    number_field("repeat", "u8", "R3.21", 1, 16, "How many times the split is applied in succession."),
)

NETWORK: Table = (
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
        "Active blocks of each synthesis stage; they are its first ones (7.1).",
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
                "at least one bit of grid_mask other than bits FlowSlot and SplitSlot is 1",
                lambda value, scope: value & ~(1 << scope["FlowSlot"] | 1 << scope["SplitSlot"]) != 0,
            ),
            Check(
                "R3.14",
                "E_RESERVED",
                "bits NumSlots and above of grid_mask are 0",
                lambda value, scope: value >> scope["NumSlots"] == 0,
            ),
            Check("R3.41", "E_RANGE", "the bits of BandSlots are all 0 or all 1", _bands_together),
            Check("R3.42", "E_RANGE", "bit FlowSlot is 0 where no bit of NodeSlots is 1", _flow_has_planes),
            Check("R3.48", "E_RANGE", "bit SplitSlot is 0 where bit FlowSlot is 0", _split_has_flow),
        ),
    ),
    Derived(
        "PresentSlots",
        "the slots i with bit i of grid_mask set, ascending",
        lambda scope: [i for i in range(16) if scope["grid_mask"] >> i & 1],
    ),
    Option(
        "a slot of NodeSlots is present",
        lambda scope: _has_nodes(scope["grid_mask"], scope),
        (
            Bits(
                "spacings",
                (
                    BitField(
                        "node_spacing_log2",
                        0,
                        3,
                        "Every 2^node_spacing_log2-th frame of a GOP is a node (7.5).",
                        (in_range("node_spacing_log2", "R3.43", 0, SPACING_LOG2_MAX),),
                    ),
                    BitField(
                        "key_spacing_log2",
                        4,
                        3,
                        "Every 2^key_spacing_log2-th frame of a GOP is a key (7.5).",
                        (in_range("key_spacing_log2", "R3.44", "node_spacing_log2", SPACING_LOG2_MAX),),
                    ),
                ),
                "R3.45",
            ),
            Derived(
                "NumLevels",
                "key_spacing_log2 - node_spacing_log2",
                lambda scope: scope["key_spacing_log2"] - scope["node_spacing_log2"],
            ),
            Field(
                "step_factor",
                "u8",
                "Factor of the multipliers of the nodes of a level, in sixteenths: first of the nodes halfway between "
                "keys, then of each finer level (7.4).",
                (in_range("step_factor[i]", "R3.46", 1, 255),),
                count="NumLevels",
            ),
        ),
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
                                f"grid_channels of the slot FlowSlot is {FLOW_CHANNELS}",
                                lambda value, scope: value == FLOW_CHANNELS or scope["slot"] != scope["FlowSlot"],
                            ),
                            Check(
                                "R3.49",
                                "E_RANGE",
                                f"grid_channels of the slot SplitSlot is {SPLIT_CHANNELS}",
                                lambda value, scope: value == SPLIT_CHANNELS or scope["slot"] != scope["SplitSlot"],
                            ),
                            Check(
                                "R3.40",
                                "E_RANGE",
                                "grid_channels of a slot of BandSlots is MaxGridChannels[slot]",
                                lambda value, scope: (
                                    scope["slot"] not in scope["BandSlots"]
                                    or value == scope["MaxGridChannels"][scope["slot"]]
                                ),
                            ),
                        ),
                    ),
                    BitField("one_multiplier", 7, 1, "1: all channels share one multiplier."),
                ),
                "R3.26",
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
            number_field(
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
                    number_field(
                        "run_count", "u8", "R3.17", 0, 16, "Number of runs of the grid's schedule (chapter 5)."
                    ),
                    Loop("runs", "run", "run_count", _SPLIT),
                    Derived(
                        "NumSplits",
                        "the sum of repeat over the runs",
                        lambda scope: sum(run["repeat"] for run in scope["runs"]),
                        (
                            Check(
                                "R3.22",
                                "E_SCHEDULE",
                                f"NumSplits is at most {SPLITS_MAX}",
                                lambda value, _: value <= SPLITS_MAX,
                            ),
                        ),
                    ),
                ),
            ),
        ),
    ),
    number_field("context_width_1", "u8", "R3.23", 1, 64, "Outputs of the layer context.hidden1."),
    number_field("context_width_2", "u8", "R3.24", 1, 64, "Outputs of the layer context.hidden2."),
    Bits(
        "prior",
        (
            BitField("context_prior", 0, 1, "1: the context layers are coded as differences from the prior (6.5)."),
            BitField(
                "synthesis_prior",
                1,
                1,
                "1: the synthesis layers are coded so, too.",
                (
                    Check(
                        "R3.51",
                        "E_RANGE",
                        "synthesis_prior is 0 where chroma_format is not 1",
                        lambda value, scope: not value or scope["chroma_format"] == CHROMA_420,
                    ),
                ),
            ),
        ),
        "R3.50",
    ),
    Derived(
        "Layers",
        "the layers in canonical order: context.hidden1, context.hidden2, context.output (5.5), then those of "
        "synthesis (7.13) for the profile, stage_channels, stage_blocks, PresentSlots, grid_channels and chroma_format",
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
                    BitField("weight_step", 0, 2, "WeightMultiplier is weight_step + 4 (6.1)."),
                    BitField(
                        "shift",
                        2,
                        5,
                        "The shift of the layer's rounding (6.2), and of the prior (6.1).",
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
                        "The shift of the coded biases: b_q << bias_shift (6.1).",
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
        (multiple_of_4("parameter_length", "R3.30"),),
    ),
    Field(
        "parameter_payload",
        "bytes",
        "The coded weights and biases of all layers (chapter 4).",
        length="parameter_length",
    ),
)
