"""The GOPs of a stream: the units in order become records that can be decoded."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

from nvrc_decoder.bitstream.container import unit_name
from nvrc_decoder.bitstream.reader import Unit
from nvrc_decoder.bitstream.units import Digest, Gop, Metadata, NetworkHeader, UnitType
from nvrc_decoder.errors import NvrcError

__all__ = ["GopRecord", "Peekable", "iterate_gops"]

Item = TypeVar("Item")


@dataclass(frozen=True)
class GopRecord:
    """A GOP with all that is needed to decode it. Consecutive GOPs under one NETWORK share the `network` object.

    Attributes:
        number: of the GOP in the stream.
        first_frame: number of its first frame.
        offset: of its unit.
        network, network_offset, network_unit: the NETWORK in force, the offset of its unit, and its name in errors.
        gop, digest: the parsed units.
    """

    number: int
    first_frame: int
    offset: int
    network: NetworkHeader
    network_offset: int
    gop: Gop
    digest: Digest
    network_unit: str = "NETWORK"

    @property
    def unit(self) -> str:
        """The name of the GOP in errors."""
        return unit_name(UnitType.GOP, self.number)

    def without_payloads(self) -> GopRecord:
        """The same without the coded bytes, for the stages after the symbols."""
        return replace(self, gop=replace(self.gop, grids=()))


def iterate_gops(
    units: Iterable[Unit],
    *,
    on_network: Callable[[NetworkHeader, int, str], object] | None = None,
    on_metadata: Callable[[str, bytes, int], None] | None = None,
) -> Iterator[GopRecord]:
    """All GOPs of a stream, in one pass that works on pipes.

    Args:
        units: of a `UnitReader`, which checks their order.
        on_network: called with each NETWORK, its offset and its name, also where no GOP follows.
        on_metadata: called with key and value of each METADATA, and the number of frames before it.
    """
    held: tuple[Gop, int, int] | None = None
    network: tuple[NetworkHeader, int, str] | None = None
    frames = 0
    for unit in units:
        content = unit.content
        if isinstance(content, NetworkHeader):
            network = content, unit.offset, unit.name
            if on_network is not None:
                on_network(*network)
        elif isinstance(content, Gop):
            held = content, unit.number, unit.offset
        elif isinstance(content, Digest) and held is not None and network is not None:
            (gop, number, offset), held = held, None
            header, network_offset, name = network
            yield GopRecord(number, frames, offset, header, network_offset, gop, content, name)
            frames += gop.frame_count
        elif isinstance(content, Metadata) and on_metadata is not None:
            on_metadata(content.key, content.value, frames)


class Peekable(Generic[Item]):
    """An iterator whose first item can be read early; an error in reading it is raised by `next`."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._first: list[Item] = []
        self._error: NvrcError | None = None
        self._begun = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        self._begun = True
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._first.pop() if self._first else next(self._items)

    def peek(self) -> None:
        """Read the first item and keep it for `next`; do nothing if it has been read."""
        if self._begun:
            return
        self._begun = True
        try:
            self._first.extend(itertools.islice(self._items, 1))
        except NvrcError as error:
            self._error = error
