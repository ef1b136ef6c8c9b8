"""Wall time and processor time of named parts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Span", "Stopwatch", "median", "timed"]

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Span:
    """A duration.

    Attributes:
        seconds: wall time.
        cpu: processor time of all threads of this process; a busy machine stretches it less than the wall time.
    """

    seconds: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Span) -> Span:
        return Span(self.seconds + other.seconds, self.cpu + other.cpu)

    def __sub__(self, other: Span) -> Span:
        return Span(self.seconds - other.seconds, self.cpu - other.cpu)


class Stopwatch:
    """Adds up the time of parts, each of which may run many times."""

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the block to the part `name`."""
        began = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            span = Span(time.perf_counter() - began[0], time.process_time() - began[1])
            self.spans[name] = self.spans.get(name, Span()) + span


def timed(call: Callable[[], _Result]) -> tuple[Span, _Result]:
    """The time of one call, and its result."""
    watch = Stopwatch()
    with watch.part(""):
        result = call()
    return watch.spans[""], result


def median(spans: Sequence[Span]) -> Span:
    """The medians of both times, each taken separately."""
    return Span(statistics.median(span.seconds for span in spans), statistics.median(span.cpu for span in spans))
