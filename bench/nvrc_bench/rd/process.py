"""Other programs as children: their time, peak memory and log; they end with this process."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nvrc_bench.machine import peak_resident_bytes
from nvrc_decoder.errors import NvrcError

__all__ = ["CommandError", "Execution", "Runner"]

_LONGEST_NAP = 0.1
_TAIL = 400
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class CommandError(NvrcError):
    """A program could not be started or failed; the message has the last lines of its output."""

    exit_code = 1


@dataclass(frozen=True)
class Execution:
    """Time and memory of a program.

    Attributes:
        seconds: wall time, its start included.
        cpu_seconds: processor time of all its threads and children.
        peak_bytes: its largest resident set, sampled until it ended.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int

    def __add__(self, other: Execution) -> Execution:
        return Execution(
            self.seconds + other.seconds,
            self.cpu_seconds + other.cpu_seconds,
            max(self.peak_bytes, other.peak_bytes),
        )


def _die_with_parent() -> None:
    """In the child: end with the parent, so that a killed benchmark leaves no encoder running."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Runner:
    """Runs programs, called from several threads; `stop` ends all of them.

    Args:
        threads: threads of each program.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._environment = {**os.environ, **dict.fromkeys(_THREAD_VARIABLES, str(threads))}

    def execute(self, command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]) -> Execution:
        """Run a program in `folder`, with its output appended to `log`.

        Raises:
            CommandError: E_COMMAND, it cannot be started, or fails.
        """
        began = time.perf_counter()
        with log.open("ab") as file:
            file.write((" ".join(command) + "\n").encode())
            file.flush()
            with self._lock:
                if self._stopped:
                    raise CommandError("E_COMMAND", "stopped")
                try:
                    process = subprocess.Popen(
                        list(command),
                        cwd=folder,
                        env={**self._environment, **environment},
                        stdin=subprocess.DEVNULL,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        preexec_fn=_die_with_parent,
                    )
                except OSError as error:
                    raise CommandError("E_COMMAND", f"cannot run {command[0]}: {error.strerror}") from None
                self._running.add(process)
        try:
            peak, usage, status = _wait(process.pid)
        finally:
            with self._lock:
                self._running.discard(process)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            tail = log.read_bytes()[-_TAIL:].decode("utf-8", "replace").strip().splitlines()
            last = " ".join(line.strip() for line in tail[-3:])
            raise CommandError("E_COMMAND", f"{Path(command[0]).name} failed ({process.returncode}): {last}")
        return Execution(time.perf_counter() - began, usage, peak)

    def stop(self) -> None:
        """Kill the running programs, and refuse new ones."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()


def _wait(pid: int) -> tuple[int, float, int]:
    """Peak memory, processor seconds and wait status of a child."""
    peak, nap = 0, 0.002
    while True:
        peak = max(peak, peak_resident_bytes(pid))
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            if not peak:
                peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
            return peak, usage.ru_utime + usage.ru_stime, status
        time.sleep(nap)
        nap = min(_LONGEST_NAP, nap * 1.2)
