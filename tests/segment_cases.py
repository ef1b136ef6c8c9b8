"""A segmented encode for the tests of pools, which must all write the same bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from encoder_cases import gradient_source, options

from nvrc_encoder.segments.coordinator import encode_segments
from nvrc_encoder.segments.splitting import SegmentedSource

__all__ = ["encoded"]


def encoded(folder: Path, **more: Any) -> bytes:
    """Three segments of two frames; `more` are arguments of `encode_segments`.

    Each has 200 iterations, several times as long as a worker of a cluster waits between two reports.
    """
    output = io.BytesIO()
    made = options(iterations=200, gop=2)
    encode_segments(SegmentedSource(gradient_source(16, 16, 6), 2), output, made, folder=folder, **more)
    return output.getvalue()
