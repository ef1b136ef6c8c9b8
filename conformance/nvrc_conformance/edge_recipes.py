"""The random golden streams at the edges of order, counts and levels, which mutants of a decoder have asked for."""

from __future__ import annotations

from typing import Any

from nvrc_conformance.drafts import NetworkDraft, Recipe, StreamDraft
from nvrc_conformance.layer_drafts import LayerDraft
from nvrc_conformance.plane_recipes import NO_BLOCKS

__all__ = ["EDGE_RECIPES"]


def _small(*slots: int, **changes: Any) -> NetworkDraft:
    """A network of grids of one channel, without blocks."""
    channels, widths = (1, 2, 1, 2, 1), (1, 1)
    return NetworkDraft(channels, NO_BLOCKS, dict.fromkeys(slots, 1), context_widths=widths, **changes)


EDGE_RECIPES: tuple[Recipe, ...] = (
    Recipe(
        "nano-order",
        "NETWORK units that no GOP follows, one before another and one at the end; METADATA after each GOP, with a key "
        "of 255 bytes; a schedule of 16 runs",
        StreamDraft(
            "nano",
            17,
            9,
            [[], [2], [1, 1, 1], []],
            [_small(1), _small(3, schedule=lambda shape, slot: (0x04, 0x03) * 8), _small(2, 3), _small(2)],
            between={"é€😀" * 28 + "key": b"value"},
        ),
    ),
    Recipe(
        "nano-hop",
        "two NETWORK units without INDEX: a reader that seeks hops from unit to unit; frames of 56 bytes, after which "
        "the padding of SHA-256 fills a block",
        StreamDraft("nano", 7, 8, [[1], [2, 1]], [_small(2), _small(3)], {"chroma_format": 0}, index=False),
    ),
    Recipe(
        "nano-level",
        "1024x128 samples, 32 frames in a second: MaxSide, MaxFrameSize and MaxRate of level 0",
        StreamDraft("nano", 1024, 128, [[1]], [_small(0)], {"rate_numerator": 32}),
    ),
    Recipe(
        "nano-frames",
        "a GOP of 1024 frames, MaxGopFrames of level 0; a third of a sample in a second below its MaxRate",
        StreamDraft("nano", 3, 1, [[1024]], [_small(2, 3)], {"rate_numerator": 13981013, "rate_denominator": 10}),
    ),
    Recipe(
        "nano-tall",
        "a height of 1024 samples, MaxSide of level 0; context.hidden1 near the bound of inputs of 15",
        StreamDraft(
            "nano",
            1,
            1024,
            [[1]],
            [
                NetworkDraft(
                    (1, 2, 1, 2, 1),
                    NO_BLOCKS,
                    {1: 1},
                    context_widths=(4, 3),
                    layers={"context.hidden1": LayerDraft(13, 8, (62400,), 50000, signs=False)},
                )
            ],
        ),
    ),
)
