"""What the stages of decoding one stream share, and what they hand to each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nvrc_decoder.bitstream.gops import GopRecord
from nvrc_decoder.bitstream.metadata import PresentationFinder
from nvrc_decoder.bitstream.pipe import PipeInput
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.budget import Reservation
from nvrc_decoder.decode.engines import Engines
from nvrc_decoder.decode.gop import Grid, Network, Networks
from nvrc_decoder.decode.plan import GopPlan
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.limits import Limits
from nvrc_decoder.picture.format import VideoFormat

__all__ = ["DecodedGop", "Decoding", "OnDamage", "PlannedGop", "StageTimes", "damage_of"]

OnDamage = Callable[[Damage], None]


@dataclass
class StageTimes:
    """Seconds spent in each stage of decoding, and counts. They add up over GOPs, and over streams if used again.

    Attributes:
        parse: reading units and checking CRCs.
        network: decoding and proving NETWORKs.
        symbols: decoding the grids of GOPs, in another thread than what follows unless there is no lookahead. Where
            that thread waits for its turn, this counts.
        session: making synthesizers, the first one while symbols are decoded.
        synthesis: making frames.
        digest: SHA-256 of the frames.
        waiting: the time that frames waited for symbols.
        gops, frames: numbers of GOPs and frames.
        symbol_count: number of coded values; those of empty nodes are not coded.
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
        limits: what this process is willing to spend.
        verify: whether each DIGEST is checked before any frame of its GOP is given out.
        on_damage: takes what cannot be decoded; None makes the first damage an error.
        times: clocks.
        networks: used while GOPs are read and planned.
        engines: for the stage that makes frames.
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
    engines: Engines
    shown: PresentationFinder
    pipe: PipeInput | None = None
    file_lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, eq=False)
class PlannedGop:
    """A GOP that has been read, within the limits.

    Attributes:
        record: the units.
        network: the NETWORK in force, in integers.
        plan: what decoding it takes.
    """

    record: GopRecord
    network: Network
    plan: GopPlan


@dataclass(frozen=True, eq=False)
class DecodedGop:
    """A GOP whose symbols have been decoded.

    Attributes:
        record: the units, without the coded bytes.
        network, plan: as in `PlannedGop`.
        grids: per slot int16 [nodes, channels, rows, columns], None where the slot is absent.
        reservation: its part of the memory budget.
    """

    record: GopRecord
    network: Network
    plan: GopPlan
    grids: list[Grid | None] = field(repr=False)
    reservation: Reservation


def damage_of(record: GopRecord, error: NvrcError) -> Damage:
    """What is lost with a GOP."""
    return Damage(error, record.number, record.first_frame, record.gop.frame_count)
