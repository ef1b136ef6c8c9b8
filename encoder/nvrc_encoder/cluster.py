"""A Ray cluster: how it is reached, and what a task takes of it. Free of PyTorch."""

from __future__ import annotations

import importlib
import logging
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

from nvrc_decoder.errors import OutputError
from nvrc_decoder.system.packages import load_package, require_packages

__all__ = ["LARGEST_NUMBER_OF_TASKS", "Cluster", "connect", "load_ray", "raised_by_task", "room", "texts"]

LARGEST_NUMBER_OF_TASKS = 256
"""Tasks that run concurrently, however large the cluster is."""
_PATIENCE = 30.0
"""Seconds to wait for a cluster's answer."""
_TRIAL = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="critical")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@dataclass(frozen=True)
class Cluster:
    """A cluster, and what each task takes of a node.

    Attributes:
        address: HOST:PORT of the head, or ``auto`` for the cluster that this machine belongs to.
        cpus: processors.
        gpus: GPUs; tasks may share one, each with a fraction.
    """

    address: str
    cpus: int = 1
    gpus: float = 0.0

    @property
    def resources(self) -> dict[str, float]:
        """The options of a task for Ray."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}


def load_ray() -> Any:
    """The module `ray`, imported so that it reports to nobody and leaves the terminal alone.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, it is not installed.
    """
    ray = load_package("ray", "--ray")
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    # Errors of nodes would be printed to the standard output, which may be the stream. Ray's debugger has this switch.
    importlib.import_module("ray._private.worker").__dict__["_worker_logs_enabled"] = False
    return ray


def connect(cluster: Cluster) -> Any:
    """Connect this process to a cluster; the module `ray`, whose `shutdown` disconnects.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, Ray is not installed.
        OutputError: E_RAY, the cluster does not answer within half a minute, or refuses.
    """
    require_packages(("ray",), "--ray")
    ray = load_ray()
    _try(cluster.address)
    heeded = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="error", configure_logging=False)
    except Exception as error:
        raise _unreachable(cluster.address, f"{type(error).__name__}: {error}") from error
    finally:
        # Ray sets a handler of its own.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, heeded)
    return ray


def _try(address: str) -> None:
    """Connect once in another process: Ray cannot be interrupted while it waits for an answer, for minutes.

    Raises:
        OutputError: E_RAY.
    """
    command = [sys.executable, "-c", _TRIAL, address]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise _unreachable(address, f"no answer in {_PATIENCE:.0f} s") from None
    if done.returncode:
        raise _unreachable(address, done.stderr.decode("utf-8", "replace"))


def _unreachable(address: str, reason: str) -> OutputError:
    where = "this machine belongs to" if address == "auto" else f"at {address}"
    return OutputError(
        "E_RAY",
        f"the Ray cluster {where} cannot be reached ({' '.join(reason.split())[:300]}): "
        "on the head, start it with: ray start --head --disable-usage-stats; here, join it with: "
        "ray start --address=HEAD:6379, then use --ray auto",
    )


def _tasks_on_gpus(there: float, each: float) -> float:
    """Number of tasks that take `each` of a node's GPUs; a share of one is never of two."""
    if not each:
        return sys.maxsize
    return int(there) * int(1 / each) if each < 1 else there / each


def room(ray: Any, cluster: Cluster) -> int:
    """Number of tasks that all nodes together have the resources for, with those that run; 0 to 256.

    Args:
        ray: the module, connected.
        cluster: what a task takes.
    """
    tasks = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            tasks += int(min(has.get("CPU", 0) / cluster.cpus, _tasks_on_gpus(has.get("GPU", 0), cluster.gpus)))
    return min(tasks, LARGEST_NUMBER_OF_TASKS)


def raised_by_task(error: Any) -> BaseException:
    """What a task raised, from the `RayTaskError` around it; OutputError, E_RAY, where its node has no nvrc-ref."""
    cause: BaseException = error.cause
    # Where a task cannot even be unpickled, Ray raises an error of its own in its place.
    if isinstance(cause, ImportError) or "failed to import on the worker" in str(cause):
        return OutputError(
            "E_RAY",
            f"a node of the cluster cannot run nvrc-ref ({' '.join(str(cause).split())[-200:]}): every node needs the "
            'same pip install "nvrc-ref[encoder,ray]"',
        )
    return cause


def texts(error: BaseException) -> str:
    """What an error of Ray says, in one line without the traceback of the other process."""
    return " ".join(str(error).split())[:300]
