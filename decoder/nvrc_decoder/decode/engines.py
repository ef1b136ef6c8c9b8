"""The engines of a decoder: ONNX Runtime on a GPU or a CPU, and the NumPy reference.

All give the same frames, bit for bit (spec chapter 6). An engine that does not is replaced by the next one.
"""

from __future__ import annotations

import functools
import logging
from typing import Literal

from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.gop import Network
from nvrc_decoder.decode.plan import SynthesisPlan, plan_synthesis
from nvrc_decoder.errors import InternalError, MissingExtraError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.synthesis.cuda.calls import plan_calls
from nvrc_decoder.synthesis.cuda.providers import (
    PROVIDERS,
    Provider,
    ProviderName,
    cuda_error,
    device_memory,
    find_cuda_fault,
    import_onnxruntime,
)
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.synthesizer import Synthesizer, TileSynthesizer
from nvrc_decoder.synthesis.tiles import RETAINED_BYTES, TiledSynthesizer, plan_tiles
from nvrc_decoder.system.packages import is_found, remedy
from nvrc_decoder.system.threads import cores

__all__ = ["ENGINES", "Engine", "EngineName", "Engines", "choose_engine", "make_synthesizer"]

Engine = Literal["auto", "reference", "onnxruntime"]
EngineName = Literal["reference", "onnxruntime"]
ENGINES: tuple[Engine, ...] = ("auto", "reference", "onnxruntime")

_log = logging.getLogger("nvrc_decoder")

# More frames concurrently gain nothing: the other threads share the work of each frame.
_MOST_WORKERS = 4


@functools.cache
def _say_once(line: str) -> None:
    """Log a line once per process."""
    _log.warning(line)


def choose_engine(engine: Engine) -> EngineName:
    """The engine that `engine` stands for on this machine.

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
    line = remedy("onnxruntime")
    _say_once(f"note: decoding with the NumPy reference; ONNX Runtime is many times faster: {line}")
    return "reference"


class Engines:
    """The engine of one decoder, and what replaces it.

    Args:
        engine, provider, threads: as in `nvrc_decoder.open`.

    Attributes:
        engine: the engine in use.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, the engine is not installed, or CUDA was asked for and cannot be used.
        ValueError: no such engine or provider, or CUDA for the reference.
    """

    def __init__(self, engine: Engine = "auto", provider: Provider = "auto", threads: int | None = None) -> None:
        self.engine: EngineName = choose_engine(engine)
        if provider not in PROVIDERS:
            raise ValueError(f"no such provider: {provider!r}")
        if provider == "cuda" and self.engine == "reference":
            raise ValueError("the reference engine does not run on CUDA")
        self._wanted: Provider = provider
        self._provider: ProviderName | None = None
        self._threads = threads
        self._network: Network | None = None
        self._plan: SynthesisPlan | None = None
        self._synthesizer: Synthesizer | None = None
        if provider == "cuda":
            self._choose_provider()

    @property
    def provider(self) -> ProviderName | None:
        """Where ONNX Runtime runs; None for the reference, and before the first frame where that was left open."""
        return self._provider if self.engine == "onnxruntime" else None

    @property
    def most_workers(self) -> int:
        """Most frames that are worth making concurrently."""
        if self.engine == "reference" or self._provider == "cuda":
            return 1
        return max(1, min(cores() if self._threads is None else self._threads, _MOST_WORKERS))

    def synthesizer(self, sequence: SequenceHeader, network: Network, plan: SynthesisPlan) -> Synthesizer:
        """The synthesizer of a NETWORK, kept until another NETWORK or plan is asked for.

        Raises:
            MissingExtraError: E_MISSING_EXTRA, a package is missing, or CUDA was asked for and cannot be used.
            InternalError: E_RUNTIME, ONNX Runtime failed.
        """
        same = self._plan == plan or self._provider == "cuda"  # a plan is about the CPU
        if self._synthesizer is not None and self._network is network and same:
            return self._synthesizer
        self.close()  # the old one's memory first
        self._synthesizer = self._make(sequence, network, plan)
        self._network, self._plan = network, plan
        return self._synthesizer

    def reference(self, sequence: SequenceHeader, network: Network, plan: SynthesisPlan) -> Synthesizer:
        """The NumPy reference for a NETWORK, whatever the engine in use."""
        return _in_tiles(ReferenceSynthesizer(*network.parts(sequence)), sequence, network, plan.samples)

    def recover(self, error: InternalError) -> None:
        """After an engine failed: fewer frames a call on a GPU, or the CPU instead of it.

        Raises:
            InternalError: `error`, where nothing takes the engine's place.
        """
        if self.provider != "cuda" or error.code != "E_RUNTIME":
            raise error
        if self._synthesizer is not None and self._synthesizer.batch > 1:
            # As a rule there was no memory for so many frames.
            self._synthesizer.batch //= 2
        else:
            self._replace(error.message)

    def blame(self, reason: str) -> None:
        """Replace the engine, whose frames were wrong, and say so."""
        self._replace(f"{self.name} {reason}")

    @property
    def name(self) -> str:
        """Engine and version, for messages."""
        if self.engine == "reference":
            return "the NumPy reference"
        place = "a GPU" if self._provider == "cuda" else "the CPU"
        return f"ONNX Runtime {import_onnxruntime().__version__} on {place}"

    def release(self) -> None:
        """Release the memory that is kept for the next frame, if it is much; while no frame is made."""
        if self._synthesizer is not None and self._plan is not None and self._plan.retained > RETAINED_BYTES:
            self._synthesizer.release()

    def close(self) -> None:
        """Release the synthesizer and all of its memory."""
        self._network = self._plan = self._synthesizer = None

    def _replace(self, reason: str) -> None:
        self.close()
        if self._provider == "cuda":
            self._provider = "cpu"
            _log.warning("note: decoding continues on the CPU: %s", reason)
        else:
            self.engine = "reference"
            _log.warning("note: decoding continues with the NumPy reference, which is slow: %s", reason)

    def _choose_provider(self) -> ProviderName:
        """CUDA or the CPU, found out once; with ``auto``, one line if there is a GPU which cannot be used."""
        if self._provider is None:
            fault = None if self._wanted == "cpu" else find_cuda_fault(import_onnxruntime())
            if fault is not None and self._wanted == "cuda":
                raise cuda_error(fault)
            if fault is not None and fault.device:
                _say_once(f"note: decoding on the CPU, not on the GPU: {fault.reason}; {fault.remedy}")
            self._provider = "cpu" if self._wanted == "cpu" or fault is not None else "cuda"
        return self._provider

    def _make(self, sequence: SequenceHeader, network: Network, plan: SynthesisPlan) -> Synthesizer:
        if self.engine == "reference":
            return self.reference(sequence, network, plan)
        if self._choose_provider() == "cuda":
            try:
                return _on_gpu(sequence, network)
            except (MissingExtraError, InternalError) as error:
                if self._wanted == "cuda":
                    raise
                self._replace(error.message)
        return _on_cpu(sequence, network, plan, self._threads)


def _in_tiles(whole: TileSynthesizer, sequence: SequenceHeader, network: Network, samples: int) -> Synthesizer:
    """Tiles where a picture has more than `samples` luma samples."""
    if [len(spans) for spans in plan_tiles(network.profile, sequence.width, sequence.height, samples)] == [1, 1]:
        return whole
    return TiledSynthesizer(whole, network.profile, sequence, samples)


def _on_cpu(sequence: SequenceHeader, network: Network, plan: SynthesisPlan, threads: int | None) -> Synthesizer:
    from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

    whole = OrtSynthesizer(*network.parts(sequence), threads=threads, workers=plan.workers)
    return _in_tiles(whole, sequence, network, plan.samples)


def _on_gpu(sequence: SequenceHeader, network: Network) -> Synthesizer:
    """On the GPU, whose memory is its own: the local limit is not about it."""
    from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

    moving = network.profile.has_planes(network.header.grid_channels(network.profile))
    calls = plan_calls(network.profile, sequence.width, sequence.height, device_memory(), moving)
    whole = OrtSynthesizer(*network.parts(sequence), provider="cuda", batch=calls.frames)
    return TiledSynthesizer(whole, network.profile, sequence, calls.samples) if calls.tiled else whole


def make_synthesizer(
    engine: EngineName,
    sequence: SequenceHeader,
    network: Network,
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Synthesizer:
    """A synthesizer on the CPU outside of a decoder, one frame after another; arguments as in `nvrc_decoder.open`."""
    plan = plan_synthesis(sequence, network.header, limits)
    return Engines(engine, "auto" if engine == "reference" else "cpu", threads).synthesizer(sequence, network, plan)
