"""The random golden streams. An id never changes, nor do its bytes once a version of the format is frozen."""

from __future__ import annotations

from collections.abc import Sequence

from nvrc_conformance.drafts import NetworkDraft, Recipe, StreamDraft
from nvrc_conformance.edge_recipes import EDGE_RECIPES
from nvrc_conformance.extreme_recipes import EXTREME_RECIPES
from nvrc_conformance.plane_recipes import BANDS, FLOW, PLANE_RECIPES, TEN_BITS
from nvrc_decoder.bitstream.units import ScheduleKind
from nvrc_decoder.octree.schedule import temporal_first_schedule
from nvrc_decoder.prior import Prior
from nvrc_decoder.pyramid import Pyramid

__all__ = ["RECIPES", "Recipe"]


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
        (0x34, 0x25, 0x16, 0x43, 0x43),
        (0x03, 0x14, 0x24, 0x61, 0x52),
        (0x04, 0x03, 0x43, 0x12),
    )[slot]


def _listed(shape: tuple[int, int, int], slot: int) -> Sequence[int]:
    """The temporal-first schedule as runs."""
    return temporal_first_schedule(*shape)


def _many(shape: tuple[int, int, int], slot: int) -> Sequence[int]:
    """32 splits, far more than the grid has positions for."""
    return (0x07,) * 20 + (0x34, 0x43, 0x52, 0x61) * 3 if slot % 2 else (0x01,) * 11 + (0x02,) * 11 + (0x04,) * 10


_OCTREE = ScheduleKind.OCTREE
_FEW = NetworkDraft((3, 4, 3, 2, 3), grid_channels={0: 2, 2: 1, 3: 1}, context_widths=(4, 3))
_BOTH = Prior(True, True)

RECIPES: tuple[Recipe, ...] = (
    Recipe("nano-random", "profile nano, all slots and channels", StreamDraft("nano", 48, 32, [[6]])),
    Recipe("lite-random", "profile lite, all slots and channels", StreamDraft("lite", 56, 40, [[4]])),
    Recipe(
        "main-random",
        "profile main, all slots and channels, the temporal stem; every frame a node",
        StreamDraft(
            "main", 48, 36, [[5]], [NetworkDraft(pyramid=Pyramid(4, 1, (24, 12)), context_widths=(16, 16), scale=8)]
        ),
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
    Recipe("nano-1x1", "one picture of one sample", StreamDraft("nano", 1, 1, [[1]], [NetworkDraft(empty_nodes=0)])),
    Recipe(
        "lite-column",
        "a picture of 3 columns, 2 frames, each a key",
        StreamDraft("lite", 3, 67, [[2]], [NetworkDraft((9, 9, 9, 9, 9), pyramid=Pyramid(1, 1))]),
    ),
    Recipe("nano-frame", "one picture: every grid has one node", StreamDraft("nano", 50, 38, [[1]])),
    Recipe(
        "main-pair",
        "two frames: the temporal stem repeats both; even and odd sizes of the stages",
        StreamDraft("main", 70, 35, [[2]], [NetworkDraft((6, 5, 7, 6, 5), grid_channels={0: 2, 1: 1, 3: 1})]),
    ),
    Recipe("nano-gops", "two GOPs of unequal length under one NETWORK", StreamDraft("nano", 33, 17, [[9, 4]])),
    Recipe(
        "lite-networks",
        "two NETWORK units with other slots, widths and pyramids, three GOPs",
        StreamDraft(
            "lite",
            26,
            30,
            [[3, 1], [2]],
            [
                NetworkDraft(
                    (8, 7, 6, 5, 4), grid_channels={0: 2, 4: 1}, pyramid=Pyramid(4, 2, (30,)), context_widths=(5, 4)
                ),
                NetworkDraft(
                    (4, 6, 8, 10, 7),
                    grid_channels={1: 3, 3: 1, **BANDS},
                    pyramid=Pyramid(2, 2),
                    context_widths=(7, 3),
                    schedule=_OCTREE,
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
            "main", 30, 26, [[10]], [NetworkDraft((3, 2, 4, 5, 6), grid_channels={2: 2, 3: 1}, context_widths=(4, 4))]
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
    Recipe(
        "nano-presentation",
        "METADATA of 3.6.1: pixel aspect, orientation, HDR, time stamps; a malformed and an unknown entry",
        StreamDraft(
            "nano",
            20,
            14,
            [[2, 2]],
            [_FEW],
            metadata={
                "nvrc.sar": b"64:45",
                "nvrc.orientation": b"flip,270",
                "nvrc.mastering": b"13250,34500,7500,3000,34000,16000,15635,16450,10000000,1",
                "nvrc.light": b"1000,0400",
                "nvrc.times": b"1/90000 3000*2,84000",
                "nvrc.later": b"\xff",
            },
            minor=1,
        ),
    ),
    Recipe("nano-400", "4:0:0, 8 bits", StreamDraft("nano", 27, 22, [[2]], [_FEW], {"chroma_format": 0})),
    Recipe("nano-444", "4:4:4, 8 bits", StreamDraft("nano", 27, 22, [[2]], [_FEW], {"chroma_format": 2})),
    Recipe("lite-420-10", "4:2:0, 10 bits", StreamDraft("lite", 27, 21, [[2]], [_FEW], TEN_BITS)),
    Recipe(
        "nano-400-10", "4:0:0, 10 bits", StreamDraft("nano", 22, 27, [[2]], [_FEW], {**TEN_BITS, "chroma_format": 0})
    ),
    Recipe(
        "main-444-10", "4:4:4, 10 bits", StreamDraft("main", 22, 27, [[3]], [_FEW], {**TEN_BITS, "chroma_format": 2})
    ),
    Recipe("nano-four-gops", "four GOPs, for random access", StreamDraft("nano", 40, 24, [[3, 3, 3, 2]], [_FEW])),
    Recipe(
        "nano-two-gops",
        "a small stream of two GOPs with INDEX, motion, planes, luma and schedules in runs, for tests to break",
        StreamDraft(
            "nano",
            48,
            32,
            [[2, 1]],
            [
                NetworkDraft(
                    (2, 3, 2, 3, 2),
                    (0, 1, 0, 1, 1),
                    {0: 2, 1: 1, 4: 1, **BANDS, **FLOW},
                    Pyramid(4, 2, (20,)),
                    empty_nodes=2,
                    context_widths=(4, 3),
                    schedule=_listed,
                )
            ],
        ),
    ),
    Recipe(
        "nano-prior",
        "both networks coded as differences from the prior",
        StreamDraft("nano", 44, 30, [[3]], [NetworkDraft(context_widths=(10, 10), prior=_BOTH)]),
    ),
    Recipe(
        "lite-prior-narrow",
        "the same with fewer channels and a narrower context network than the prior has; no planes at stage 3",
        StreamDraft(
            "lite",
            33,
            27,
            [[2]],
            [NetworkDraft((3, 2, 5, 4, 6), grid_channels={3: 2, **BANDS}, context_widths=(7, 4), prior=_BOTH)],
        ),
    ),
    Recipe(
        "main-prior-wide",
        "the same with more channels, blocks and context outputs than the prior has; 10 bits",
        StreamDraft(
            "main",
            30,
            34,
            [[2]],
            [NetworkDraft((12, 9, 11, 14, 10), context_widths=(13, 12), scale=8, prior=_BOTH)],
            TEN_BITS,
        ),
    ),
    Recipe(
        "nano-prior-context",
        "the prior of the context network only, 4:4:4",
        StreamDraft(
            "nano",
            26,
            18,
            [[2]],
            [NetworkDraft(context_widths=(10, 10), prior=Prior(True, False))],
            {"chroma_format": 2},
        ),
    ),
    Recipe(
        "nano-prior-synthesis",
        "the prior of the synthesis network only",
        StreamDraft("nano", 26, 18, [[2]], [NetworkDraft(prior=Prior(False, True))]),
    ),
    *PLANE_RECIPES,
    *EXTREME_RECIPES,
    *EDGE_RECIPES,
)
