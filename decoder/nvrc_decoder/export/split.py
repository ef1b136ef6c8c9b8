"""Writes a video as models whose inputs are the grids, and a file with the grids of each GOP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nvrc_decoder.bitstream.gops import GopRecord
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.engines import Engine, Engines
from nvrc_decoder.decode.gop import Network
from nvrc_decoder.export.decoding import ENDLESS, VideoPass
from nvrc_decoder.export.model import build_graph
from nvrc_decoder.export.model_file import write_model
from nvrc_decoder.export.tables import FRAME_COLUMNS, frame_rows, node_scales
from nvrc_decoder.export.values import Content
from nvrc_decoder.export.video import Exported
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.synthesis.cuda.providers import Provider
from nvrc_decoder.synthesis.synthesizer import Grid

__all__ = ["export_split"]

# Upper bound on the bytes of an entry of the manifest, as objects and as text.
_ENTRY_BYTES = 1000


def export_split(
    file: BinaryIO,
    folder: Path,
    *,
    engine: Engine = "auto",
    provider: Provider = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Exported:
    """Write a stream into a folder: a model for each NETWORK, the grids of each GOP, a manifest (docs/export.md).

    Args:
        file: the stream, which may be a pipe.
        folder: an empty folder, filled whole or left in any state if an error is raised.
        engine, provider, threads, limits: as in `export_video`.

    Raises:
        NvrcError: as from decoding. OSError: writing failed.
    """
    video = VideoPass(file, range(ENDLESS), Engines(engine, provider, threads), limits)
    parts = _Parts(video.sequence, folder)
    video.run(parts.take)
    metadata = video.metadata()
    manifest = {**metadata, "networks": parts.networks, "gops": parts.gops}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), "utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(len(parts.gops), len(parts.networks), size, metadata, video.ignored)


class _Parts:
    """A folder while it is being written.

    Attributes:
        networks: names of the models.
        gops: what the manifest says of each GOP.
    """

    def __init__(self, sequence: SequenceHeader, folder: Path) -> None:
        self.networks: list[str] = []
        self.gops: list[dict[str, Any]] = []
        self._sequence, self._folder = sequence, folder
        self._network: Network | None = None
        (folder / "gops").mkdir()

    def take(self, record: GopRecord, network: Network, grids: Sequence[Grid | None]) -> int:
        """Write a GOP, and its NETWORK where that is new, and return an upper bound on the bytes that are held.

        Raises:
            OSError: writing failed.
        """
        if self._network is not network:
            self._network = network
            self._write_network(network)
        count, pyramid = record.gop.frame_count, network.header.pyramid
        tables: dict[str, npt.NDArray[Any]] = {"frames": frame_rows(pyramid, count)}
        if self._sequence.profile_spec.has_planes([len(factors) for factors in network.multipliers]):
            tables["scales"] = node_scales(pyramid, 0, pyramid.node_count(count))
        for slot, grid in enumerate(grids):
            if grid is not None:
                tables |= {f"grid{slot}": grid, f"rows{slot}": np.arange(len(grid), dtype=np.int64)}
        name = f"gops/{len(self.gops):05d}.npz"
        with (self._folder / name).open("wb") as file:
            np.savez_compressed(file, **tables)  # type: ignore[arg-type]  # none of the names is `allow_pickle`
        entry = {"file": name, "network": len(self.networks) - 1, "first_frame": record.first_frame}
        self.gops.append({**entry, "frame_count": count})
        return _ENTRY_BYTES * (len(self.gops) + len(self.networks))

    def _write_network(self, network: Network) -> None:
        """The model of a NETWORK."""
        channels = {slot: len(factors) for slot, factors in enumerate(network.multipliers) if factors}
        content = Content(self._sequence, [network], channels)
        graph = build_graph(content)
        graph.input("frames", np.int64, "frames", len(FRAME_COLUMNS))
        if self._sequence.profile_spec.has_planes([len(factors) for factors in network.multipliers]):
            graph.input("scales", np.int64, "nodes")
        for slot, count in channels.items():
            graph.input(f"grid{slot}", np.int16, f"nodes{slot}", count, *content.size(slot))
            graph.input(f"rows{slot}", np.int64, f"nodes{slot}")
        name = f"network_{len(self.networks)}.onnx"
        with (self._folder / name).open("wb") as file:
            write_model(file, graph, {}, {})
        self.networks.append(name)
