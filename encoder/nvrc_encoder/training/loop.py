"""The training loop: steps of a `Run` until it is done, with checkpoints on the way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from nvrc_decoder.errors import OutputError
from nvrc_encoder.training.checkpoint import save_checkpoint
from nvrc_encoder.training.interruption import Interruption
from nvrc_encoder.training.run import Progress, Run

__all__ = ["CHECKPOINT_SECONDS", "train"]

log = logging.getLogger("nvrc_encoder")

CHECKPOINT_SECONDS = 30.0
"""Seconds of training between two checkpoints, at least."""
_LARGEST_SHARE = 0.02
"""Largest share of the time that may go into writing checkpoints."""


def train(
    run: Run,
    report: Callable[[Progress], None] | None = None,
    *,
    path: Path | None = None,
    key: Mapping[str, str] | None = None,
    every: float = CHECKPOINT_SECONDS,
    interruption: Interruption | None = None,
) -> None:
    """Finish a run. Checkpoints are written at intervals, at the end, and where the run is interrupted.

    If a checkpoint cannot be written, one warning says so, and the run continues.

    Args:
        run: fresh or restored.
        report: called with each `Progress`.
        path: file of the checkpoints; None for none.
        key: the encode's `fingerprint`.
        every: seconds between checkpoints, at least; longer where writing takes long, 0 for one after each step.
        interruption: may end the run early, after a checkpoint.
    """
    interruption = interruption or Interruption()
    if path is None:
        while not run.done:
            progress = run.advance()
            if progress is not None and report is not None:
                report(progress)
        return
    told = False

    def save(target: Path) -> None:
        nonlocal told
        try:
            save_checkpoint(target, run, key or {})
            interruption.kept = run.place
        except OutputError as error:
            interruption.failed = True
            if not told or interruption.asked:
                log.warning("warning: %s%s", error.message, "" if interruption.asked else "; the encode continues")
            told = True

    # The first step is saved at once: what went before it, trials and start, may have taken long.
    due = time.monotonic()
    with interruption.deferred():
        while not run.done and not interruption.asked:
            progress = run.advance()
            if not run.done and time.monotonic() >= due:
                began = time.monotonic()
                save(path)
                now = time.monotonic()
                due = now + (max(every, (now - began) / _LARGEST_SHARE) if every else 0.0)
            if progress is not None and report is not None:
                report(progress)
        save(path)
