"""`nvrc-ref export` to a page: checks the streams, then writes them with the player."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nvrc_decoder.errors import MismatchError
from nvrc_decoder.picture.format import VideoFormat
from nvrc_output.files import atomic_file
from nvrc_output.text import counted, emit_json, note, summary
from nvrc_ref.decoding.stream_input import open_stream
from nvrc_ref.options.shared import DecodingOptions
from nvrc_ref.playing.html import Stream, write_page
from nvrc_ref.playing.reports import Report

__all__ = ["export_page"]


@dataclass(frozen=True)
class _Decoded:
    """A stream that was decoded and checked: the MD5 of all of its frames, and of each."""

    stream: Stream
    picture: VideoFormat
    md5: str
    frame_md5s: tuple[str, ...]


def _decode(path: str, decoding: DecodingOptions) -> _Decoded:
    with open_stream(path) as file:
        data = file.read()
    total = hashlib.md5(usedforsecurity=False)
    each = []
    with decoding.open(io.BytesIO(data)) as video:
        for frame in video:
            each.append(frame.md5())
            for chunk in frame.chunks():
                total.update(chunk)
            del frame, chunk  # the next GOP is decoded before they are assigned again
        picture = video.info.format
    name = "stream.nvrc" if path == "-" else Path(path).name
    return _Decoded(Stream(data, name), picture, total.hexdigest(), tuple(each))


def _check_pair(one: _Decoded, other: _Decoded) -> None:
    """Refuse streams of two sizes, and tell which frames will not be shown."""
    sizes = [f"{x.picture.width}x{x.picture.height}" for x in (one, other)]
    names = one.stream.name, other.stream.name
    if sizes[0] != sizes[1]:
        raise MismatchError(
            "E_FORMAT",
            f"{names[0]} is {sizes[0]}, {names[1]} is {sizes[1]}: only videos of the same size are compared",
        )
    counts = len(one.frame_md5s), len(other.frame_md5s)
    if counts[0] != counts[1]:
        longer = int(counts[1] > counts[0])
        note(f"note: {names[longer]} has {counts[longer]} frames: the page shows the first {min(counts)}")


def export_page(
    input_path: str,
    output: str,
    decoding: DecodingOptions,
    as_json: bool,
    compared: str | None = None,
    reports: Sequence[Report] = (),
) -> None:
    """Write a stream as a page that plays it, after all of it was decoded and checked; say so.

    Args:
        input_path: the stream, - for the standard input.
        output: the page.
        decoding: how to decode it.
        as_json: report as JSON.
        compared: a stream to compare it with; None for none.
        reports: reports about the stream.

    Raises:
        NvrcError: a stream cannot be decoded, the two differ in size, a report is of another stream, or the page cannot
            be written.
    """
    first = _decode(input_path, decoding)
    frames = len(first.frame_md5s)
    for report in reports:
        size = first.picture
        report.check(bytes=len(first.stream.data), frames=frames, width=size.width, height=size.height)
        report.check_frames(first.frame_md5s)
    streams = [first.stream]
    if compared is not None:
        second = _decode(compared, decoding)
        _check_pair(first, second)
        streams.append(second.stream)
    with atomic_file(output) as page:
        write_page(streams, [report.without_digests() for report in reports], page)
        written = page.tell()
    if as_json:
        emit_json({"output": output, "frames": frames, "bytes": written, "md5": first.md5})
    else:
        summary(f"{output}: {counted(frames, 'frame')}, {written / 1e6:.2f} MB, md5 {first.md5}")
