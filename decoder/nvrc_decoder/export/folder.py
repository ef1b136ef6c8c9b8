"""Writes the folder: graphs, grids, manifest and README.

One pass over the stream, which may be a pipe; a GOP's grids are in memory at a time, no more. Everything is decoded
and held against its DIGEST on the way, and the manifest has the MD5 of every frame.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Digest, Gop, NetworkHeader, SequenceHeader
from nvrc_decoder.engine import Engine, EngineName, Synthesizers, choose_engine, choose_gpu
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.export.onnx_file import fill_initializers
from nvrc_decoder.frames import GopDigest, plane_shapes
from nvrc_decoder.gop import Grid, Network, decode_grids, load_network
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.profiles import GridSlot, head_rows
from nvrc_decoder.synthesis.device import GpuState
from nvrc_decoder.synthesis.initializers import graph_initializers
from nvrc_decoder.synthesis.motion_graphs import MotionGraphs
from nvrc_decoder.synthesis.providers import Provider
from nvrc_decoder.synthesis.session import graph_bytes
from nvrc_decoder.synthesis.warping import CELL
from nvrc_decoder.video_format import CHROMA_NAMES

__all__ = ["Exported", "export_video"]

VERSION = 2
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
    gpu = choose_gpu(engine, provider)
    export = _Export(folder, choose_engine(engine), gpu, threads, limits)
    held: tuple[Gop, int, str] | None = None
    for unit in UnitReader(file, limits):
        content = unit.content
        if isinstance(content, SequenceHeader):
            export.begin(content)
        elif isinstance(content, NetworkHeader):
            export.network(content, unit.offset, unit.name)
        elif isinstance(content, Gop):
            held = content, unit.offset, unit.name
        elif isinstance(content, Digest) and held is not None:
            export.gop(*held, content.digest)
            held = None
    return export.finish()


class _Export:
    """A folder while it is being written."""

    def __init__(self, folder: Path, engine: EngineName, gpu: GpuState, threads: int | None, limits: Limits) -> None:
        self._folder = folder
        self._engine: EngineName = engine
        self._gpu = gpu
        self._threads = threads
        self._limits = limits
        self._files = self._bytes = self._frames = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._networks: list[dict[str, Any]] = []
        self._gops: list[dict[str, Any]] = []
        self._absent: dict[str, dict[str, Any]] = {}
        self._sequence: SequenceHeader | None = None
        self._synthesizers: Synthesizers | None = None
        self._network: Network | None = None
        self._moving: tuple[int, ...] = ()
        self._moved: tuple[int, ...] = ()

    def begin(self, sequence: SequenceHeader) -> None:
        """SEQUENCE."""
        self._sequence = sequence
        self._synthesizers = Synthesizers(self._engine, sequence, self._threads, self._limits, self._gpu)

    def network(self, header: NetworkHeader, offset: int, unit: str) -> None:
        """NETWORK: its graph."""
        sequence = self._known_sequence()
        network = load_network(sequence, header, offset=offset, unit=unit)
        profile = network.profile
        tensors = graph_initializers(
            profile,
            sequence,
            header.stage_channels,
            header.stage_blocks,
            network.layers,
            network.multipliers,
            header.base,
        )
        stem = f"network_{len(self._networks)}"
        files: dict[str, Any] = {"file": self._graph(stem, graph_bytes(profile), tensors), "motion": None}
        motion = MotionGraphs.of(profile, network.layers, network.multipliers, header.base)
        if motion is not None:
            files["motion"] = {
                "moves": self._graph(f"{stem}_moves", *motion.moves),
                "flow": f"grid{profile.flow_slot}",
                "base": None if motion.base is None else self._graph(f"{stem}_base", *motion.base),
                "base_grid": None if motion.base is None else f"grid{profile.base_slot}",
                "slots": [
                    {
                        "input": f"warped{i}",
                        "grid": f"grid{i}",
                        "takes_base": i in profile.mixed_slots,
                        "nodes": self._graph(f"{stem}_nodes{i}", graphs.nodes, graphs.values),
                        "chain": self._graph(f"{stem}_chain{i}", graphs.chain, {}),
                        "warp": self._graph(f"{stem}_warp{i}", graphs.warp, {}),
                    }
                    for i, graphs in motion.slots.items()
                ],
            }
        self._networks.append(files)
        self._moving = () if motion is None else tuple(motion.slots)
        self._moved = () if motion is None else (*self._moving, profile.flow_slot)
        if motion is not None and motion.base is not None and profile.base_slot not in self._moving:
            self._moved += (profile.base_slot,)
        self._network = network

    def gop(self, gop: Gop, offset: int, unit: str, expected: bytes) -> None:
        """GOP and its DIGEST: its grids, and the MD5 of each of its frames."""
        sequence = self._known_sequence()
        network = self._network
        if network is None or self._synthesizers is None:
            raise InternalError("E_INTERNAL", "the reader let a GOP come before NETWORK")
        grids = decode_grids(sequence, network, gop.frame_count, gop.grids, offset=offset, unit=unit)
        place = f"gops/{len(self._gops):05d}"
        slots = network.profile.slots
        written = {
            i: self._grid(f"{place}/grid{i}.npy", slots[i], grid) for i, grid in enumerate(grids) if grid is not None
        }
        inputs: dict[str, Any] = {}
        for i, slot in enumerate(slots):
            if i in network.profile.warped_slots and i not in self._moving:
                inputs[f"warped{i}"] = self._zeros(f"warped{i}", slot, (1, 1))
            if i in self._moving:
                inputs[f"grid{i}"] = self._zeros(f"still{i}", slot, (1, 1))
            elif not slot.flow:
                size = -(-sequence.height // slot.stride), -(-sequence.width // slot.stride)
                inputs[f"grid{i}"] = written[i] if i in written else self._zeros(f"grid{i}", slot, size)
        moved = {f"grid{i}": written[i] for i in self._moved} if self._moved else None
        digest = GopDigest()
        md5s: list[str] = []
        for frame in self._synthesizers.of(network).decode_gop(grids, gop.frame_count, 0, expected):
            digest.update(frame)
            md5s.append(frame.md5())
            for chunk in frame.chunks():
                self._md5.update(chunk)
        # The next GOP's grids are decoded first, and may need the room (spec 9.3).
        self._synthesizers.release()
        if digest.digest() != expected:
            message = f"the frames have digest {digest.digest().hex()}, the stream says {expected.hex()}"
            raise InvalidStreamError("E_DIGEST", message, offset=offset, unit=unit, section="8.3")
        self._gops.append(
            {
                "network": len(self._networks) - 1,
                "first_frame": self._frames,
                "frame_count": gop.frame_count,
                "grids": inputs,
                "moved": moved,
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

    def _graph(self, stem: str, model: bytes, tensors: dict[str, Any]) -> str:
        """Write a graph with its weights; the name of its file."""
        name = f"{stem}.onnx"
        self._write(name, fill_initializers(model, tensors))
        return name

    def _grid(self, name: str, slot: GridSlot, grid: Grid) -> dict[str, Any]:
        """A grid as the graph takes it: float32, the channels that the stream lacks are zeros."""
        nodes, channels, rows, columns = grid.shape
        empty = np.zeros((rows, columns), np.float32)
        return self._npy(
            name,
            (nodes, slot.max_channels, rows, columns),
            (
                grid[n, c].astype("<f4") if c < channels else empty
                for n in range(nodes)
                for c in range(slot.max_channels)
            ),
        )

    def _zeros(self, name: str, slot: GridSlot, size: tuple[int, int]) -> dict[str, Any]:
        """What the graph takes for nothing at all: one node of zeros, the same for every GOP."""
        if name not in self._absent:
            empty = np.zeros(size, np.float32)
            shape = (1, slot.max_channels, *size)
            self._absent[name] = self._npy(f"absent/{name}.npy", shape, (empty for _ in range(slot.max_channels)))
        return self._absent[name]

    def _npy(self, name: str, shape: Sequence[int], parts: Any) -> dict[str, Any]:
        """Write float32 little-endian values as .npy, part by part."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
            np.lib.format.write_array_header_1_0(file, header)
            offset = file.tell()
            for part in parts:
                file.write(np.ascontiguousarray(part).tobytes())
            self._bytes += file.tell()
        self._files += 1
        return {"file": name, "offset": offset, "shape": list(shape)}


def _describe(sequence: SequenceHeader) -> dict[str, Any]:
    """What holds for all of the stream."""
    profile = sequence.profile_spec
    half = [-(-sequence.height // 2), -(-sequence.width // 2)]
    inputs: list[dict[str, Any]] = [{"name": "frames", "dtype": "int64", "shape": ["B"]}]
    if profile.temporal_stem:
        inputs.append({"name": "stem_frames", "dtype": "int64", "shape": ["B + 2"]})
    for i, slot in enumerate(profile.slots):
        if not slot.flow:
            size = [-(-sequence.height // slot.stride), -(-sequence.width // slot.stride)]
            inputs.append({"name": f"grid{i}", "dtype": "float32", "shape": ["N", slot.max_channels, *size]})
    for i in profile.warped_slots:
        slot = profile.slots[i]
        size = [-(-sequence.height // slot.stride), -(-sequence.width // slot.stride)]
        inputs.append({"name": f"warped{i}", "dtype": "float32", "shape": ["B", slot.max_channels, *size]})
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
        "cells": [-(-sequence.height // CELL), -(-sequence.width // CELL)],
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
