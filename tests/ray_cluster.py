"""A Ray cluster on this machine, whose nodes and workers a test can kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from waiting import wait_until

__all__ = ["PATIENCE", "Node", "RayCluster", "ray_cluster"]

_STORE = 80_000_000
"""Bytes of a node's object store, about the least."""
PATIENCE = 240.0
"""Seconds to wait for a node, which is half a dozen programs, or for a worker."""


class Node:
    """A node, as Ray's own command starts it.

    Args:
        log: file for what the command prints.
        words: its options.
    """

    def __init__(self, log: Path, *words: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [*command, f"--object-store-memory={_STORE}", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(lambda: b"Ray runtime started" in log.read_bytes() or self._process.poll() is not None, PATIENCE)
            assert self._process.poll() is None, log.read_text()
        except BaseException:
            self.kill()
            raise

    def workers(self, task: str) -> list[int]:
        """The processes that run a task, by its function's name."""
        found = []
        for pid in _descendants(self._process.pid):
            with suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(f"ray::{task}".encode()):
                    found.append(pid)
        return found

    def kill(self) -> None:
        """Kill its processes, workers and all."""
        pids = _descendants(self._process.pid)
        self._process.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


class RayCluster:
    """Nodes with a processor each.

    Attributes:
        address: HOST:PORT of the head.
        nodes: all nodes, the head first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        head = ["--head", "--port=0", "--include-dashboard=false", f"--temp-dir={folder}", "--num-cpus=1"]
        self.nodes = [Node(folder / "node-0.log", *head)]
        try:
            self.address = _address(folder / "ray_current_cluster")
        except BaseException:
            self.close()
            raise

    def add_node(self) -> Node:
        """Start a node."""
        log = self._folder / f"node-{len(self.nodes)}.log"
        self.nodes.append(Node(log, f"--address={self.address}", "--num-cpus=1"))
        return self.nodes[-1]

    def workers(self, task: str) -> list[int]:
        """The processes of all nodes that run a task, by its function's name."""
        return [pid for node in self.nodes for pid in node.workers(task)]

    def close(self) -> None:
        """Kill all nodes."""
        for node in reversed(self.nodes):
            node.kill()


def _address(file: Path) -> str:
    """Where the head listens. It says that it has started first, and writes this file then."""

    def text() -> str:
        return file.read_text() if file.exists() else ""

    wait_until(lambda: text() != "", PATIENCE)
    return text()


def _descendants(pid: int) -> list[int]:
    """The processes that a process has started, directly or not."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in path.read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Yield a cluster of two nodes."""
    # Paths of sockets have to be short; pytest's folders are not.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    try:
        with closing(RayCluster(folder)) as cluster:
            cluster.add_node()
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)
