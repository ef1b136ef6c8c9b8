"""Faults of the header of NETWORK (spec 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nvrc_conformance.faults.parts import Break, Fault, Parts, rejected
from nvrc_conformance.faults.reasons import CHANNELS, RESERVED, SHIFT, STRUCTURE, TABLE
from nvrc_decoder.bitstream.headers import GridHeader, ScheduleRun
from nvrc_decoder.bitstream.units import UnitType

__all__ = ["NETWORK_FAULTS"]

_TWO, _MOTION, _SPLIT = "nano-two-gops", "nano-motion-frame", "main-split-empty"
# Places in the NETWORK of nano-sparse, which has one grid; stages and mask are at the same place in each NETWORK.
_STAGE0, _BLOCKS, _MASK, _LAYOUT, _MULTIPLIER, _SCHEDULE, _WIDTH_1, _WIDTH_2, _PRIOR = 0, 5, 10, 12, 13, 14, 15, 16, 17
# In that of nano-two-gops: of its first grid.
_RUN_COUNT, _RUN_SPLIT, _REPEAT = 18, 19, 20
# In those with nodes.
_SPACINGS, _STEP_FACTOR = 12, 13
# In that of nano-400.
_PRIOR_OF_400 = 24


def _network(position: int, *values: int) -> Break:
    return lambda parts: parts.with_bytes(UnitType.NETWORK, position, bytes(values))


def _layer(**changes: int) -> Break:
    """The header of the first layer changed."""
    return lambda parts: parts.with_network(
        layers=(replace(parts.network.layers[0], **changes), *parts.network.layers[1:])
    )


def _grids(change: Callable[[GridHeader], GridHeader], slot: int) -> Break:
    """The grid of a slot changed."""
    return lambda parts: parts.with_network(
        grids=tuple(change(grid) if grid.slot == slot else grid for grid in parts.network.grids)
    )


def _fewer_channels(slot: int) -> Break:
    return _grids(lambda grid: replace(grid, multipliers=grid.multipliers[:-1]), slot)


def _parameters(parts: Parts) -> bytes:
    """The parameters a byte longer."""
    return parts.with_network(parameters=parts.network.parameters + b"\0")


NETWORK_FAULTS: tuple[Fault, ...] = (
    rejected(
        "R3.12",
        "channels",
        "stage_channels of the first stage is 9, profile nano has 8",
        CHANNELS,
        _network(_STAGE0, 9),
    ),
    rejected(
        "R3.12",
        "channels-0",
        "stage_channels of the first stage is 0",
        "A layer without inputs has no rows.",
        _network(_STAGE0, 0),
    ),
    rejected("R3.13", "mask", "grid_mask is 0", "A GOP without grids has nothing to decode.", _network(_MASK, 0)),
    rejected(
        "R3.13",
        "motion",
        "grid_mask has FlowSlot and SplitSlot alone",
        "Motion would displace nothing.",
        _network(_MASK, 0x00, 0x06),
        _SPLIT,
    ),
    rejected("R3.14", "mask", "bit 11 of grid_mask is 1, above the last slot", RESERVED, _network(_MASK + 1, 0x08)),
    rejected(
        "R3.15",
        "channels",
        "grid_channels of slot 2 is 0",
        "A grid without channels has no values.",
        _network(_LAYOUT, 0x80),
    ),
    rejected("R3.15", "channels-63", "grid_channels of slot 2 is 63", CHANNELS, _network(_LAYOUT, 0xBF)),
    rejected(
        "R3.16",
        "multiplier",
        "multiplier of the grid is 0",
        "Every value of the channel would be 0.",
        _network(_MULTIPLIER, 0),
    ),
    rejected(
        "R3.17",
        "runs",
        "run_count is 17",
        "A list of 16 runs would be written behind its end.",
        _network(_RUN_COUNT, 17),
        _TWO,
    ),
    rejected(
        "R3.18",
        "halve",
        "halve of a run is 0",
        "A split that halves nothing leaves the schedule as it was.",
        _network(_RUN_SPLIT, 0x10),
        _TWO,
    ),
    rejected(
        "R3.19",
        "phase",
        "phase of a run has an axis that halve has",
        "The positions of the step are not defined.",
        _network(_RUN_SPLIT, 0x13),
        _TWO,
    ),
    rejected("R3.20", "split", "bit 3 of a split is 1", RESERVED, _network(_RUN_SPLIT, 0x0B), _TWO),
    rejected("R3.20", "split-7", "bit 7 of a split is 1", RESERVED, _network(_RUN_SPLIT, 0x83), _TWO),
    rejected(
        "R3.21",
        "repeat",
        "repeat of a run is 0",
        "A loop that counts down to 0 runs for ever.",
        _network(_REPEAT, 0),
        _TWO,
    ),
    rejected(
        "R3.21", "repeat-17", "repeat of a run is 17", "A run is longer than its table.", _network(_REPEAT, 17), _TWO
    ),
    rejected(
        "R3.22",
        "splits",
        "the runs of a grid are 33 splits",
        "A list of 32 splits would be written behind its end.",
        _grids(
            lambda grid: replace(grid, runs=(ScheduleRun(7, 0, 16), ScheduleRun(3, 0, 16), ScheduleRun(3, 0, 1))), 0
        ),
        _TWO,
    ),
    rejected("R3.23", "width", "context_width_1 is 0", "A layer without outputs has no rows.", _network(_WIDTH_1, 0)),
    rejected("R3.23", "width-65", "context_width_1 is 65", CHANNELS, _network(_WIDTH_1, 65)),
    rejected("R3.24", "width", "context_width_2 is 65", CHANNELS, _network(_WIDTH_2, 65)),
    rejected("R3.24", "width-0", "context_width_2 is 0", "A layer without outputs has no rows.", _network(_WIDTH_2, 0)),
    rejected("R3.25", "shift", "shift of the first layer is 25", SHIFT, _layer(shift=25)),
    rejected("R3.26", "layout", "bit 6 of grid_layout is 1", RESERVED, _network(_LAYOUT, 0xC1)),
    rejected("R3.27", "table", "weight_table of the first layer is 40", TABLE, _layer(weight_table=40)),
    rejected("R3.28", "shift", "bias_shift of the first layer is 24", SHIFT, _layer(bias_shift=24)),
    rejected("R3.29", "table", "bias_table of the first layer is 40", TABLE, _layer(bias_table=40)),
    rejected(
        "R3.30",
        "length",
        "parameter_length is not a multiple of 4",
        "The last word would be read behind the end.",
        _parameters,
    ),
    rejected(
        "R3.37",
        "blocks",
        "stage_blocks of the second stage is 2, profile nano has 1",
        CHANNELS,
        _network(_BLOCKS + 1, 2),
    ),
    rejected("R3.38", "schedule", "schedule of the grid is 3", TABLE, _network(_SCHEDULE, 3)),
    rejected("R3.39", "flow", "grid_channels of FlowSlot is 2", STRUCTURE, _fewer_channels(9), _MOTION),
    rejected(
        "R3.40",
        "band",
        "grid_channels of the last slot of BandSlots is one less than its largest",
        STRUCTURE,
        _fewer_channels(8),
        _MOTION,
    ),
    rejected(
        "R3.41", "bands", "grid_mask lacks the last slot of BandSlots", STRUCTURE, _network(_MASK, 0xF1, 0x02), _MOTION
    ),
    rejected(
        "R3.42",
        "flow",
        "grid_mask has slot 0 and FlowSlot, no slot with nodes",
        STRUCTURE,
        _network(_MASK, 0x01, 0x02),
        _MOTION,
    ),
    rejected(
        "R3.43",
        "spacing",
        "node_spacing_log2 is 5",
        "Nodes would be further apart than the arrays of nodes allow.",
        _network(_SPACINGS, 0x55),
        _MOTION,
    ),
    rejected(
        "R3.44",
        "spacing",
        "key_spacing_log2 is less than node_spacing_log2",
        "Keys would lie between nodes.",
        _network(_SPACINGS, 0x23),
        _MOTION,
    ),
    rejected("R3.45", "spacings-7", "bit 7 of spacings is 1", RESERVED, _network(_SPACINGS, 0xB2), _MOTION),
    rejected("R3.45", "spacings", "bit 3 of spacings is 1", RESERVED, _network(_SPACINGS, 0x3A), _MOTION),
    rejected(
        "R3.46",
        "factor",
        "step_factor of the first level is 0",
        "Every value of the level would be 0.",
        _network(_STEP_FACTOR, 0),
        _MOTION,
    ),
    rejected(
        "R3.48", "split", "grid_mask has SplitSlot without FlowSlot", STRUCTURE, _network(_MASK, 0x12, 0x04), _SPLIT
    ),
    rejected("R3.49", "split", "grid_channels of SplitSlot is 2", STRUCTURE, _fewer_channels(10), _SPLIT),
    rejected("R3.50", "prior", "bit 2 of prior is 1", RESERVED, _network(_PRIOR, 4)),
    rejected(
        "R3.51",
        "prior",
        "synthesis_prior is 1 in 4:0:0",
        "The prior has weights for three planes.",
        _network(_PRIOR_OF_400, 2),
        "nano-400",
    ),
)
