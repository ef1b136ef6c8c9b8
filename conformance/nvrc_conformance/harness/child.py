"""One run of the decoder under test: a process of its own, with limits on time, memory and the sizes of its files."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nvrc_conformance.text import printable
from nvrc_decoder.errors import InputError

__all__ = ["Children", "Ending", "StoppedError"]

# Limits its own address space and becomes the decoder. `preexec_fn` of subprocess is not safe where there are threads.
# Where that fails, a signal ends it: an exit code could pass for one of the decoder. Python ignores two signals, which
# the decoder must not inherit.
_LIMITED = """
import os, resource, signal, sys
try:
    most, hard = int(sys.argv[1]), resource.getrlimit(resource.RLIMIT_AS)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    os.execvp(sys.argv[2], sys.argv[2:])
except BaseException as error:
    os.write(2, f"cannot start {sys.argv[2]}: {error}\\n".encode(errors="replace"))
finally:
    os.kill(os.getpid(), signal.SIGKILL)
"""
# The largest stream has a few megabytes of frames. A decoder that does not stop writing would fill the disk otherwise.
_LARGEST_FILE = 1 << 30
_TAIL_BYTES = 2000
_LINE = 200


@dataclass(frozen=True)
class Ending:
    """How a run ended.

    Attributes:
        code: exit code; -N where signal N ended it; None where it was killed at the time limit.
        seconds: how long it ran.
        said: the last line that it printed, for people; never scored.
    """

    code: int | None
    seconds: float
    said: str


class StoppedError(Exception):
    """The runs were stopped before this one began."""


class Children:
    """Runs programs, in any number of threads, and can kill all that are running."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self,
        words: list[str],
        folder: Path,
        log: Path,
        timeout: float,
        memory: int | None,
        *,
        printed: Path | None = None,
    ) -> Ending:
        """Run a program to its end or to the time limit; then kill what is left of its process group.

        Args:
            words: program and arguments.
            folder: its working folder.
            log: file for what it prints on stdout and stderr.
            timeout: seconds that it may run.
            memory: bytes of address space that it may use; None for no limit.
            printed: file for its stdout alone; None to have it in the log.

        Raises:
            InputError: E_ADAPTER, the program cannot be started.
            StoppedError: `stop` was called before.
        """
        if memory is not None:
            words = [sys.executable, "-I", "-S", "-c", _LIMITED, str(memory), *words]
        began = time.monotonic()
        with log.open("ab") as said, (printed or log).open("ab") as out:
            process = self._start(words, folder, out.fileno(), said.fileno())
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout)
            code = process.poll()
            seconds = time.monotonic() - began
        finally:
            self._end(process)
        return Ending(code, seconds, _last_line(log))

    def stop(self) -> None:
        """Kill all programs that are running; no further one starts."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def _start(self, words: list[str], folder: Path, out: int, said: int) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise StoppedError
            try:
                process = subprocess.Popen(
                    words, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=said, start_new_session=True
                )
            except OSError as error:
                raise InputError("E_ADAPTER", f"cannot start {words[0]}: {error.strerror}") from None
            self._running.add(process)
            _limit_files(process.pid)
            return process

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(process)
            _kill(process)
        process.wait()


def _limit_files(pid: int) -> None:
    """Bound what a process, and those that it starts, write into one file; SIGXFSZ ends them (on Linux)."""
    if sys.platform == "linux":
        with suppress(ProcessLookupError, PermissionError, ValueError):  # it ended, or has a smaller limit already
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and what it started; where it has just ended, what it left running has its group still."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:  # the decoder removed it
        return ""
    text = next((line for line in reversed(lines) if line.strip()), "")
    return " ".join(map(printable, text.split()))[:_LINE]
