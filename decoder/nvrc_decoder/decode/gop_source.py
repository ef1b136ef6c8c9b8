"""Where the GOPs of a stream come from: the units in order, a table, or what is left of a damaged stream."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Self

from nvrc_decoder.bitstream.random_access import GopRecord, RandomAccess
from nvrc_decoder.bitstream.reader import Unit
from nvrc_decoder.bitstream.salvage import Damage
from nvrc_decoder.bitstream.units import Digest, Gop, Metadata, NetworkHeader, SequenceHeader
from nvrc_decoder.decode.gop import Network, load_network
from nvrc_decoder.errors import InternalError, InvalidStreamError, NvrcError

__all__ = ["Networks", "Peekable", "read_forward", "read_table"]


class Networks:
    """Loads each NETWORK once and keeps the last."""

    def __init__(self, sequence: SequenceHeader) -> None:
        self._sequence = sequence
        self._header: NetworkHeader | None = None
        self._network: Network | InvalidStreamError | None = None

    def load(self, header: NetworkHeader, offset: int, unit: str) -> Network:
        """The NETWORK in integers.

        Raises:
            InvalidStreamError: E_ENTROPY, E_ESCAPE, E_RANGE or E_BOUND.
        """
        if self._header is not header:
            self._header, self._network = header, None
            try:
                self._network = load_network(self._sequence, header, offset=offset, unit=unit)
            except InvalidStreamError as error:
                self._network = error
        if isinstance(self._network, Network):
            return self._network
        if self._network is None:
            raise InternalError("E_INTERNAL", "an earlier attempt to load this NETWORK was interrupted")
        raise self._network


class Peekable:
    """Records of which the first may be looked for ahead of time; what goes wrong then is raised in its turn."""

    def __init__(self, records: Iterator[GopRecord | Damage]) -> None:
        self._records = records
        self._first: list[GopRecord | Damage] = []
        self._error: NvrcError | None = None
        self._begun = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> GopRecord | Damage:
        self._begun = True
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._first.pop() if self._first else next(self._records)

    def peek(self) -> None:
        """Read as far as the first record, unless that has been done."""
        if self._begun:
            return
        self._begun = True
        try:
            self._first.extend(itertools.islice(self._records, 1))
        except NvrcError as error:
            self._error = error


def read_forward(
    units: Iterator[Unit],
    load: Callable[[NetworkHeader, int, str], object],
    note: Callable[[str, bytes, int], None] | None = None,
) -> Iterator[GopRecord]:
    """All GOPs from the start, in one pass that works on pipes and checks the whole stream.

    Args:
        units: the units behind SEQUENCE.
        load: called with each NETWORK when it comes, its offset and name; a bad one is an error though no GOP follows.
        note: called with key and value of each METADATA, and the number of frames before it.
    """
    # A GOP whose DIGEST comes next. It is not kept here when it goes out: its payloads are as large as the unit.
    held: list[Gop] = []
    number = place = 0
    network: tuple[NetworkHeader, int, str] | None = None
    frames = 0
    for unit in units:
        content = unit.content
        if isinstance(content, NetworkHeader):
            network = content, unit.offset, unit.name
            load(*network)
        elif isinstance(content, Gop):
            held, number, place = [content], unit.number, unit.offset
        elif isinstance(content, Digest) and held and network is not None:
            first, frames = frames, frames + held[0].frame_count
            header, offset, name = network
            yield GopRecord(number, first, place, header, offset, held.pop(), content, name)
        elif isinstance(content, Metadata) and note is not None:
            note(content.key, content.value, frames)


def read_table(table: RandomAccess, first: int) -> Iterator[GopRecord]:
    """The GOPs from number `first` on; reads only those, their NETWORKs and DIGESTs."""
    for number in range(first, table.gop_count):
        yield table.gop(number)
