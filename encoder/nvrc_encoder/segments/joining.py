"""The streams of segments become one: `join` of the decoder, with a common level and METADATA."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from nvrc_decoder.bitstream.join import join
from nvrc_decoder.bitstream.reader import UnitReader
from nvrc_decoder.bitstream.units import SequenceHeader
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.picture.presentation import TIMES
from nvrc_encoder.writing.verification import NO_LIMITS

__all__ = ["join_segments"]


def join_segments(
    streams: Sequence[Path],
    output: BinaryIO,
    *,
    metadata: Mapping[str, str],
    times: Sequence[str] | None,
    index: bool,
) -> StreamWriter:
    """Write the streams of all segments as one.

    Args:
        streams: files without METADATA and INDEX, in order, as `encode` writes them.
        output: receives the stream unit by unit.
        metadata: METADATA of the whole stream, key -> value.
        times: `nvrc.times` of each segment; None where every frame lasts 1 / rate.
        index: whether to write INDEX and footer.

    Returns:
        The finished writer, for its totals.

    Raises:
        NvrcError: a stream is damaged, or writing failed.
    """
    level = max(_sequence(path).level for path in streams)

    def parts() -> Iterator[BinaryIO]:
        for i, path in enumerate(streams):
            entries = dict(metadata) if i == 0 else {}
            if times is not None:
                entries[TIMES] = times[i]
            yield _restarted(path, level, entries)

    # Only the first part has the METADATA of the whole stream, which is no difference to report.
    return join(parts(), output, index=index, limits=NO_LIMITS, keep_first=lambda line: None)


def _sequence(path: Path) -> SequenceHeader:
    with open(path, "rb") as file:
        for unit in UnitReader(file, NO_LIMITS):
            if isinstance(unit.content, SequenceHeader):
                return unit.content
    raise ValueError(f"{path} has no SEQUENCE")  # pragma: no cover - the reader refuses it


def _restarted(path: Path, level: int, metadata: Mapping[str, str]) -> BinaryIO:
    """The stream with another level and with METADATA before its first NETWORK."""
    sequence = _sequence(path)
    head = io.BytesIO()
    writer = StreamWriter(head, dataclasses.replace(sequence, level=level), metadata)
    for key, value in metadata.items():
        writer.metadata(key, value.encode())
    before = StreamWriter(io.BytesIO(), sequence).offset
    return _Stream(head.getvalue() + path.read_bytes()[before:], path)


class _Stream(io.BytesIO):
    """A stream in memory with the name of its file, for messages."""

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(data)
        self.name = str(path)
