"""Which implementation turns grids into frames: ONNX Runtime where it is installed, else the NumPy reference.

Both give the same frames, bit for bit (spec chapter 6).
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Sequence
from typing import Literal, Protocol

from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.frames import Planes
from nvrc_decoder.gop import Grid, Network
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.memory import tile_budget
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.tiles import TiledSynthesizer

__all__ = ["ENGINES", "Engine", "EngineName", "Synthesizer", "choose_engine", "make_synthesizer"]

Engine = Literal["auto", "reference", "onnxruntime"]
EngineName = Literal["reference", "onnxruntime"]
ENGINES: tuple[Engine, ...] = ("auto", "reference", "onnxruntime")

_log = logging.getLogger("nvrc_decoder")


class Synthesizer(Protocol):
    """What makes frames of decoded grids under one NETWORK."""

    def synthesise(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> list[Planes]:
        """Frames `frames` of a GOP of `frame_count` frames, from the grids of the whole GOP."""


@functools.cache
def _advise_extra() -> None:
    """Say once a process that there is something faster."""
    _log.warning('note: decoding with the NumPy reference; pip install "nvrc-ref[cpu]" is many times faster')


def choose_engine(engine: Engine) -> EngineName:
    """What `engine` stands for on this machine.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, ONNX Runtime was asked for and is not installed.
        ValueError: no such engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"no such engine: {engine!r}")
    if engine == "reference":
        return "reference"
    if importlib.util.find_spec("onnxruntime") is not None:
        return "onnxruntime"
    if engine == "onnxruntime":
        raise MissingExtraError(
            "E_MISSING_EXTRA", 'ONNX Runtime is not installed: pip install "nvrc-ref[cpu]" (or "nvrc-ref[cuda]")'
        )
    _advise_extra()
    return "reference"


def make_synthesizer(
    engine: EngineName,
    sequence: SequenceHeader,
    network: Network,
    threads: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Synthesizer:
    """The synthesizer of a NETWORK.

    Args:
        engine: from `choose_engine`.
        sequence: the stream's SEQUENCE.
        network: the loaded NETWORK.
        threads: threads of ONNX Runtime; None leaves the choice to it.
        limits: what decides whether pictures are made in tiles.
    """
    profile = network.profile
    samples = tile_budget(profile, limits)
    channels = network.header.stage_channels
    if engine == "reference":
        reference = ReferenceSynthesizer(profile, sequence, channels, network.layers, network.multipliers)
        return TiledSynthesizer(reference, profile, sequence, samples)
    from nvrc_decoder.synthesis.runtime import OrtSynthesizer

    runtime = OrtSynthesizer(
        profile, sequence, channels, network.layers, network.multipliers, provider="auto", threads=threads
    )
    # A GPU has memory of its own, which the limit is not about.
    return runtime if runtime.provider == "cuda" else TiledSynthesizer(runtime, profile, sequence, samples)
