"""One piece of work for each of some items, in a few threads that end with it.

There is no pool: its threads would have to be ended, and Python's own takes no work any more once the main thread has
returned, when other threads may still decode. Starting a thread takes a twentieth of a millisecond.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["cores", "each"]

Item = TypeVar("Item")


def cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def each(work: Callable[[Item], None], items: Sequence[Item], threads: int) -> None:
    """Call `work` for every item, in this thread and up to `threads` - 1 others.

    Returns when all threads have ended.

    Raises:
        BaseException: the first that `work` raised; items that nobody had begun by then are left out.
    """
    waiting = list(reversed(items))
    errors: list[BaseException] = []

    def take() -> None:
        try:
            while not errors:
                try:
                    item = waiting.pop()
                except IndexError:
                    return
                work(item)
        except BaseException as error:
            errors.append(error)

    helpers = [threading.Thread(target=take, name="nvrc-motion", daemon=True) for _ in range(threads - 1)]
    started = []
    for helper in helpers[: len(items) - 1]:
        try:
            helper.start()
        except RuntimeError:  # no more threads here
            break
        started.append(helper)
    take()
    for helper in started:
        helper.join()
    if errors:
        raise errors[0]
