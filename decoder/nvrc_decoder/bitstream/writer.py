"""Writing a stream unit by unit (spec chapter 2); never seeks, so it can write to a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from nvrc_decoder.bitstream.container import (
    MINOR,
    MINOR_PRESENTATION,
    encode_footer,
    encode_header,
    encode_unit,
)
from nvrc_decoder.bitstream.units import (
    Digest,
    End,
    Gop,
    Index,
    IndexEntry,
    Metadata,
    NetworkHeader,
    SequenceHeader,
    UnitType,
    gop_symbols,
    parse_network,
    serialise_digest,
    serialise_end,
    serialise_gop,
    serialise_index,
    serialise_metadata,
    serialise_network,
    serialise_sequence,
)
from nvrc_decoder.errors import InternalError, InvalidStreamError, OutputError
from nvrc_decoder.limits import check_gop_level, check_sequence_level
from nvrc_decoder.picture.presentation import is_presentation

__all__ = ["StreamWriter"]


class StreamWriter:
    """Writes one stream. The methods are called in the order of the units; `finish` ends it.

    A caller that breaks the order, a range or the declared level gets an InternalError: the reader accepts whatever
    this class writes. The file object is neither flushed nor closed.

    Args:
        fileobj: receives the bytes.
        sequence: the SEQUENCE.
        keys: keys of the METADATA that will precede the first NETWORK; they decide the minor version.

    Attributes:
        sequence: the SEQUENCE.
        network_header: the NETWORK in force, None before the first.
        offset: bytes written.
        gop_count, frame_count: totals so far.
    """

    def __init__(self, fileobj: BinaryIO, sequence: SequenceHeader, keys: Iterable[str] = ()) -> None:
        payload = serialise_sequence(sequence)
        try:
            check_sequence_level(
                sequence.level,
                sequence.width,
                sequence.height,
                sequence.rate_numerator,
                sequence.rate_denominator,
            )
        except InvalidStreamError as error:
            raise InternalError(error.code, error.message, section=error.section) from error
        self._file = fileobj
        self._entries: list[IndexEntry] = []
        self._network_payload: bytes | None = None
        self._network_offset = 0
        self._finished = False
        self.sequence = sequence
        self.network_header: NetworkHeader | None = None
        self.offset = 0
        self.gop_count = 0
        self.frame_count = 0
        self._write(encode_header(MINOR_PRESENTATION if any(is_presentation(key) for key in keys) else MINOR))
        self._unit(UnitType.SEQUENCE, payload)

    def network(self, network: NetworkHeader) -> None:
        """Writes a NETWORK, unless it equals the one in force."""
        self.network_payload(serialise_network(network, self.sequence))

    def network_payload(self, payload: bytes) -> None:
        """Writes a NETWORK from its payload, unless it equals the one in force."""
        if payload == self._network_payload:
            return
        self.network_header = parse_network(payload, self.sequence)
        self._network_payload = payload
        self._network_offset = self._unit(UnitType.NETWORK, payload)

    def gop(self, gop: Gop, digest: bytes) -> None:
        """Writes a GOP and its DIGEST of 16 bytes."""
        network = self._network_in_force()
        self.gop_payload(gop, serialise_gop(gop, network, self.sequence.profile_spec), serialise_digest(Digest(digest)))

    def gop_payload(self, gop: Gop, payload: bytes, digest_payload: bytes) -> None:
        """Writes a GOP and its DIGEST from their payloads; `gop` is what `payload` holds."""
        symbols = gop_symbols(self.sequence, self._network_in_force(), gop.frame_count)
        try:
            check_gop_level(self.sequence.level, gop.frame_count, symbols)
        except InvalidStreamError as error:
            raise InternalError(error.code, error.message, unit=error.unit, section=error.section) from error
        offset = self._unit(UnitType.GOP, payload)
        self._unit(UnitType.DIGEST, digest_payload)
        self._entries.append(IndexEntry(offset, self.frame_count, self._network_offset))
        self.gop_count += 1
        self.frame_count += gop.frame_count

    def metadata(self, key: str, value: bytes) -> None:
        """Writes a METADATA."""
        self._unit(UnitType.METADATA, serialise_metadata(Metadata(key, value)))

    def finish(self, index: bool = True) -> None:
        """Writes INDEX (if `index`), END and the footer that belongs to INDEX."""
        if not self.gop_count:
            raise InternalError("E_ORDER", "a stream has at least one GOP", section="2.5, R2.12")
        index_offset = None
        if index:
            index_offset = self._unit(UnitType.INDEX, serialise_index(Index(tuple(self._entries))))
        self._unit(UnitType.END, serialise_end(End(self.frame_count, self.gop_count)))
        if index_offset is not None:
            self._write(encode_footer(index_offset))
        self._finished = True

    def _network_in_force(self) -> NetworkHeader:
        if self.network_header is None:
            raise InternalError("E_ORDER", "a NETWORK comes before the first GOP", section="2.5, R2.9")
        return self.network_header

    def _unit(self, kind: UnitType, payload: bytes) -> int:
        """Writes a unit; returns its offset."""
        offset = self.offset
        self._write(encode_unit(kind, payload))
        return offset

    def _write(self, data: bytes) -> None:
        if self._finished:
            raise InternalError("E_ORDER", "the stream is finished", section="2.5")
        view = memoryview(data)
        try:
            while view:
                # A raw file object may write less than it is given.
                taken = self._file.write(view)
                view = view[len(view) if taken is None else taken :]
        except OSError as error:
            raise OutputError("E_WRITE", f"cannot write the stream: {error}", offset=self.offset) from error
        self.offset += len(data)
