"""Progress of decoding on the standard error, and what may be written to a terminal that can go."""

from __future__ import annotations

import io
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
from nvrc_ref.damage import DamageReport

if TYPE_CHECKING:
    from nvrc_decoder.video import Video

__all__ = ["Terminal", "frame_bar", "is_smart"]


class Terminal(io.TextIOBase):
    """What can be written to a terminal and is no loss if that has gone, as when its window was closed."""

    def __init__(self, descriptor: int, encoding: str = "utf-8") -> None:
        self._descriptor = descriptor
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with suppress(OSError):
            os.write(self._descriptor, text.encode(self._encoding, "replace"))
        return len(text)


@contextmanager
def frame_bar(
    video: Video, report: DamageReport, shown: bool, start: int = 0, most: int | None = None
) -> Iterator[Callable[[], None]]:
    """What is to be called after each frame: a bar where standard error is a terminal, nothing elsewhere.

    It is click's, since decoding is installed without rich. A terminal that cannot go back gets a few lines.

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
    if not is_smart(sys.stderr):
        yield _lines(total)
        return
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
        width=_bar_width(total),
        show_eta=False,
        show_pos=True,
        item_show_func=remaining,
        file=cast(TextIO, Terminal(sys.stderr.fileno())),
    ) as bar:
        # In the place of the bar, which comes again with the next frame.
        report.write = lambda line: note(f"\r\033[K{line}")
        yield lambda: bar.update(1, bar.pos + 1)


def is_smart(stream: TextIO | None) -> bool:
    """Whether what was written to `stream` can be written over: a terminal that is not ``TERM=dumb``."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _bar_width(total: int | None) -> int:
    """Columns of the bar that leave place for all else in a line."""
    columns = 80
    with suppress(OSError, ValueError):
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or columns
    words = f"decoding  []  {total or 99999}/{total or ''}  ETA 00:00:00"
    return max(1, min(24, columns - 1 - len(words)))


def _lines(total: int | None) -> Callable[[], None]:
    """A line at every tenth of the frames or, where their number is not known, each half a minute."""
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
    """How many frames will come, or `most` if that is not known before they do."""
    try:
        count = video.frame_count
    except NvrcError:  # said when decoding comes to it
        count = None
    if count is None:
        return most
    return max(count - start, 0) if most is None else min(max(count - start, 0), most)
