"""The graph of a video: from the numbers of frames to their planes (spec chapter 7).

It is made of the shipped graphs of synthesis and motion. All that differs from frame to frame stands in tables, so the
graph has the same operators for any number of GOPs and NETWORKs:

- A Scan goes through the frames asked for. Its state is the last two keys, which the next frame may use.
- A Loop makes the keys up to the frame, each from the one before. Another one makes the nodes between two keys: each
  lies halfway between two nodes, and takes the place of the one that is farther from the frame.
- What is predicted from the two nodes that are left, and the grids of the frame, enter the graph of the profile.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nvrc_decoder.export.graph import Array, Constants, Graph
from nvrc_decoder.export.planes import PlaneParts
from nvrc_decoder.export.values import Content, FrameRow
from nvrc_decoder.picture.planes import plane_shapes
from nvrc_decoder.profiles import CHROMA_444
from nvrc_decoder.synthesis.onnx.initializers import PREDICTED, graph_initializers, graph_inputs
from nvrc_decoder.synthesis.onnx.session import graph_bytes, output_bytes, output_names

__all__ = ["build_graph"]

_PLANES = ("y", "u", "v")


def build_graph(content: Content) -> Graph:
    """The graph, but for its tables and grids (`tables.py`), which it knows by their names.

    Its input `frame` is int64 [B]; its outputs `y`, `u` and `v` are uint8 or uint16 [B, rows, columns].
    """
    return _Builder(content).build()


class _Builder:
    def __init__(self, content: Content) -> None:
        self._content, self._planes = content, PlaneParts(content)
        sequence = content.sequence
        self._sample = np.dtype(np.uint8 if sequence.bit_depth == 8 else np.uint16)
        self._shapes = plane_shapes(sequence.width, sequence.height, sequence.chroma_format)

    def build(self) -> Graph:
        """The whole graph."""
        g, stages = Graph(Constants()), self._planes.stages
        frame = g.input("frame", np.int64, "B")
        states = []
        if stages:
            states = [g.ints(-1), g.ints(0), *(g.zeros(np.int16, *self._planes.pair_shape(stage)) for stage in stages)]
        body = self._frame(g).serialised("frame")
        results = g.nodes("Scan", [*states, frame], len(states) + len(self._shapes), body=body, num_scan_inputs=1)
        for name, shape, result in zip(_PLANES, self._shapes, results[len(states) :], strict=False):
            g.output(result, self._sample, "B", *shape, name=name)
        return g

    def _frame(self, outer: Graph) -> Graph:
        """The body of the Scan: from state and a frame's number to state and planes."""
        g, stages, predicted = outer.body(), self._planes.stages, {}
        held = []
        if stages:
            held = [g.parameter(np.int64, 1), g.parameter(np.int64, 1)]
            held += [g.parameter(np.int16, *self._planes.pair_shape(stage)) for stage in stages]
        at = self._content.row(g, g.parameter(np.int64))
        if stages:
            gop, last, *kept = held
            keys = self._planes.keys(g, at, gop, last, kept)
            for state in (at["gop"], at["key"]):
                g.output(state, np.int64, 1)
            for stage in stages:
                g.output(keys[stage], np.int16, *self._planes.pair_shape(stage))
            predicted = self._planes.entering(g, at, keys)
        for plane, shape in zip(self._samples(g, at, predicted), self._shapes, strict=True):
            g.output(plane, self._sample, *shape)
        return g

    def _samples(self, g: Graph, at: FrameRow, predicted: Mapping[int, str]) -> list[str]:
        """The planes of a frame, [rows, columns] each."""
        sequence = self._content.sequence
        model = graph_bytes(self._content.profile) + output_bytes(sequence.chroma_format, sequence.bit_depth)
        given = self._weights(g, at) | self._inputs(g, at, predicted)
        made = g.inline(model, given, output_names(sequence.chroma_format))
        places = [(made[0], 0)]
        if len(self._shapes) > 1:
            whole = sequence.chroma_format == CHROMA_444
            places += [(made[0], 1), (made[0], 2)] if whole else [(made[1], 0), (made[1], 1)]
        cropped = (
            g.node("Slice", source, g.ints(channel, 0, 0), g.ints(channel + 1, *shape), g.ints(1, 2, 3))
            for (source, channel), shape in zip(places, self._shapes, strict=True)
        )
        return [g.node("Reshape", plane, g.ints(*shape)) for plane, shape in zip(cropped, self._shapes, strict=True)]

    def _weights(self, g: Graph, at: FrameRow) -> dict[str, str]:
        """The initializers of the profile's graph."""
        content, stacked = self._content, dict[str, list[Array]]()
        for network in content.networks:
            active = network.header.stage_channels, network.header.stage_blocks
            parts = *active, network.layers, network.multipliers
            for name, value in graph_initializers(content.profile, content.sequence, *parts).items():
                stacked.setdefault(name, []).append(value)
        return {name: content.of_network(g, at, values, name) for name, values in stacked.items()}

    def _inputs(self, g: Graph, at: FrameRow, predicted: Mapping[int, str]) -> dict[str, str]:
        """The inputs of the profile's graph, with all its channels."""
        content, sequence = self._content, self._content.sequence
        placed = {}
        for name, item in graph_inputs(content.profile).items():
            slot = content.profile.plane_slot if name == "planes" else item.slot
            if item.slot is None:
                x = predicted.get(PREDICTED[name])
            elif item.slot in content.channels:
                around = g.node("Add", at["t"], g.ints(*range(-item.halo, item.halo + 1)))
                x = content.quantised(g, item.slot, content.frame_index(g, at, around))
            else:
                x = None
            if x is None:
                x = g.zeros(np.float32, 1 + 2 * item.halo, item.channels, *item.size(sequence.height, sequence.width))
            elif slot is not None and content.channels[slot] < item.channels:
                x = g.node("Pad", x, g.ints(0, 0, 0, 0, 0, item.channels - content.channels[slot], 0, 0))
            placed[name] = x
        return placed
