"""From GOPs to frames: the symbols of the next GOP are decoded in a thread while this one's frames are made.

Memory bounds what happens at once (spec 9.3). A GOP's frames are kept until its DIGEST has been checked; where they
do not fit, they are made twice, first for the DIGEST, then to be put out. Where the next GOP does not fit beside this
one, its decoding waits, and what synthesis keeps for its next frame is given back. Where there is room for all of that
and more, several frames are made at a time, the last ones of a GOP beside the first ones of the next.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

from nvrc_decoder.bitstream.random_access import GopRecord
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.decode.engine import Synthesizer
from nvrc_decoder.decode.gop import Network
from nvrc_decoder.decode.lookahead import Inline, Lookahead
from nvrc_decoder.decode.symbols import DecodedGop, Decoding, StageTimes, Upcoming, damage_of, decode_symbols, drain
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.picture.frame import Frame
from nvrc_decoder.picture.planes import GopDigest, Planes
from nvrc_decoder.system.threads import InOrder

__all__ = ["make_frames"]

_PATIENCE = 1.0


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
        with closing(_Gops(decoding, thread or decode_symbols(decoding, records, Inline()), start)) as gops:
            yield from _frames(decoding, gops)
    finally:
        if thread is not None:
            # A pipe that cannot be polled may keep its reader waiting.
            thread.stop(None if decoding.pipe is None else _PATIENCE)
    decoding.synthesizers.release()


@dataclass(frozen=True, eq=False)
class _Making:
    """A GOP whose frames are being made.

    Attributes:
        gop: the GOP.
        first: its first frame that is wanted.
        maker: what makes them.
        frames: from 0 on, or from `first` on where none is checked.
    """

    gop: DecodedGop
    first: int
    maker: Synthesizer
    frames: Iterator[Planes]


class _Gops:
    """GOPs in order, the next of them begun before the last frames of this one are there.

    Otherwise all cores but one would wait for a GOP's last frame, and then for the motion of the next one's first.

    Args:
        decoding: of the stream.
        gops: where they come from; only a `Lookahead` can tell whether there is one.
        start: the first frame that is wanted.
    """

    def __init__(self, decoding: Decoding, gops: Iterator[DecodedGop | Damage | Upcoming], start: int) -> None:
        self._decoding = decoding
        self._gops = gops
        self._start = start
        self._taken: DecodedGop | Damage | None = None
        self._begun: _Making | None = None

    def next(self) -> _Making | Damage | None:
        """The next GOP; None after the last. To ask for it says that this one is done with.

        Raises:
            NvrcError: what reading and decoding raise.
        """
        item, self._taken = self._taken, None
        if item is None:
            item = self._wait()
        if not isinstance(item, DecodedGop):
            return item
        making, self._begun = self._begun, None
        return making or self._make(item)

    def begin(self, now: _Making, left: int) -> None:
        """Begin the next GOP, where it is there and like this one, beside the last `left` frames of this one."""
        threads = now.gop.memory.frame_threads
        if threads == 1 or left > threads or not isinstance(self._gops, Lookahead):
            return
        if not isinstance(now.frames, InOrder):  # a device's, which need the grids to the end
            return
        if self._taken is None:
            self._taken = self._gops.take()
            if self._taken is None:
                return
            # All frames are in hand, and there is memory for the grids of one GOP beside those being decoded.
            now.gop.grids.clear()
        gop = self._taken
        same = isinstance(gop, DecodedGop) and gop.network is now.gop.network and gop.memory.frame_threads == threads
        if isinstance(gop, DecodedGop) and same and self._begun is None:
            self._begun = self._make(gop)
        if self._begun is not None and isinstance(self._begun.frames, InOrder):
            with self._decoding.times.clock("synthesis"):
                self._begun.frames.begin(threads - left)

    def _make(self, gop: DecodedGop) -> _Making:
        times, record = self._decoding.times, gop.record
        first = max(self._start - record.first_frame, 0)
        maker = self._maker(gop.network, gop.memory.frame_threads)
        times.gops += 1
        checked = 0 if self._decoding.verify else first
        frames = maker.decode_gop(gop.grids, record.gop.frame_count, checked, record.digest.digest)
        if isinstance(frames, InOrder) and isinstance(self._gops, Lookahead):
            frames.asking = self._gops.resting
        return _Making(gop, first, maker, frames)

    def _maker(self, network: Network, frame_threads: int) -> Synthesizer:
        with self._decoding.times.clock("session"):
            return self._decoding.synthesizers.of(network, frame_threads)

    def _wait(self) -> DecodedGop | Damage | None:
        """The next GOP when it is there; what the first one will need is made meanwhile."""
        with self._decoding.times.clock("waiting"):
            item = next(self._gops, None)
        if isinstance(item, Upcoming):
            self._maker(item.network, item.frame_threads)
            return self._wait()
        return item

    def close(self) -> None:
        """Wait for what was begun."""
        if self._begun is not None:
            _close(self._begun.frames)


def _frames(decoding: Decoding, gops: _Gops) -> Iterator[Frame]:
    while (item := gops.next()) is not None:
        damage: Damage | None = None
        if isinstance(item, Damage):
            damage = item
        else:
            try:
                yield from _gop_frames(decoding, item, gops)
            except InvalidStreamError as error:
                if decoding.on_damage is None:
                    raise
                damage = damage_of(item.gop.record, error)
        # To ask for the next GOP says that this one is done with.
        del item
        if damage is not None and decoding.on_damage is not None:
            decoding.on_damage(damage)


def _gop_frames(decoding: Decoding, making: _Making, gops: _Gops) -> Iterator[Frame]:
    """The frames of a GOP that are wanted, none of them before the DIGEST was right (spec 8.3).

    Raises:
        InvalidStreamError: E_DIGEST, before the first frame.
    """
    gop, first, count = making.gop, making.first, making.gop.record.gop.frame_count
    if not decoding.verify:
        planes = _made(decoding.times, making.frames, lambda made: gops.begin(making, count - first - made))
        yield from _numbered(decoding, gop, first, planes)
        return
    if gop.memory.keeps_frames(decoding.limits):
        kept: deque[Planes] = deque()
        planes = _made(decoding.times, making.frames, lambda made: gops.begin(making, count - made))
        _check(decoding, gop, planes, lambda t, frame: kept.append(frame) if t >= first else None)
        yield from _numbered(decoding, gop, first, drain(kept))
        return
    prints: deque[bytes] = deque()
    planes = _made(decoding.times, making.frames)
    _check(decoding, gop, planes, lambda t, frame: prints.append(_fingerprint(frame)) if t >= first else None)
    again = making.maker.decode_gop(gop.grids, count, first, gop.record.digest.digest)
    for frame in _numbered(decoding, gop, first, _made(decoding.times, again)):
        with decoding.times.clock("digest"):
            same = _fingerprint(frame) == prints.popleft()
        if not same:
            message = f"frame {frame.number} was made twice and was not the same"
            raise InternalError("E_RUNTIME", message, offset=gop.record.offset, unit=gop.record.unit)
        yield frame


def _made(
    times: StageTimes, frames: Iterator[Planes], meanwhile: Callable[[int], None] | None = None
) -> Generator[Planes]:
    """The frames from a synthesizer, timed; `meanwhile` is told how many have been made, before another is waited for.

    By then as many as are made at a time have been asked for.
    """
    try:
        for made in itertools.count():
            if made and meanwhile is not None:
                meanwhile(made)
            with times.clock("synthesis"):
                planes = next(frames, None)
            if planes is None:
                return
            yield planes
    finally:
        _close(frames)


def _close(frames: Iterator[Planes]) -> None:
    """End what makes frames, which need not be a generator."""
    close = getattr(frames, "close", None)
    if close is not None:
        close()


def _check(decoding: Decoding, gop: DecodedGop, frames: Generator[Planes], keep: Callable[[int, Planes], None]) -> None:
    """Hold all frames of a GOP against its DIGEST; `keep` is given each of them.

    Raises:
        InvalidStreamError: E_DIGEST.
    """
    digest = GopDigest()
    with closing(frames):
        for t, planes in enumerate(frames):
            with decoding.times.clock("digest"):
                digest.update(planes)
            keep(t, planes)
    found, expected = digest.digest(), gop.record.digest.digest
    if found != expected:
        message = f"the frames have digest {found.hex()}, the stream says {expected.hex()}"
        raise InvalidStreamError(
            "E_DIGEST", message, offset=gop.record.offset, unit=gop.record.unit, section="8.3, R8.1"
        )


def _numbered(decoding: Decoding, gop: DecodedGop, first: int, frames: Iterator[Planes]) -> Iterator[Frame]:
    timeline = decoding.shown.timeline()
    for number, planes in enumerate(frames, gop.record.first_frame + first):
        decoding.times.frames += 1
        start = None if timeline is None or timeline.constant else timeline.start(number)
        yield Frame(planes.y, planes.u, planes.v, number=number, format=decoding.format, start=start)


def _fingerprint(planes: Planes) -> bytes:
    digest = hashlib.sha256()
    for chunk in planes.chunks():
        digest.update(chunk)
    return digest.digest()
