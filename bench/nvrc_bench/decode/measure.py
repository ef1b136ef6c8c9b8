"""The measurements of `nvrc-ref bench decode`: one document of times, ratios and memory.

Everything that is compared runs once in every round, and medians are compared, so that a busy machine slows all of
them alike.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nvrc_bench.decode.float_graph import RowsSession, without_floor
from nvrc_bench.decode.peak_memory import measure as measure_memory
from nvrc_bench.decode.plain_coder import PlainCoding
from nvrc_bench.decode.reference_video import ReferenceVideo, encode_x265, open_reference
from nvrc_bench.decode.stages import (
    ENTROPY_STAGES,
    FRAME_STAGES,
    STAGES,
    Decoding,
    count_symbols,
    decoded_frames,
    end_to_end,
    first_gop,
    run_stages,
)
from nvrc_bench.decode.stopwatch import Span, median, timed
from nvrc_bench.machine import package_versions, processor_model
from nvrc_decoder.errors import MissingExtraError, UnsupportedError
from nvrc_decoder.profiles import kmac_per_pixel
from nvrc_decoder.synthesis.onnx.initializers import graph_initializers
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.onnx.session import graph_bytes
from nvrc_decoder.system.allocator import return_large_arrays
from nvrc_decoder.system.threads import cores
from nvrc_decoder.video import video_format

__all__ = ["PARTS", "measure_decoding", "overlap"]

PARTS = ("speed", "entropy", "synthesis", "video", "memory")
"""speed: end to end and stages. entropy, synthesis, video: ratios to other decoders. memory: the peak."""

_GRAPH_FRAMES = 2
# Twice the default key spacing, so that the cost of nodes is spread over frames as in a long GOP.
_PLANE_FRAMES = 16
_PACKAGES = ("numpy", "constriction", "onnxruntime", "onnxruntime-gpu", "av")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class _Rounds:
    """The spans of all rounds."""

    decoding: list[Span] = field(default_factory=list)
    first_frame: list[float] = field(default_factory=list)
    samples: list[dict[str, Span]] = field(default_factory=list)
    plain: list[Span] = field(default_factory=list)
    graphs: dict[tuple[str, bool], list[Span]] = field(default_factory=dict)
    video: list[Span] = field(default_factory=list)


class _Graphs:
    """The exact graph and the float graph, fed with the middle of the first GOP.

    The graphs do not contain the prediction of planes; it is timed on the first frames of the GOP.
    """

    def __init__(self, decoding: Decoding) -> None:
        sequence, network, grids, count = first_gop(decoding)
        profile = network.profile
        active = network.header.stage_channels, network.header.stage_blocks
        arguments = (profile, sequence, *active, network.layers, network.multipliers, network.header.pyramid)
        graph, tensors, threads = graph_bytes(profile), graph_initializers(*arguments[:-1]), decoding.threads
        # Which layout is faster depends on profile, size and machine: each graph is timed with both.
        self._sessions = {
            (name, blocked): RowsSession(model, tensors, blocked=blocked, threads=threads)
            for name, model in (("exact", graph), ("float", without_floor(graph)))
            for blocked in (False, True)
        }
        runtime = OrtSynthesizer(*arguments, threads=threads)
        start = max(0, (count - _GRAPH_FRAMES) // 2)
        frames = range(start, min(start + _GRAPH_FRAMES, count))
        self._feeds = [runtime.feeds(grids, count, range(t, t + 1)) for t in frames]
        self._runtime, self._grids, self._count = runtime, grids, count
        self._has_planes = profile.has_planes(network.header.grid_channels(profile))
        self.time()

    def time(self) -> dict[tuple[str, bool], Span]:
        """Time of one frame in each graph, blocked and not, and of the planes if there are any."""
        total = dict.fromkeys(self._sessions, Span())
        for feeds in self._feeds:
            for name, session in self._sessions.items():
                span, _ = timed(lambda session=session, feeds=feeds: session.run(feeds))  # type: ignore[misc]
                total[name] += span
        n = len(self._feeds)
        times = {name: Span(span.seconds / n, span.cpu / n) for name, span in total.items()}
        if self._has_planes:
            # New views of the grids, so that nodes cached from the last call are not reused.
            grids = [None if grid is None else grid.view() for grid in self._grids]
            n = min(self._count, _PLANE_FRAMES)
            span, _ = timed(lambda: self._runtime.predicted(grids, self._count, range(n)))
            times["planes", False] = Span(span.seconds / n, span.cpu / n)
        return times


def measure_decoding(
    decoding: Decoding,
    repeats: int,
    *,
    parts: Collection[str] = PARTS,
    baseline: Path | None = None,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """Measure.

    Args:
        decoding: the stream, and how it is decoded.
        repeats: rounds, at least 1; stages and graphs run once before them, to warm up.
        parts: names from `PARTS`.
        baseline: a file of the same clip in another codec; None encodes the decoded frames with x265 at the
            stream's rate.
        note: prints a line about each part that cannot be measured here.

    Returns:
        A document for JSON. A part that was not measured is None.

    Raises:
        NvrcError: the stream cannot be decoded, or `baseline` cannot.
    """
    return_large_arrays()
    skipped: list[str] = []

    def attempt(part: str, make: Callable[[], Any]) -> Any:
        if part not in parts:
            return None
        try:
            return make()
        except (MissingExtraError, UnsupportedError) as error:
            skipped.append(f"{part}: {error.message}")
            note(f"note: {part} is left out: {error.message}")
            return None

    with tempfile.TemporaryDirectory(prefix="nvrc-bench-") as folder:
        stream = _stream(decoding)
        stages = "speed" in parts or "entropy" in parts
        if stages:
            run_stages(decoding)
        plain = PlainCoding(stream["symbols"]) if "entropy" in parts and stream["symbols"] else None
        graphs = attempt("synthesis", lambda: _Graphs(decoding))
        video = attempt("video", lambda: _reference(decoding, baseline, stream, Path(folder)))
        rounds = _Rounds()
        for _ in range(repeats):
            _one_round(decoding, rounds, stages, plain, graphs, video)
    peak = measure_memory(decoding) if "memory" in parts else None
    return {
        "stream": stream,
        "machine": _machine(decoding),
        "repeats": repeats,
        **_speed(rounds, stream),
        "entropy": _entropy(rounds, stream["symbols"]),
        "synthesis": _synthesis(rounds, stream["frames"]),
        "video": _video(rounds, video, stream["frames"]),
        "memory": None if peak is None else {"peak_bytes": peak},
        "skipped": skipped,
    }


def _one_round(
    decoding: Decoding,
    rounds: _Rounds,
    stages: bool,
    plain: PlainCoding | None,
    graphs: _Graphs | None,
    video: ReferenceVideo | None,
) -> None:
    if stages:
        span, first = end_to_end(decoding)
        rounds.decoding.append(span)
        rounds.first_frame.append(first)
        rounds.samples.append(run_stages(decoding))
    if plain is not None:
        rounds.plain.append(plain.time())
    if graphs is not None:
        for name, span in graphs.time().items():
            rounds.graphs.setdefault(name, []).append(span)
    if video is not None:
        rounds.video.append(video.time())


def _reference(decoding: Decoding, baseline: Path | None, stream: dict[str, Any], folder: Path) -> ReferenceVideo:
    if baseline is not None:
        return open_reference(baseline, decoding.threads)
    sequence, *_ = first_gop(decoding)
    rate = stream["kilobits_per_second"] * 1000
    return encode_x265(
        decoded_frames(decoding), video_format(sequence), rate, folder / "baseline.mp4", decoding.threads
    )


def _stream(decoding: Decoding) -> dict[str, Any]:
    sequence, network, gops, symbols = count_symbols(decoding)
    size = Path(decoding.path).stat().st_size
    picture = video_format(sequence)
    profile = sequence.profile_spec
    active = network.stage_channels, network.stage_blocks, network.grid_channels(profile)
    cost = kmac_per_pixel(profile, *active, sequence.chroma_format, network.pyramid)
    return {
        "path": Path(decoding.path).name,
        "profile": profile.name,
        "width": sequence.width,
        "height": sequence.height,
        "format": picture.describe(),
        "frames": sum(gops),
        "gops": len(gops),
        "symbols": symbols,
        "bytes": size,
        "kilobits_per_second": round(8e-3 * size / sum(gops) * float(picture.rate), 3),
        "kmac_per_pixel": round(cost, 3),
    }


def _machine(decoding: Decoding) -> dict[str, Any]:
    return {
        "processor": processor_model(),
        "cores": cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": package_versions(_PACKAGES),
        "engine": decoding.engine,
        "provider": decoding.provider,
        "threads": decoding.threads,
        "environment": {name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
    }


def _speed(rounds: _Rounds, stream: dict[str, Any]) -> dict[str, Any]:
    """End to end and stages."""
    if not rounds.samples:
        return {"end_to_end": None, "stages": None}
    frames = stream["frames"]
    stages = {stage: median([sample[stage] for sample in rounds.samples]) for stage in STAGES}
    whole = median(rounds.decoding)
    total = sum(span.seconds for span in stages.values())
    return {
        "end_to_end": {
            **overlap(whole, stages, cores()),
            "seconds": whole.seconds,
            "cpu_seconds": whole.cpu,
            "frames_per_second": frames / whole.seconds,
            "ms_per_frame": 1000 * whole.seconds / frames,
            "seconds_to_first_frame": statistics.median(rounds.first_frame),
            "share_of_all_stages": total / whole.seconds,
            "runs_seconds": [round(span.seconds, 4) for span in rounds.decoding],
        },
        "stages": {
            stage: {
                "seconds": span.seconds,
                "cpu_seconds": span.cpu,
                "ms_per_frame": 1000 * span.seconds / frames,
                "frames_per_second": frames / span.seconds if span.seconds else None,
                "share": span.seconds / total,
            }
            for stage, span in stages.items()
        },
    }


def overlap(whole: Span, stages: Mapping[str, Span], cores: int) -> dict[str, Any]:
    """The end-to-end time against the slowest of entropy decoding and the stages of the frames, each run alone.

    A stage alone may use all cores; end to end it shares them. So the end-to-end time is at least that of the slowest
    stage, and at least the processor time of all stages divided by the cores.
    """
    entropy = sum(stages[stage].seconds for stage in ENTROPY_STAGES)
    alone = {"entropy": entropy, **{stage: stages[stage].seconds for stage in FRAME_STAGES}}
    slower = max(alone, key=lambda stage: alone[stage])
    least = max(alone[slower], sum(span.cpu for span in stages.values()) / cores)
    return {
        "slower_stage": slower,
        "share_of_slower_stage": alone[slower] / whole.seconds,
        "largest_possible_share": alone[slower] / least,
        "share_of_possible": least / whole.seconds,
    }


def _entropy(rounds: _Rounds, symbols: int) -> dict[str, Any] | None:
    """Contexts and rANS in processor time, so per core, however many threads they use."""
    if not rounds.samples or not symbols:
        return None
    parts = {stage: median([sample[stage] for sample in rounds.samples]) for stage in ENTROPY_STAGES}
    whole = sum(span.cpu for span in parts.values())
    plain = median(rounds.plain) if rounds.plain else None
    return {
        "symbols": symbols,
        "msymbol_per_second_a_core": symbols / whole / 1e6,
        "ns_per_symbol": {stage: 1e9 * span.cpu / symbols for stage, span in parts.items()},
        "plain_msymbol_per_second": None if plain is None else symbols / plain.cpu / 1e6,
        "ratio_to_plain": None if plain is None else plain.cpu / whole,
    }


def _synthesis(rounds: _Rounds, frames: int) -> dict[str, Any] | None:
    """The exact graph, and the decoder's whole stage, against the float graph.

    The faster of two layouts counts for each graph. Planes are in neither graph, but in the decoder's stage.
    """
    if not rounds.graphs:
        return None
    fastest: dict[str, Span] = {}
    for (name, _), spans in rounds.graphs.items():
        span = median(spans)
        best = fastest.get(name, span)
        fastest[name] = Span(min(best.seconds, span.seconds), min(best.cpu, span.cpu))
    exact, plain = fastest["exact"], fastest["float"]
    stage = None
    if rounds.samples:
        stage = statistics.median(sample["synthesis"].seconds for sample in rounds.samples) / frames
    return {
        "planes_ms": 1000 * fastest["planes"].seconds if "planes" in fastest else None,
        "exact_graph_ms": 1000 * exact.seconds,
        "float_graph_ms": 1000 * plain.seconds,
        "ratio_to_float": exact.seconds / plain.seconds,
        "cpu_ratio_to_float": exact.cpu / plain.cpu,
        "stage_to_float": None if stage is None else stage / plain.seconds,
    }


def _video(rounds: _Rounds, video: ReferenceVideo | None, frames: int) -> dict[str, Any] | None:
    if video is None or not rounds.video:
        return None
    rate = video.frames / median(rounds.video).seconds
    ours = None
    if rounds.decoding:
        ours = frames / median(rounds.decoding).seconds
    return {
        "codec": video.codec,
        "frames": video.frames,
        "bytes": video.bytes,
        "frames_per_second": rate,
        "ratio_to_video": None if ours is None else ours / rate,
    }
