"""From GOPs to frames. A thread decodes the symbols of the next GOP while the frames of this one are made."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Generator, Iterator

from nvrc_decoder.bitstream.gops import GopRecord
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.decode.budget import Budget
from nvrc_decoder.decode.checked import GopMaker, checked_frames, unchecked_frames
from nvrc_decoder.decode.prefetch import Prefetch
from nvrc_decoder.decode.stages import DecodedGop, Decoding, PlannedGop, damage_of
from nvrc_decoder.decode.symbols import decode_symbols, plan_gops
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.picture.frame import Frame

__all__ = ["make_frames"]

# A pipe that cannot be polled may keep its reader waiting.
_PATIENCE = 1.0


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
    rest = planned if head is None else itertools.chain([head], planned)
    budget = Budget(decoding.limits.max_memory_bytes)
    gops: Prefetch[DecodedGop | Damage] | None = None
    try:
        gops = Prefetch(
            lambda check: decode_symbols(decoding, rest, budget, check), ahead=lookahead, on_stop=budget.close
        )
        if isinstance(head, PlannedGop):
            # The engine starts while the first symbols are decoded.
            with decoding.times.clock("session"):
                decoding.engines.synthesizer(decoding.sequence, head.network, head.plan.synthesis)
        del head
        yield from _all_frames(decoding, gops, start)
    finally:
        if gops is not None:
            gops.stop(None if decoding.pipe is None else _PATIENCE)
    decoding.engines.release()


def _all_frames(decoding: Decoding, gops: Prefetch[DecodedGop | Damage], start: int) -> Iterator[Frame]:
    while True:
        with decoding.times.clock("waiting"):
            item = next(gops, None)
        if item is None:
            return
        if isinstance(item, Damage):
            damage: Damage | None = item
        else:
            damage = yield from _gop_frames(decoding, item, gops.turn, start)
        del item  # the next GOP may wait for its memory
        if damage is not None and decoding.on_damage is not None:
            decoding.on_damage(damage)


def _gop_frames(
    decoding: Decoding, gop: DecodedGop, turn: threading.Lock, start: int
) -> Generator[Frame, None, Damage | None]:
    """The wanted frames of a GOP; returns its damage, if any."""
    decoding.times.gops += 1
    first = max(start - gop.record.first_frame, 0)
    maker = GopMaker(decoding.sequence, decoding.engines, decoding.times, gop, turn)
    frames = checked_frames(maker, first) if decoding.verify else unchecked_frames(maker, first)
    timeline = decoding.shown.timeline()
    try:
        for number, planes in enumerate(frames, gop.record.first_frame + first):
            decoding.times.frames += 1
            when = None if timeline is None or timeline.constant else timeline.start(number)
            yield Frame(planes.y, planes.u, planes.v, number=number, format=decoding.format, start=when)
            del planes
    except InvalidStreamError as error:
        if decoding.on_damage is None:
            raise
        return damage_of(gop.record, error)
    finally:
        gop.reservation.release()
    return None
