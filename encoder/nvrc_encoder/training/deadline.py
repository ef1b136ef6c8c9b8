"""The time by which an encode has to be done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

__all__ = ["Deadline"]


class Deadline:
    """A time limit that runs from now on.

    Args:
        seconds: the limit, > 0.
        part: whether this is a share of another limit, so that nobody is told where it is passed.
        clock: gives the time in seconds.

    Attributes:
        seconds, part, clock: the arguments.

    Raises:
        ValueError: the limit is no positive number.
    """

    def __init__(self, seconds: float, part: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"the time limit is {seconds}: it must be a positive number of seconds")
        self.seconds, self.part, self.clock = seconds, part, clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; negative where the limit has been passed."""
        return self._end - self.clock()
