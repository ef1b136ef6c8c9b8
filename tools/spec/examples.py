"""The worked examples of the specification as files: ``python tools/spec/examples.py spec/examples``.

`stream.nvrc` and `step.bin` are read from the text; the two streams of 5.6 are made here.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nvrc_decoder.bitstream.headers import node_map
from nvrc_decoder.bitstream.units import (
    Gop,
    GridHeader,
    LayerHeader,
    NetworkHeader,
    SequenceHeader,
    layer_specs,
    schedule_runs,
)
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.decode.gop import load_network
from nvrc_decoder.entropy.coder import SymbolEncoder
from nvrc_decoder.entropy.parameters import encode_parameters
from nvrc_decoder.octree.grid import code_grid
from nvrc_decoder.picture.planes import GopDigest
from nvrc_decoder.profiles import LayerSpec
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

__all__ = [
    "CONTEXT_LAYERS",
    "EMPTY_NODE",
    "SEQUENCE",
    "SHAPE",
    "SPLITS",
    "empty_node",
    "grid",
    "main",
    "make",
    "values",
]

SPEC = Path(__file__).parents[2] / "spec"

SPLITS = (0x03, 0x03, 0x34, 0x34)
SHAPE = (3, 1, 3, 4)
EMPTY_NODE = 1
SEQUENCE = SequenceHeader(width=16, height=12, rate_numerator=25, rate_denominator=1, chroma_format=0)
# Modulus and step of the biases of each context layer (5.6), and its header.
CONTEXT_LAYERS = {
    "context.hidden1": (7, 20, LayerHeader(4, 3, 4, 2, 20)),
    "context.hidden2": (7, 20, LayerHeader(4, 4, 4, 2, 20)),
    "context.output": (5, 160, LayerHeader(4, 5, 4, 2, 24)),
}
# Centre weights of filter 0 and weights from input 0 pass the value through; all other weights are 0 (A.2).
_PASS: dict[str, tuple[LayerHeader, tuple[int | slice, ...]]] = {
    "stage3.inject": (LayerHeader(4, 4, 0, 0, 0), (0, 0, 1, 1)),
    "head.depthwise": (LayerHeader(4, 4, 0, 0, 0), (0, 0, 1, 1)),
    "head.pointwise": (LayerHeader(4, 4, 4, 4, 28), (slice(None), 0)),
}

Integers = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]


def values() -> npt.NDArray[np.int64]:
    """The grid of 5.6, [nodes, channels, rows, columns]."""
    n, c, y, x = np.indices(SHAPE)
    grid: npt.NDArray[np.int64] = (7 * n * n + 3 * y + 5 * x + c) % 19 - 9
    return grid


def _parameters(spec: LayerSpec) -> tuple[LayerHeader, Integers]:
    """Header and coded integers of a layer."""
    weight = np.zeros(spec.weight_shape, np.int32)
    bias = np.zeros(spec.outputs, np.int32)
    if spec.name in CONTEXT_LAYERS:
        modulus, step, header = CONTEXT_LAYERS[spec.name]
        o, i = np.indices(spec.weight_shape)
        weight[:] = (3 * i + 5 * o + i * i * (o + 1)) % modulus - modulus // 2
        bias[:] = step * np.arange(spec.outputs) + 9
        return header, (weight, bias)
    if spec.name not in _PASS:
        return LayerHeader(4, 0, 0, 0, 0), (weight, bias)
    header, place = _PASS[spec.name]
    weight[place] = 4
    if spec.name == "head.pointwise":
        bias[:] = 128
    return header, (weight, bias)


def _network(slot: int, pyramid: Pyramid) -> NetworkHeader:
    profile = SEQUENCE.profile_spec
    stages = len(profile.max_channels)
    present = (GridHeader(slot, (8,), schedule_runs(SPLITS)),)
    network = NetworkHeader((1,) * stages, (0,) * stages, present, (4, 3), (), b"", pyramid)
    specs = layer_specs(SEQUENCE, network)
    made = {spec.name: _parameters(spec) for spec in specs}
    layers = tuple(header for header, _ in made.values())
    payload = encode_parameters({name: integers for name, (_, integers) in made.items()}, specs, layers)
    return replace(network, layers=layers, parameters=payload)


def _stream(slot: int, pyramid: Pyramid, empty: int | None) -> bytes:
    """A stream of one GOP of three frames, whose one grid is that of 5.6; all values of node `empty` are 0."""
    network = _network(slot, pyramid)
    loaded = load_network(SEQUENCE, network)
    profile = SEQUENCE.profile_spec
    q = values()
    coded = np.ones(SHAPE[0], dtype=bool)
    if empty is not None:
        q[empty], coded[empty] = 0, False
    encoder = SymbolEncoder()
    code_grid(encoder, SPLITS, loaded.context, SHAPE, slot, profile.slots[slot], pyramid, values=q, coded=coded)
    grids: list[npt.NDArray[np.int16] | None] = [None] * len(profile.slots)
    grids[slot] = q.astype(np.int16)
    active = network.stage_channels, network.stage_blocks
    synthesizer = ReferenceSynthesizer(profile, SEQUENCE, *active, loaded.layers, loaded.multipliers, pyramid)
    digest = GopDigest()
    for frame in synthesizer.synthesise(grids, SHAPE[0], range(SHAPE[0])):
        digest.update(frame)
    maps = () if empty is None else (node_map(coded),)
    file = io.BytesIO()
    writer = StreamWriter(file, SEQUENCE)
    writer.network(network)
    writer.gop(Gop(SHAPE[0], (encoder.finish(),), maps), digest.digest())
    writer.finish()
    return file.getvalue()


def grid() -> bytes:
    """The stream of the first example of 5.6: the grid in slot 3."""
    return _stream(3, DEFAULT_PYRAMID, None)


def empty_node() -> bytes:
    """The stream of the last example of 5.6: the grid in slot 4, with node 1 empty."""
    return _stream(SEQUENCE.profile_spec.plane_slot, Pyramid(1, 1), EMPTY_NODE)


def _annex() -> bytes:
    text = (SPEC / "annex-a-examples.md").read_text(encoding="utf-8")
    block = text.split("<!-- example: stream -->\n```\n")[1].split("```")[0]
    return bytes.fromhex("".join(line.split(";")[0] for line in block.splitlines()))


def _step() -> bytes:
    text = (SPEC / "04-entropy.md").read_text(encoding="utf-8")
    (payload,) = re.findall(r"^payload: ([0-9a-f ]+)$", text, re.MULTILINE)
    return bytes.fromhex(payload)


_FILES: dict[str, Callable[[], bytes]] = {
    "stream.nvrc": _annex,
    "step.bin": _step,
    "grid.nvrc": grid,
    "empty-node.nvrc": empty_node,
}


def make() -> dict[str, bytes]:
    """The content of each file, by its name."""
    return {name: content() for name, content in _FILES.items()}


def main() -> None:
    """Writes the files into the folder named on the command line."""
    folder = Path(sys.argv[1])
    for name, content in make().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
