"""Progress of an encode on the standard error: an estimate of its time, then one bar or a few lines."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, cast

from nvrc_encoder.options import EncodeOptions
from nvrc_encoder.training.outlook import Outlook
from nvrc_output.text import counted, duration, note
from nvrc_ref.terminal import Terminal, is_smart

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

    from nvrc_encoder.training.run import Progress

__all__ = ["EncodeProgress", "bar_line", "clock", "encode_progress", "logging_to", "memory_here", "write_line"]

_STAGES = {
    "": "reading",
    "pilot start": "pilot",
    "pilot": "pilot",
    "trials": "trials",
    "start": "start",
    "training": "training",
    "search": "search",
    "writing": "writing",
}
_LEAST_BAR, _LONGEST_BAR = 6, 40
_LINE_SECONDS = 30.0
_LINE_SHARE = 0.1
_LONG = 120.0
"""Encodes that take more seconds come with advice how to shorten them."""
_FEW_FRAMES, _FEW_ITERATIONS = 32, 200


def _shorter(options: EncodeOptions, frames: int) -> list[str]:
    """Options that shorten the encode."""
    found = []
    if options.plan(frames).iterations > _FEW_ITERATIONS:
        found.append("--preset draft" if options.iterations is None else f"--iterations {_FEW_ITERATIONS}")
    if frames > _FEW_FRAMES:
        found.append(f"--frames {_FEW_FRAMES}")
    return found


def memory_here() -> float | None:
    """Bytes of memory of this machine; None where the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None


def clock(seconds: float | None) -> str:
    """``1:02:03``, or dashes for None."""
    if seconds is None:
        return "-:--:--"
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


class EncodeProgress:
    """The progress of an encode as text.

    Args:
        options: the encode's options.
        write: prints a line.
        probing: as in `Outlook`.
        limited: whether the encode has a time limit, and needs no advice how to shorten it.
    """

    def __init__(
        self, options: EncodeOptions, write: Callable[[str], None], probing: bool = False, limited: bool = False
    ) -> None:
        self._limited = limited
        self.outlook = Outlook(self.changed, probing=probing)
        self.write = write
        self._options = options
        self._unit = "dB" if options.tune == "psnr" else f"dB of {options.tune}"
        self._state: Progress | None = None
        self._stage = ""
        self._told_facts = self._told_rough = self._told_time = False
        self._share = 0.0

    def update(self, state: Progress) -> None:
        """Record the encoder's progress."""
        self._state = state

    def changed(self) -> None:
        """Print new facts, each once: the picture, the memory, the time."""
        outlook = self.outlook
        if outlook.stage != self._stage:
            self._stage, self._state = outlook.stage, None
        if not self._told_facts and outlook.picture is not None:
            self._told_facts = True
            self.write(
                f"{counted(outlook.frames, 'frame')} of {outlook.picture.describe()}, "
                f"about {outlook.memory / 1e9:.1f} GB of memory"
            )
            self._warn_of_memory()
        left = outlook.remaining
        if left is None or self._told_time:
            return
        whole = outlook.elapsed + left
        advice = _shorter(self._options, outlook.frames) if whole >= _LONG and not self._limited else []
        shorter = f"; shorter: {', '.join(advice)}" if advice else ""
        if outlook.known:
            self._told_time = True
            self.write(f"about {duration(whole)} here{shorter}")
        elif outlook.stage == "start" and not self._told_rough and whole >= _LONG:
            # The start of a long video takes many minutes, and iterations can be timed only after it.
            self._told_rough = True
            self.write(f"roughly {duration(whole)} here by the trials, a better estimate follows{shorter}")

    def _warn_of_memory(self) -> None:
        here = memory_here()
        if here is not None and self.outlook.memory > here:
            self.write(
                f"warning: this machine has {here / 1e9:.1f} GB; if that is too little: a shorter --segment or --gop"
            )

    @property
    def share(self) -> float:
        """Share of the time that has passed, 0..1; never decreases."""
        self._share = max(self._share, self.outlook.share)
        return self._share

    def parts(self) -> tuple[str, list[str], str]:
        """The stage, its details with the most important first, and the remaining time."""
        outlook, state = self.outlook, self._state
        stage = _STAGES[outlook.stage]
        eta = f"ETA {clock(outlook.remaining)}"
        details = []
        if outlook.steps:
            details.append(f"{outlook.step}/{outlook.steps}")
        if state is not None and outlook.stage in ("pilot", "trials", "training", "search"):
            details += [f"{state.psnr:.2f} {self._unit}", f"{state.bpp:.4f} bpp"]
            if state.phase == "exact":
                stage = "exact"
        return stage, details, eta


def _percent(progress: EncodeProgress) -> str:
    # 100 % would say that the encode is done.
    return f"{min(99, int(100 * progress.share)):3}"


def _words(progress: EncodeProgress) -> list[str]:
    stage, details, eta = progress.parts()
    return [stage, *details, eta]


def bar_line(progress: EncodeProgress, width: int, ascii_only: bool = False) -> str:
    """One line of at most `width` columns: stage, bar, percent, as many details as fit, and ETA."""
    stage, details, eta = progress.parts()
    head, tail = f"{stage:8} ", f" {_percent(progress)} %"
    space = width - len(head) - len(tail) - len(eta) - 2
    shown = ""
    for detail in details:
        if space - len(shown) - len(detail) - 2 < _LEAST_BAR:
            break
        shown += f"  {detail}"
    bar = min(_LONGEST_BAR, space - len(shown))
    if bar < 1:
        return f"{stage}{tail} {eta}"[:width]
    done = round(bar * progress.share)
    full, empty = ("#", "-") if ascii_only else "━─"
    return f"{head}{full * done}{empty * (bar - done)}{tail}{shown}  {eta}"


class _Line:
    """The bar as rich draws it, as wide as the terminal is at that moment."""

    def __init__(self, progress: EncodeProgress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        from rich.text import Text

        # One column less: some terminals start a new line after the last column.
        yield Text(bar_line(self._progress, options.max_width - 1, options.ascii_only), no_wrap=True, overflow="crop")


class _Lines(EncodeProgress):
    """Progress for a log: a line at each tenth of the time, and every half a minute if 1 % was done."""

    _last_share, _last_time = 0.0, -_LINE_SECONDS

    def changed(self) -> None:
        super().changed()
        if self.outlook.remaining is None:
            return
        now, more = self.outlook.elapsed, self.share - self._last_share
        if more >= _LINE_SHARE or (more >= _LINE_SHARE / 10 and now - self._last_time >= _LINE_SECONDS):
            self._last_share, self._last_time = self.share, now
            self.write("  ".join([f"{_percent(self)} %", *_words(self)]))


class _LogHandler(logging.Handler):
    """Prints what the encoder logs where its progress is printed."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write(record.getMessage())


@contextmanager
def logging_to(write: Callable[[str], None], level: int = logging.INFO) -> Iterator[None]:
    """Print what the encoder logs with `write`, in place of an outer one."""
    log = logging.getLogger("nvrc_encoder")
    outer = [other for other in log.handlers if isinstance(other, _LogHandler)]
    handler, before = _LogHandler(write), log.level
    for other in outer:
        log.removeHandler(other)
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield
    finally:
        log.removeHandler(handler)
        for other in outer:
            log.addHandler(other)
        log.setLevel(before)


def write_line(line: str) -> None:
    """Print a line on stderr."""
    with suppress(OSError):  # the reader of stderr has gone
        note(line)


@contextmanager
def encode_progress(
    options: EncodeOptions, quiet: bool, probing: bool = False, limited: bool = False
) -> Iterator[EncodeProgress | None]:
    """Yield what shows the encoder's progress: a bar on a terminal, lines elsewhere; None if `quiet`.

    The encoder's warnings are printed in any case.

    Args:
        options: the encode's options.
        quiet: whether nothing is shown.
        probing, limited: as in `EncodeProgress`.
    """
    if quiet:
        with logging_to(write_line, logging.WARNING):
            yield None
        return
    if sys.stderr is None or not is_smart(sys.stderr):
        with logging_to(write_line, logging.INFO):
            yield _Lines(options, write_line, probing, limited)
        return
    from rich.console import Console
    from rich.live import Live

    terminal = Terminal(sys.stderr.fileno(), sys.stderr.encoding or "utf-8")
    console = Console(file=cast(TextIO, terminal), force_terminal=True)

    def above(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    progress = EncodeProgress(options, above, probing, limited)
    live = Live(_Line(progress), console=console, refresh_per_second=4, transient=True, redirect_stdout=False)
    with live, logging_to(above, logging.INFO):
        yield progress
