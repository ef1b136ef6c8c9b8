"""Writes a video as one ONNX model."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from nvrc_decoder.bitstream.gops import GopRecord
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.engines import Engine, Engines
from nvrc_decoder.decode.gop import Network
from nvrc_decoder.export.decoding import ENDLESS, VideoPass
from nvrc_decoder.export.model import build_graph
from nvrc_decoder.export.model_file import check_size, write_model
from nvrc_decoder.export.tables import FRAME_COLUMNS, GridRows, Table, frame_rows, node_scales
from nvrc_decoder.export.values import Content
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.profiles import CHROMA_444, synthesis_layers
from nvrc_decoder.synthesis.cuda.providers import Provider
from nvrc_decoder.synthesis.synthesizer import Grid

__all__ = ["Exported", "export_video"]

# Upper bound on simultaneous copies of tables and weights while the graph is built.
_COPIES = 6


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        gops, networks: numbers of GOPs and of NETWORKs.
        bytes: size of the model, or of all files of the folder.
        metadata: of the video, texts by name.
        ignored: messages about METADATA that is malformed or has no effect.
    """

    gops: int
    networks: int
    bytes: int
    metadata: dict[str, str]
    ignored: Sequence[str]


def export_video(
    file: BinaryIO,
    output: BinaryIO,
    *,
    start: int = 0,
    frames: int | None = None,
    engine: Engine = "auto",
    provider: Provider = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Exported:
    """Write a stream as an ONNX model (docs/export.md).

    Everything is decoded and checked against its DIGEST first, in one pass. Only one GOP is in memory; the values of
    the grids wait in temporary files.

    Args:
        file: the stream, which may be a pipe.
        output: where the model goes, after all of the stream was right.
        start, frames: the first frame, from 0, and the most frames to take, 1 or more; None for all.
        engine, provider: what makes the frames for the digests, and where.
        threads: threads of ONNX Runtime and of motion on the CPU; None: about one for each core.
        limits: what this process is willing to spend.

    Raises:
        NvrcError: as from decoding; E_SEEK, there is no frame `start`; E_LIMIT, the model would have more than
            2^31 - 1 bytes.
        OSError: writing failed.
    """
    stop = ENDLESS if frames is None else start + frames
    video = VideoPass(file, range(start, stop), Engines(engine, provider, threads), limits)
    with ExitStack() as files:
        model = _Model(video.sequence, range(start, stop), files)
        video.run(model.take)
        metadata = video.metadata()
        size = model.write(output, metadata)
    return Exported(model.gops, len(model.networks), size, metadata, video.ignored)


class _Model:
    """A model while its parts are collected.

    Attributes:
        gops: number of GOPs.
        networks: those of the GOPs.
    """

    def __init__(self, sequence: SequenceHeader, wanted: range, files: ExitStack) -> None:
        self.gops = self._frame_count = self._node_count = 0
        self.networks: list[Network] = []
        self._sequence, self._wanted = sequence, wanted
        self._slots = sequence.profile_spec.slots
        self._grids = [GridRows(files.enter_context(tempfile.TemporaryFile())) for _ in self._slots]  # noqa: SIM115
        full = sequence.profile_spec.max_channels, sequence.profile_spec.blocks, [s.max_channels for s in self._slots]
        layers = synthesis_layers(sequence.profile_spec, *full, CHROMA_444)
        self._network_bytes = 8 * sum(math.prod(layer.weight_shape) + layer.outputs for layer in layers)
        self._frames: list[Table] = []
        self._scales: list[Table] = []

    def take(self, record: GopRecord, network: Network, grids: Sequence[Grid | None]) -> int:
        """Add a GOP, and return an upper bound on the bytes that are held in memory.

        Raises:
            LimitError: E_LIMIT. OSError: a temporary file cannot be written.
        """
        if not self.networks or self.networks[-1] is not network:
            self.networks.append(network)
        number, count, pyramid = len(self.networks) - 1, record.gop.frame_count, network.header.pyramid
        places = {"first": self._frame_count, "first_node": self._node_count}
        rows = frame_rows(pyramid, count, gop=self.gops, network=number, **places)
        first = record.first_frame
        self._frames.append(rows[max(self._wanted.start - first, 0) : self._wanted.stop - first])
        nodes = pyramid.node_count(count)
        self._scales.append(node_scales(pyramid, number, nodes))
        for slot, held, grid in zip(self._slots, self._grids, grids, strict=True):
            held.add(grid, nodes if slot.at_nodes else count)
        self.gops += 1
        self._frame_count += count
        self._node_count += nodes
        check_size(sum(held.size for held in self._grids))
        tables = 8 * (len(FRAME_COLUMNS) + len(self._slots)) * (self._frame_count + self._node_count)
        return _COPIES * (tables + len(self.networks) * self._network_bytes)

    def write(self, output: BinaryIO, metadata: dict[str, str]) -> int:
        """Write the model, after the last GOP, and return its size in bytes.

        Raises:
            LimitError: E_LIMIT. OSError: writing failed.
        """
        grids = {slot: held for slot, held in enumerate(self._grids) if held.channels}
        graph = build_graph(
            Content(self._sequence, self.networks, {slot: held.channels for slot, held in grids.items()})
        )
        graph.constants.add(np.concatenate(self._frames), "frames")
        if any(self._slots[slot].at_nodes for slot in grids):
            graph.constants.add(np.concatenate(self._scales), "scales")
        for slot, held in grids.items():
            graph.constants.add(held.rows, f"rows{slot}")
        return write_model(output, graph, {f"grid{slot}": held for slot, held in grids.items()}, metadata)
