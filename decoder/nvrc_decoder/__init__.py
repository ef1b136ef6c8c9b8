"""Decoder of .nvrc neural video streams.

>>> import nvrc_decoder
>>> with nvrc_decoder.open("clip.nvrc") as video:  # doctest: +SKIP
...     for frame in video:
...         print(frame.y.shape, frame.md5())

Importing this package imports nothing else; numpy and the decoder load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nvrc_decoder.bitstream.salvage import Damage
    from nvrc_decoder.display import Frame
    from nvrc_decoder.errors import NvrcError
    from nvrc_decoder.frames import Planes
    from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
    from nvrc_decoder.presentation import Presentation
    from nvrc_decoder.symbols import StageTimes
    from nvrc_decoder.video import Video, VideoInfo
    from nvrc_decoder.video import open_video as open

__all__ = [
    "DEFAULT_LIMITS",
    "Damage",
    "Frame",
    "Limits",
    "NvrcError",
    "Planes",
    "Presentation",
    "StageTimes",
    "Video",
    "VideoInfo",
    "open",
]

_HOMES = {
    "DEFAULT_LIMITS": ("nvrc_decoder.limits", "DEFAULT_LIMITS"),
    "Damage": ("nvrc_decoder.bitstream.salvage", "Damage"),
    "Frame": ("nvrc_decoder.display", "Frame"),
    "Limits": ("nvrc_decoder.limits", "Limits"),
    "NvrcError": ("nvrc_decoder.errors", "NvrcError"),
    "Planes": ("nvrc_decoder.frames", "Planes"),
    "Presentation": ("nvrc_decoder.presentation", "Presentation"),
    "StageTimes": ("nvrc_decoder.symbols", "StageTimes"),
    "Video": ("nvrc_decoder.video", "Video"),
    "VideoInfo": ("nvrc_decoder.video", "VideoInfo"),
    "open": ("nvrc_decoder.video", "open_video"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
