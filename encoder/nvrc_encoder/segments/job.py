"""One segment's encode, as it runs in this process or in another one."""

from __future__ import annotations

import gc
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from nvrc_decoder.picture.format import VideoFormat
from nvrc_decoder.picture.planes import Planes
from nvrc_encoder.encoding import encode
from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.segments.workspace import write_result
from nvrc_encoder.source.video import Source
from nvrc_encoder.source.y4m import read_raw_frames
from nvrc_encoder.training.deadline import Deadline
from nvrc_encoder.training.interruption import Interruption
from nvrc_encoder.training.outlook import Outlook
from nvrc_encoder.training.run import Progress

__all__ = ["Job", "StoppedError", "run_apart", "run_job", "torch_threads"]

log = logging.getLogger("nvrc_encoder")


class StoppedError(Exception):
    """Another process has asked the job to end."""


@dataclass(frozen=True)
class Job:
    """What another process needs to encode a segment; all of it can be pickled.

    Attributes:
        number: number of the segment.
        name: name of the video in messages.
        picture: format of the video.
        count: number of frames.
        frames: file of the samples, headerless YUV.
        stream: file for the stream; the result is written beside it.
        checkpoint: file of its checkpoint, from which it continues if there is one.
        key: `fingerprint` of what is encoded.
        options: options of the segment.
        threads: threads of PyTorch.
        time_limit: seconds that the job may take; None for as many as it needs.
    """

    number: int
    name: str
    picture: VideoFormat
    count: int
    frames: Path
    stream: Path
    checkpoint: Path
    key: Mapping[str, str]
    options: EncodeOptions
    threads: int
    time_limit: float | None = None

    @property
    def source(self) -> Source:
        """The segment's frames."""

        def frames() -> Iterator[Planes]:
            with open(self.frames, "rb") as file:
                yield from read_raw_frames(file, self.picture)

        return Source(self.name, self.picture, self.count, frames)


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Let PyTorch use that many threads; None for as many as it does already."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if number is None else number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_job(
    job: Job,
    progress: Callable[[Progress], None] | None = None,
    interruption: Interruption | None = None,
    outlook: Outlook | None = None,
) -> None:
    """Encode a segment, and write its stream and its result.

    Args:
        job: the segment.
        progress, interruption, outlook: as in `encode`.

    Raises:
        NvrcError: as `encode`; OutputError, E_IO, the stream cannot be written.
    """
    stream = io.BytesIO()
    with torch_threads(job.threads):
        report = encode(
            job.source,
            stream,
            job.options,
            progress,
            checkpoint=job.checkpoint,
            resume=job.checkpoint.exists(),
            interruption=interruption,
            outlook=outlook,
            deadline=None if job.time_limit is None else Deadline(job.time_limit, part=True),
        )
    write_result(job.stream, stream.getvalue(), job.key, report.document())
    # A trainer is part of circles, and would stay beside that of the next segment.
    gc.collect()


class _Collected(logging.Handler):
    """Keeps the warnings of a job."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def run_apart(job: Job, told: Callable[[float], bool]) -> list[str]:
    """Run a job for another process, as `run_job`.

    Args:
        job: the segment.
        told: called after each step with the share of the time that has passed, 0..1; returns whether the job is to end
            with a checkpoint.

    Returns:
        The warnings of the encode.

    Raises:
        StoppedError: `told` asked for an end.
        NvrcError: as `run_job`.
    """
    interruption = Interruption()

    def changed() -> None:
        if told(outlook.share) and not interruption.asked:
            interruption.ask(StoppedError())

    outlook = Outlook(changed)
    collected = _Collected()
    log.addHandler(collected)
    try:
        run_job(job, None, interruption, outlook)
    finally:
        log.removeHandler(collected)
    return collected.lines
