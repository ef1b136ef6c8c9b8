"""What METADATA says of the presentation of a seekable file, found without reading its GOPs (spec 3.6.1)."""

from __future__ import annotations

from typing import BinaryIO

from nvrc_decoder.bitstream.container import OPTIONAL_TYPE
from nvrc_decoder.bitstream.descriptors import read_leb128
from nvrc_decoder.bitstream.source import ByteSource, read_stream_header, read_unit
from nvrc_decoder.bitstream.units import UnitType, parse_metadata
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.presentation import Presentation

__all__ = ["scan_presentation"]


def scan_presentation(fileobj: BinaryIO, shown: Presentation, limits: Limits = DEFAULT_LIMITS) -> None:
    """Add every entry of a seekable file to `shown`: hops from unit header to unit header.

    A damaged METADATA has no effect, and what cannot be hopped over ends the search: damage is told by whoever
    decodes the stream.
    """
    source = ByteSource(fileobj)
    length = source.length()
    source.seek(0)
    frames = 0
    try:
        read_stream_header(source)
        while source.offset < length:
            offset = source.offset
            kind = source.read_exact(1)[0]
            size = read_leb128(lambda: source.read_exact(1)[0], source.offset, None)
            behind = source.offset + size + 4
            if kind == UnitType.GOP:
                frames += read_leb128(lambda: source.read_exact(1)[0], source.offset, None)
            elif kind == UnitType.METADATA:
                source.seek(offset)
                _add(source, shown, frames, limits)
            elif kind == UnitType.END or (kind < OPTIONAL_TYPE and kind not in UnitType.__members__.values()):
                return
            source.seek(behind)
    except NvrcError:
        return


def _add(source: ByteSource, shown: Presentation, frames: int, limits: Limits) -> None:
    try:
        raw = read_unit(source, limits)
        entry = parse_metadata(raw.payload or b"", raw.payload_offset)
    except NvrcError:
        return
    shown.add(entry.key, entry.value, frames)
