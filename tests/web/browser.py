"""Decodes streams in a page of the player, and compares frames by MD5."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from nvrc_ref.playing.server import PlayerServer

__all__ = ["TO_BASE64", "decode", "md5"]

# A function of JavaScript: bytes -> a promise of their text, as a message of the debugger takes no bytes.
TO_BASE64 = """(data) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(new Blob([data]));
  })"""
_DECODE = f"""async ([source, from, how]) => {{
  const {{ NvrcVideo }} = await import("/nvrc.js");
  const base64 = {TO_BASE64};
  const bytes = () => Uint8Array.from(atob(source), (c) => c.charCodeAt(0));
  const input = {{ url: () => source, bytes, buffer: () => bytes().buffer, blob: () => new Blob([bytes()]) }}[how]();
  let video;
  try {{
    video = await NvrcVideo.open(input);
    const frames = [];
    for await (const frame of video.frames(from)) frames.push(await base64(frame.data));
    const {{ width, height, chromaFormat, bitDepth, profile, frameCount }} = video;
    return {{ frames, count: frameCount, format: [profile, width, height, chromaFormat, bitDepth] }};
  }} catch (error) {{
    if (error.name !== "NvrcError") throw error;
    return {{ ...error, message: error.message, name: error.name }};
  }} finally {{
    video?.close();
  }}
}}"""


def md5(text: str) -> str:
    """MD5 of the bytes that a page sent in base64."""
    return hashlib.md5(base64.b64decode(text, validate=True)).hexdigest()


def decode(page: Any, server: PlayerServer, source: bytes | str, first: int = 0, how: str = "bytes") -> dict[str, Any]:
    """What `NvrcVideo` makes of a stream in a page.

    Args:
        page: it opens the player, if it is empty.
        server: of the player.
        source: a stream, or its URL.
        first: the frame to begin with.
        how: what `NvrcVideo.open` gets: ``url``, ``bytes``, ``buffer`` or ``blob``.

    Returns:
        `frames`: MD5 of each; `count`: how many the stream says that it has; `format`: profile, width, height, chroma
        format and bit depth. For a bad stream, the fields of the NvrcError.
    """
    if page.url == "about:blank":
        page.goto(f"http://{server.host}/player.html")
    text = source if isinstance(source, str) else base64.b64encode(source).decode()
    result: dict[str, Any] = page.evaluate(_DECODE, [text, first, how])
    if "frames" in result:
        result["frames"] = list(map(md5, result["frames"]))
    return result
