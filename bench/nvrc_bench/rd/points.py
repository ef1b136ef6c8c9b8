"""Where the points of a run are encoded: by programs of this machine, or on the machines of a Ray cluster."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any, Protocol

from nvrc_bench.rd.process import CommandError, Runner
from nvrc_bench.rd.tasks import Task, run_task
from nvrc_encoder.cluster import Cluster, connect, raised_by_task, room, texts

__all__ = ["Here", "OnCluster", "Points"]

_RETRIES = 3
"""Times that Ray begins a point again whose worker is lost."""


class Points(Protocol):
    """Encodes points, each in the thread that calls.

    Attributes:
        jobs: number of points to make concurrently.
    """

    @property
    def jobs(self) -> int: ...

    def make(self, task: Task) -> dict[str, Any]:
        """Encode, decode and measure a point, as `run_task`."""

    def stop(self) -> None:
        """End all points, and refuse new ones."""

    def close(self) -> None:
        """Release what points were made with."""


class Here:
    """Programs of this machine, which end with this process.

    Args:
        jobs, runner, out, keep_streams: as for `run_task`.
    """

    def __init__(self, jobs: int, runner: Runner, out: Path, *, keep_streams: bool) -> None:
        self.jobs, self._runner, self._out, self._keep = jobs, runner, out, keep_streams

    def make(self, task: Task) -> dict[str, Any]:
        return run_task(task, self._runner, self._out, keep_stream=self._keep)

    def stop(self) -> None:
        self._runner.stop()

    def close(self) -> None:
        pass


class OnCluster:
    """Tasks of Ray, which run the same programs on the nodes of a cluster. All nodes see the folder of the results.

    Args:
        cluster: the cluster, and what a point takes of a node.
        jobs: number of points that run concurrently; None for as many as the cluster has room for.
        threads: threads of the programs.
        out: folder of the results.
        keep_streams: whether to keep the streams.

    Raises:
        NvrcError: as `connect`.
    """

    def __init__(self, cluster: Cluster, jobs: int | None, threads: int, out: Path, *, keep_streams: bool) -> None:
        self._ray = connect(cluster)
        self.jobs = jobs or max(1, room(self._ray, cluster))
        self._task = self._ray.remote(max_retries=_RETRIES, **cluster.resources)(_make)
        self._arguments = threads, str(out.absolute()), keep_streams
        self._lock = threading.Lock()
        self._running: set[Any] = set()
        self._stopped = False

    def make(self, task: Task) -> dict[str, Any]:
        clip = dataclasses.replace(task.clip, path=task.clip.path.absolute())
        with self._lock:
            if self._stopped:
                raise CommandError("E_COMMAND", "stopped")
            running = self._task.remote(dataclasses.replace(task, clip=clip), task.key, *self._arguments)
            self._running.add(running)
        try:
            result: dict[str, Any] = self._ray.get(running)
        except self._ray.exceptions.RayTaskError as error:
            raise raised_by_task(error) from error
        except self._ray.exceptions.RayError as error:
            raise CommandError("E_COMMAND", f"the worker was lost: {texts(error)}") from error
        finally:
            with self._lock:
                self._running.discard(running)
        return result

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for running in self._running:
                self._ray.cancel(running, force=True)

    def close(self) -> None:
        self._ray.shutdown()


def _make(task: Task, key: str, threads: int, out: str, keep_stream: bool) -> dict[str, Any]:
    """Make a point in a worker of Ray, whose programs end with it."""
    return run_task(task, Runner(threads), Path(out), keep_stream=keep_stream, key=key)
