"""How fast this machine encodes: a small encode of the first frames, timed stage by stage."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.model.rounding import Arithmetic
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.preparation import prepare
from nvrc_encoder.source.video import Source
from nvrc_encoder.training.run import Run
from nvrc_encoder.training.structure_search import middle, untried
from nvrc_encoder.training.workload import Speed, expected_work, iterations_ahead
from nvrc_encoder.writing.stream import reconstruct, write_stream
from nvrc_encoder.writing.verification import verify_stream

__all__ = ["PROBE_FRAMES", "is_worthwhile", "measure_speed"]

PROBE_FRAMES = 9
"""Two keys and the frames between them, which is what costs time in longer videos, too."""
_SAMPLES = 1 << 15
"""Luma samples of a frame, roughly: the middle of larger pictures."""
_WARM_UP_SAMPLES = 1 << 10
_LEAST_SIMILAR = 97
"""Rows and columns that MS-SSIM needs; the middle of a very wide picture has fewer."""
_ITERATIONS, _WARM_UP = 12, 3
_SHARE = 0.03
"""Largest share of an encode that a probe may take."""
_SEARCH = 1.0
"""Budget of the search as a share of the passes over the video: four evaluations."""

Clock = Callable[[], float]


def is_worthwhile(source: Source, frames: int, options: EncodeOptions, seconds: float) -> bool:
    """Whether a probe takes a small share of an encode that takes `seconds` on the processor of the model."""
    scale = min(1.0, _SAMPLES / (source.width * source.height))
    count = min(frames, PROBE_FRAMES)
    plan = dataclasses.replace(options.plan(count), iterations=_ITERATIONS)
    work = expected_work(source.picture, count, plan, False, True, False)
    return scale * sum(work.values()) <= _SHARE * seconds


def measure_speed(
    source: Source,
    frames: Sequence[Planes],
    options: EncodeOptions,
    clocks: Sequence[Clock] = (time.monotonic, time.process_time),
) -> tuple[Speed, ...]:
    """The speed of this machine for such a video, by each of `clocks`: in wall time, and in seconds of the processor.

    Args:
        source: gives the format.
        frames: the first frames of the video, at least one; `PROBE_FRAMES` are used.
        options: of the encode; what they leave open is as in the first trial.
    """
    small, some = middle(source, frames, PROBE_FRAMES, _SAMPLES)
    chosen = dataclasses.replace(untried(options), iterations=_ITERATIONS, metadata={}, index=False)
    # The first start in a process loads and warms up what the next ones find ready.
    plain = dataclasses.replace(chosen, tune="psnr")
    prepare(*middle(source, frames, 2, _WARM_UP_SAMPLES), plain)
    if min(small.width, small.height) < _LEAST_SIMILAR:
        chosen = plain
    marks = [[clock() for clock in clocks]]

    def mark() -> None:
        marks.append([clock() for clock in clocks])

    prepared = prepare(small, some, chosen)
    mark()
    plan = dataclasses.replace(chosen.plan(), search=_SEARCH, pretrain=0)
    run = Run(prepared.trainer, plan, None, prepared.size)
    while run.iteration < plan.hard_from:
        run.advance()
        if run.iteration == _WARM_UP:
            mark()
    mark()
    while not run.done:
        run.advance()
    mark()
    promised = reconstruct(prepared.trainer)
    written = write_stream(prepared.trainer, prepared.sequence, prepared.schedule, promised, index=False, metadata={})
    reconstruct(prepared.trainer, Arithmetic.FLOAT)
    verify_stream(written.data, [frame for gop in promised for frame in gop])
    mark()
    work = expected_work(small.picture, len(some), plan, False, True, False)
    exact = iterations_ahead(plan, plan.hard_from, plan.iterations, False)
    soft = plan.hard_from - _WARM_UP
    iteration = work["training"] / iterations_ahead(plan, 0, plan.iterations, False)
    speeds = []
    for times in zip(*marks, strict=True):
        begun, prepared_at, warm, softened, searched, written_at = times
        pace = (softened - warm) / soft
        speeds.append(
            Speed(
                start=(prepared_at - begun) / work["start"],
                training=pace / iteration,
                search=max(0.0, searched - softened - exact * pace) / work["search"],
                writing=(written_at - searched) / work["writing"],
            )
        )
    return tuple(speeds)
