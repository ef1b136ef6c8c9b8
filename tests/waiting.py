"""Waiting for what another thread or process brings about."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["PATIENCE", "wait_until"]

# Seconds after which what a test waits for will not come, however busy the machine is.
PATIENCE = 60.0


def wait_until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Return as soon as the condition holds; the test fails if it never does."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain"
        time.sleep(0.005)
