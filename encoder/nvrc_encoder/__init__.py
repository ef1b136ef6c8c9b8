"""The encoder: overfits a synthesis network to a video and writes an nvrc stream. Needs the ``encoder`` extra.

PyTorch loads with the first use of `encode`, not with this package, so that reading a video stays light.
"""

from __future__ import annotations

import importlib
from typing import Any

import nvrc_decoder
from nvrc_decoder.system.packages import load_package, package_faults

__all__ = [
    "Deadline",
    "EncodeOptions",
    "EncodeReport",
    "RawFormat",
    "SegmentedSource",
    "Source",
    "__version__",
    "array_source",
    "encode",
    "encode_segments",
    "longest_segment",
    "open_source",
]

_HOME = {
    "Deadline": "training.deadline",
    "EncodeOptions": "options",
    "EncodeReport": "report",
    "RawFormat": "source.video",
    "SegmentedSource": "segments.splitting",
    "Source": "source.video",
    "array_source": "source.arrays",
    "encode": "encoding",
    "encode_segments": "segments.coordinator",
    "longest_segment": "segments.splitting",
    "open_source": "source.video",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return nvrc_decoder.__version__
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOME[name] in ("encoding", "report", "segments.coordinator"):
        load_package("torch", "encoding")
    with package_faults():
        return getattr(importlib.import_module(f"nvrc_encoder.{_HOME[name]}"), name)
