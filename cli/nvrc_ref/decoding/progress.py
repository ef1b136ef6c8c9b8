"""Progress of decoding on the standard error: a bar, or a few lines."""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO, cast

import click

from nvrc_decoder.errors import NvrcError
from nvrc_output.text import note
from nvrc_ref.decoding.keep_going import DamageReport
from nvrc_ref.terminal import Terminal, is_smart

if TYPE_CHECKING:
    from nvrc_decoder.video import Video

__all__ = ["frame_bar"]


@contextmanager
def frame_bar(
    video: Video, report: DamageReport, shown: bool, start: int = 0, most: int | None = None
) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each frame: it draws a bar on a terminal, and does nothing elsewhere.

    The bar is click's, since decoding is installed without rich. A terminal that cannot overwrite gets a few lines.

    Args:
        video: the video that is decoded.
        report: writes its lines above the bar from now on.
        shown: whether to show progress at all.
        start, most: the first frame and the most frames to decode; where the stream is a pipe, `most` is the total.
    """
    if not shown or sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    total = _frames_ahead(video, start, most)
    if not is_smart(sys.stderr):
        yield _lines(total)
        return
    endless = itertools.count() if total is None else None
    began = time.monotonic()

    def remaining(count: int | None) -> str | None:
        # Frames of a GOP come all at once, which click's own estimate is misled by. This one is right after each GOP.
        if total is None or not count or count >= total:
            return None
        return f"ETA {timedelta(seconds=round((time.monotonic() - began) * (total - count) / count))}"

    with click.progressbar(
        endless,
        length=total,
        label="decoding",
        width=_bar_width(total),
        show_eta=False,
        show_pos=True,
        item_show_func=remaining,
        file=cast(TextIO, Terminal(sys.stderr.fileno())),
    ) as bar:
        # Overwrites the bar, which is drawn again with the next frame.
        report.write = lambda line: note(f"\r\033[K{line}")
        yield lambda: bar.update(1, bar.pos + 1)


def _bar_width(total: int | None) -> int:
    """Columns of the bar, so that the whole line fits the terminal."""
    columns = 80
    with suppress(OSError, ValueError):
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or columns
    words = f"decoding  []  {total or 99999}/{total or ''}  ETA 00:00:00"
    return max(1, min(24, columns - 1 - len(words)))


def _lines(total: int | None) -> Callable[[], None]:
    """Print a line at every tenth of the frames, and every half a minute."""
    began = told = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal done, told
        done += 1
        now = time.monotonic()
        tenth = total is not None and 10 * done // total > 10 * (done - 1) // total
        if not (tenth or now - told >= 30):
            return
        told = now
        if total is None:
            note(f"decoding  {done}")
        else:
            left = timedelta(seconds=round((now - began) * (total - done) / done))
            note(f"decoding  {done}/{total}  {100 * done // total} %  ETA {left}")

    return advance


def _frames_ahead(video: Video, start: int, most: int | None) -> int | None:
    """The number of frames to come; `most` if the stream does not tell before they are decoded."""
    try:
        count = video.frame_count
    except NvrcError:  # raised again when decoding gets there
        count = None
    if count is None:
        return most
    return max(count - start, 0) if most is None else min(max(count - start, 0), most)
