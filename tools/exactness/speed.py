"""Frames per second of synthesis alone and end to end, and the bound by the memory's bandwidth."""

from __future__ import annotations

import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from synthesis_cases import Picture, random_case

import nvrc_decoder
from nvrc_conformance.drafts import NetworkDraft, random_gop, random_network
from nvrc_decoder.bitstream.units import SequenceHeader, coded_symbols
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.decode.gop import load_network
from nvrc_decoder.limits import DEFAULT_LIMITS
from nvrc_decoder.profiles import LUMA_CHANNELS, Profile
from nvrc_decoder.synthesis.cuda.calls import plan_calls
from nvrc_decoder.synthesis.cuda.providers import (
    CPU_PROVIDER,
    CUDA_OPTIONS,
    CUDA_PROVIDER,
    Provider,
    device_memory,
)
from nvrc_decoder.synthesis.onnx.initializers import graph_initializers
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.onnx.session import graph_bytes, output_bytes

__all__ = ["end_to_end", "layer_traffic", "operator_traffic", "random_stream", "synthesis_speed"]

_FLOAT = 4


def synthesis_speed(
    profile: Profile, width: int, height: int, frame_count: int, provider: Provider, threads: int | None, repeats: int
) -> dict[str, Any]:
    """Frames/s of whole GOPs, from grids in host memory to planes in host memory."""
    case = random_case(17, profile, Picture(width, height), frame_count, full=True)
    frames = min(plan_calls(profile, width, height, device_memory()).frames, frame_count) if provider == "cuda" else 1
    runtime = OrtSynthesizer(*case.network, provider=provider, threads=threads, batch=frames)
    rates = []
    for repeat in range(repeats + 1):
        began = time.perf_counter()
        for _ in runtime.stream(case.grids, frame_count, range(frame_count)):
            pass
        if repeat:  # the first one warms up
            rates.append(frame_count / (time.perf_counter() - began))
    return {
        "profile": profile.name,
        "width": width,
        "height": height,
        "frames": frame_count,
        "frames_in_a_call": frames,
        "frames_per_second": statistics.median(rates),
        "fastest": max(rates),
        "slowest": min(rates),
    }


def random_stream(profile: Profile, width: int, height: int, gops: Sequence[int], threads: int | None) -> bytes:
    """A stream of random parameters with all slots active; its digests come from ONNX Runtime on the CPU."""
    rng = np.random.RandomState(17)
    sequence = SequenceHeader(width, height, 25, 1, profile=profile.id, level=6)
    draft = NetworkDraft()
    header = random_network(rng, sequence, draft, max(gops))
    network = load_network(sequence, header)
    active = header.stage_channels, header.stage_blocks
    arguments = profile, sequence, *active, network.layers, network.multipliers, header.pyramid
    synthesizer = OrtSynthesizer(*arguments, threads=threads)
    file = io.BytesIO()
    writer = StreamWriter(file, sequence)
    writer.network(header)
    for count in gops:
        writer.gop(*random_gop(rng, sequence, network, draft, count, synthesizer.stream))
    writer.finish()
    return file.getvalue()


def end_to_end(data: bytes, provider: Provider, threads: int | None) -> dict[str, Any]:
    """Frames/s of a whole stream with digests checked, opening included; nothing is written."""
    limits = nvrc_decoder.Limits(**{**vars(DEFAULT_LIMITS), "max_unit_bytes": len(data), "max_memory_bytes": 1 << 33})
    began = time.perf_counter()
    with nvrc_decoder.open(io.BytesIO(data), provider=provider, threads=threads, limits=limits) as video:
        count, first = 0, 0.0
        for _ in video:
            count += 1
            first = first or time.perf_counter() - began
        picture, used = video.info.format, video.provider
    seconds = time.perf_counter() - began
    return {
        "profile": video.info.profile,
        "width": picture.width,
        "height": picture.height,
        "frames": count,
        "bytes": len(data),
        "symbols": _symbols(data),
        "provider": used,
        "frames_per_second": count / seconds,
        "seconds_to_first_frame": first,
    }


def _symbols(data: bytes) -> int:
    from nvrc_decoder.bitstream.random_access import RandomAccess

    table = RandomAccess(io.BytesIO(data), nvrc_decoder.Limits(max_unit_bytes=len(data)))
    records = [table.gop(number) for number in range(table.gop_count)]
    return sum(coded_symbols(table.sequence, record.network, record.gop) for record in records)


def layer_traffic(profile: Profile, width: int, height: int) -> int:
    """Bytes that a frame's half-resolution stage transfers if every layer reads its input and writes its output once.

    Convolution, clip and floor are one layer here, and so are addition and its clip; the unfolded neighbourhood of the
    injection is never written. No implementation that runs layer by layer transfers less.
    """
    channels, rows = profile.max_channels[-1], 12
    injected = LUMA_CHANNELS
    samples = -(-height // 2) * -(-width // 2)
    grids = 2 * injected
    inject = injected + channels
    up = channels // 4 + channels
    add = 3 * channels
    block = 2 * channels + 2 * channels + add
    head = 4 * (2 * channels + channels + rows) + 3 * 3 * rows + 2 * rows
    values = grids + inject + up + add + profile.blocks[-1] * block + head
    return _FLOAT * samples * values


def operator_traffic(profile: Profile, width: int, height: int, provider: Provider) -> dict[str, Any]:
    """Bytes that the operators of one frame read and write, as ONNX Runtime's profiler saw them run.

    ``half`` counts those whose result is at half resolution or larger, ``all`` every one.
    """
    from nvrc_decoder.synthesis.cuda.providers import import_onnxruntime

    onnxruntime = import_onnxruntime()
    case = random_case(17, profile, Picture(width, height), 3, full=True)
    tensors = graph_initializers(*case.network[:-1])
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
    feeds = OrtSynthesizer(*case.network, threads=1).feeds(case.grids, 3, range(1, 2))
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.enable_profiling = True
        options.profile_file_prefix = os.path.join(folder, "profile")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.add_external_initializers(list(tensors), values)
        providers: list[object] = [(CUDA_PROVIDER, CUDA_OPTIONS)] if provider == "cuda" else []
        model = graph_bytes(profile) + output_bytes(1, 8)
        session = onnxruntime.InferenceSession(model, options, [*providers, CPU_PROVIDER], enable_fallback=0)
        session.run(["y", "uv"], feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    half = -(-height // 2) * -(-width // 2)
    moved = {"all": 0, "half": 0}
    operators: dict[str, int] = {}
    for event in events:
        size = event.get("args", {})
        if event.get("cat") != "Node" or "output_size" not in size:
            continue
        written = int(size["output_size"])
        bytes_moved = int(size["activation_size"]) + int(size["parameter_size"]) + written
        moved["all"] += bytes_moved
        if written >= half:  # no fewer than a byte for each sample of the stage
            shapes = [next(iter(shape.values())) for shape in size.get("output_type_shape", [])]
            if any(len(shape) == 4 and shape[2] * shape[3] >= half for shape in shapes):
                moved["half"] += bytes_moved
                name = size["op_name"]
                operators[name] = operators.get(name, 0) + bytes_moved
    return {**moved, "operators": dict(sorted(operators.items(), key=lambda item: -item[1]))}
