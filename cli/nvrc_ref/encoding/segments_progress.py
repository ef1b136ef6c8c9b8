"""Progress of a video that is encoded in segments: one bar for all of them, or a line for each that is done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from nvrc_output.text import counted, duration
from nvrc_ref.encoding.progress import clock, logging_to, write_line
from nvrc_ref.terminal import Terminal, is_smart

if TYPE_CHECKING:
    from nvrc_encoder.segments.coordinator import Overall

__all__ = ["overall_bar", "overall_line", "segments_progress"]

_BAR = 30
_LINE_SECONDS = 60.0


def _segments(state: Overall) -> str:
    if state.all_segments is None:
        return counted(state.segments, "segment")
    return f"{state.segments} of {counted(state.all_segments, 'segment')}"


def overall_line(state: Overall) -> str:
    """Segments and frames done, and the time left, such as ``2 segments done, 64 of 96 frames, about 3 min left``."""
    whole = "" if state.all_frames is None else f" of {state.all_frames}"
    left = state.remaining
    rest = "" if left is None or left <= 0 else f", about {duration(left)} left"
    return f"{_segments(state)} done, {int(state.frames)}{whole} frames{rest}"


def overall_bar(state: Overall, width: int, ascii_only: bool = False) -> str:
    """One line of at most `width` columns: segments, a bar where the length is known, frames, ETA."""
    head, eta = _segments(state), f"ETA {clock(state.remaining)}"
    if state.all_frames is None:
        return f"{head}  {int(state.frames)} frames"[:width]
    share = min(1.0, state.frames / state.all_frames)
    frames = f"{int(state.frames)}/{state.all_frames} frames"
    bar = min(_BAR, width - len(head) - len(frames) - len(eta) - 6)
    if bar < 1:
        return f"{head} {eta}"[:width]
    done = round(bar * share)
    full, empty = ("#", "-") if ascii_only else "━─"
    return f"{head}  {full * done}{empty * (bar - done)}  {frames}  {eta}"


class _Lines:
    """A line for each finished segment, and for each minute."""

    def __init__(self) -> None:
        self._segments, self._seconds = 0, 0.0

    def told(self, state: Overall) -> None:
        if state.segments == self._segments and state.seconds - self._seconds < _LINE_SECONDS:
            return
        self._segments, self._seconds = state.segments, state.seconds
        write_line(overall_line(state))


@contextmanager
def segments_progress(quiet: bool, *, together: bool) -> Iterator[Callable[[Overall], None] | None]:
    """Yield what shows the progress of the whole: a bar on a terminal, else lines; None if `quiet`.

    Args:
        quiet: whether to show nothing.
        together: whether it is all there is; otherwise the progress of each segment is shown beside it, and lines do.
    """
    if quiet:
        yield None
        return
    if not together or sys.stderr is None or not is_smart(sys.stderr):
        yield _Lines().told
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    terminal = Terminal(sys.stderr.fileno(), sys.stderr.encoding or "utf-8")
    console = Console(file=cast(TextIO, terminal), force_terminal=True)

    def above(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with Live(console=console, refresh_per_second=4, transient=True, redirect_stdout=False) as live, logging_to(above):

        def told(state: Overall) -> None:
            line = overall_bar(state, console.width - 1, console.options.ascii_only)
            live.update(Text(line, no_wrap=True, overflow="crop"))

        yield told
