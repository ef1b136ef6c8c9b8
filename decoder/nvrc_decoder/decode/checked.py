"""The frames of a GOP are checked against its DIGEST (spec 8.3). Where they fail, the reference finds the fault."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.decode.engines import Engines
from nvrc_decoder.decode.stages import DecodedGop, StageTimes
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.picture.planes import GopDigest, Planes
from nvrc_decoder.synthesis.synthesizer import Job, Synthesizer
from nvrc_decoder.system.threads import run_in_order

__all__ = ["GopMaker", "checked_frames", "unchecked_frames"]

_log = logging.getLogger("nvrc_decoder")


@dataclass(frozen=True, eq=False)
class GopMaker:
    """Makes the frames of one GOP, as often as they are needed.

    Attributes:
        sequence, engines, times: of the stream.
        gop: the GOP.
        turn: held while inputs are prepared; see `Prefetch`.
    """

    sequence: SequenceHeader
    engines: Engines
    times: StageTimes
    gop: DecodedGop
    turn: threading.Lock

    @property
    def frame_count(self) -> int:
        """Frames of the GOP."""
        return self.gop.record.gop.frame_count

    def by_engine(self, first: int) -> Iterator[Planes]:
        """The frames from `first` on, by the engine in use."""
        with self.times.clock("session"):
            synthesizer = self.engines.synthesizer(self.sequence, self.gop.network, self.gop.plan.synthesis)
        return self._frames(synthesizer, first)

    def by_reference(self, first: int) -> Iterator[Planes]:
        """The frames from `first` on, by the NumPy reference."""
        reference = self.engines.reference(self.sequence, self.gop.network, self.gop.plan.synthesis)
        return self._frames(reference, first)

    def _frames(self, synthesizer: Synthesizer, first: int) -> Iterator[Planes]:
        jobs = self._in_turn(synthesizer.jobs(self.gop.grids, self.frame_count, range(first, self.frame_count)))
        results = run_in_order(jobs, synthesizer.workers)
        while True:
            with self.times.clock("synthesis"):
                some = next(results, None)
            if some is None:
                return
            while some:
                yield some.pop(0)

    def _in_turn(self, jobs: Iterator[Job]) -> Iterator[Job]:
        while True:
            with self.turn:
                job = next(jobs, None)
            if job is None:
                return
            yield job


Make = Callable[[int], Iterator[Planes]]


@dataclass
class _Pass:
    """All frames of a GOP, made once.

    Attributes:
        make: makes them again.
        digest: of the frames.
        frames: the wanted ones, where the plan keeps them.
        prints: SHA-256 of each wanted frame, where the plan does not keep frames.
    """

    make: Make
    digest: bytes = b""
    frames: deque[Planes] = field(default_factory=deque)
    prints: deque[bytes] = field(default_factory=deque)


def checked_frames(maker: GopMaker, first: int) -> Iterator[Planes]:
    """The frames of a GOP from `first` on, none of them before all frames match the DIGEST.

    Raises:
        InvalidStreamError: E_DIGEST, the stream is wrong: the reference's frames do not match either.
        InternalError: E_RUNTIME, the engine failed, or gave another frame in the second pass, and nothing takes its
            place.
    """
    gop = maker.gop
    done = _matching_pass(maker, first)
    if gop.plan.kept:
        gop.grids.clear()
        gop.reservation.change(gop.plan.coded + gop.plan.kept_bytes)
        while done.frames:
            yield done.frames.popleft()
        return
    while done.prints:
        try:
            for planes in done.make(first):
                with maker.times.clock("digest"):
                    same = _fingerprint(planes) == done.prints[0]
                if not same:
                    message = "a frame was made twice and was not the same"
                    raise InternalError("E_RUNTIME", message, offset=gop.record.offset, unit=gop.record.unit)
                done.prints.popleft()
                first += 1
                yield planes
        except InternalError as error:
            maker.engines.recover(error)


def unchecked_frames(maker: GopMaker, first: int) -> Iterator[Planes]:
    """The frames from `first` on as they are made. Where the engine fails, the next one continues."""
    while True:
        try:
            for planes in maker.by_engine(first):
                first += 1
                yield planes
            return
        except InternalError as error:
            maker.engines.recover(error)


def _matching_pass(maker: GopMaker, first: int) -> _Pass:
    record, engines = maker.gop.record, maker.engines
    while True:
        try:
            done = _run_pass(maker, maker.by_engine, first)
            break
        except InternalError as error:
            engines.recover(error)
    if done.digest != record.digest.digest and engines.engine != "reference":
        _log.info("%s does not match its DIGEST; the NumPy reference decodes it to find the fault", record.unit)
        found = done.digest
        # The memory of one set of frames is reserved.
        done.frames.clear()
        done.prints.clear()
        engines.release()
        done = _run_pass(maker, maker.by_reference, first)
        if done.digest != found:
            engines.blame(f"made wrong frames of {record.unit}: those of the NumPy reference differ")
    if done.digest != record.digest.digest:
        message = f"the frames have digest {done.digest.hex()}, the stream says {record.digest.digest.hex()}"
        raise InvalidStreamError("E_DIGEST", message, offset=record.offset, unit=record.unit, section="8.3, R8.1")
    return done


def _run_pass(maker: GopMaker, make: Make, first: int) -> _Pass:
    done, digest = _Pass(make), GopDigest()
    for t, planes in enumerate(make(0)):
        with maker.times.clock("digest"):
            digest.update(planes)
        if t < first:
            continue
        if maker.gop.plan.kept:
            done.frames.append(planes)
        else:
            done.prints.append(_fingerprint(planes))
    done.digest = digest.digest()
    return done


def _fingerprint(planes: Planes) -> bytes:
    digest = hashlib.sha256()
    for chunk in planes.chunks():
        digest.update(chunk)
    return digest.digest()
