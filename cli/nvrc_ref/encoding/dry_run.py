"""`nvrc-ref encode --dry-run`: what an encode would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvrc_encoder.options import EncodeOptions
from nvrc_output.text import counted, duration

if TYPE_CHECKING:
    from nvrc_decoder.picture.format import VideoFormat
    from nvrc_encoder.segments.forecast import Forecast

__all__ = ["forecast_text"]

_LISTED = 40
"""Segments that are listed; the JSON document has all of them."""


def _training(found: Forecast, options: EncodeOptions) -> str:
    """How long it trains, such as ``preset fast, 250 iterations``."""
    least, most = min(found.iterations), max(found.iterations)
    length = counted(most, "iteration") if least == most else f"{least} to {counted(most, 'iteration')}"
    return f"preset {options.preset}, {length}{' for each segment' if len(found.segments) > 1 else ''}"


def forecast_text(found: Forecast, picture: VideoFormat, options: EncodeOptions, jobs: int) -> str:
    """The forecast for people."""
    structure = options.structure()
    kept = [str(channels) for channels in structure.grid_channels]
    if found.candidates:
        shape = "trials choose it in each segment" if len(found.segments) > 1 else "trials choose it"
    else:
        shape = (
            f"channels {','.join(map(str, structure.stage_channels))}, grids {','.join(kept)}, "
            f"nodes every {structure.pyramid.node_spacing}"
        )
    lines = [
        f"video      {counted(found.frames, 'frame')} of {picture.describe()}",
        f"training   {_training(found, options)}, profile {options.profile}",
        f"structure  {shape}",
        *([f"trials     {'; '.join(found.candidates)}"] if found.candidates else []),
        f"segments   {len(found.segments)}, the longest of {counted(max(found.segments), 'frame')}, "
        f"in GOPs of {options.gop} at most",
    ]
    if len(found.segments) > 1:
        first = 0
        for number, count in enumerate(found.segments[:_LISTED]):
            lines.append(f"  {number + 1:4}     frames {first} to {first + count - 1} ({count})")
            first += count
        if len(found.segments) > _LISTED:
            lines.append(f"           and {len(found.segments) - _LISTED} more")
    lines += [
        f"memory     about {found.memory / 1e9:.1f} GB with {counted(min(jobs, len(found.segments)), 'job')}",
        f"disk       {found.disk / 1e6:.1f} MB of frames that wait, besides checkpoints",
        f"time       about {duration(found.time.wall)} by the speed of a small encode just now, "
        f"{duration(found.time.processor)} of processors",
        "nothing was encoded",
    ]
    return "\n".join(lines)
