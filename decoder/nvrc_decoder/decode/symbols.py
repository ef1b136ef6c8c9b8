"""From the units of a GOP to its grids, and what all stages of decoding share."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from nvrc_decoder.bitstream.metadata import PresentationFinder
from nvrc_decoder.bitstream.random_access import GopRecord
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.bitstream.units import SequenceHeader, coded_symbols
from nvrc_decoder.decode.engine import Synthesizers
from nvrc_decoder.decode.gop import Grid, Network, decode_grids
from nvrc_decoder.decode.gop_source import Networks
from nvrc_decoder.decode.lookahead import Pace
from nvrc_decoder.decode.memory import GopMemory, gop_memory
from nvrc_decoder.decode.pipe_input import PipeInput
from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.limits import Limits
from nvrc_decoder.picture.format import VideoFormat

__all__ = ["DecodedGop", "Decoding", "OnDamage", "StageTimes", "Upcoming", "damage_of", "decode_symbols", "drain"]

OnDamage = Callable[[Damage], None]

_Item = TypeVar("_Item")


@dataclass
class StageTimes:
    """Seconds spent in each stage of decoding; add up over GOPs, and over streams if used again.

    Attributes:
        parse: reading units and checking CRCs.
        network: decoding and proving NETWORKs.
        symbols: decoding the grids of GOPs; in another thread than what follows, unless there is no lookahead. That
            thread rests at times, which counts as well.
        session: making synthesizers, the first one while symbols are decoded.
        synthesis: making frames.
        digest: SHA-256 of the frames.
        waiting: what the frames waited for symbols.
        gops, frames: what was made.
        symbol_count: values that were coded; those of empty nodes are not.
    """

    parse: float = 0.0
    network: float = 0.0
    symbols: float = 0.0
    session: float = 0.0
    synthesis: float = 0.0
    digest: float = 0.0
    waiting: float = 0.0
    gops: int = 0
    frames: int = 0
    symbol_count: int = 0

    @contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        """Add the time of the body to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, stage, getattr(self, stage) + time.perf_counter() - began)


@dataclass(frozen=True, eq=False)
class Decoding:
    """What the stages of one stream share.

    Attributes:
        sequence: the stream's SEQUENCE.
        format: of its frames.
        limits: what may be spent.
        verify: check each DIGEST before any of its GOP's frames is put out.
        on_damage: takes what cannot be decoded; None makes the first damage an error.
        times: clocks.
        networks: for the thread that decodes symbols.
        synthesizers: for the thread that takes the frames.
        shown: how the frames are to be shown.
        pipe: the input, where it cannot seek.
        file_lock: held while the file is read.
    """

    sequence: SequenceHeader
    format: VideoFormat
    limits: Limits
    verify: bool
    on_damage: OnDamage | None
    times: StageTimes
    networks: Networks
    synthesizers: Synthesizers
    shown: PresentationFinder
    pipe: PipeInput | None = None
    file_lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, eq=False)
class DecodedGop:
    """A GOP whose symbols have been decoded.

    Attributes:
        record: what was read, without the coded bytes.
        network: in force.
        grids: per slot int16 [nodes, channels, rows, columns], None where the slot is absent.
        memory: what it takes.
    """

    record: GopRecord
    network: Network
    grids: list[Grid | None] = field(repr=False)
    memory: GopMemory


@dataclass(frozen=True, eq=False)
class Upcoming:
    """What the synthesizer of the first GOP has to be for: told first, so that it is made while symbols are decoded.

    Attributes:
        network: in force.
        frame_threads: frames at a time.
    """

    network: Network
    frame_threads: int


def decode_symbols(
    decoding: Decoding, records: Iterator[GopRecord | Damage], pace: Pace
) -> Iterator[DecodedGop | Damage | Upcoming]:
    """The grids of GOPs, in order, and before the first of them what it will need.

    Raises:
        NvrcError: what reading and decoding raise; with `on_damage`, what concerns one GOP comes out as `Damage`.
    """
    if decoding.pipe is not None:
        decoding.pipe.check = pace.check
    # Of the GOPs whose frames may be being made: the last ones of one, the first ones of the next.
    making: deque[GopMemory] = deque(maxlen=2)
    scratch = Scratch()
    announced = False
    while True:
        pace.check()
        with decoding.file_lock, decoding.times.clock("parse"):
            record = next(records, None)
        if record is None:
            return
        if isinstance(record, Damage):
            yield record
            continue
        most = decoding.synthesizers.frame_threads
        memory = gop_memory(decoding.sequence, record.network, record.gop, decoding.limits, most)
        if not all(earlier.leaves_room(memory, decoding.limits) for earlier in making):
            scratch.clear()
            pace.wait_idle()
            making.clear()
            decoding.synthesizers.release()
        if scratch.nbytes > memory.working:
            # What a larger GOP has left would not be counted any more.
            scratch.clear()
        # Coded bytes are let go grid by grid: there is no name here for all of them.
        payloads: deque[bytes | bytearray] = deque(record.gop.grids)
        record = record.without_payloads()
        item: DecodedGop | Damage
        try:
            with decoding.times.clock("network"):
                network = decoding.networks.load(record.network, record.network_offset, record.network_unit)
            if not announced:
                announced = True
                yield Upcoming(network, memory.frame_threads)
            with decoding.times.clock("symbols"):
                grids = decode_grids(
                    decoding.sequence,
                    network,
                    record.gop.frame_count,
                    drain(payloads),
                    record.gop.node_maps,
                    offset=record.offset,
                    unit=record.unit,
                    check=pace.check,
                    scratch=scratch,
                )
            item = DecodedGop(record, network, grids, memory)
            making.append(memory)
            decoding.times.symbol_count += coded_symbols(decoding.sequence, network.header, record.gop)
            del grids
        except InvalidStreamError as error:
            if decoding.on_damage is None:
                raise
            item = damage_of(record, error)
            payloads.clear()
        if not memory.leaves_room(memory, decoding.limits):
            # Nobody knows what the next GOP takes. Such a one is not decoded beside the frames of this one.
            scratch.clear()
        yield item
        del item


def drain(items: deque[_Item]) -> Iterator[_Item]:
    """Each is let go when it is handed over."""
    while items:
        yield items.popleft()


def damage_of(record: GopRecord, error: InvalidStreamError) -> Damage:
    """What is lost with a GOP."""
    return Damage(error, record.number, record.first_frame, record.gop.frame_count)
