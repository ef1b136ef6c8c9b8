"""Settings of the C library's allocator: decoding returns large arrays to the system when freed, training keeps them.

glibc adapts: once a large array has been freed, it takes arrays up to that size, at most 32 MiB, from its heaps. There
the grids and frames of one GOP leave holes that those of the next do not fit, in the heap of each thread, and the peak
grows for some GOPs (docs/decisions/0022). With a fixed threshold, larger arrays have pages of their own; with one heap
for all threads, frames can use the holes that symbols leave. The threshold is glibc's initial one: with 1 MiB, decoding
took a twentieth less time, but the peak grew by a tenth in twenty GOPs at 1080p. Trimming is less eager than glibc's
initial setting, since new pages cost time.

Training differs: each iteration allocates and frees the same activations, at 720p most of them above 32 MiB. New pages
for each of them took a quarter of its time.
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
    """Fix both thresholds and the number of heaps, for a process that decodes.

    Running threads keep their heaps. The settings hold until the process ends.

    Returns:
        Whether that was done: it is not where the C library is not glibc, or the environment configures its allocator.
    """
    # Fixing one threshold ends the adaptation of both, and then trimming would be as eager as for small programs.
    return _set({_M_MMAP_THRESHOLD: MMAP_THRESHOLD, _M_TRIM_THRESHOLD: TRIM_THRESHOLD, _M_ARENA_MAX: 1})


def keep_large_arrays() -> bool:
    """Keep freed memory, for a process that trains; returns as `return_large_arrays`."""
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
