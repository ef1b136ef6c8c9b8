"""The random golden streams of planes: pyramids, empty nodes, luma, motion (spec 7.4 to 7.6)."""

from __future__ import annotations

from nvrc_conformance.drafts import NetworkDraft, Recipe, StreamDraft
from nvrc_decoder.bitstream.units import ScheduleKind
from nvrc_decoder.pyramid import Pyramid

__all__ = ["BANDS", "FLOW", "NO_BLOCKS", "PLANE_RECIPES", "SPLIT", "TEN_BITS"]

BANDS = {5: 4, 6: 3, 7: 3, 8: 3}
FLOW = {9: 3}
SPLIT = {10: 3}
_OCTREE = ScheduleKind.OCTREE
TEN_BITS = {"bit_depth": 10}
NO_BLOCKS = (0, 0, 0, 0, 0)

PLANE_RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "nano-planes",
        "planes without luma and without motion; two levels of nodes, all coded; 9 frames, the last one a key",
        StreamDraft(
            "nano",
            27,
            22,
            [[9]],
            [NetworkDraft((3, 2, 3, 4, 3), NO_BLOCKS, {0: 1, 4: 2}, Pyramid(8, 2, (20, 24)), 0, context_widths=(3, 3))],
        ),
    ),
    Recipe(
        "nano-luma",
        "luma without planes and without motion; every second frame a key, all coded",
        StreamDraft(
            "nano", 26, 23, [[3]], [NetworkDraft((3, 2, 3, 4, 3), NO_BLOCKS, {1: 1, **BANDS}, Pyramid(2, 2), 0)]
        ),
    ),
    Recipe(
        "nano-planes-alone",
        "planes and no features: three stages have nothing but what is doubled; every frame a node",
        StreamDraft(
            "nano", 21, 18, [[10]], [NetworkDraft((2, 3, 2, 3, 2), (0, 1, 0, 1, 1), {4: 3}, Pyramid(4, 1, (9, 30)))]
        ),
    ),
    Recipe(
        "nano-empty",
        "all nodes of all grids are empty: payloads of 0 bytes, planes of zeros that motion has no effect on",
        StreamDraft("nano", 34, 20, [[5]], [NetworkDraft((3, 4, 3, 2, 3), empty_nodes=1, context_widths=(4, 3))]),
    ),
    Recipe(
        "nano-factors",
        "step factors 1/16 and 255/16 of multipliers that clip at 1 and at 2048, and of some that do not",
        StreamDraft(
            "nano",
            30,
            19,
            [[9]],
            [
                NetworkDraft(
                    (3, 4, 3, 4, 3),
                    (0, 0, 1, 1, 1),
                    pyramid=Pyramid(8, 2, (1, 255)),
                    empty_nodes=0,
                    multipliers=(1, 7, 8, 24, 128, 129, 2048),
                )
            ],
        ),
    ),
    Recipe(
        "lite-key-beyond",
        "two frames with nodes 16 frames apart: the second frame is made of a node far behind the last one",
        StreamDraft(
            "lite", 25, 18, [[2, 1, 2]], [NetworkDraft((5, 6, 4, 5, 6), (0, 1, 1, 0, 1), pyramid=Pyramid(16, 16))]
        ),
    ),
    Recipe(
        "lite-pyramid",
        "33 frames with three levels of nodes, two frames apart; luma, one plane and motion",
        StreamDraft(
            "lite",
            20,
            17,
            [[33]],
            [
                NetworkDraft(
                    (4, 5, 3, 4, 5), (0, 1, 0, 1, 0), {0: 1, 4: 1, **BANDS, **FLOW}, Pyramid(16, 2, (19, 23, 28))
                )
            ],
        ),
    ),
    Recipe(
        "main-pyramid",
        "12 frames with four levels of nodes, every frame one; the stem, and planes without luma",
        StreamDraft(
            "main",
            29,
            24,
            [[12]],
            [
                NetworkDraft(
                    (6, 7, 5, 6, 5), (1, 0, 2, 1, 1), {0: 2, 1: 1, 4: 4, **FLOW}, Pyramid(16, 1, (18, 21, 26, 34))
                )
            ],
            {"chroma_format": 0},
        ),
    ),
    Recipe(
        "nano-chain",
        "46 frames with a key every fourth: a chain of 13 keys",
        StreamDraft(
            "nano",
            18,
            13,
            [[46]],
            [NetworkDraft((3, 2, 3, 4, 3), (0, 0, 0, 1, 0), {0: 1, 3: 1, 4: 1, **FLOW}, Pyramid(4, 4), 2)],
        ),
    ),
    Recipe(
        "nano-keys",
        "every frame a key, of luma too; empty keys repeat the one before where it has moved to",
        StreamDraft(
            "nano",
            22,
            15,
            [[12]],
            [NetworkDraft((3, 2, 3, 4, 3), NO_BLOCKS, {2: 1, 4: 1, **BANDS, **FLOW}, Pyramid(1, 1), 2)],
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
            [
                NetworkDraft(
                    (4, 5, 3, 4, 5), (0, 0, 1, 0, 1), pyramid=Pyramid(8, 8), schedule=_OCTREE, one_multiplier=True
                )
            ],
        ),
    ),
    Recipe(
        "lite-motion",
        "motion in 12 frames: the last nodes lie after the last frame; luma without planes; 4:4:4 at 10 bits",
        StreamDraft(
            "lite",
            38,
            51,
            [[12]],
            [
                NetworkDraft(
                    (7, 9, 8, 6, 5),
                    (0, 1, 0, 2, 1),
                    {2: 2, **BANDS, **FLOW},
                    flow_multipliers=(1, 40),
                    context_widths=(6, 5),
                )
            ],
            {**TEN_BITS, "chroma_format": 2},
        ),
    ),
    Recipe(
        "lite-motion-planes",
        "motion of planes without luma, blend weights from 0 to 32; a NETWORK without motion after it",
        StreamDraft(
            "lite",
            39,
            34,
            [[10], [4]],
            [
                NetworkDraft(
                    (5, 6, 4, 5, 6),
                    (0, 1, 1, 1, 0),
                    {2: 1, 4: 2, **FLOW},
                    Pyramid(8, 4, (17,)),
                    0,
                    None,
                    (1, 40),
                    (3, 20),
                ),
                NetworkDraft((5, 6, 4, 5, 6), (0, 1, 1, 1, 0), {2: 1, 4: 3}, Pyramid(4, 4)),
            ],
            TEN_BITS,
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
                    {0: 2, 4: 2, **BANDS, **FLOW},
                    Pyramid(8, 8),
                    flow_multipliers=(60, 2049),
                    context_widths=(5, 6),
                    wild=9,
                )
            ],
        ),
    ),
    Recipe(
        "nano-motion-frame",
        "motion with one picture of 5x3 samples: no displacement, planes larger than the picture",
        StreamDraft(
            "nano",
            5,
            3,
            [[1]],
            [NetworkDraft((3, 2, 3, 4, 3), NO_BLOCKS, {0: 1, 4: 1, **BANDS, **FLOW}, empty_nodes=0)],
        ),
    ),
    Recipe(
        "main-motion-bound",
        "wavelet, half samples and nodes run past -2048 and 2047 and are clipped there; layers at the bound",
        StreamDraft(
            "main",
            29,
            21,
            [[9]],
            [
                NetworkDraft(
                    (6, 7, 5, 6, 5),
                    (0, 1, 1, 1, 1),
                    {1: 2, 4: 2, **BANDS, **FLOW},
                    Pyramid(8, 4, (22,)),
                    empty_nodes=0,
                    flow_multipliers=(60, 2049),
                    bound=True,
                    wild=9,
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
                NetworkDraft(
                    (2, 3, 2, 3, 2),
                    NO_BLOCKS,
                    {1: 2, 4: 2, **BANDS, **FLOW},
                    flow_multipliers=(1, 300),
                    context_widths=(3, 3),
                ),
                NetworkDraft((2, 3, 2, 3, 2), NO_BLOCKS, {1: 2, 4: 3}, context_widths=(3, 3)),
            ],
        ),
    ),
    Recipe(
        "nano-split",
        "blocks with motion of their own in some frames of two GOPs; three levels of nodes; odd size",
        StreamDraft(
            "nano",
            35,
            21,
            [[11, 4]],
            [
                NetworkDraft(
                    (3, 4, 3, 4, 3),
                    NO_BLOCKS,
                    {4: 1, **BANDS, **FLOW, **SPLIT},
                    Pyramid(8, 2, (20, 27)),
                    empty_nodes=3,
                    blend_multipliers=(2, 9),
                    context_widths=(5, 4),
                )
            ],
        ),
    ),
    Recipe(
        "lite-split-far",
        "blocks that move far outside of the picture, at both clips; each second frame a key; 4:4:4 at 10 bits",
        StreamDraft(
            "lite",
            33,
            18,
            [[6]],
            [
                NetworkDraft(
                    (5, 6, 4, 5, 6),
                    (0, 1, 0, 1, 0),
                    {3: 1, 4: 2, **FLOW, **SPLIT},
                    Pyramid(2, 2),
                    flow_multipliers=(60, 2049),
                    blend_multipliers=(5, 90),
                    context_widths=(4, 5),
                    wild=9,
                )
            ],
            {**TEN_BITS, "chroma_format": 2},
        ),
    ),
    Recipe(
        "main-split-empty",
        "a split grid whose frames are all empty; a NETWORK with motion and without it after that",
        StreamDraft(
            "main",
            17,
            26,
            [[3], [3]],
            [
                NetworkDraft(
                    (2, 3, 2, 3, 2), NO_BLOCKS, {1: 1, 4: 1, **FLOW, **SPLIT}, empty_nodes=1, context_widths=(3, 3)
                ),
                NetworkDraft((2, 3, 2, 3, 2), NO_BLOCKS, {1: 1, 4: 1, **FLOW}, empty_nodes=0, context_widths=(3, 3)),
            ],
        ),
    ),
)
