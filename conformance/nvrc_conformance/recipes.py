"""The random golden streams: an id is forever, and so are its bytes once a version of the format is frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nvrc_conformance.drafts import NetworkDraft, StreamDraft
from nvrc_decoder.bitstream.units import ScheduleKind
from nvrc_decoder.octree.schedule import temporal_first_schedule

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """A stream that the generator makes.

    Attributes:
        id: immutable name; the seed too.
        description: what it is there for.
        draft: how it is made.
    """

    id: str
    description: str
    draft: StreamDraft


def _mixed(shape: tuple[int, int, int], slot: int) -> Sequence[int]:
    """A different odd schedule for every slot: single axes, phases on every axis, fewer and more splits than needed."""
    return (
        (),
        (0x01, 0x02, 0x04, 0x01, 0x02, 0x04),
        (0x43, 0x43, 0x34, 0x43, 0x14, 0x24),
        (0x61, 0x01, 0x12, 0x42),
        (0x52, 0x61, 0x25, 0x16, 0x04),
        (0x07, 0x07, 0x43, 0x07, 0x21),
        (0x34, 0x03, 0x41, 0x07),
        (0x03, 0x04, 0x61, 0x34),
    )[slot]


def _listed(shape: tuple[int, int, int], slot: int) -> Sequence[int]:
    """The temporal-first schedule as runs."""
    return temporal_first_schedule(*shape)


def _many(shape: tuple[int, int, int], slot: int) -> Sequence[int]:
    """32 splits, far more than the grid has positions for."""
    return (0x07,) * 20 + (0x34, 0x43, 0x52, 0x61) * 3 if slot % 2 else (0x01,) * 11 + (0x02,) * 11 + (0x04,) * 10


_OCTREE = ScheduleKind.OCTREE
_FEW = NetworkDraft((3, 4, 3, 2, 3), grid_channels={0: 2, 2: 1, 5: 1}, context_widths=(4, 3))
_TEN = {"bit_depth": 10}

RECIPES: tuple[Recipe, ...] = (
    Recipe("nano-random", "profile nano, all slots and channels", StreamDraft("nano", 48, 32, [[6]])),
    Recipe("lite-random", "profile lite, all slots and channels", StreamDraft("lite", 56, 40, [[4]])),
    Recipe(
        "main-random",
        "profile main, all slots and channels, the temporal stem",
        StreamDraft("main", 48, 36, [[5]], [NetworkDraft(context_widths=(16, 16), scale=8)]),
    ),
    Recipe(
        "nano-bound",
        "every accumulator of nano can reach 2^24 - 1, or as near as its inputs allow; activations clip at both ends",
        StreamDraft("nano", 40, 28, [[3]], [NetworkDraft(bound=True, wild=6)]),
    ),
    Recipe(
        "lite-bound",
        "the same for lite",
        StreamDraft(
            "lite", 36, 22, [[2]], [NetworkDraft((12, 24, 9, 17, 24), bound=True, wild=6, context_widths=(12, 9))]
        ),
    ),
    Recipe(
        "main-bound",
        "the same for main with fewer channels",
        StreamDraft("main", 34, 20, [[3]], [NetworkDraft((20, 33, 16, 12, 10), bound=True, wild=6)]),
    ),
    Recipe(
        "nano-octree",
        "all grids with the octree schedule",
        StreamDraft("nano", 44, 34, [[9]], [NetworkDraft(schedule=_OCTREE)]),
    ),
    Recipe(
        "lite-schedules",
        "a different schedule for each grid: single axes, phases along x, y and t, none; odd size, 11 frames",
        StreamDraft("lite", 37, 23, [[11]], [NetworkDraft((9, 11, 8, 7, 10), schedule=_mixed)]),
    ),
    Recipe(
        "nano-splits",
        "32 splits for each grid, most of them without positions",
        StreamDraft("nano", 19, 13, [[3]], [NetworkDraft(schedule=_many)]),
    ),
    Recipe("nano-1x1", "one picture of one sample", StreamDraft("nano", 1, 1, [[1]])),
    Recipe(
        "lite-column",
        "a picture of 3 columns, 2 frames",
        StreamDraft("lite", 3, 67, [[2]], [NetworkDraft((9, 9, 9, 9, 9))]),
    ),
    Recipe("nano-frame", "one picture: every grid has one node", StreamDraft("nano", 50, 38, [[1]])),
    Recipe(
        "main-pair",
        "two frames: the temporal stem repeats both; even and odd sizes of the stages",
        StreamDraft("main", 70, 35, [[2]], [NetworkDraft((6, 5, 7, 6, 5), grid_channels={0: 2, 1: 1, 6: 1})]),
    ),
    Recipe(
        "nano-gops",
        "two GOPs of unequal length under one NETWORK",
        StreamDraft("nano", 33, 17, [[9, 4]]),
    ),
    Recipe(
        "lite-networks",
        "two NETWORK units with other slots and widths, three GOPs",
        StreamDraft(
            "lite",
            26,
            30,
            [[3, 1], [2]],
            [
                NetworkDraft((8, 7, 6, 5, 4), grid_channels={0: 2, 4: 1, 6: 1}, context_widths=(5, 4)),
                NetworkDraft(
                    (4, 6, 8, 10, 7), grid_channels={1: 3, 3: 1, 5: 2}, context_widths=(7, 3), schedule=_OCTREE
                ),
            ],
        ),
    ),
    Recipe(
        "nano-sparse",
        "one grid of one channel, at the third stage; stages of one channel; a context network of one unit a layer",
        StreamDraft(
            "nano", 29, 31, [[3]], [NetworkDraft((1, 2, 1, 3, 1), grid_channels={2: 1}, context_widths=(1, 1))]
        ),
    ),
    Recipe(
        "main-sparse",
        "no grid at the first stages: the temporal stem has nothing but its bias",
        StreamDraft(
            "main", 30, 26, [[10]], [NetworkDraft((3, 2, 4, 5, 6), grid_channels={4: 2, 5: 1}, context_widths=(4, 4))]
        ),
    ),
    Recipe(
        "nano-escapes",
        "escapes in grids, weights and biases, of all lengths; grid values at both ends of their range",
        StreamDraft("nano", 31, 21, [[4]], [NetworkDraft(wild=24)]),
    ),
    Recipe(
        "nano-units",
        "METADATA, units of unknown optional types, no INDEX, a later minor version, colour and rate",
        StreamDraft(
            "nano",
            24,
            18,
            [[2, 1]],
            [_FEW],
            {
                "rate_numerator": 30000,
                "rate_denominator": 1001,
                "colour_primaries": 1,
                "transfer_characteristics": 1,
                "matrix_coefficients": 1,
                "full_range": 1,
                "chroma_sample_position": 2,
            },
            {"title": "straße".encode(), "empty": b""},
            unknown=True,
            index=False,
            minor=7,
        ),
    ),
    Recipe("nano-400", "4:0:0, 8 bits", StreamDraft("nano", 27, 22, [[2]], [_FEW], {"chroma_format": 0})),
    Recipe("nano-444", "4:4:4, 8 bits", StreamDraft("nano", 27, 22, [[2]], [_FEW], {"chroma_format": 2})),
    Recipe("lite-420-10", "4:2:0, 10 bits", StreamDraft("lite", 27, 21, [[2]], [_FEW], _TEN)),
    Recipe("nano-400-10", "4:0:0, 10 bits", StreamDraft("nano", 22, 27, [[2]], [_FEW], {**_TEN, "chroma_format": 0})),
    Recipe("main-444-10", "4:4:4, 10 bits", StreamDraft("main", 22, 27, [[3]], [_FEW], {**_TEN, "chroma_format": 2})),
    Recipe("nano-four-gops", "four GOPs, for random access", StreamDraft("nano", 40, 24, [[3, 3, 3, 2]], [_FEW])),
    Recipe(
        "nano-two-gops",
        "a small stream of two GOPs with INDEX, motion, a base channel and schedules in runs, for tests to break",
        StreamDraft(
            "nano",
            48,
            32,
            [[2, 1]],
            [
                NetworkDraft(
                    (2, 3, 2, 3, 2),
                    (0, 1, 0, 1, 1),
                    {0: 2, 1: 1, 4: 2, 5: 4, 6: 2},
                    context_widths=(4, 3),
                    schedule=_listed,
                    base=True,
                )
            ],
        ),
    ),
    Recipe(
        "nano-motion",
        "motion with small displacements, two GOPs, the last one short; odd size, octree, one multiplier a grid",
        StreamDraft(
            "nano",
            45,
            27,
            [[17, 3]],
            [NetworkDraft((4, 5, 3, 4, 5), (0, 0, 1, 0, 1), schedule=_OCTREE, one_multiplier=True)],
        ),
    ),
    Recipe(
        "lite-motion",
        "motion in 12 frames: the last flow node and the last grid nodes lie after the last frame; 4:4:4 at 10 bits",
        StreamDraft(
            "lite",
            38,
            51,
            [[12]],
            [NetworkDraft((7, 9, 8, 6, 5), (0, 1, 0, 2, 1), {4: 2, 5: 4, 6: 1, 7: 2}, (1, 40), context_widths=(6, 5))],
            {**_TEN, "chroma_format": 2},
        ),
    ),
    Recipe(
        "main-motion",
        "motion far outside of the picture, positions at both clips; the stem sees frames on either side",
        StreamDraft(
            "main",
            41,
            30,
            [[10]],
            [
                NetworkDraft(
                    (6, 7, 5, 6, 5),
                    (0, 1, 2, 0, 1),
                    {0: 2, 4: 3, 5: 8, 7: 2},
                    (60, 2049),
                    context_widths=(5, 6),
                    wild=9,
                )
            ],
        ),
    ),
    Recipe(
        "nano-motion-frame",
        "motion with one picture of 5x3 samples: no displacement, planes larger than the picture",
        StreamDraft("nano", 5, 3, [[1]], [NetworkDraft((3, 2, 3, 4, 3), (0, 0, 0, 0, 0), {4: 1, 5: 4, 6: 2}, (9, 99))]),
    ),
    Recipe(
        "nano-base-frame",
        "the same with a base channel",
        StreamDraft(
            "nano",
            5,
            3,
            [[1]],
            [NetworkDraft((3, 2, 3, 4, 3), (0, 0, 0, 0, 0), {4: 3, 5: 4, 6: 2}, (9, 99), base=True)],
        ),
    ),
    Recipe(
        "nano-base",
        "motion with a base channel and all slots, three nodes; odd size",
        StreamDraft("nano", 43, 29, [[17]], [NetworkDraft((4, 5, 3, 6, 5), one_multiplier=True, base=True)]),
    ),
    Recipe(
        "nano-chain",
        "a chain of 13 nodes; the base channel has the slot to itself, which leaves less for stage 3 to inject",
        StreamDraft(
            "nano",
            18,
            13,
            [[92]],
            [NetworkDraft((3, 2, 3, 4, 3), (0, 0, 0, 1, 0), {0: 1, 3: 1, 4: 1, 5: 4, 6: 2}, (1, 30), base=True)],
        ),
    ),
    Recipe(
        "lite-base",
        "the base channel has the slot to itself, and stage 3 has no injection; a NETWORK without base after it",
        StreamDraft(
            "lite",
            39,
            34,
            [[12], [11]],
            [
                NetworkDraft((5, 6, 4, 5, 6), (0, 1, 1, 1, 0), {2: 1, 4: 1, 5: 8, 7: 2}, (1, 40), base=True),
                NetworkDraft((5, 6, 4, 5, 6), (0, 1, 1, 1, 0), {2: 1, 4: 3, 5: 4, 7: 2}, (1, 40)),
            ],
            _TEN,
        ),
    ),
    Recipe(
        "main-base",
        "a base channel and three more, two groups to mix, five nodes; the stem",
        StreamDraft(
            "main",
            35,
            26,
            [[30]],
            [
                NetworkDraft(
                    (6, 7, 5, 6, 5),
                    (1, 0, 2, 1, 1),
                    {0: 2, 4: 4, 5: 8, 7: 2},
                    (1, 20),
                    context_widths=(5, 6),
                    base=True,
                )
            ],
        ),
    ),
    Recipe(
        "main-base-bound",
        "base and predictions run past -2048 and 2047 and are clipped there; layers at the bound; far displacements",
        StreamDraft(
            "main",
            29,
            21,
            [[17]],
            [
                NetworkDraft(
                    (6, 7, 5, 6, 5),
                    (0, 1, 1, 1, 1),
                    {1: 2, 4: 3, 5: 8, 7: 2},
                    (60, 2049),
                    bound=True,
                    wild=9,
                    base=True,
                )
            ],
        ),
    ),
    Recipe(
        "main-motion-column",
        "motion in a picture of one column; a NETWORK without motion after it; no block anywhere",
        StreamDraft(
            "main",
            1,
            35,
            [[9], [2]],
            [
                NetworkDraft((2, 3, 2, 3, 2), (0,) * 5, {1: 2, 5: 4, 7: 2}, (1, 300), context_widths=(3, 3)),
                NetworkDraft((2, 3, 2, 3, 2), (0,) * 5, {1: 2, 5: 3}, context_widths=(3, 3)),
            ],
        ),
    ),
    Recipe(
        "lite-flow-alone",
        "a flow grid and no grid that it warps; contexts of the flow grid with all splits and escapes",
        StreamDraft(
            "lite",
            70,
            52,
            [[7]],
            [
                NetworkDraft(
                    (3, 3, 3, 3, 3), (0, 1, 1, 0, 0), {1: 1, 7: 2}, context_widths=(6, 6), schedule=_mixed, wild=20
                )
            ],
        ),
    ),
)
