"""The part of a video's graph that predicts planes from frame to frame (spec 7.5, 7.6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nvrc_decoder.export.graph import Graph
from nvrc_decoder.export.tables import NODE_ALONE, scale_rows
from nvrc_decoder.export.values import Content, FrameRow
from nvrc_decoder.profiles import LIFTING_UNIT, LUMA_CHANNELS, LUMA_STAGE, PLANE_STAGE, stage_size
from nvrc_decoder.pyramid import BLEND_UNIT
from nvrc_decoder.synthesis.onnx.session import BORDER, motion_graph_bytes
from nvrc_decoder.synthesis.predictor import CELL, STEPS, plane_sizes

__all__ = ["Pairs", "PlaneParts"]

# What a block adds to the displacements to two references and to the weight (spec 7.6.1): both references are before
# the frame, or the frame is between them.
_AFTER_BOTH, _BETWEEN = (1, 1, 1, 1, 1), (1, 1, -1, -1, 1)

Pairs = dict[int, str]
"""Planes of two nodes by stage, int16 [2, planes, rows, columns], with half samples and repeated edges."""


class PlaneParts:
    """Adds the operators that make planes.

    Args:
        content: of the video.

    Attributes:
        stages: those that planes enter.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        profile = content.profile
        self._slots = {PLANE_STAGE: (profile.plane_slot,), LUMA_STAGE: profile.band_slots}
        self.stages = [stage for stage, slots in self._slots.items() if slots[0] in content.channels]

    def pair_shape(self, stage: int) -> tuple[int, ...]:
        """The shape of the planes of two nodes, as in `Pairs`."""
        rows, columns = plane_sizes(self._content.sequence)[stage]
        return 2, self._planes(stage), *(2 * size - 1 + 2 * BORDER for size in (rows, columns))

    def keys(self, g: Graph, at: FrameRow, gop: str, last: str, kept: Sequence[str]) -> Pairs:
        """The first key that is not before a frame, and the key before it.

        Args:
            at: the frame's row.
            gop, last, kept: the GOP of the keys that are there already, the frame of the later one, their planes.
        """
        # They serve a frame of the same GOP that is not before them.
        other, early = g.node("Not", g.node("Equal", gop, at["gop"])), g.node("Less", at["key"], last)
        spacing = at["key_spacing"]
        start = g.node("Where", g.node("Or", other, early), g.node("Neg", spacing), last)
        body, (key,), pairs = self._loop_body(g, 1)
        t = body.node("Add", key, spacing)
        made = self._nodes(body, at, t, self._predicted_key(body, at, pairs, t, key))
        shifted = {
            stage: body.node("Concat", body.slice(pair, 0, 1, 2), made[stage], axis=0) for stage, pair in pairs.items()
        }
        count = g.node("Div", g.node("Sub", at["key"], start), spacing)
        _, *planes = self._loop(g, count, body, [t], shifted, [start, *kept])
        return dict(zip(self.stages, planes, strict=True))

    def entering(self, g: Graph, at: FrameRow, keys: Pairs) -> dict[int, str]:
        """What enters the stages at a frame (spec 7.6.6), [1, channels, rows, columns], from the keys around it."""
        ends, pairs = self._around(g, at, keys)
        share = g.node("Reshape", g.cast(at["share"], np.float32), g.ints(1, 1, 1, 1))
        # A node is fetched from itself.
        moving = g.cast(g.node("Less", g.node("Abs", share), g.scalar(NODE_ALONE, np.float32)), np.float32)
        return self._predicted(g, pairs, self._moves(g, at, [at["t"], *ends], share, _BETWEEN, moving))

    def _around(self, g: Graph, at: FrameRow, keys: Pairs) -> tuple[list[str], Pairs]:
        """The nodes around a frame that lies between two keys: their frames and planes."""
        ends = [g.node("Sub", at["key"], at["key_spacing"]), at["key"]]
        if not any(network.header.pyramid.levels for network in self._content.networks):
            return ends, keys
        body, (before, after), pairs = self._loop_body(g, 2)
        t = body.node("Div", body.node("Add", before, after), body.ints(2))
        moves = self._moves(body, at, [t, before, after], self._half(body), _BETWEEN)
        made = self._nodes(body, at, t, self._predicted(body, pairs, moves))
        earlier = body.node("Squeeze", body.node("Less", at["t"], t))
        chosen = body.node("Where", earlier, body.ints(0, 2), body.ints(2, 1))

        def two_of(*parts: str) -> str:
            return body.node("Gather", body.node("Concat", *parts, axis=0), chosen, axis=0)

        frames = two_of(before, after, t)
        narrowed = {stage: two_of(pair, made[stage]) for stage, pair in pairs.items()}
        parts = [body.slice(frames, 0, k, k + 1) for k in range(2)]
        before, after, *planes = self._loop(g, at["halvings"], body, parts, narrowed, [*ends, *keys.values()])
        return [before, after], dict(zip(self.stages, planes, strict=True))

    def _predicted_key(self, g: Graph, at: FrameRow, pairs: Pairs, t: str, before: str) -> dict[int, str]:
        """What a key is predicted to be from the key before it, the second of the pair; zeros for frame 0."""
        first, other = g.body(), g.body()
        moves = self._moves(other, at, [t, before, before], self._half(other), _AFTER_BOTH)
        latest = other.ints(1, 1)
        twice = {stage: other.node("Gather", pair, latest, axis=0) for stage, pair in pairs.items()}
        for stage, predicted in self._predicted(other, twice, moves).items():
            shape = self._entering_shape(stage)
            first.output(first.zeros(np.float32, *shape), np.float32, *shape)
            other.output(predicted, np.float32, *shape)
        branches = {"then_branch": first.serialised("first"), "else_branch": other.serialised("other")}
        begins = g.node("Squeeze", g.node("Equal", t, g.ints(0)))
        return dict(zip(self.stages, g.nodes("If", [begins], len(self.stages), **branches), strict=True))

    def _planes(self, stage: int) -> int:
        return 1 if stage == LUMA_STAGE else self._content.channels[self._content.profile.plane_slot]

    def _entering_shape(self, stage: int) -> tuple[int, ...]:
        sequence = self._content.sequence
        channels = LUMA_CHANNELS if stage == LUMA_STAGE else self._planes(stage)
        return 1, channels, *stage_size(stage, sequence.height, sequence.width)

    def _half(self, g: Graph) -> str:
        """The share of the later of two references that are equally far."""
        return g.floats(np.full((1, 1, 1, 1), BLEND_UNIT // 2))

    def _moves(
        self, g: Graph, at: FrameRow, frames: Sequence[str], share: str, signs: Sequence[int], moving: str | None = None
    ) -> str:
        """Displacements and weights at a frame (spec 7.6.1).

        Args:
            at: row of a frame of the GOP.
            frames: the frame and its two references.
            share: of the later one, float32 [1, 1, 1, 1].
            signs: of what the split grid adds to each channel.
            moving: a factor of that, as `share`.
        """
        content, profile = self._content, self._content.profile
        given = {
            name: content.motion(g, at, profile.flow_slot, t)
            for name, t in zip(("here", "before", "after"), frames, strict=True)
        }
        split = g.node("Gather", content.motion(g, at, profile.split_slot, frames[0]), g.ints(0, 1, 0, 1, 2), axis=1)
        split = g.node("Mul", split, g.floats(np.array(signs).reshape(1, -1, 1, 1)))
        given["split"] = split if moving is None else g.node("Mul", split, moving)
        given["size"] = g.ints(-(-content.sequence.height // CELL), -(-content.sequence.width // CELL))
        return g.inline(motion_graph_bytes("moves"), {**given, "share": share}, ["moves"])[0]

    def _predicted(self, g: Graph, pairs: Pairs, moves: str) -> dict[int, str]:
        """What is predicted from two nodes (spec 7.6.3), as it enters the stages."""
        predicted = {}
        for stage, pair in pairs.items():
            before, after = (g.slice(pair, 0, k, k + 1) for k in range(2))
            given = {"before": before, "after": after, "moves": moves}
            (predicted[stage],) = g.inline(motion_graph_bytes(f"predict-{STEPS[stage]}"), given, ["predicted"])
        return predicted

    def _nodes(self, g: Graph, at: FrameRow, t: str, predicted: dict[int, str]) -> dict[int, str]:
        """The planes of the node at frame `t` (spec 7.6.4), as one half of a pair."""
        index = g.node("Add", at["first_node"], g.node("Div", t, at["node_spacing"]))
        made = {}
        for stage, values in predicted.items():
            given = {"predicted": values, "residual": self._residual(g, stage, index)}
            (made[stage],) = g.inline(motion_graph_bytes(f"refine-{STEPS[stage]}"), given, ["refined"])
        return made

    def _residual(self, g: Graph, stage: int, index: str) -> str:
        """Residual of a stage's planes at a node (spec 7.6.4)."""
        content, level, bands = self._content, g.node("Gather", "scales", index, axis=0), []
        for slot in self._slots[stage]:
            factors = g.constants.add(scale_rows(content.networks, slot, content.channels[slot]))
            values = content.quantised(g, slot, index)
            bands.append(content.dequantised(g, values, g.node("Gather", factors, level, axis=0)))
        if stage == PLANE_STAGE:
            return bands[0]
        low = g.node("Mul", g.slice(bands[0], 1, 0, 1), g.scalar(LIFTING_UNIT, np.float32))
        for details in (g.slice(bands[0], 1, 1, 4), *bands[1:]):
            (low,) = g.inline(motion_graph_bytes("wavelet"), {"low": low, "details": details}, ["up"])
        return low

    def _loop_body(self, g: Graph, frames: int) -> tuple[Graph, list[str], Pairs]:
        """An empty body of a Loop whose state is some frames' numbers and a pair of nodes."""
        body = g.body()
        body.parameter(np.int64)
        condition = body.parameter(np.bool_)
        numbers = [body.parameter(np.int64, 1) for _ in range(frames)]
        pairs = {stage: body.parameter(np.int16, *self.pair_shape(stage)) for stage in self.stages}
        body.output(condition, np.bool_)
        return body, numbers, pairs

    def _loop(
        self, g: Graph, count: str, body: Graph, frames: Sequence[str], pairs: Pairs, states: Sequence[str]
    ) -> list[str]:
        """A Loop whose body ends with this state; its last state."""
        for frame in frames:
            body.output(frame, np.int64, 1)
        for stage, pair in pairs.items():
            body.output(pair, np.int16, *self.pair_shape(stage))
        # The condition may be left out, but the evaluator of the onnx package then does nothing.
        going = g.scalar(True, np.bool_)
        return g.nodes("Loop", [count, going, *states], len(states), body=body.serialised("node"))
