"""Small clips in containers of FFmpeg's, with what these carry besides samples."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from nvrc_decoder.picture.presentation import Orientation

__all__ = ["make"]


def make(
    path: Path,
    count: int = 5,
    *,
    stamps: list[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    turn: Orientation | None = None,
    aspect: Fraction | None = None,
    params: str = "",
    codec: str = "libx264",
    noise: int = 0,
    **context: Any,
) -> Path:
    """A clip of 32x16, each frame of another grey, in a container of FFmpeg's."""
    rng = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        codec_options = {"x264-params": params} if codec == "libx264" and params else {}
        stream = container.add_stream(codec, rate=25, options=codec_options)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.codec_context.time_base = time_base
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        if turn is not None:
            a, b, c, d = (value << 16 for value in turn.matrix())
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio = aspect
        for number, stamp in enumerate(stamps or range(count)):
            luma = np.full((24, 32), 40 + 2 * number, np.uint8)
            luma[16:] = 128
            luma[:16] += rng.integers(0, noise + 1, (16, 32), np.uint8)
            frame = av.VideoFrame.from_ndarray(luma, format="yuv420p")
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
