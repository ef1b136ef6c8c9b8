"""Progress of encoding and of decoding on the standard error."""

from __future__ import annotations

import io
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from nvrc_decoder.errors import NvrcError
from nvrc_ref.damage import DamageReport
from nvrc_ref.render import note

if TYPE_CHECKING:
    from nvrc_decoder.video import Video
    from nvrc_encoder.run import Progress

__all__ = ["frame_bar", "progress_bar"]


@contextmanager
def progress_bar(quiet: bool, tune: str) -> Iterator[Callable[[Progress], None] | None]:
    """What takes the encoder's progress: a bar on a terminal, a line at every tenth elsewhere; None if quiet.

    The distortion is told in dB of what is tuned for, `tune`.
    """
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    unit = "dB 6:1:1" if tune == "psnr" else f"dB of {tune}"
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(console.print, unit)
        return
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}  {task.fields[psnr]:.2f} " + unit + "  {task.fields[bpp]:.4f} bpp"),
        TextColumn("{task.fields[moving]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("starting", total=None, psnr=0.0, bpp=0.0, moving="")
        moving = _moving_lambda()

        def update(state: Progress) -> None:
            bar.update(
                task,
                description=state.phase,
                completed=state.iteration,
                total=state.iterations,
                psnr=state.psnr,
                bpp=state.bpp,
                moving=moving(state),
            )

        yield update


def _moving_lambda() -> Callable[[Progress], str]:
    """What says lambda, once it has moved."""
    first: float | None = None

    def text(state: Progress) -> str:
        nonlocal first
        first = state.lagrangian if first is None else first
        return "" if state.lagrangian == first else f"lambda {state.lagrangian:.3g}"

    return text


def _lines(write: Callable[..., None], unit: str) -> Callable[[Progress], None]:
    """Progress for a log: one line at every tenth of the iterations, and one as the search of the steps begins."""
    last = (-1, False)
    moving = _moving_lambda()

    def update(state: Progress) -> None:
        nonlocal last
        now = 10 * state.iteration // max(state.iterations, 1), state.phase == "search"
        lagrangian = moving(state)
        if now == last:
            return
        last = now
        rest = state.iterations - state.iteration
        eta = f"{state.seconds * rest / state.iteration:.0f} s" if state.iteration else "-"
        write(
            f"{state.phase} {state.iteration}/{state.iterations}  {state.psnr:.2f} {unit}  {state.bpp:.4f} bpp  "
            f"{state.seconds:.0f} s  ETA {eta}  {lagrangian}".rstrip(),
            highlight=False,
        )

    return update


class _Terminal(io.TextIOBase):
    """What can be written to a terminal and is no loss if that has gone, as when its window was closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(self._descriptor, text.encode())
        return len(text)


@contextmanager
def frame_bar(
    video: Video, report: DamageReport, shown: bool, start: int = 0, most: int | None = None
) -> Iterator[Callable[[], None]]:
    """What is to be called after each frame: a bar where standard error is a terminal, nothing elsewhere.

    It is click's, since decoding is installed without rich.

    Args:
        video: what is decoded.
        report: what writes lines meanwhile, from now on where a bar may stand.
        shown: whether there may be a bar.
        start, most: the first frame and the most frames that are wanted; of a pipe, `most` is taken for the total.
    """
    if not shown or sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    total = _frames_ahead(video, start, most)
    endless = itertools.count() if total is None else None
    began = time.monotonic()

    def remaining(count: int | None) -> str | None:
        # Right when a GOP's frames are out, which come all at once. click's is an average of what was said in between.
        if total is None or not count or count >= total:
            return None
        return f"ETA {timedelta(seconds=round((time.monotonic() - began) * (total - count) / count))}"

    with click.progressbar(
        endless,
        length=total,
        label="decoding",
        width=24,
        show_eta=False,
        show_pos=True,
        item_show_func=remaining,
        file=_Terminal(sys.stderr.fileno()),
    ) as bar:
        # In the place of the bar, which comes again with the next frame.
        report.write = lambda line: note(f"\r\033[K{line}")
        yield lambda: bar.update(1, bar.pos + 1)


def _frames_ahead(video: Video, start: int, most: int | None) -> int | None:
    """How many frames will come, or `most` if that is not known before they do."""
    try:
        count = video.frame_count
    except NvrcError:  # said when decoding comes to it
        count = None
    if count is None:
        return most
    return max(count - start, 0) if most is None else min(max(count - start, 0), most)
