"""A whole run: prepare clips, find the codecs, encode the missing points, collect the results."""

from __future__ import annotations

import dataclasses
import datetime
import fcntl
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from nvrc_bench.machine import package_versions, processor_model
from nvrc_bench.rd.bd_rate import bd_tables
from nvrc_bench.rd.clips import Clip, clip_name, prepare
from nvrc_bench.rd.codecs.base import UnavailableError
from nvrc_bench.rd.codecs.kinds import make_codec
from nvrc_bench.rd.config import CodecSpec, RunSpec
from nvrc_bench.rd.imported import load_curves, points_for
from nvrc_bench.rd.points import Here, OnCluster, Points
from nvrc_bench.rd.process import CommandError, Runner
from nvrc_bench.rd.tasks import Task, find_result, task_path
from nvrc_decoder.errors import NvrcError, OutputError
from nvrc_encoder.cluster import Cluster
from nvrc_output.files import io_errors
from nvrc_output.text import duration

__all__ = ["FORMAT", "run_bench"]

FORMAT = "nvrc-ref bench 1"
_ANCHORS = ("x264", "x265")
_SILENCE = 20.0
"""Seconds after which a line says what is running."""
_PACKAGES = ("nvrc-ref", "torch", "numpy", "onnxruntime", "onnxruntime-gpu", "bjontegaard", "pytorch-msssim", "av")

Note = Callable[[str], None]


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Make the folder, and refuse a second run in it; the system releases the lock however the process ends."""
    with io_errors(str(out)):
        for name in ("clips", "points"):
            (out / name).mkdir(parents=True, exist_ok=True)
    with io_errors(str(out)), open(out / ".lock", "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError("E_OUTPUT", f"another run writes to {out}") from None
        yield


def run_bench(
    run: RunSpec,
    out: Path,
    note: Note,
    *,
    redo: Sequence[str] = (),
    make: bool = True,
    cluster: Cluster | None = None,
) -> dict[str, Any]:
    """Run or resume a benchmark.

    Args:
        run: the run's specification.
        out: folder of the results; points that it has are not encoded again.
        note: prints a line of progress.
        redo: names of codecs whose points are encoded again.
        make: whether to encode missing points.
        cluster: the cluster that makes them, all of whose nodes see `out`; None for this machine.

    Returns:
        The document of ``results.json``.

    Raises:
        NvrcError: a clip or an imported file cannot be used. A point that fails is reported in the document.
    """
    unknown = set(redo) - {codec.name for codec in run.codecs}
    if unknown:
        raise CommandError("E_CONFIG", f"there is no codec {', '.join(sorted(unknown))} to redo")
    threads = _threads(run, cluster)
    curves = [curve for source in run.imports for curve in load_curves(source)]
    runner = Runner(threads)
    skipped: list[str] = []
    with _alone(out), _maker(run, runner, out, cluster if make else None) as maker:
        clips = _prepared(run, out, runner)
        versions = _versions(run, threads, skipped)
        for line in skipped:
            note(f"note: {line}")
        tasks = list(_tasks(run, clips, versions, threads))
        for task in [task for task in tasks if task.codec.spec.name in redo and make]:
            task_path(task, out / "points").unlink(missing_ok=True)
        points, failed = _all_points(tasks, maker, out, run, note, skipped, make=make)
    known = len(skipped)
    points += [point for clip in clips for point in points_for(curves, clip, skipped)]
    for line in skipped[known:]:
        note(f"note: {line}")
    anchor = _anchor(run, points, note)
    return {
        "format": FORMAT,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "packages": package_versions(_PACKAGES),
        "settings": {"jobs": maker.jobs, "threads": threads, "ray": None if cluster is None else cluster.address},
        "clips": [clip.document() for clip in clips],
        "codecs": [_codec_document(spec, versions) for spec in run.codecs],
        "points": points,
        "bd_rate": bd_tables(points, anchor),
        "skipped": skipped,
        "failed": failed,
    }


def _prepared(run: RunSpec, out: Path, runner: Runner) -> list[Clip]:
    """The clips of a run, after what a killed run has left is removed."""
    for stale in out.glob("point-*"):
        shutil.rmtree(stale, ignore_errors=True)
    clips = [prepare(clip, out / "clips", runner, run.ffmpeg) for clip in run.clips]
    _check_names(clips)
    return clips


def _threads(run: RunSpec, cluster: Cluster | None) -> int:
    """Threads of each point: as asked for, or all processors that it has for itself."""
    alone = max(1, (os.cpu_count() or 1) // (run.jobs or 1)) if cluster is None else cluster.cpus
    return run.threads or alone


def _maker(run: RunSpec, runner: Runner, out: Path, cluster: Cluster | None) -> AbstractContextManager[Points]:
    """What makes the points, released at the end."""
    if cluster is None:
        return closing(Here(run.jobs or 1, runner, out, keep_streams=run.keep_streams))
    return closing(OnCluster(cluster, run.jobs, runner.threads, out, keep_streams=run.keep_streams))


def _tasks(run: RunSpec, clips: Sequence[Clip], versions: Mapping[str, str], threads: int) -> Iterator[Task]:
    """The points of every codec that is installed, clip by clip."""
    for clip in clips:
        for spec in run.codecs:
            if spec.name in versions:
                codec = make_codec(spec.for_clip(clip.name), run.ffmpeg, threads)
                yield from (Task(clip, codec, point, versions[spec.name]) for point in codec.points)


def _check_names(clips: Sequence[Clip]) -> None:
    names = [clip.name for clip in clips]
    for name in names:
        if names.count(name) > 1:
            raise CommandError("E_CONFIG", f"two clips are called {name!r}: give one another name")


def _versions(run: RunSpec, threads: int, skipped: list[str]) -> dict[str, str]:
    """Codec -> version, for the codecs that are installed."""
    versions: dict[str, str] = {}
    for spec in run.codecs:
        known = {clip_name(clip) for clip in run.clips}
        for name in set(spec.per_clip) - known:
            raise CommandError("E_CONFIG", f"{spec.name} has points for {name!r}, which is no clip of this run")
        try:
            versions[spec.name] = make_codec(spec, run.ffmpeg, threads).version()
        except UnavailableError as error:
            skipped.append(f"{error.message}; it is left out")
    return versions


def _all_points(
    tasks: Sequence[Task], maker: Points, out: Path, run: RunSpec, note: Note, skipped: list[str], *, make: bool
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Results in the order of the tasks, and the failures."""
    found = {task.name: find_result(task, out / "points") for task in tasks}
    for task in tasks:
        earlier = found[task.name]
        if earlier is not None and earlier.get("version") != task.version:
            note(f"note: {task.name} is by {earlier.get('version')}, not {task.version}; --redo encodes it again")
    missing = [task for task in tasks if found[task.name] is None]
    if len(missing) < len(tasks):
        note(f"{len(tasks) - len(missing)} of {len(tasks)} points exist already")
    failed: list[dict[str, str]] = []
    if make:
        late = _make_points(missing, found, failed, maker, run, note)
        skipped += late
        for line in late:
            note(f"note: {line}")
    return [result for task in tasks if (result := found[task.name]) is not None], failed


def _make_points(
    missing: Sequence[Task],
    found: dict[str, dict[str, Any] | None],
    failed: list[dict[str, str]],
    maker: Points,
    run: RunSpec,
    note: Note,
) -> list[str]:
    """Encode points and put them into `found` or `failed`; a line for each that the time limit left out."""
    done = 0
    began = told = time.monotonic()
    if run.seconds is not None:
        # The other codecs first: ours take minutes, and mean nothing without them.
        missing = sorted(missing, key=lambda task: task.codec.spec.kind == "nvrc")
    with ThreadPoolExecutor(maker.jobs) as pool:
        waiting: dict[Future[dict[str, Any]], Task] = {pool.submit(maker.make, task): task for task in missing}
        try:
            while waiting:
                finished, _ = wait(waiting, timeout=_nap(run, began), return_when=FIRST_COMPLETED)
                for future in finished:
                    task = waiting.pop(future)
                    done += 1
                    head = f"[{done}/{len(missing)}] {task.name}:"
                    try:
                        result = future.result()
                    except NvrcError as error:
                        failed.append({"point": task.name, "reason": error.message})
                        note(f"{head} failed: {error.message}")
                        continue
                    found[task.name] = result
                    note(f"{head} {_summary(result)}")
                now = time.monotonic()
                if run.seconds is not None and now - began >= run.seconds and waiting:
                    maker.stop()
                    pool.shutdown(cancel_futures=True)
                    return [
                        f"{task.name} is left out: the time limit was {duration(run.seconds)}; the next run encodes it"
                        for task in waiting.values()
                    ]
                if finished:
                    told = now
                elif now - told >= _SILENCE:
                    told = now
                    running = "; ".join(task.name for future, task in waiting.items() if future.running())
                    passed = datetime.timedelta(seconds=round(now - began))
                    note(f"[{done}/{len(missing)}] after {passed} running: {running}")
        except BaseException:
            maker.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return []


def _nap(run: RunSpec, began: float) -> float:
    """Seconds until the next line, or until the time limit."""
    if run.seconds is None:
        return _SILENCE
    return max(0.0, min(_SILENCE, began + run.seconds - time.monotonic()))


def _summary(result: dict[str, Any]) -> str:
    return (
        f"{result['bpp']:.4f} bpp, Y {result['psnr']['y']:.2f} dB, YUV {result['psnr']['yuv']:.2f} dB, "
        f"{result['encode_seconds']:.1f} s"
    )


def _anchor(run: RunSpec, points: Sequence[dict[str, Any]], note: Note) -> str | None:
    names = list(dict.fromkeys(point["codec"] for point in points))
    if run.anchor is not None:
        if run.anchor in names:
            return run.anchor
        note(f"note: the anchor {run.anchor} has no points")
        return None
    return next((name for name in (*_ANCHORS, *names) if name in names), None)


def _codec_document(spec: CodecSpec, versions: dict[str, str]) -> dict[str, Any]:
    values = dataclasses.asdict(spec)
    return {**values, "version": versions.get(spec.name), "available": spec.name in versions}


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": processor_model(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }
