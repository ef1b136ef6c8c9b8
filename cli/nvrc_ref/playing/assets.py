"""The files of the player, which are those of `web/`."""

from __future__ import annotations

from pathlib import Path

from nvrc_decoder.errors import InternalError

__all__ = ["ASSETS", "read_asset"]

ASSETS = {
    "player.html": "text/html; charset=utf-8",
    "player.css": "text/css; charset=utf-8",
    "player.js": "text/javascript; charset=utf-8",
    "playback.js": "text/javascript; charset=utf-8",
    "screen.js": "text/javascript; charset=utf-8",
    "compare.js": "text/javascript; charset=utf-8",
    "overlay.js": "text/javascript; charset=utf-8",
    "report.js": "text/javascript; charset=utf-8",
    "md5.js": "text/javascript; charset=utf-8",
    "nvrc.js": "text/javascript; charset=utf-8",
    "worker.js": "text/javascript; charset=utf-8",
    "decoder.js": "text/javascript; charset=utf-8",
    "sources.js": "text/javascript; charset=utf-8",
    "units.js": "text/javascript; charset=utf-8",
    "y4m.js": "text/javascript; charset=utf-8",
    "presentation.js": "text/javascript; charset=utf-8",
    "rgb.js": "text/javascript; charset=utf-8",
    "errors.js": "text/javascript; charset=utf-8",
    "place.js": "text/javascript; charset=utf-8",
    "nvrc.wasm": "application/wasm",
}
"""Name of each file -> its type."""

_PACKAGE = Path(__file__).resolve().parent
# In the wheel they lie beside this file, in a checkout in a folder of their own.
_FOLDERS = (_PACKAGE / "web", _PACKAGE.parents[2] / "web")


def read_asset(name: str) -> bytes:
    """The bytes of a file of `ASSETS`.

    Raises:
        InternalError: E_INTERNAL, it is not where it should be.
    """
    for folder in _FOLDERS:
        path = folder / name
        if path.is_file():
            return path.read_bytes()
    raise InternalError("E_INTERNAL", f"the player's file {name} is missing")
