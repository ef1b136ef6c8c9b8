"""Jobs on the machines of a Ray cluster, which all see the folder of the encode. Ray decides where each one runs."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import socket
import time
from pathlib import Path
from typing import Any

import torch

import nvrc_decoder
from nvrc_decoder.errors import LimitError, OutputError, UnsupportedError
from nvrc_decoder.system.allocator import keep_large_arrays
from nvrc_encoder.cluster import Cluster, connect, load_ray, raised_by_task, room, texts
from nvrc_encoder.segments.board import END, STOP, Board
from nvrc_encoder.segments.job import Job, StoppedError, run_apart
from nvrc_encoder.segments.pool import BREAKS
from nvrc_encoder.segments.workspace import result_path

__all__ = ["RayPool"]

log = logging.getLogger("nvrc_encoder")

_TOLD_EVERY = 0.25
"""Seconds between two reports of a job."""
_VISIBLE_AFTER = 60.0
"""Seconds within which every machine sees a new file of another one."""


class RayPool:
    """Runs each job as a task of a Ray cluster.

    A task ends with this process. One whose worker is lost is submitted again, and goes on from its checkpoint.

    Args:
        cluster: the cluster, and what a job takes of a node.
        jobs: number of jobs that run concurrently; None for as many as the cluster has room for, which may change.

    Raises:
        NvrcError: as `connect`.
    """

    elsewhere = True

    def __init__(self, cluster: Cluster, jobs: int | None = None) -> None:
        self._ray = ray = connect(cluster)
        self._cluster, self._jobs = cluster, jobs
        self._task = ray.remote(max_retries=0, **cluster.resources)(_work)
        # With this process, so that no other machine that is lost takes the board along.
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        here = strategies.NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._board = ray.remote(num_cpus=0, scheduling_strategy=here)(Board).remote()
        self._running: dict[Any, tuple[Job, int]] = {}
        self._attempts = self._losses = 0
        self._shares: dict[int, float] = {}
        self._asked: Any = None
        self._warned = self._closed = False

    @property
    def size(self) -> int:
        return self._jobs or max(1, room(self._ray, self._cluster))

    def submit(self, job: Job) -> None:
        if not self._warned and not room(self._ray, self._cluster):
            self._warned = True
            gpus = f" and {self._cluster.gpus:g} GPUs" if self._cluster.gpus else ""
            log.warning("no node of the cluster has %d processors%s: jobs wait for one", self._cluster.cpus, gpus)
        frames, stream, checkpoint = (path.absolute() for path in (job.frames, job.stream, job.checkpoint))
        job = dataclasses.replace(job, frames=frames, stream=stream, checkpoint=checkpoint)
        self._attempts += 1
        task = self._task.remote(job, self._attempts, self._board, _versions())
        self._running[task] = job, self._attempts

    def next_done(self, seconds: float) -> Job | None:
        self._look()
        done, _ = self._ray.wait(list(self._running), timeout=seconds)
        for task in done:
            job, _ = self._running.pop(task)
            try:
                warnings, node = self._ray.get(task)
            except self._ray.exceptions.RayTaskError as error:
                if not isinstance(error.cause, self._ray.exceptions.RayError):
                    raise raised_by_task(error) from error
                self._again(job, error.cause)  # it has lost the board
            except self._ray.exceptions.RayError as error:
                self._again(job, error)
            else:
                self._losses = 0
                _await_file(result_path(job.stream), f"{node} has written it, but it is not here")
                for line in warnings:
                    log.warning("segment %d: %s", job.number + 1, line)
                return job
        return None

    def _again(self, job: Job, error: BaseException) -> None:
        """Begin a job again whose worker was lost.

        Raises:
            LimitError: E_WORKER, that has happened too often.
        """
        self._losses += 1
        if self._losses > BREAKS:
            raise LimitError(
                "E_WORKER",
                f"workers of the cluster were lost {self._losses} times in a row ({texts(error)}): continue with "
                "--resume; where memory ran out, with more --ray-cpus, or start again with a shorter --segment",
            )
        log.warning("a worker of the cluster was lost; segment %d goes on from its checkpoint", job.number + 1)
        self.submit(job)

    def _look(self) -> None:
        """Take the shares from the board, if it has answered, without waiting for it.

        Raises:
            OutputError: E_RAY, the board is lost.
        """
        if self._asked is None:
            self._asked = self._board.shares.remote()
        try:
            if self._ray.wait([self._asked], timeout=0)[0]:
                self._shares = self._ray.get(self._asked)
                self._asked = None
        except self._ray.exceptions.RayError as error:
            raise OutputError("E_RAY", f"the cluster is lost: {texts(error)}") from error

    def shares(self) -> dict[int, float]:
        return {job.number: self._shares.get(job.number, 0.0) for job, _ in self._running.values()}

    def stop(self) -> None:
        try:
            begun = self._ray.get(self._board.give.remote(STOP))
        except self._ray.exceptions.RayError:
            return  # `close` ends the rest
        for task, (job, attempt) in self._running.items():
            if begun.get(job.number) != attempt:  # it waits for resources, perhaps for ever
                self._ray.cancel(task, force=True)
        if self._running:
            self._ray.wait(list(self._running), num_returns=len(self._running))
        self._running.clear()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._running.clear()
        self._ray.shutdown()


def _versions() -> dict[str, str]:
    """What the bytes of a stream depend on."""
    return {"nvrc-ref": nvrc_decoder.__version__, "PyTorch": str(torch.__version__)}


def _check_node(job: Job, versions: dict[str, str]) -> None:
    """Refuse a node that would write other bytes, or that does not see the frames.

    Raises:
        UnsupportedError: E_RAY, it has other versions.
        OutputError: E_RAY, it does not see the folder.
    """
    for name, here in _versions().items():
        if here != versions[name]:
            raise UnsupportedError(
                "E_RAY",
                f"the node {socket.gethostname()} has {name} {here}, and the encode runs with {versions[name]}: "
                "install the same on every node",
            )
    _await_file(job.frames, f"the node {socket.gethostname()} does not see it")


def _await_file(path: Path, otherwise: str) -> None:
    """Wait until this machine sees a file: a shared folder may be late.

    Raises:
        OutputError: E_RAY, it is not seen within a minute.
    """
    deadline = time.monotonic() + _VISIBLE_AFTER
    while not path.exists():
        if time.monotonic() > deadline:
            message = f"{path}: {otherwise}: with --checkpoint, name a file in a folder that all nodes share"
            raise OutputError("E_RAY", message)
        time.sleep(0.1)


def _work(job: Job, attempt: int, board: Any, versions: dict[str, str]) -> tuple[list[str], str]:
    """Run a job in a worker of Ray; its warnings, and the name of the node."""
    ray = load_ray()
    keep_large_arrays()
    due = 0.0

    def told(share: float) -> bool:
        nonlocal due
        if time.monotonic() < due:
            return False
        order = ray.get(board.tell.remote(job.number, attempt, share))
        due = time.monotonic() + _TOLD_EVERY
        if order == END:
            raise StoppedError
        return bool(order == STOP)

    if told(0.0):
        raise StoppedError
    _check_node(job, versions)
    return run_apart(job, told), socket.gethostname()
