"""Faults at the edges of what is allowed, in streams that nothing else is wrong with (`plain`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nvrc_conformance.faults.parts import Break, Fault, Parts, rejected
from nvrc_conformance.faults.plain import Plain, broken, plain
from nvrc_conformance.faults.reasons import CHANNELS, LEVEL, RANGE, STRUCTURE, WORDS
from nvrc_decoder.bitstream.units import GridHeader, ScheduleKind, ScheduleRun
from nvrc_decoder.decode.gop import grid_shape
from nvrc_decoder.prior import Prior
from nvrc_decoder.pyramid import Pyramid

__all__ = ["EDGE_FAULTS"]

_MAIN, _MOTION = "main-444-10", "nano-motion-frame"
_FREE = ("limit",)


def _multiplier(value: int) -> Break:
    """The multiplier of all channels of a plain stream."""

    def change(stream: Plain) -> None:
        grids = (replace(grid, multipliers=(value,) * grid.channels) for grid in stream.network.grids)
        stream.network = replace(stream.network, grids=tuple(grids))

    return broken(change)


def _pyramid(pyramid: Pyramid) -> Break:
    """A plain stream of another pyramid, all of whose nodes are empty."""
    return lambda parts: plain(parts, pyramid=pyramid).stream()


def _channels(slot: int, channels: int) -> Break:
    """A plain stream with a grid of this many channels."""

    def make(parts: Parts) -> bytes:
        grids = (
            replace(grid, multipliers=(16,) * channels) if grid.slot == slot else grid for grid in parts.network.grids
        )
        return plain(parts, grids=tuple(grids)).stream()

    return make


def _one_grid_more(slot: int) -> Break:
    """A plain stream with one more grid, of three channels, which changes no frame."""

    def make(parts: Parts) -> bytes:
        grids = (*parts.network.grids, GridHeader(slot, (1, 2, 3), (), ScheduleKind.OCTREE))
        return plain(parts, grids=grids).stream()

    return make


def _runs(count: int) -> Break:
    """A plain stream whose grids have this many runs of one split."""
    runs = tuple(ScheduleRun(3 if n % 2 else 4) for n in range(count))

    def make(parts: Parts) -> bytes:
        grids = (replace(grid, runs=runs, schedule=ScheduleKind.EXPLICIT) for grid in parts.network.grids)
        return plain(parts, grids=tuple(grids)).stream()

    return make


def _one_run_more(run: ScheduleRun) -> Break:
    """A plain stream with a run that does nothing."""

    def make(parts: Parts) -> bytes:
        grids = [replace(grid, schedule=ScheduleKind.EXPLICIT, runs=(ScheduleRun(7),)) for grid in parts.network.grids]
        stream = plain(parts, grids=tuple(grids))
        gop = stream.gop()
        more = tuple(replace(grid, runs=(*grid.runs, run)) for grid in grids)
        stream.network = replace(stream.network, grids=more)
        return stream.stream(gop)

    return make


def _depth(depth: int) -> Break:
    """A plain stream that says another bit depth than that of its samples."""

    def make(parts: Parts) -> bytes:
        stream = plain(parts)
        made = stream.gop(), stream.digest()
        stream.sequence = replace(stream.sequence, bit_depth=depth)
        return stream.stream(*made)

    return make


def _last_value(value: int, slot: int, others: int = 0) -> Break:
    """The last value of a grid of a plain stream, and all others."""

    def make(parts: Parts) -> bytes:
        stream = plain(parts)
        (header,) = (grid for grid in parts.network.grids if grid.slot == slot)
        values = np.full(grid_shape(parts.sequence, parts.network, header, stream.frame_count), others)
        values[-1, -1, -1, -1] = value
        stream.values = {slot: values}
        return stream.stream()

    return make


def _surplus(values: int) -> Break:
    """A plain stream whose payloads have more values than the grids."""

    def make(parts: Parts) -> bytes:
        stream = plain(parts)
        stream.surplus = values
        return stream.stream()

    return make


def _zero_word(parts: Parts) -> bytes:
    """A plain stream, whose payloads of one word begin with a word of 0."""
    stream = plain(parts)
    gop = stream.gop()
    return stream.stream(replace(gop, grids=tuple(bytes(4) + grid if len(grid) == 4 else grid for grid in gop.grids)))


def _prior(parts: Parts) -> bytes:
    """A plain stream whose synthesis is coded as a difference from the prior, which adds 126 to all samples."""
    stream = plain(parts, prior=Prior(False, True))
    stream.layers["head.pointwise"].biases -= 126
    return stream.stream()


def _over_level(number: str, name: str, fault: str, why: str = LEVEL, **sequence: int) -> Fault:
    """A plain stream whose elements of SEQUENCE are over its level, and over limits of some decoders."""
    return rejected(number, name, fault, why, lambda parts: plain(parts, sequence).stream(), also=_FREE)


def _too_many_symbols(parts: Parts) -> bytes:
    """A plain stream of planes and luma alone, one channel in each stage, and no block."""
    bands = (GridHeader(slot, (16,) * channels) for slot, channels in ((4, 3), (5, 4), (6, 3), (7, 3), (8, 3)))
    small: dict[str, Any] = {"stage_channels": (1,) * 5, "stage_blocks": (0,) * 5, "context_widths": (1, 1)}
    return plain(parts, {"width": 256, "height": 256, "rate_numerator": 1}, grids=tuple(bands), **small).stream()


_NETWORK_EDGES = (
    rejected(
        "R3.12",
        "stage-4",
        "stage_channels of the last stage is 49, profile main has 48 there and 64 elsewhere",
        CHANNELS,
        lambda parts: plain(parts, stage_channels=(*parts.network.stage_channels[:4], 49)).stream(),
        _MAIN,
    ),
    rejected("R3.15", "channels-4", "grid_channels of slot 2 is 4, profile nano has 3", CHANNELS, _channels(2, 4)),
    rejected("R3.16", "multiplier-2049", "multiplier of the grid is 2049", RANGE, _multiplier(2049)),
    rejected("R3.17", "runs-17", "run_count is 17, and there are 17 runs", CHANNELS, _runs(17)),
    rejected(
        "R3.18",
        "nothing",
        "halve and phase of the last run are 0, and nothing else is wrong",
        "A split that halves nothing leaves the schedule as it was.",
        _one_run_more(ScheduleRun(0)),
    ),
    rejected(
        "R3.21",
        "nothing",
        "repeat of the last run is 0, and nothing else is wrong",
        "A loop that counts down to 0 runs for ever.",
        _one_run_more(ScheduleRun(3, 0, 0)),
    ),
    rejected("R3.39", "channels-2", "FlowSlot has two channels, in GOP too", STRUCTURE, _channels(9, 2), _MOTION),
    rejected(
        "R3.40",
        "channels-2",
        "the last slot of BandSlots has two channels, in GOP too",
        STRUCTURE,
        _channels(8, 2),
        _MOTION,
    ),
    rejected("R3.42", "features", "FlowSlot is present beside a slot of features alone", STRUCTURE, _one_grid_more(9)),
    rejected("R3.43", "node-32", "nodes and keys are 32 frames apart", CHANNELS, _pyramid(Pyramid(32, 32)), _MOTION),
    rejected("R3.44", "key-32", "keys are 32 frames apart", CHANNELS, _pyramid(Pyramid(32, 4, (16, 16, 16))), _MOTION),
    rejected(
        "R3.48",
        "alone",
        "SplitSlot is present beside PlaneSlot, without FlowSlot",
        STRUCTURE,
        _one_grid_more(10),
        "nano-planes",
    ),
    rejected(
        "R3.51",
        "synthesis",
        "a network of 4:0:0 is coded as a difference from the prior",
        "The prior has weights for three planes.",
        _prior,
        "nano-400",
    ),
)
_CODED_EDGES = (
    rejected(
        "R3.6",
        "depth-7",
        "bit_depth is 7, and no sample is over 127",
        "Samples would have a depth that is not defined.",
        _depth(7),
    ),
    rejected(
        "R3.6",
        "depth-9",
        "bit_depth is 9, and no sample is over 511",
        "Samples would have a depth that is not defined.",
        _depth(9),
        "nano-400-10",
    ),
    rejected(
        "R3.6",
        "depth-12",
        "bit_depth is 12",
        "Samples would have a depth that is not defined.",
        _depth(12),
        "nano-400-10",
    ),
    rejected("R4.1", "first", "a word of 0 comes before the one word of a payload", WORDS, _zero_word),
    rejected("R4.2", "state", "the payload of the grid has one value more, and no word", WORDS, _surplus(1)),
    rejected(
        "R4.2", "values", "the payload of the grid has 40 values more, in words of their own", WORDS, _surplus(40)
    ),
    rejected("R4.4", "2048", "the last value of the grid is 2048, the others are 0", RANGE, _last_value(2048, 2)),
    rejected(
        "R4.4", "minus-2048", "the last value of the grid is -2048, the others are 0", RANGE, _last_value(-2048, 2)
    ),
    rejected(
        "R4.4",
        "flow",
        "the last value of the flow grid is 2048, the others are 2047: it is no escape",
        RANGE,
        _last_value(2048, 9, 2047),
        "nano-keys",
    ),
)

_LEVEL_EDGES = (
    _over_level(
        "R9.1",
        "samples",
        "512x257 samples at level 0, and nothing else is wrong",
        width=512,
        height=257,
        rate_numerator=1,
    ),
    _over_level(
        "R9.2", "width", "a width of 1025 at level 0, and nothing else is wrong", width=1025, height=1, rate_numerator=1
    ),
    _over_level(
        "R9.2",
        "height",
        "a height of 1025 at level 0, and nothing else is wrong",
        width=1,
        height=1025,
        rate_numerator=1,
    ),
    _over_level(
        "R9.2", "level-2", "a width of 2049 at level 2, and nothing else is wrong", width=2049, height=1, level=2
    ),
    _over_level(
        "R9.3",
        "fraction",
        "an eighth of a sample in a second is over MaxRate of level 0",
        width=512,
        height=256,
        rate_numerator=(1 << 25) + 1,
        rate_denominator=1 << 20,
    ),
    _over_level(
        "R9.3",
        "2-32",
        "2^32 samples in a second at level 0",
        why="In 32 bits it is 0.",
        width=512,
        height=256,
        rate_numerator=1 << 15,
    ),
    _over_level("R9.3", "level-6", "more than MaxRate at level 6", rate_numerator=(1 << 31) - 1, level=6),
    rejected(
        "R9.5",
        "empty",
        "20 million values at level 0, all of them in empty nodes, and nothing else is wrong",
        LEVEL,
        _too_many_symbols,
        "nano-nodes",
        _FREE,
    ),
)

EDGE_FAULTS: tuple[Fault, ...] = (*_NETWORK_EDGES, *_CODED_EDGES, *_LEVEL_EDGES)
