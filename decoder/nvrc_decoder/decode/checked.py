"""The frames of a GOP are checked against its DIGEST (spec 8.3). Where they fail, the reference finds the fault."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from nvrc_decoder.decode.stages import DecodedGop, Decoding, StageTimes
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.picture.planes import GopDigest, Planes
from nvrc_decoder.synthesis.synthesizer import Synthesizer

__all__ = ["checked_frames", "unchecked_frames"]

_log = logging.getLogger("nvrc_decoder")


@dataclass
class _Pass:
    """All frames of a GOP, made once.

    Attributes:
        maker: what made them, to make them again; None for the engine in use.
        digest: of the frames.
        frames: the wanted ones, where the plan keeps them.
        prints: SHA-256 of each wanted frame, where it does not.
    """

    maker: Synthesizer | None
    digest: bytes = b""
    frames: deque[Planes] = field(default_factory=deque)
    prints: deque[bytes] = field(default_factory=deque)


def checked_frames(decoding: Decoding, gop: DecodedGop, first: int, frames: Iterator[Planes]) -> Iterator[Planes]:
    """The frames of a GOP from `first` on, none of them before all match the DIGEST.

    Args:
        decoding: of the stream.
        gop: the GOP.
        first: the first frame that is wanted.
        frames: all its frames, from the engine in use.

    Raises:
        InvalidStreamError: E_DIGEST, the stream is wrong, since the reference's frames do not match either.
        InternalError: E_RUNTIME, the engine failed and nothing takes its place.
    """
    done = _matching_pass(decoding, gop, first, frames)
    if gop.plan.kept:
        gop.grids.clear()
        gop.reservation.change(gop.plan.coded + gop.plan.kept_bytes)
        while done.frames:
            yield done.frames.popleft()
        return
    for planes in _timed(decoding.times, _made_again(decoding, gop, done.maker, first)):
        with decoding.times.clock("digest"):
            same = _fingerprint(planes) == done.prints.popleft()
        if not same:
            message = "a frame was made twice and was not the same"
            raise InternalError("E_RUNTIME", message, offset=gop.record.offset, unit=gop.record.unit)
        yield planes


def unchecked_frames(decoding: Decoding, gop: DecodedGop, first: int, frames: Iterator[Planes]) -> Iterator[Planes]:
    """The frames from `first` on as they are made; what fails in the middle is made by the next engine."""
    t = first
    while True:
        try:
            for planes in frames:
                t += 1
                yield planes
            return
        except InternalError as error:
            decoding.engines.recover(error)
            frames = _timed(decoding.times, _made_again(decoding, gop, None, t))


def _matching_pass(decoding: Decoding, gop: DecodedGop, first: int, frames: Iterator[Planes]) -> _Pass:
    expected = gop.record.digest.digest
    while True:
        try:
            done = _run_pass(decoding, gop, first, frames, None)
            break
        except InternalError as error:
            decoding.engines.recover(error)
            frames = _timed(decoding.times, _made_again(decoding, gop, None, 0))
    if done.digest == expected:
        return done
    if decoding.engines.engine != "reference":
        done = _second_opinion(decoding, gop, first, done.digest)
    if done.digest == expected:
        return done
    message = f"the frames have digest {done.digest.hex()}, the stream says {expected.hex()}"
    raise InvalidStreamError("E_DIGEST", message, offset=gop.record.offset, unit=gop.record.unit, section="8.3, R8.1")


def _second_opinion(decoding: Decoding, gop: DecodedGop, first: int, found: bytes) -> _Pass:
    """All frames by the reference, which is right by definition; an engine whose frames differ is replaced."""
    engines = decoding.engines
    _log.info("%s does not match its DIGEST; the NumPy reference decodes it to find the fault", gop.record.unit)
    reference = engines.reference(decoding.sequence, gop.network, gop.plan.synthesis)
    whole = range(gop.record.gop.frame_count)
    made = _timed(decoding.times, reference.stream(gop.grids, len(whole), whole))
    done = _run_pass(decoding, gop, first, made, reference)
    if done.digest != found:
        engines.blame(f"made wrong frames of {gop.record.unit}: those of the NumPy reference differ")
    return done


def _run_pass(
    decoding: Decoding, gop: DecodedGop, first: int, frames: Iterator[Planes], maker: Synthesizer | None
) -> _Pass:
    done, digest = _Pass(maker), GopDigest()
    for t, planes in enumerate(frames):
        with decoding.times.clock("digest"):
            digest.update(planes)
        if t < first:
            continue
        if gop.plan.kept:
            done.frames.append(planes)
        else:
            done.prints.append(_fingerprint(planes))
    done.digest = digest.digest()
    return done


def _made_again(decoding: Decoding, gop: DecodedGop, maker: Synthesizer | None, first: int) -> Iterator[Planes]:
    """The frames from `first` on, outside of the stream of jobs."""
    if maker is None:
        maker = decoding.engines.synthesizer(decoding.sequence, gop.network, gop.plan.synthesis)
    count = gop.record.gop.frame_count
    return maker.stream(gop.grids, count, range(first, count))


def _timed(times: StageTimes, frames: Iterator[Planes]) -> Iterator[Planes]:
    while True:
        with times.clock("synthesis"):
            planes = next(frames, None)
        if planes is None:
            return
        yield planes


def _fingerprint(planes: Planes) -> bytes:
    digest = hashlib.sha256()
    for chunk in planes.chunks():
        digest.update(chunk)
    return digest.digest()
