"""Decoding with a clock at every stage, one stage after another, and end to end as the library decodes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nvrc_decoder
from nvrc_bench.decode.stopwatch import Span, Stopwatch, timed
from nvrc_decoder.bitstream.gops import GopRecord, iterate_gops
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import NetworkHeader, SequenceHeader, coded_symbols
from nvrc_decoder.decode.engines import EngineName, Engines
from nvrc_decoder.decode.gop import Grid, Network, Networks, decode_grids
from nvrc_decoder.decode.plan import make_plan
from nvrc_decoder.entropy.coder import SymbolDecoder
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.limits import Limits, check_limit
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
network and their bookkeeping. rANS: sorting by table, decoding, escapes. synthesis: prediction of planes, synthesis
network, frames. digest: SHA-256. output: y4m to the null device."""


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
    engines = Engines(decoding.engine, decoding.provider, decoding.threads)
    with open(decoding.path, "rb") as file:
        reader = UnitReader(file, decoding.limits)
        records = iterate_gops(reader)
        record = _next_record(records, watch)
        if record is None or reader.sequence is None:
            raise InvalidStreamError("E_ORDER", "the stream has no GOP")
        networks, clocked = Networks(reader.sequence), _clocked(watch)
        with open_writer(os.devnull, OutputKind.Y4M, video_format(reader.sequence), _ignore) as write:
            while record is not None:
                _run_gop(decoding, reader.sequence, networks, engines, record, clocked, write, watch)
                record = _next_record(records, watch)
    spans = watch.spans
    spans["contexts"] = spans.pop("entropy") - spans.get("rANS", Span())
    return {stage: spans.get(stage, Span()) for stage in STAGES}


def _next_record(records: Iterator[GopRecord], watch: Stopwatch) -> GopRecord | None:
    with watch.part("parse"):
        return next(records, None)


def _run_gop(
    decoding: Decoding,
    sequence: SequenceHeader,
    networks: Networks,
    engines: Engines,
    record: GopRecord,
    coder: type[SymbolDecoder],
    write: FrameWriter,
    watch: Stopwatch,
) -> None:
    gop = record.gop
    plan = make_plan(sequence, record.network, gop, decoding.limits, engines.most_workers)
    check_limit("max_memory_bytes", plan.estimate, decoding.limits, offset=record.offset, unit=record.unit)
    engines.release()
    with watch.part("network"):
        network = networks.load(record.network, record.network_offset, record.network_unit)
    with watch.part("entropy"):
        grids = decode_grids(sequence, network, gop.frame_count, gop.grids, gop.node_maps, coder=coder)
    with watch.part("network"):
        synthesizer = engines.synthesizer(sequence, network, plan.synthesis)
    frames = synthesizer.stream(grids, gop.frame_count, range(gop.frame_count))
    if _finish_frames(frames, write, watch) != record.digest.digest:
        raise InvalidStreamError("E_DIGEST", "the frames do not match their digest", section="8.3")


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
    with open(decoding.path, "rb") as file:
        reader = UnitReader(file, decoding.limits)
        records = list(map(GopRecord.without_payloads, iterate_gops(reader)))
    if reader.sequence is None or not records:
        raise InvalidStreamError("E_ORDER", "the stream has no GOP")
    symbols = sum(coded_symbols(reader.sequence, record.network, record.gop) for record in records)
    return reader.sequence, records[0].network, [record.gop.frame_count for record in records], symbols


def first_gop(decoding: Decoding) -> tuple[SequenceHeader, Network, list[Grid | None], int]:
    """SEQUENCE, NETWORK, grids and frame count of the first GOP."""
    with open(decoding.path, "rb") as file:
        reader = UnitReader(file, decoding.limits)
        record = next(iterate_gops(reader), None)
    if reader.sequence is None or record is None:
        raise InvalidStreamError("E_ORDER", "the stream has no GOP")
    network = Networks(reader.sequence).load(record.network, record.network_offset, record.network_unit)
    gop = record.gop
    return (
        reader.sequence,
        network,
        decode_grids(reader.sequence, network, gop.frame_count, gop.grids, gop.node_maps),
        gop.frame_count,
    )


def decoded_frames(decoding: Decoding) -> Iterator[Planes]:
    """The frames of the stream."""
    with decoding.open() as video:
        yield from video
