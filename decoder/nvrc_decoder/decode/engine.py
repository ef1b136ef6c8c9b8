"""Which implementation turns grids into frames: ONNX Runtime where it is installed, else the NumPy reference.

Both give the same frames, bit for bit (spec chapter 6).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.gop import Grid, Network
from nvrc_decoder.decode.memory import motion_bytes, tile_budget
from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.synthesis.checked import DeviceSynthesizer, GopSynthesizer, GpuState
from nvrc_decoder.synthesis.cuda.calls import plan_calls
from nvrc_decoder.synthesis.cuda.providers import PROVIDERS, Provider, ProviderName, device_memory
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.tiles import TiledSynthesizer
from nvrc_decoder.system.packages import is_found, remedy
from nvrc_decoder.system.threads import cores

__all__ = [
    "ENGINES",
    "Engine",
    "EngineName",
    "Synthesizer",
    "Synthesizers",
    "choose_engine",
    "choose_gpu",
    "make_synthesizer",
]

Engine = Literal["auto", "reference", "onnxruntime"]
EngineName = Literal["reference", "onnxruntime"]
ENGINES: tuple[Engine, ...] = ("auto", "reference", "onnxruntime")

_log = logging.getLogger("nvrc_decoder")

# Frames at a time; each takes the activations of one. Other threads share the work of each frame.
_MOST_FRAME_THREADS = 4


class Synthesizer(Protocol):
    """What makes frames of decoded grids under one NETWORK."""

    def synthesise(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> list[Planes]:
        """Frames `frames` of a GOP of `frame_count` frames, from the grids of the whole GOP."""

    def decode_gop(self, grids: Sequence[Grid | None], frame_count: int, first: int, digest: bytes) -> Iterator[Planes]:
        """The frames of a GOP from `first` on; `digest` is what the stream says of all of them."""

    def release(self) -> None:
        """Give back the memory of the CPU that is kept for the next frame, where it is much."""


@functools.cache
def _advise_extra() -> None:
    """Say once a process that there is something faster."""
    line = remedy("onnxruntime")
    _log.warning("note: decoding with the NumPy reference; ONNX Runtime is many times faster: %s", line)


def choose_engine(engine: Engine) -> EngineName:
    """What `engine` stands for on this machine.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, ONNX Runtime is half installed, or was asked for and is not installed.
        ValueError: no such engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"no such engine: {engine!r}")
    if engine == "reference":
        return "reference"
    if is_found("onnxruntime", "this"):
        return "onnxruntime"
    if engine == "onnxruntime":
        raise MissingExtraError("E_MISSING_EXTRA", f"ONNX Runtime is not installed: {remedy('onnxruntime')}")
    _advise_extra()
    return "reference"


def choose_gpu(engine: Engine, provider: Provider) -> GpuState:
    """What a decoder that begins knows about its GPU; whether ``auto`` means one is left until frames are wanted.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, CUDA was asked for and cannot be used.
        ValueError: no such provider, or CUDA for the reference.
    """
    if provider not in PROVIDERS:
        raise ValueError(f"no such provider: {provider!r}")
    if provider == "cuda" and engine == "reference":
        raise ValueError("the reference engine does not run on CUDA")
    state = GpuState(provider)
    if provider == "cuda":
        state.choose()
    return state


def make_synthesizer(
    engine: EngineName,
    sequence: SequenceHeader,
    network: Network,
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    gpu: GpuState | None = None,
    frame_threads: int = 1,
) -> Synthesizer:
    """The synthesizer of a NETWORK.

    Args:
        engine: from `choose_engine`.
        sequence: the stream's SEQUENCE.
        network: the loaded NETWORK.
        threads: threads of ONNX Runtime and of motion on the CPU; None leaves the choice to them.
        limits: what decides whether pictures are made in tiles.
        gpu: what this decoder knows about its GPU, updated as more is found out; None for a decoder that begins.
        frame_threads: frames that ONNX Runtime makes at a time on the CPU, for which the caller has the memory.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, ONNX Runtime is missing, or CUDA was asked for and cannot be used.
    """
    profile = network.profile
    motion = motion_bytes(
        profile, sequence.width, sequence.height, network.header.grid_channels(profile), network.header.pyramid
    )
    samples = tile_budget(profile, limits, motion)
    active = network.header.stage_channels, network.header.stage_blocks
    arguments = profile, sequence, *active, network.layers, network.multipliers, network.header.pyramid
    if engine == "reference":
        slow = ReferenceSynthesizer(*arguments)
        return GopSynthesizer(lambda: TiledSynthesizer(slow, profile, sequence, samples, motion))
    from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

    def on_cpu() -> TiledSynthesizer:
        runtime = OrtSynthesizer(*arguments, threads=threads, frame_threads=frame_threads)
        return TiledSynthesizer(runtime, profile, sequence, samples, motion, frame_threads)

    def on_gpu() -> DeviceSynthesizer:
        # The GPU has memory of its own, which the limit is not about.
        moving = profile.has_planes(network.header.grid_channels(profile))
        calls = plan_calls(profile, sequence.width, sequence.height, device_memory(), moving)
        runtime = OrtSynthesizer(*arguments, provider="cuda", batch=calls.frames)
        return TiledSynthesizer(runtime, profile, sequence, calls.samples) if calls.tiled else runtime

    state = GpuState() if gpu is None else gpu
    return GopSynthesizer(on_cpu, on_gpu if state.choose() == "cuda" else None, state)


class Synthesizers:
    """The synthesizer of the NETWORK in force, made when its first GOP comes.

    Args:
        engine: from `choose_engine`.
        sequence: the stream's SEQUENCE.
        threads, limits, gpu: as in `make_synthesizer`.
    """

    def __init__(
        self, engine: EngineName, sequence: SequenceHeader, threads: int | None, limits: Limits, gpu: GpuState
    ) -> None:
        self._engine: EngineName = engine
        self._sequence = sequence
        self._threads = threads
        self._limits = limits
        self._gpu = gpu
        self._network: Network | None = None
        self._synthesizer: Synthesizer | None = None
        self._frame_threads = 1

    @property
    def provider(self) -> ProviderName | None:
        """Where ONNX Runtime runs; None for the reference, and before the first frame where that was left open."""
        return self._gpu.provider if self._engine == "onnxruntime" else None

    @property
    def frame_threads(self) -> int:
        """Most frames that it is worth while to make at a time."""
        if self._engine == "reference" or self._gpu.provider == "cuda":
            return 1
        return max(1, min(cores() if self._threads is None else self._threads, _MOST_FRAME_THREADS))

    def of(self, network: Network, frame_threads: int = 1) -> Synthesizer:
        """The synthesizer of `network`, kept until another NETWORK is asked for, or other frames at a time on the CPU.

        Raises:
            MissingExtraError: as `make_synthesizer`.
        """
        other = frame_threads != self._frame_threads and self._gpu.provider != "cuda"
        if self._synthesizer is None or self._network is not network or other:
            self._network = self._synthesizer = None  # let go of the last one first
            self._synthesizer = make_synthesizer(
                self._engine, self._sequence, network, self._threads, self._limits, self._gpu, frame_threads
            )
            self._network, self._frame_threads = network, frame_threads
        return self._synthesizer

    def release(self) -> None:
        """Give back the memory that is kept for the next frame, where it is much; while none is being made."""
        if self._synthesizer is not None:
            self._synthesizer.release()

    def close(self) -> None:
        """Let go of the synthesizer and all of its memory."""
        self._network = self._synthesizer = None
