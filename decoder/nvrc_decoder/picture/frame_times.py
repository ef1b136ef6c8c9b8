"""Durations of frames as `nvrc.times` holds them: a time base and runs of equal durations (spec 3.6.1)."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby

__all__ = ["RUNS_MAX", "FrameTimes", "format_times", "parse_times"]

RUNS_MAX = 65536
"""Most runs in one entry."""
_TERM_MAX = (1 << 31) - 1
_WORD_MAX = (1 << 32) - 1
_BASE = re.compile(r"([1-9][0-9]{0,9})/([1-9][0-9]{0,9})")
_RUN = re.compile(r"([1-9][0-9]{0,9})(?:\*([1-9][0-9]{0,9}))?")


class FrameTimes:
    """Durations of consecutive frames.

    Args:
        time_base: seconds per tick.
        runs: (ticks of each frame, number of frames), at least one.

    Attributes:
        time_base: seconds per tick.
        frames: number of frames that have a duration.
        runs: number of runs.
    """

    def __init__(self, time_base: Fraction, runs: Sequence[tuple[int, int]]) -> None:
        self.time_base = time_base
        self._ticks = array("Q")
        self._frames = array("Q", [0])
        self._starts = array("Q", [0])
        for ticks, frames in runs:
            self._ticks.append(ticks)
            self._frames.append(self._frames[-1] + frames)
            self._starts.append(self._starts[-1] + ticks * frames)
        self.frames = self._frames[-1]
        self.runs = len(self._ticks)

    def start(self, frame: int) -> Fraction:
        """Start of frame `frame`, 0..frames, in seconds from the first one; at `frames` their whole duration."""
        run = min(bisect_right(self._frames, frame), len(self._ticks)) - 1
        return (self._starts[run] + (frame - self._frames[run]) * self._ticks[run]) * self.time_base


def parse_times(text: str) -> FrameTimes:
    """The value of `nvrc.times`.

    Raises:
        ValueError: it is malformed.
    """
    head, _, tail = text.partition(" ")
    base = _BASE.fullmatch(head)
    if base is None or max(int(base[1]), int(base[2])) > _TERM_MAX:
        raise ValueError("it does not begin with a time base such as 1/90000")
    if tail.count(",") >= RUNS_MAX:
        raise ValueError(f"it has more than {RUNS_MAX} runs")
    runs = []
    total = 0
    for part in tail.split(","):
        match = _RUN.fullmatch(part)
        ticks, frames = (0, 0) if match is None else (int(match[1]), int(match[2] or 1))
        total += ticks * frames
        if match is None or max(ticks, frames) > _WORD_MAX or total >= 1 << 63:
            raise ValueError("it has a run other than TICKS or TICKS*FRAMES")
        runs.append((ticks, frames))
    return FrameTimes(Fraction(int(base[1]), int(base[2])), runs)


def format_times(time_base: Fraction, ticks: Sequence[int]) -> str:
    """The value of `nvrc.times` for the durations of consecutive frames, in ticks.

    Raises:
        ValueError: the format cannot carry them.
    """
    runs = [(value, len(list(group))) for value, group in groupby(ticks)]
    parts = (str(value) if count == 1 else f"{value}*{count}" for value, count in runs)
    text = f"{time_base.numerator}/{time_base.denominator} {','.join(parts)}"
    parse_times(text)
    return text
