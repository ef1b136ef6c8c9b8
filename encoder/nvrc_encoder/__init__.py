"""The encoder: overfits a synthesis network to a video and writes an nvrc stream. Needs the ``encoder`` extra.

PyTorch loads with the first use of `encode`, not with this package, so that reading a video stays light.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["EncodeOptions", "EncodeReport", "encode"]

_HOME = {"EncodeOptions": "options", "EncodeReport": "encoding", "encode": "encoding"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"nvrc_encoder.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
