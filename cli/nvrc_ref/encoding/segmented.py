"""A long video: encoded in segments, with one display and one report for all."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from nvrc_encoder.options import EncodeOptions
from nvrc_output.files import unfinished
from nvrc_output.text import counted, duration
from nvrc_ref.encoding.files import open_joined_file
from nvrc_ref.encoding.options import Segmentation
from nvrc_ref.encoding.progress import encode_progress, logging_to, memory_here, write_line
from nvrc_ref.encoding.segments_progress import segments_progress

if TYPE_CHECKING:
    from nvrc_encoder.segments.job import Job
    from nvrc_encoder.segments.ray_pool import RayPool
    from nvrc_encoder.segments.report import SegmentedReport
    from nvrc_encoder.segments.splitting import SegmentedSource
    from nvrc_encoder.training.deadline import Deadline
    from nvrc_encoder.training.outlook import Outlook
    from nvrc_encoder.training.run import Progress

__all__ = ["encode_in_segments", "jobs_at_once"]


@contextmanager
def _work_folder(checkpoint: Path | None) -> Iterator[Path]:
    """The folder for segments: beside the checkpoint, or a temporary one where there is none."""
    if checkpoint is not None:
        yield checkpoint.with_name(f"{checkpoint.name}.segments")
        return
    with unfinished(Path(tempfile.mkdtemp(prefix="nvrc-ref-"))) as folder:
        yield folder


def _pool(segmentation: Segmentation) -> RayPool | None:
    """The pool of the cluster, connected; None for this machine.

    Raises:
        NvrcError: as `RayPool`.
    """
    if segmentation.cluster is None:
        return None
    from nvrc_encoder.segments.ray_pool import RayPool

    return RayPool(segmentation.cluster, segmentation.jobs)


def jobs_at_once(segmentation: Segmentation) -> int:
    """Number of jobs that run concurrently.

    Raises:
        NvrcError: a cluster has to be asked, and does not answer.
    """
    pool = None if segmentation.jobs else _pool(segmentation)
    if pool is None:
        return segmentation.jobs or 1
    with closing(pool):
        return pool.size


def _tell_memory(cut: SegmentedSource, options: EncodeOptions, jobs: int, *, here: bool) -> None:
    from nvrc_encoder.training.workload import expected_memory

    memory = jobs * expected_memory(cut.source.picture, cut.longest, options.plan().window)
    write_line(
        f"segments of at most {counted(cut.longest, 'frame')} of {cut.source.picture.describe()}, "
        f"about {memory / 1e9:.1f} GB of memory with {counted(jobs, 'job')}"
    )
    own = memory_here()
    if here and jobs > 1 and own is not None and memory > own:  # one job has a warning of its own
        write_line(f"warning: this machine has {own / 1e9:.1f} GB; fewer --jobs or a shorter --segment need less")


def _tell_time(cut: SegmentedSource, options: EncodeOptions, jobs: int, threads: int) -> None:
    from nvrc_encoder.segments.forecast import first_estimate

    time = first_estimate(cut, options, jobs, threads)
    if time is not None:
        write_line(f"about {duration(time.wall)} here for all segments")


def encode_in_segments(
    cut: SegmentedSource,
    output: str,
    options: EncodeOptions,
    segmentation: Segmentation,
    checkpoint: Path | None,
    *,
    threads: int | None,
    resume: bool,
    quiet: bool,
    deadline: Deadline | None,
) -> SegmentedReport:
    """Encode a video that is longer than one segment to `output`, and show progress unless `quiet`.

    Raises:
        NvrcError: as `encode_segments` and `atomic_file`.
    """
    from nvrc_encoder.segments.coordinator import encode_segments

    @contextmanager
    def shown(job: Job) -> Iterator[tuple[Callable[[Progress], None] | None, Outlook | None]]:
        if not quiet:
            write_line(f"segment {job.number + 1}:")
        with encode_progress(job.options, quiet, limited=deadline is not None) as one:
            yield (None, None) if one is None else (one.update, one.outlook)

    pool = _pool(segmentation)
    jobs = segmentation.jobs or (1 if pool is None else pool.size)
    if not quiet:
        _tell_memory(cut, options, jobs, here=pool is None)
        if deadline is None:
            _tell_time(cut, options, jobs, threads or 1)
    kept = checkpoint is not None
    with (
        nullcontext() if pool is None else closing(pool),
        _work_folder(checkpoint) as folder,
        logging_to(write_line, logging.WARNING if quiet else logging.INFO),
        open_joined_file(output, folder, kept=kept) as (file, interruption),
        segments_progress(quiet, together=jobs > 1 or pool is not None) as told,
    ):
        report = encode_segments(
            cut,
            file,
            options,
            folder=folder,
            resume=resume,
            jobs=jobs,
            pool=pool,
            threads=threads or 1,
            interruption=interruption,
            shown=shown,
            told=told,
            deadline=deadline,
        )
    return report
