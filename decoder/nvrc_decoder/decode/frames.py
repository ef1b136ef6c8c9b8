"""From GOPs to frames: one stream of jobs over all GOPs, made concurrently, checked GOP by GOP.

A thread decodes the symbols of the next GOP while the frames of this one are made. Where several workers make frames,
the first frames of the next GOP are made beside the last ones of this. The memory budget bounds all of it (spec 9.3).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial

from nvrc_decoder.bitstream.gops import GopRecord
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.decode.budget import Budget
from nvrc_decoder.decode.checked import checked_frames, unchecked_frames
from nvrc_decoder.decode.prefetch import Prefetch
from nvrc_decoder.decode.stages import DecodedGop, Decoding, PlannedGop, damage_of
from nvrc_decoder.decode.symbols import decode_symbols, plan_gops
from nvrc_decoder.errors import InternalError, InvalidStreamError
from nvrc_decoder.picture.frame import Frame
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.synthesis.synthesizer import Job
from nvrc_decoder.system.threads import OrderedMap

__all__ = ["make_frames"]

# A pipe that cannot be polled may keep its reader waiting.
_PATIENCE = 1.0

_Made = list[Planes] | InternalError | None
"""The frames of a job, or why it failed; None after the last job of a GOP."""
_Result = tuple[DecodedGop, _Made] | Damage


def make_frames(
    decoding: Decoding, records: Iterator[GopRecord | Damage], start: int, *, lookahead: bool
) -> Iterator[Frame]:
    """The frames from number `start` on; closing the iterator ends all threads.

    Args:
        decoding: of the stream.
        records: its GOPs in order, the first of them with frame `start`.
        start: the first frame that is wanted.
        lookahead: decode the symbols of the next GOP in a thread.

    Raises:
        NvrcError: at the place in the order of frames where it belongs.
    """
    decoding.engines.release()  # what an abandoned GOP has left
    planned = plan_gops(decoding, records)
    head = next(planned, None)
    rest = planned if head is None else itertools.chain(_once([head]), planned)
    budget = Budget(decoding.limits.max_memory_bytes)
    gops = Prefetch(lambda check: decode_symbols(decoding, rest, budget, check), ahead=lookahead)
    try:
        if isinstance(head, PlannedGop):
            # The engine starts while the first symbols are decoded.
            with decoding.times.clock("session"):
                decoding.engines.synthesizer(decoding.sequence, head.network, head.plan.synthesis)
        del head
        with closing(OrderedMap(_FrameJobs(decoding, gops, start))) as results:
            yield from _frames(decoding, results, start)
    finally:
        budget.close()
        gops.stop(None if decoding.pipe is None else _PATIENCE)
    decoding.engines.release()


def _once(items: list[PlannedGop | Damage]) -> Iterator[PlannedGop | Damage]:
    """The items, each of which is kept no longer than it is used."""
    while items:
        yield items.pop(0)


class _FrameJobs:
    """The frames of all GOPs as one stream of jobs. A job's inputs are prepared when it is taken.

    Args:
        decoding: of the stream.
        gops: where decoded GOPs come from.
        start: the first frame that is wanted.

    Attributes:
        workers: frames that are made concurrently, of the last job.
    """

    def __init__(self, decoding: Decoding, gops: Prefetch[DecodedGop | Damage], start: int) -> None:
        self.workers = 1
        self._decoding, self._gops, self._start = decoding, gops, start
        self._gop: DecodedGop | None = None
        self._jobs: Iterator[Job] = iter(())
        self._next: DecodedGop | Damage | None = None
        self._last: DecodedGop | None = None

    def take(self, wait: bool) -> Callable[[], _Result] | None:
        """See `Jobs`; a GOP that cannot be made beside the last one is there only when it is waited for."""
        while self._gop is None:
            item = self._next_item(wait)
            if item is None:
                return None
            if isinstance(item, Damage):
                return partial(_identity, item)
            self._begin(item)
        gop = self._gop
        try:
            with self._gops.turn:
                job = next(self._jobs, None)
        except InternalError as error:
            self._jobs = iter(())
            return partial(_identity, (gop, error))
        if job is None:
            self._gop = None
            return partial(_identity, (gop, None))
        return partial(_run, gop, job)

    def _next_item(self, wait: bool) -> DecodedGop | Damage | None:
        if self._next is None and wait:
            self._last = None  # its memory is not needed while the next GOP is waited for
            with self._decoding.times.clock("waiting"):
                self._next = next(self._gops, None)
        elif self._next is None:
            self._next = self._gops.poll()
        item = self._next
        if not wait and isinstance(item, DecodedGop) and not self._fits(item):
            return None
        self._next = None
        return item

    def _fits(self, gop: DecodedGop) -> bool:
        """Whether frames of `gop` can be made beside those of the last GOP: by the same synthesizer, and only once."""
        last = self._last
        same = last is not None and last.network is gop.network and last.plan.synthesis == gop.plan.synthesis
        return same and last is not None and last.plan.kept and gop.plan.kept

    def _begin(self, gop: DecodedGop) -> None:
        decoding, count = self._decoding, gop.record.gop.frame_count
        with decoding.times.clock("session"):
            synthesizer = decoding.engines.synthesizer(decoding.sequence, gop.network, gop.plan.synthesis)
        decoding.times.gops += 1
        first = 0 if decoding.verify else _first_wanted(gop, self._start)
        self._jobs = synthesizer.jobs(gop.grids, count, range(first, count))
        self.workers = synthesizer.workers
        self._gop = self._last = gop


def _identity(result: _Result) -> _Result:
    return result


def _run(gop: DecodedGop, job: Job) -> _Result:
    """A failure is a result like another, so that results of other GOPs in flight stay in order."""
    try:
        return gop, job()
    except InternalError as error:
        return gop, error


def _first_wanted(gop: DecodedGop, start: int) -> int:
    return max(start - gop.record.first_frame, 0)


def _frames(decoding: Decoding, results: OrderedMap[_Result], start: int) -> Iterator[Frame]:
    while (head := _next_result(decoding, results)) is not None:
        if isinstance(head, Damage):
            damage: Damage | None = head
        else:
            damage = yield from _gop_frames(decoding, head[0], _planes(decoding, results, head[1]), start)
        del head  # the next GOP may wait for its memory
        if damage is not None and decoding.on_damage is not None:
            decoding.on_damage(damage)


def _next_result(decoding: Decoding, results: OrderedMap[_Result]) -> _Result | None:
    """The next result, timed as synthesis but for what is timed as something else."""
    times = decoding.times
    others = times.waiting + times.session
    with times.clock("synthesis"):
        result = next(results, None)
    times.synthesis -= times.waiting + times.session - others
    return result


def _planes(decoding: Decoding, results: OrderedMap[_Result], made: _Made) -> Iterator[Planes]:
    """The planes of a GOP, whose first result is `made`.

    Raises:
        InternalError: a job failed; after the last result of the GOP.
    """
    failure: InternalError | None = None
    while made is not None:
        if isinstance(made, InternalError):
            failure = failure or made
        while failure is None and isinstance(made, list) and made:
            yield made.pop(0)
        result = _next_result(decoding, results)
        made = result[1] if isinstance(result, tuple) else None
    if failure is not None:
        raise failure


def _gop_frames(
    decoding: Decoding, gop: DecodedGop, planes: Iterator[Planes], start: int
) -> Generator[Frame, None, Damage | None]:
    """The wanted frames of a GOP; returns its damage, if any."""
    gop.reservation.change(gop.plan.frame_bytes)
    first = _first_wanted(gop, start)
    made = (checked_frames if decoding.verify else unchecked_frames)(decoding, gop, first, planes)
    try:
        yield from _numbered(decoding, gop.record.first_frame + first, made)
    except InvalidStreamError as error:
        if decoding.on_damage is None:
            raise
        return damage_of(gop.record, error)
    finally:
        gop.reservation.release()
    return None


def _numbered(decoding: Decoding, first: int, frames: Iterator[Planes]) -> Iterator[Frame]:
    timeline = decoding.shown.timeline()
    for number, planes in enumerate(frames, first):
        decoding.times.frames += 1
        start = None if timeline is None or timeline.constant else timeline.start(number)
        yield Frame(planes.y, planes.u, planes.v, number=number, format=decoding.format, start=start)
