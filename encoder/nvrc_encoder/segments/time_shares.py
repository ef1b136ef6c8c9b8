"""When all segments of a video are done, and each segment's share of a time limit for the whole."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

__all__ = ["time_share", "time_until_done"]

_LEAST = 1.0
"""Seconds that a segment gets in any case; it then does what it cannot do without."""
_STEPS = 50


def time_until_done(seconds: Sequence[float], jobs: int, busy: Sequence[float] = (), alone: bool = False) -> float:
    """Seconds until all segments are done, each by the job that is free first.

    Args:
        seconds: how long each segment takes that has not begun, in the order in which they begin.
        jobs, busy, alone: as in `time_share`.
    """
    free = [*busy, *[0.0] * (jobs - len(busy))]
    heapq.heapify(free)
    for i, each_takes in enumerate(seconds):
        end = heapq.heappop(free) + each_takes
        if i == 0 and alone:
            free = [max(end, each) for each in free]
        heapq.heappush(free, end)
    return max(free)


def time_share(ahead: Sequence[int], left: float, busy: Sequence[float], jobs: int, alone: bool = False) -> float:
    """Seconds for the next segment: in proportion to its frames, so that all segments are done in time.

    Args:
        ahead: numbers of frames of the segments that have not begun, the next one first.
        left: seconds until all have to be done.
        busy: for each running job, the seconds that it still has.
        jobs: number of jobs that run concurrently, more than run now.
        alone: whether all others wait for the next one.
    """
    low, high = 0.0, max(left, 0.0) / ahead[0]
    for _ in range(_STEPS):
        pace = (low + high) / 2
        if time_until_done([pace * frames for frames in ahead], jobs, busy, alone) <= left:
            low = pace
        else:
            high = pace
    return max(_LEAST, low * ahead[0])
