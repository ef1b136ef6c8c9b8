"""Programs whose standard error is a terminal."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
from contextlib import suppress
from typing import BinaryIO

__all__ = ["on_a_terminal"]


def on_a_terminal(
    command: list[str],
    columns: int,
    kind: str,
    patience: float,
    source: BinaryIO | int = subprocess.DEVNULL,
) -> tuple[int, str]:
    """Run a command whose standard error is a terminal.

    Args:
        command: the command.
        columns: width of the terminal.
        kind: its TERM.
        patience: seconds without output after which the test fails.
        source: the command's standard input.

    Returns:
        The exit code, and what the terminal received.
    """
    screen, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        command, stdin=source, stdout=subprocess.DEVNULL, stderr=terminal, env={**environment, "TERM": kind}
    ) as process:
        os.close(terminal)
        shown = bytearray()
        with suppress(OSError):  # Linux: the last writer has closed it
            while select.select([screen], [], [], patience)[0] and (piece := os.read(screen, 1 << 16)):
                shown += piece
        os.close(screen)
        return process.wait(patience), shown.decode()
