"""Out-of-memory errors, whether of Python, NumPy, OpenCV, ONNX Runtime, PyTorch or the system, as one `LimitError`."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from nvrc_decoder.errors import LimitError, NvrcError

__all__ = ["DECODE_ADVICE", "is_out_of_memory", "memory_error", "memory_errors"]

DECODE_ADVICE = "use fewer threads (1 takes the least) or a lower max_memory_bytes"

_OPENCV_NO_MEMORY = -4
# Parts of messages in lower case; the packages have no common class for this.
_MESSAGES = (
    "not enough memory",
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate memory",
    "failed to map segment",
    "bad_alloc",
    "bad allocation",
    "alloc_failed",
    "smaller than requested bytes",
    "can't start new thread",
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or the one that it was raised from, says that there was not enough memory."""
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
            return True
        if type(error).__module__.startswith("cv2") and getattr(error, "code", None) == _OPENCV_NO_MEMORY:
            return True
        # The message of our own errors is about the stream; the error that they were raised from may be about memory.
        if not isinstance(error, NvrcError) and any(part in str(error).lower() for part in _MESSAGES):
            return True
        error = error.__cause__
    return False


def memory_error(advice: str = "") -> LimitError:
    """The error to raise; `advice` says what to do to use less memory."""
    return LimitError("E_MEMORY", "not enough memory" + (f": {advice}" if advice else ""))


@contextmanager
def memory_errors(advice: str) -> Iterator[None]:
    """Turns any out-of-memory error into a `LimitError`, E_MEMORY.

    Args:
        advice: what to do to use less memory.
    """
    try:
        yield
    except LimitError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise memory_error(advice) from error
        raise
