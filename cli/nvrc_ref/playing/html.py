"""A page that has the player, the decoder and a stream or two inside, and needs nothing else."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from nvrc_decoder.errors import InternalError
from nvrc_ref.playing.assets import read_asset
from nvrc_ref.playing.reports import Report

__all__ = ["Stream", "write_page"]

# Modules in an order in which each comes after those that it imports. The page and its workers share the first ones.
_SHARED = ("errors.js", "rgb.js", "sources.js", "units.js", "decoder.js", "y4m.js")
_PAGE = (
    "presentation.js",
    "nvrc.js",
    "playback.js",
    "screen.js",
    "compare.js",
    "overlay.js",
    "md5.js",
    "report.js",
    "player.js",
)

# Comments that have lines of their own.
_COMMENT = re.compile(r"^ *(?://.*|/\*\*(?:(?!\*/)[\s\S])*\*/)\n", re.MULTILINE)
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([\w.]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:class|const|function)\*? (\w+))", re.MULTILINE)
_LIST = re.compile(r"^export \{ ([\w, ]+) \};$", re.MULTILINE)
# Nothing may be loaded: the page is whole.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data:"
)
_SETUP = """const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const textOf = (id) => document.getElementById(id).textContent;
const workerUrl = URL.createObjectURL(new Blob([textOf("shared"), %s], { type: "text/javascript" }));
modules["place.js"] = { workerUrl, workerType: "classic", wasmUrl: bytesOf(textOf("wasm")) };
globalThis.nvrcPage = {
  videos: %s.map(([id, name]) => ({ source: bytesOf(textOf(id)), name })),
  reports: %s,
};
"""


@dataclass(frozen=True)
class Stream:
    """A stream for a page: its bytes, and what the page calls it."""

    data: bytes
    name: str


def _text(name: str) -> str:
    return read_asset(name).decode()


def _as_function(name: str) -> str:
    """A module as a function that is called at once, whose exports are in `modules`."""
    text = _text(name)
    names = [found[2] for found in _EXPORT.finditer(text)]
    for found in _LIST.finditer(text):
        names += found[1].split(", ")
    text = _COMMENT.sub("", text)
    text = _LIST.sub("", _EXPORT.sub(r"\1", _IMPORT.sub(r'const \1 = modules["\2"];', text)))
    if re.search(r"^(import|export)\b|import\.meta|</script|<!--", text, re.MULTILINE):
        raise InternalError("E_INTERNAL", f"the player's file {name} cannot be put into a page")
    return f'modules["{name}"] = (() => {{\n{text}\nreturn {{ {", ".join(names)} }};\n}})();\n'


def _script(names: tuple[str, ...]) -> str:
    return "".join(map(_as_function, names))


def _quoted(value: object) -> str:
    """A value as JavaScript that can stand in a script of a page."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _write_base64(file: BinaryIO, name: str, data: bytes) -> None:
    file.write(f'<script type="text/plain" id="{name}">'.encode())
    for at in range(0, len(data), 3 << 16):
        file.write(base64.b64encode(data[at : at + (3 << 16)]))
    file.write(b"</script>\n")


def write_page(streams: Sequence[Stream], reports: Sequence[Report], file: BinaryIO) -> None:
    """Write a page that plays a stream or compares two, from a file and without a network.

    Args:
        streams: one, or two to compare.
        reports: what is known of the first one.
        file: where the page goes, in UTF-8.
    """
    head = '"use strict";\n'
    names = dict(zip(("stream", "compared"), streams, strict=False))
    worker = _as_function("worker.js")
    shown = [{"text": report.text, "name": report.name} for report in reports]
    videos = [[place, stream.name] for place, stream in names.items()]
    setup = _SETUP % (_quoted(worker), _quoted(videos), _quoted(shown))
    page = _text("player.html")
    charset, style = '<meta charset="utf-8">', '<link rel="stylesheet" href="player.css">'
    page = page.replace(charset, f'{charset}\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">')
    page = page.replace(style, f"<style>\n{_text('player.css')}</style>")
    before, after = page.split('<script type="module" src="player.js"></script>')
    file.write(before.encode())
    for place, stream in names.items():
        _write_base64(file, place, stream.data)
    _write_base64(file, "wasm", read_asset("nvrc.wasm"))
    file.write(f'<script id="shared">\n{head}const modules = {{}};\n{_script(_SHARED)}</script>\n'.encode())
    file.write(f"<script>\n{head}{setup}{_script(_PAGE)}</script>{after}".encode())
