"""OpenCV, imported by the call that needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nvrc_decoder.errors import InternalError
from nvrc_decoder.system.packages import load_package

__all__ = ["call", "import_cv2"]


def import_cv2(purpose: str) -> Any:
    """The module `cv2`; `purpose` says what needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, it is missing or half installed.
    """
    return load_package("cv2", purpose)


def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What a function of OpenCV returns.

    Raises:
        MemoryError: OpenCV ran out of memory.
        InternalError: E_RUNTIME, OpenCV failed.
    """
    import cv2

    try:
        return function(*arguments, **options)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(str(error)) from error
        raise InternalError("E_RUNTIME", f"OpenCV failed: {' '.join(str(error).split())[:300]}") from error
