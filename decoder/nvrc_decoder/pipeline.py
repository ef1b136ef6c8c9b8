"""From GOPs to frames: the symbols of the next GOP are decoded in a thread while this one's frames are made.

Memory bounds what happens at once (spec 9.3). A GOP's frames are kept until its DIGEST has been checked; where they
do not fit, they are made twice, first for the DIGEST, then to be put out. Where the next GOP does not fit beside this
one, its decoding waits, and what synthesis keeps for its next frame is given back. Where there is room for all of that
and more, several frames are made at a time.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nvrc_decoder.bitstream.random_access import GopRecord
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.display import Frame
from nvrc_decoder.engine import Synthesizer, Synthesizers
from nvrc_decoder.entropy.coder import SymbolDecoder
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.frames import GopDigest, Planes
from nvrc_decoder.gop import Grid, Network, decode_grids
from nvrc_decoder.gop_source import Networks
from nvrc_decoder.limits import Limits
from nvrc_decoder.lookahead import Inline, Lookahead, Pace
from nvrc_decoder.memory import GopMemory, gop_memory
from nvrc_decoder.pipe_input import PipeInput
from nvrc_decoder.video_format import VideoFormat

__all__ = ["DecodedGop", "Decoding", "OnDamage", "StageTimes", "decode_symbols", "make_frames"]

_PATIENCE = 1.0

OnDamage = Callable[[Damage], None]


@dataclass
class StageTimes:
    """Seconds spent in each stage of decoding; add up over GOPs, and over streams if used again.

    Attributes:
        parse: reading units and checking CRCs.
        network: decoding and proving NETWORKs.
        symbols: decoding the grids of GOPs; in another thread than what follows, unless there is no lookahead.
        session: making synthesizers.
        synthesis: making frames.
        digest: SHA-256 of the frames.
        waiting: what the frames waited for symbols.
        gops, frames, symbol_count: what was made.
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
    pipe: PipeInput | None = None
    file_lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, eq=False)
class DecodedGop:
    """A GOP whose symbols have been decoded.

    Attributes:
        record: what was read.
        network: in force.
        grids: per slot int16 [nodes, channels, rows, columns], None where the slot is absent.
        memory: what it takes.
    """

    record: GopRecord
    network: Network
    grids: list[Grid | None] = field(repr=False)
    memory: GopMemory


def decode_symbols(
    decoding: Decoding, records: Iterator[GopRecord | Damage], pace: Pace
) -> Iterator[DecodedGop | Damage]:
    """The grids of GOPs, in order.

    Raises:
        NvrcError: what reading and decoding raise; with `on_damage`, what concerns one GOP comes out as `Damage`.
    """
    if decoding.pipe is not None:
        decoding.pipe.check = pace.check
    last: GopMemory | None = None
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
        if last is not None and last.kept(decoding.limits) + memory.ahead > decoding.limits.max_memory_bytes:
            pace.wait_idle()
            decoding.synthesizers.release()
        item: DecodedGop | Damage
        try:
            with decoding.times.clock("network"):
                network = decoding.networks.load(record.network, record.network_offset, record.network_unit)
            with decoding.times.clock("symbols"):
                grids = _decode_grids(decoding.sequence, network, record, pace)
            item = DecodedGop(record, network, grids, memory)
            last = memory
            decoding.times.symbol_count += sum(grid.size for grid in grids if grid is not None)
            del grids
        except InvalidStreamError as error:
            if decoding.on_damage is None:
                raise
            item = _damage(record, error)
        yield item
        del item


class _WatchfulDecoder(SymbolDecoder):
    """Looks up at each step whether anybody wants the result."""

    def __init__(self, payload: bytes, check: Callable[[], None]) -> None:
        super().__init__(payload)
        self._check = check

    def code_step(self, *arguments: Any, **options: Any) -> Any:
        self._check()
        return super().code_step(*arguments, **options)


def _decode_grids(sequence: SequenceHeader, network: Network, record: GopRecord, pace: Pace) -> list[Grid | None]:
    def coder(payload: bytes) -> SymbolDecoder:
        return _WatchfulDecoder(payload, pace.check)

    return decode_grids(sequence, network, record.gop, offset=record.offset, unit=record.unit, coder=coder)


def _damage(record: GopRecord, error: InvalidStreamError) -> Damage:
    return Damage(error, record.number, record.first_frame, record.gop.frame_count)


def make_frames(
    decoding: Decoding, records: Iterator[GopRecord | Damage], start: int, *, lookahead: bool
) -> Iterator[Frame]:
    """The frames from number `start` on of GOPs in order; closing the iterator ends the thread.

    Raises:
        NvrcError: at the place in the order of frames where it belongs.
    """
    # What an abandoned GOP has left may be in the way of the first symbols.
    decoding.synthesizers.release()
    thread = Lookahead(lambda pace: decode_symbols(decoding, records, pace)) if lookahead else None
    try:
        yield from _frames(decoding, thread or decode_symbols(decoding, records, Inline()), start)
    finally:
        if thread is not None:
            # A pipe that cannot be polled may keep its reader waiting.
            thread.stop(None if decoding.pipe is None else _PATIENCE)
    decoding.synthesizers.release()


def _frames(decoding: Decoding, gops: Iterator[DecodedGop | Damage], start: int) -> Iterator[Frame]:
    while True:
        with decoding.times.clock("waiting"):
            item = next(gops, None)
        if item is None:
            return
        damage: Damage | None = None
        if isinstance(item, Damage):
            damage = item
        else:
            try:
                yield from _gop_frames(decoding, item, max(start - item.record.first_frame, 0))
            except InvalidStreamError as error:
                if decoding.on_damage is None:
                    raise
                damage = _damage(item.record, error)
        # To ask for the next GOP says that this one is done with.
        del item
        if damage is not None and decoding.on_damage is not None:
            decoding.on_damage(damage)


def _gop_frames(decoding: Decoding, gop: DecodedGop, first: int) -> Iterator[Frame]:
    """Frames `first` .. of a GOP, none of them before the DIGEST was right (spec 8.3).

    Raises:
        InvalidStreamError: E_DIGEST, before the first frame.
    """
    times = decoding.times
    with times.clock("session"):
        maker = decoding.synthesizers.of(gop.network, gop.memory.frame_threads)
    times.gops += 1
    if not decoding.verify:
        yield from _numbered(decoding, gop, first, _made(times, maker, gop, first))
        return
    if gop.memory.holding <= decoding.limits.max_memory_bytes:
        kept: deque[Planes] = deque()
        _check(decoding, maker, gop, lambda t, planes: kept.append(planes) if t >= first else None)
        yield from _numbered(decoding, gop, first, _drain(kept))
        return
    prints: deque[bytes] = deque()
    _check(decoding, maker, gop, lambda t, planes: prints.append(_fingerprint(planes)) if t >= first else None)
    for frame in _numbered(decoding, gop, first, _made(times, maker, gop, first)):
        with times.clock("digest"):
            same = _fingerprint(frame) == prints.popleft()
        if not same:
            message = f"frame {frame.number} was made twice and was not the same"
            raise InternalError("E_RUNTIME", message, offset=gop.record.offset, unit=gop.record.unit)
        yield frame


def _made(times: StageTimes, maker: Synthesizer, gop: DecodedGop, first: int) -> Iterator[Planes]:
    """The frames from the synthesizer, timed."""
    record = gop.record
    frames = maker.decode_gop(gop.grids, record.gop.frame_count, first, record.digest.digest)
    while True:
        with times.clock("synthesis"):
            planes = next(frames, None)
        if planes is None:
            return
        yield planes


def _check(decoding: Decoding, maker: Synthesizer, gop: DecodedGop, keep: Callable[[int, Planes], None]) -> None:
    """Make a whole GOP and hold it against its DIGEST; `keep` is given each frame.

    Raises:
        InvalidStreamError: E_DIGEST.
    """
    digest = GopDigest()
    for t, planes in enumerate(_made(decoding.times, maker, gop, 0)):
        with decoding.times.clock("digest"):
            digest.update(planes)
        keep(t, planes)
    found, expected = digest.digest(), gop.record.digest.digest
    if found != expected:
        message = f"the frames have digest {found.hex()}, the stream says {expected.hex()}"
        raise InvalidStreamError(
            "E_DIGEST", message, offset=gop.record.offset, unit=gop.record.unit, section="8.3, R8.1"
        )


def _drain(frames: deque[Planes]) -> Iterator[Planes]:
    """Each frame is let go when it is put out."""
    while frames:
        yield frames.popleft()


def _numbered(decoding: Decoding, gop: DecodedGop, first: int, frames: Iterator[Planes]) -> Iterator[Frame]:
    for number, planes in enumerate(frames, gop.record.first_frame + first):
        decoding.times.frames += 1
        yield Frame(planes.y, planes.u, planes.v, number=number, format=decoding.format)


def _fingerprint(planes: Planes) -> bytes:
    digest = hashlib.sha256()
    for chunk in planes.chunks():
        digest.update(chunk)
    return digest.digest()
