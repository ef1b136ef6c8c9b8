"""The random golden streams of extreme values: shifts, biases, accumulators, activations, counts and sizes."""

from __future__ import annotations

from collections.abc import Mapping

from nvrc_conformance.drafts import NetworkDraft, Recipe, StreamDraft
from nvrc_conformance.layer_drafts import LayerDraft
from nvrc_conformance.plane_recipes import BANDS, FLOW, NO_BLOCKS, SPLIT, TEN_BITS
from nvrc_decoder.bitstream.units import ScheduleKind
from nvrc_decoder.pyramid import Pyramid

__all__ = ["EXTREME_RECIPES"]

_BIAS = (65535,)


def _shifts(first: int) -> Mapping[str, LayerDraft]:
    """Shifts from `first` on, each with a bias shift one less, in the 1x1 layers of the six blocks of lite."""
    blocks = ["stage1.block0", "stage2.block0", *(f"stage{k}.block{b}" for k in (3, 4) for b in range(2))]
    return {
        **{f"{block}.pointwise": LayerDraft(n, max(0, n - 1)) for n, block in enumerate(blocks, first)},
        "*.block*.depthwise": LayerDraft(4, 3),
        "head.depthwise": LayerDraft(2, 0, (0,), 16),
        "head.pointwise": LayerDraft(2, 1, (900,), 16, signs=False),
    }


_BIASES = {
    "*.inject": LayerDraft(8, 0, _BIAS),
    "stage2.block0.depthwise": LayerDraft(9, 1, _BIAS),
    "stage2.block0.pointwise": LayerDraft(10, 2, _BIAS),
    "stage3.block0.depthwise": LayerDraft(11, 3, _BIAS),
    "stage3.block0.pointwise": LayerDraft(12, 4, _BIAS),
    "stage4.block0.depthwise": LayerDraft(13, 5, _BIAS),
    "stage4.block0.pointwise": LayerDraft(14, 6, _BIAS),
    "head.depthwise": LayerDraft(15, 7, _BIAS),
    "head.pointwise": LayerDraft(7, 0, _BIAS),
    "context.hidden1": LayerDraft(9, 3, _BIAS, signs=False),
    "context.hidden2": LayerDraft(9, 3, _BIAS, 512, signs=False),
    "context.output": LayerDraft(12, 0, (-65535, 65535), 64, signs=False),
}
_HALF = {
    "*.inject": LayerDraft(13, 7, _BIAS),
    "*.temporal": LayerDraft(13, 7, _BIAS),
    "*.depthwise": LayerDraft(13, 7, _BIAS),
    "*.block*.pointwise": LayerDraft(13, 7, _BIAS),
    "head.pointwise": LayerDraft(14, 7, _BIAS),
    "context.hidden1": LayerDraft(6, 1, _BIAS, 12000, signs=False),
    "context.hidden2": LayerDraft(13, 7, _BIAS, signs=False),
    "context.output": LayerDraft(19, 7, _BIAS, signs=False, positive=True),
}
_CLIPPED = {
    "context.hidden1": LayerDraft(6, 1, _BIAS, 12000, signs=False),
    "context.hidden2": LayerDraft(11, 6, _BIAS, signs=False),
    "context.output": LayerDraft(13, 4, (0, 17 << 9), 160, signs=False),
}

# Coarse grids have most of the bits, so that pictures have contents that motion moves.
_LOUDNESS = {0: 16, 1: 12, 2: 8, 3: 2, 4: 6, 5: 20, 6: 8, 7: 5, 8: 2, 9: 12, 10: 3}

EXTREME_RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "nano-context-clips",
        "hidden activations of the context network clipped at 2047, where another clip gives other tables",
        StreamDraft("nano", 46, 29, [[4]], [NetworkDraft(layers=_CLIPPED)]),
    ),
    Recipe(
        "lite-context-wide",
        "hidden layers of 64 units in the context network; a rate that needs level 6",
        StreamDraft(
            "lite",
            33,
            26,
            [[2]],
            [NetworkDraft((3, 4, 3, 4, 3), NO_BLOCKS, {1: 2, 2: 1, **BANDS}, context_widths=(64, 64), scale=10)],
            {"rate_numerator": 2147483647, "rate_denominator": 2},
        ),
    ),
    Recipe(
        "lite-shifts",
        "every shift 0..24 and every bias shift 0..23, each where it changes the frames; five NETWORK units",
        StreamDraft(
            "lite",
            40,
            34,
            [[1], [1], [1], [1], [1]],
            [
                NetworkDraft(
                    (3, 4, 3, 4, 4), grid_channels={1: 1, 2: 1, 3: 2}, context_widths=(4, 3), layers=_shifts(n)
                )
                for n in (0, 6, 12, 18, 19)
            ],
            TEN_BITS,
            level=3,
        ),
    ),
    Recipe(
        "nano-biases",
        "biases of 65535 and -65535 in every layer, with bias shifts 0 to 7",
        StreamDraft(
            "nano",
            37,
            30,
            [[2]],
            [NetworkDraft((3, 4, 3, 4, 3), (0, 0, 1, 1, 1), {1: 2, 3: 1, **BANDS}, empty_nodes=0, layers=_BIASES)],
            TEN_BITS,
            level=2,
        ),
    ),
    Recipe(
        "main-accumulators",
        "accumulators of all layers between 2^23 and 2^24 in magnitude, with shifts that leave them unclipped",
        StreamDraft(
            "main",
            35,
            28,
            [[3]],
            [
                NetworkDraft(
                    (4, 5, 4, 6, 6), (1, 0, 0, 1, 1), {0: 2, 3: 1, **BANDS}, empty_nodes=0, wild=12, layers=_HALF
                )
            ],
            TEN_BITS,
            level=4,
        ),
    ),
    Recipe(
        "nano-nodes",
        "a GOP of 261 frames, each a node, and a split grid: node and frame indices over 255",
        StreamDraft(
            "nano",
            12,
            9,
            [[261]],
            [
                NetworkDraft(
                    (2, 3, 2, 3, 2),
                    NO_BLOCKS,
                    {1: 1, 4: 1, **FLOW, **SPLIT},
                    Pyramid(4, 1, (20, 26)),
                    context_widths=(4, 3),
                )
            ],
        ),
    ),
    Recipe(
        "nano-many-gops",
        "130 GOPs of one frame: counts and numbers of two bytes in INDEX and END",
        StreamDraft(
            "nano",
            7,
            5,
            [[1] * 130],
            [NetworkDraft((1, 1, 1, 2, 2), NO_BLOCKS, {3: 1}, context_widths=(1, 1))],
            {"chroma_format": 0},
            level=5,
        ),
    ),
    Recipe(
        "nano-large",
        "1064x328 samples, 5 frames with planes, luma, motion and splits: positions over 32767 in 1/32 sample",
        StreamDraft(
            "nano",
            1064,
            328,
            [[5]],
            [
                NetworkDraft(
                    pyramid=Pyramid(4, 2, (22,)),
                    empty_nodes=0,
                    flow_multipliers=(20, 90),
                    loudness=_LOUDNESS,
                )
            ],
        ),
    ),
    Recipe(
        "lite-large",
        "720x480 samples of 10 bits, two GOPs with planes, luma and motion; offsets of three bytes in INDEX",
        StreamDraft(
            "lite",
            720,
            480,
            [[3, 1]],
            [NetworkDraft(pyramid=Pyramid(2, 2), empty_nodes=0, flow_multipliers=(20, 90), loudness=_LOUDNESS)],
            TEN_BITS,
        ),
    ),
    Recipe(
        "main-large",
        "720x480 samples, 3 frames with planes, luma, motion and the temporal stem; octree",
        StreamDraft(
            "main",
            720,
            480,
            [[3]],
            [
                NetworkDraft(
                    pyramid=Pyramid(2, 1, (22,)),
                    empty_nodes=0,
                    flow_multipliers=(20, 90),
                    loudness=_LOUDNESS,
                    schedule=ScheduleKind.OCTREE,
                )
            ],
        ),
    ),
)
