"""Writes the folder: graphs, their inputs, manifest and README.

One pass over the stream, which may be a pipe; only one GOP's grids are in memory. Everything is decoded
and checked against its DIGEST on the way, and the manifest has the MD5 of every frame.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nvrc_decoder.bitstream.gops import GopRecord, iterate_gops
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import NetworkHeader, SequenceHeader
from nvrc_decoder.decode.budget import Budget
from nvrc_decoder.decode.checked import GopMaker, checked_frames
from nvrc_decoder.decode.engines import Engine, Engines
from nvrc_decoder.decode.gop import Network, decode_grids, load_network
from nvrc_decoder.decode.plan import make_plan
from nvrc_decoder.decode.stages import DecodedGop, StageTimes
from nvrc_decoder.errors import InternalError
from nvrc_decoder.export.onnx_file import fill_initializers
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits, check_limit
from nvrc_decoder.picture.format import CHROMA_NAMES
from nvrc_decoder.picture.planes import plane_shapes
from nvrc_decoder.profiles import head_rows
from nvrc_decoder.synthesis.cuda.providers import Provider
from nvrc_decoder.synthesis.onnx.initializers import PREDICTED, graph_initializers, graph_inputs
from nvrc_decoder.synthesis.onnx.session import graph_bytes
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.synthesizer import Grid, TileSynthesizer

__all__ = ["Exported", "export_video"]

VERSION = 3
_PLANE_NAMES = ("y", "u", "v")
_ROWS = 12
_PHASES = 4


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        manifest: content of manifest.json.
        files: number of files.
        bytes: their size.
    """

    manifest: dict[str, Any]
    files: int
    bytes: int


def export_video(
    file: BinaryIO,
    folder: Path,
    *,
    engine: Engine = "auto",
    provider: Provider = "auto",
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Exported:
    """Write a stream into a folder as plain ONNX.

    Args:
        file: the stream; it is read once, forward.
        folder: an empty folder, filled whole or left in any state if an error is raised.
        engine, provider: what makes the frames for their MD5s, and where.
        threads: threads of ONNX Runtime and of motion on the CPU; None: about one for each core.
        limits: what this process is willing to spend.

    Raises:
        NvrcError: as from decoding.
        OSError: writing failed.
    """
    reader = UnitReader(file, limits)
    export = _Export(folder, Engines(engine, provider, threads), threads, limits)
    for record in iterate_gops(reader, on_network=lambda *network: export.network(reader.sequence, *network)):
        export.gop(record)
    return export.finish()


class _Export:
    """A folder while it is being written."""

    def __init__(self, folder: Path, engines: Engines, threads: int | None, limits: Limits) -> None:
        self._folder = folder
        self._engines = engines
        self._threads = threads
        self._limits = limits
        self._files = self._bytes = self._frames = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._networks: list[str] = []
        self._gops: list[dict[str, Any]] = []
        self._sequence: SequenceHeader | None = None
        self._network: Network | None = None
        self._predictor: TileSynthesizer | None = None

    def network(self, sequence: SequenceHeader | None, header: NetworkHeader, offset: int, unit: str) -> None:
        """NETWORK: its graph."""
        self._sequence = sequence
        sequence = self._known_sequence()
        network = load_network(sequence, header, offset=offset, unit=unit)
        profile, active = network.profile, (header.stage_channels, header.stage_blocks)
        tensors = graph_initializers(profile, sequence, *active, network.layers, network.multipliers)
        name = f"network_{len(self._networks)}.onnx"
        self._write(name, fill_initializers(graph_bytes(profile), tensors))
        self._networks.append(name)
        self._network, self._predictor = network, None
        if profile.has_planes([len(factors) for factors in network.multipliers]):
            self._predictor = self._make_predictor(sequence, network)

    def _make_predictor(self, sequence: SequenceHeader, network: Network) -> TileSynthesizer:
        """What makes the planes: the frames for their MD5s may be made elsewhere."""
        if self._engines.engine == "reference":
            return ReferenceSynthesizer(*network.parts(sequence))
        from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

        return OrtSynthesizer(*network.parts(sequence), threads=self._threads)

    def gop(self, record: GopRecord) -> None:
        """A GOP: the inputs for its frames, and the MD5 of each.

        Raises:
            InvalidStreamError: E_DIGEST, among others.
        """
        sequence, network, gop = self._known_sequence(), self._network, record.gop
        if network is None:
            raise InternalError("E_INTERNAL", "the reader let a GOP come before NETWORK")
        place: Any = {"offset": record.offset, "unit": record.unit}
        plan = make_plan(sequence, record.network, gop, self._limits)
        check_limit("max_memory_bytes", plan.estimate, self._limits, **place)
        grids = decode_grids(sequence, network, gop.frame_count, gop.grids, gop.node_maps, **place)
        inputs = self._inputs(f"gops/{len(self._gops):05d}", network, grids, gop.frame_count)
        reservation, _ = Budget(self._limits.max_memory_bytes).reserve(plan.synthesis.bytes, plan.frame_bytes)
        decoded = DecodedGop(record.without_payloads(), network, plan, grids, reservation)
        maker = GopMaker(sequence, self._engines, StageTimes(), decoded, threading.Lock())
        md5s: list[str] = []
        for frame in checked_frames(maker, 0):
            md5s.append(frame.md5())
            for chunk in frame.chunks():
                self._md5.update(chunk)
        # The next GOP's grids are decoded first, and may need the memory (docs/memory.md).
        self._engines.release()
        self._gops.append(
            {
                "network": len(self._networks) - 1,
                "first_frame": record.first_frame,
                "frame_count": gop.frame_count,
                "inputs": inputs,
                "frame_md5s": md5s,
            }
        )
        self._frames += gop.frame_count

    def finish(self) -> Exported:
        """After END: manifest and README."""
        manifest = {
            **_describe(self._known_sequence()),
            "frame_count": self._frames,
            "md5": self._md5.hexdigest(),
            "networks": self._networks,
            "gops": self._gops,
        }
        self._write("README.md", resources.files("nvrc_decoder.export").joinpath("folder_readme.md").read_bytes())
        self._write("manifest.json", json.dumps(manifest, indent=1).encode())
        return Exported(manifest, self._files, self._bytes)

    def _known_sequence(self) -> SequenceHeader:
        if self._sequence is None:
            raise InternalError("E_INTERNAL", "the reader let a stream begin with another unit than SEQUENCE")
        return self._sequence

    def _write(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)
        self._files += 1
        self._bytes += len(data)

    def _inputs(
        self, folder: str, network: Network, grids: list[Grid | None], frame_count: int
    ) -> dict[str, dict[str, Any]]:
        """Write the inputs for all frames of a GOP that the NETWORK does not lack; where they are, by name."""
        (self._folder / folder).mkdir(parents=True)
        shapes = graph_inputs(network.profile)
        files: dict[str, _Npy] = {}
        with ExitStack() as stack:

            def write(name: str, frame: npt.NDArray[Any]) -> None:
                if name not in files:
                    file = stack.enter_context((self._folder / folder / f"{name}.npy").open("wb"))
                    files[name] = _Npy(file, (frame_count, shapes[name].channels, *frame.shape[1:]))
                files[name].write(frame)

            for t in range(frame_count):
                for name, item in shapes.items():
                    grid = None if item.slot is None else grids[item.slot]
                    if grid is not None:
                        write(name, grid[t])
                if self._predictor is not None:
                    planes = self._predictor.predicted(grids, frame_count, range(t, t + 1))
                    for name, stage in PREDICTED.items():
                        if stage in planes:
                            write(name, planes[stage][0])
        if self._predictor is not None:
            # The frames are made next, and may need the memory.
            self._predictor.release()
        self._files += len(files)
        self._bytes += sum(file.bytes for file in files.values())
        return {
            name: {"file": f"{folder}/{name}.npy", "offset": file.offset, "shape": list(file.shape)}
            for name, file in files.items()
        }


class _Npy:
    """Float32 little-endian values in .npy, written frame by frame.

    Args:
        file: where to.
        shape: frames, channels, rows, columns.

    Attributes:
        offset: of the first value in the file.
        bytes: written so far.
    """

    def __init__(self, file: BinaryIO, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._file = file
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        self.offset = self.bytes = file.tell()

    def write(self, frame: npt.NDArray[Any]) -> None:
        """A frame [channels, rows, columns]; channels that it lacks are zeros."""
        values = np.zeros(self.shape[1:], "<f4")
        values[: len(frame)] = frame
        self.bytes += self._file.write(values.tobytes())


def _describe(sequence: SequenceHeader) -> dict[str, Any]:
    """What holds for all of the stream."""
    profile = sequence.profile_spec
    size = sequence.height, sequence.width
    half = [-(-sequence.height // 2), -(-sequence.width // 2)]
    inputs = [
        {
            "name": name,
            "dtype": "float32",
            "shape": ["B + 2" if item.halo else "B", item.channels, *item.size(*size)],
            "halo": item.halo,
        }
        for name, item in graph_inputs(profile).items()
    ]
    return {
        "format": "nvrc-export",
        "version": VERSION,
        "profile": profile.name,
        "width": sequence.width,
        "height": sequence.height,
        "rate": [sequence.rate_numerator, sequence.rate_denominator],
        "chroma_format": CHROMA_NAMES[sequence.chroma_format],
        "bit_depth": sequence.bit_depth,
        "sample_type": "uint8" if sequence.bit_depth == 8 else "uint16",
        "colour": {
            "primaries": sequence.colour_primaries,
            "transfer": sequence.transfer_characteristics,
            "matrix": sequence.matrix_coefficients,
            "full_range": bool(sequence.full_range),
            "chroma_sample_position": sequence.chroma_sample_position,
        },
        "inputs": inputs,
        "output": {"name": "rows", "dtype": "float32", "shape": ["B", _ROWS, *half]},
        "planes": _planes(sequence),
    }


def _planes(sequence: SequenceHeader) -> list[dict[str, Any]]:
    """How rows become planes: sample (y, x) is row ``rows[step * (y % step) + x % step]`` at (y // step, x // step)."""
    present = head_rows(sequence.chroma_format)
    planes = []
    shapes = plane_shapes(sequence.width, sequence.height, sequence.chroma_format)
    for i, (name, (height, width)) in enumerate(zip(_PLANE_NAMES, shapes, strict=False)):
        rows = [row for row in present if row // _PHASES == i]
        planes.append({"name": name, "width": width, "height": height, "step": 2 if len(rows) > 1 else 1, "rows": rows})
    return planes
