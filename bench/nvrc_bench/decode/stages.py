"""Decoding with a clock at every stage, one stage after another, and end to end as the library decodes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import nvrc_decoder
from nvrc_bench.decode.stopwatch import Span, Stopwatch, timed
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import Digest, Gop, NetworkHeader, SequenceHeader, coded_symbols
from nvrc_decoder.decode.engine import EngineName, Synthesizers, choose_gpu
from nvrc_decoder.decode.gop import Grid, Network, decode_grids, load_network
from nvrc_decoder.decode.memory import GopMemory, gop_memory
from nvrc_decoder.entropy.coder import SymbolDecoder
from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.limits import Limits
from nvrc_decoder.picture.planes import GopDigest, Planes
from nvrc_decoder.synthesis.cuda.providers import Provider
from nvrc_decoder.video import video_format
from nvrc_output.writers import FrameWriter, OutputKind, open_writer

__all__ = [
    "ENTROPY_STAGES",
    "FRAME_STAGES",
    "STAGES",
    "Decoding",
    "count_symbols",
    "decoded_frames",
    "end_to_end",
    "first_gop",
    "run_stages",
]

ENTROPY_STAGES = ("contexts", "rANS")
FRAME_STAGES = ("synthesis", "digest", "output")
STAGES = ("parse", "network", *ENTROPY_STAGES, *FRAME_STAGES)
"""parse: units, headers, CRCs. network: parameters, their proof, and the engine's session. contexts: gathers, context
network and their bookkeeping. rANS: sorting by table, decoding, escapes. synthesis: planes, network,
planes. digest: SHA-256. output: y4m to the null device."""


@dataclass(frozen=True)
class Decoding:
    """How a stream is decoded.

    Attributes:
        path: of the stream, which is read more than once.
        engine, provider, threads, limits: as in `nvrc_decoder.open`.
    """

    path: str
    engine: EngineName
    provider: Provider
    threads: int | None
    limits: Limits

    def open(self) -> nvrc_decoder.Video:
        """The stream as a user has it."""
        return nvrc_decoder.open(
            self.path, engine=self.engine, provider=self.provider, threads=self.threads, limits=self.limits
        )


def _clocked(watch: Stopwatch) -> type[SymbolDecoder]:
    """What makes decoders of grid payloads whose steps count as rANS."""

    class ClockedDecoder(SymbolDecoder):
        def code_step(self, *arguments: Any, **options: Any) -> Any:
            with watch.part("rANS"):
                return super().code_step(*arguments, **options)

    return ClockedDecoder


def run_stages(decoding: Decoding) -> dict[str, Span]:
    """Decode the whole stream, each stage to its end before the next one starts; the time of each of `STAGES`."""
    watch = Stopwatch()
    with open(decoding.path, "rb") as file:
        units = _units(file, decoding, watch)
        sequence = next(units)
        if not isinstance(sequence, SequenceHeader):
            raise InvalidStreamError("E_ORDER", "the stream does not begin with SEQUENCE")
        gpu = choose_gpu(decoding.engine, decoding.provider)
        synthesizers = Synthesizers(decoding.engine, sequence, decoding.threads, decoding.limits, gpu)
        network: Network | None = None
        gop: Gop | None = None
        last: GopMemory | None = None
        scratch = Scratch()
        with open_writer(os.devnull, OutputKind.Y4M, video_format(sequence), _ignore) as write:
            for content in units:
                if isinstance(content, NetworkHeader):
                    with watch.part("network"):
                        network = load_network(sequence, content)
                elif isinstance(content, Gop):
                    gop = content
                elif isinstance(content, Digest) and network is not None and gop is not None:
                    most = synthesizers.frame_threads
                    memory = gop_memory(sequence, network.header, gop, decoding.limits, most)
                    if last is not None and not last.leaves_room(memory, decoding.limits):
                        synthesizers.release()
                        scratch.clear()
                    last = memory
                    with watch.part("entropy"):
                        grids = decode_grids(
                            sequence,
                            network,
                            gop.frame_count,
                            gop.grids,
                            gop.node_maps,
                            coder=_clocked(watch),
                            scratch=scratch,
                        )
                    with watch.part("network"):
                        synthesizers.of(network, memory.frame_threads)
                    frames = synthesizers.of(network, memory.frame_threads).decode_gop(
                        grids, gop.frame_count, 0, content.digest
                    )
                    if _finish_frames(frames, write, watch) != content.digest:
                        raise InvalidStreamError("E_DIGEST", "the frames do not match their digest", section="8.3")
    spans = watch.spans
    spans["contexts"] = spans.pop("entropy") - spans.get("rANS", Span())
    return {stage: spans.get(stage, Span()) for stage in STAGES}


def _units(file: BinaryIO, decoding: Decoding, watch: Stopwatch) -> Iterator[object]:
    """The contents of all units."""
    units = iter(UnitReader(file, decoding.limits))
    while True:
        with watch.part("parse"):
            unit = next(units, None)
        if unit is None:
            return
        yield unit.content


def _finish_frames(frames: Iterator[Planes], write: FrameWriter, watch: Stopwatch) -> bytes:
    """Make the frames of a GOP and write them; their digest."""
    digest = GopDigest()
    while True:
        with watch.part("synthesis"):
            frame = next(frames, None)
        if frame is None:
            return digest.digest()
        with watch.part("digest"):
            digest.update(frame)
        with watch.part("output"):
            write(frame)


def _ignore(line: str) -> None:
    """y4m has nothing to say."""


def end_to_end(decoding: Decoding) -> tuple[Span, float]:
    """The time of decoding the stream to y4m as the library does it, and the seconds until its first frame."""
    began = time.perf_counter()
    first = 0.0

    def decode() -> None:
        nonlocal first
        with decoding.open() as video, open_writer(os.devnull, OutputKind.Y4M, video.info.format, _ignore) as write:
            for frame in video:
                first = first or time.perf_counter() - began
                write(frame)
                # The next GOP is decoded before `frame` is assigned again: its memory must be free by then.
                del frame

    span, _ = timed(decode)
    return span, first


def count_symbols(decoding: Decoding) -> tuple[SequenceHeader, NetworkHeader, list[int], int]:
    """SEQUENCE, first NETWORK, frames of each GOP, and coded grid values of the stream; nothing is decoded."""
    symbols, gops = 0, []
    first: NetworkHeader | None = None
    with open(decoding.path, "rb") as file:
        reader = UnitReader(file, decoding.limits)
        for unit in reader:
            if isinstance(unit.content, Gop) and reader.sequence is not None and reader.network is not None:
                first = first or reader.network
                gops.append(unit.content.frame_count)
                symbols += coded_symbols(reader.sequence, reader.network, unit.content)
    if reader.sequence is None or first is None:
        raise InvalidStreamError("E_ORDER", "the stream has no GOP")
    return reader.sequence, first, gops, symbols


def first_gop(decoding: Decoding) -> tuple[SequenceHeader, Network, list[Grid | None], int]:
    """SEQUENCE, NETWORK, grids and frame count of the first GOP."""
    with open(decoding.path, "rb") as file:
        reader = UnitReader(file, decoding.limits)
        network: Network | None = None
        for unit in reader:
            content = unit.content
            if isinstance(content, NetworkHeader) and reader.sequence is not None:
                network = load_network(reader.sequence, content)
            elif isinstance(content, Gop) and reader.sequence is not None and network is not None:
                grids = decode_grids(reader.sequence, network, content.frame_count, content.grids, content.node_maps)
                return reader.sequence, network, grids, content.frame_count
    raise InvalidStreamError("E_ORDER", "the stream has no GOP")


def decoded_frames(decoding: Decoding) -> Iterator[Planes]:
    """The frames of the stream."""
    with decoding.open() as video:
        yield from video
