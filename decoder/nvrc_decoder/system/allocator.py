"""The C library's allocator: decoding returns large arrays to the system when they are let go, training keeps them.

glibc learns from what is freed: after the first large array it takes all up to that size, at most 32 MiB, from its
heaps. There the grids and frames of one GOP leave holes that those of the next do not fit, in the heap of each thread,
and the peak grows for some GOPs (docs/decisions/0022). With a threshold that stays, what is larger has pages of
its own; and with one heap for all threads, the holes that the symbols leave are of use to the frames. The threshold is
glibc's first one: with 1 MiB, decoding took a twentieth less time, but the peak grew by a tenth in twenty GOPs at
1080p. Trimming is less eager than with glibc's first setting, since new pages cost time.

Training has other habits: each iteration takes and lets go the same activations, at 720p most of them above 32 MiB. New
pages for each were a third of its time.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

__all__ = ["MMAP_THRESHOLD", "TRIM_THRESHOLD", "keep_large_arrays", "return_large_arrays"]

MMAP_THRESHOLD = 1 << 17
TRIM_THRESHOLD = 16 << 20

# From <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_INT_MAX = (1 << 31) - 1
_VARIABLES = (
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_MAX_",
    "MALLOC_ARENA_MAX",
    "GLIBC_TUNABLES",
)


def return_large_arrays() -> bool:
    """Fix both thresholds for this process, which decodes, and the number of heaps; whether that was done.

    It is not with another C library than glibc, or where the environment says how its allocator is to work. Threads
    that are there already keep their heaps.
    """
    # Either threshold alone would end the learning of both, and trimming would be as eager as for small programs.
    return _set({_M_MMAP_THRESHOLD: MMAP_THRESHOLD, _M_TRIM_THRESHOLD: TRIM_THRESHOLD, _M_ARENA_MAX: 1})


def keep_large_arrays() -> bool:
    """Keep what is let go for this process, which trains; whether that was done, as for `return_large_arrays`."""
    return _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _INT_MAX})


def _set(parameters: Mapping[int, int]) -> bool:
    if any(name in os.environ for name in _VARIABLES) or not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(parameter, value) for parameter, value in parameters.items())


def _is_glibc() -> bool:
    if not hasattr(os, "confstr"):
        return False
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (OSError, ValueError):
        return False
