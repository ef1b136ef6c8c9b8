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
    from nvrc_decoder.decode.stages import StageTimes
    from nvrc_decoder.errors import (
        InputError,
        InternalError,
        InvalidStreamError,
        LimitError,
        MismatchError,
        MissingExtraError,
        NvrcError,
        OutputError,
        UnknownLengthError,
        UnsupportedError,
    )
    from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
    from nvrc_decoder.opening import open_video as open
    from nvrc_decoder.picture.format import Colour, VideoFormat
    from nvrc_decoder.picture.frame import Frame
    from nvrc_decoder.picture.planes import Planes
    from nvrc_decoder.picture.presentation import ContentLight, MasteringDisplay, Orientation, Presentation, Timeline
    from nvrc_decoder.video import Video, VideoInfo

    __version__: str

__all__ = [
    "DEFAULT_LIMITS",
    "Colour",
    "ContentLight",
    "Damage",
    "Frame",
    "InputError",
    "InternalError",
    "InvalidStreamError",
    "LimitError",
    "Limits",
    "MasteringDisplay",
    "MismatchError",
    "MissingExtraError",
    "NvrcError",
    "Orientation",
    "OutputError",
    "Planes",
    "Presentation",
    "StageTimes",
    "Timeline",
    "UnknownLengthError",
    "UnsupportedError",
    "Video",
    "VideoFormat",
    "VideoInfo",
    "__version__",
    "open",
]

_HOMES = {
    "DEFAULT_LIMITS": "limits",
    "Colour": "picture.format",
    "ContentLight": "picture.presentation",
    "Damage": "bitstream.salvage",
    "Frame": "picture.frame",
    "Limits": "limits",
    "MasteringDisplay": "picture.presentation",
    "Orientation": "picture.presentation",
    "Planes": "picture.planes",
    "Presentation": "picture.presentation",
    "StageTimes": "decode.stages",
    "Timeline": "picture.presentation",
    "Video": "video",
    "VideoFormat": "picture.format",
    "VideoInfo": "video",
    "open": "opening",
    **{name: "errors" for name in __all__ if name.endswith("Error")},
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from nvrc_decoder.system.packages import package_faults

    with package_faults():
        module = import_module(f"nvrc_decoder.{_HOMES[name]}")
    return getattr(module, "open_video" if name == "open" else name)


def _version() -> str:
    """The version of nvrc-ref; where that is not installed, as in a mere checkout, ``0+unknown``."""
    from importlib import metadata

    try:
        return metadata.version("nvrc-ref")
    except metadata.PackageNotFoundError:
        return "0+unknown"
