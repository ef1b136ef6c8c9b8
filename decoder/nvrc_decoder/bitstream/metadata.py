"""METADATA that says how to show a stream (spec 3.6.1): noted while reading, or found by a scan that skips GOPs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import BinaryIO

from nvrc_decoder.bitstream.container import MINOR_PRESENTATION, OPTIONAL_TYPE
from nvrc_decoder.bitstream.descriptors import read_leb128
from nvrc_decoder.bitstream.source import ByteSource, read_stream_header, read_unit
from nvrc_decoder.bitstream.units import UnitType, parse_metadata
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.picture.presentation import Presentation, Timeline

__all__ = ["PresentationFinder", "scan_presentation"]


def scan_presentation(fileobj: BinaryIO, shown: Presentation, limits: Limits = DEFAULT_LIMITS) -> None:
    """Add every entry of a seekable file to `shown`, reading nothing but unit headers and METADATA.

    Damage is not reported here, but where the stream is decoded: a damaged METADATA is ignored, and a damaged unit
    header ends the scan.
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
            end_of_unit = source.offset + size + 4
            if end_of_unit > length:  # a file system may refuse to seek that far
                return
            if kind == UnitType.GOP:
                frames += read_leb128(lambda: source.read_exact(1)[0], source.offset, None)
            elif kind == UnitType.METADATA:
                source.seek(offset)
                _add(source, shown, frames, limits)
            elif kind == UnitType.END or (kind < OPTIONAL_TYPE and kind not in UnitType.__members__.values()):
                return
            source.seek(end_of_unit)
    except NvrcError:
        return


def _add(source: ByteSource, shown: Presentation, frames: int, limits: Limits) -> None:
    try:
        raw = read_unit(source, limits)
        entry = parse_metadata(raw.payload or b"", raw.payload_offset)
    except NvrcError:
        return
    shown.add(entry.key, entry.value, frames)


class PresentationFinder:
    """How to show a stream, as far as is known.

    Args:
        rate: frames per second.
        file: the seekable file to scan; None for a pipe, whose entries arrive through `note`.
        limits: the limits for reading it.
        lock: held while the file is read.
    """

    def __init__(self, rate: Fraction, file: BinaryIO | None, limits: Limits, lock: threading.Lock) -> None:
        self._shown = Presentation(rate)
        self._file, self._limits, self._lock = file, limits, lock
        self._scanned = file is None
        self._timed: bool | None = None

    def note(self, key: str, value: bytes, first_frame: int) -> None:
        """Add a METADATA of a pipe that has `first_frame` frames before it."""
        self._shown.add(key, value, first_frame)

    def found(self) -> Presentation:
        """The entries of the whole file; of a pipe, those read so far."""
        if not self._scanned:
            with self._reading() as file:
                scan_presentation(file, self._shown, self._limits)
            self._scanned = True
        return self._shown

    def timeline(self) -> Timeline | None:
        """When frames are shown; None where the stream's minor version says that it begins without time stamps."""
        if self._file is not None and self._timed is None:
            with self._reading() as file:
                file.seek(0)
                self._timed = read_stream_header(ByteSource(file)) >= MINOR_PRESENTATION
        return self.found().timeline if self._timed or self._file is None else None

    @contextmanager
    def _reading(self) -> Iterator[BinaryIO]:
        """The file; its position is restored afterwards."""
        if self._file is None:
            raise ValueError("a pipe is read once")
        with self._lock:
            here = self._file.tell()
            try:
                yield self._file
            finally:
                self._file.seek(here)
