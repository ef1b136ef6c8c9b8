"""Concatenation of streams with identical SEQUENCE, without decoding (spec 2.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import BinaryIO

from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.units import Digest, Gop, Metadata, NetworkHeader, SequenceHeader
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.errors import InternalError, NvrcError, UnsupportedError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits
from nvrc_decoder.picture.frame_times import FrameTimes
from nvrc_decoder.picture.presentation import WHOLE_STREAM, WholeStream, parse_entry

__all__ = ["join"]


def join(
    inputs: Iterable[BinaryIO],
    output: BinaryIO,
    *,
    index: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    keep_first: Callable[[str], None] | None = None,
) -> StreamWriter:
    """Writes the GOPs of all inputs, in order, to `output` as one stream.

    Payloads of NETWORK, GOP, DIGEST and METADATA are copied as they are; a NETWORK that equals the one in force is
    left out, and so is whole-stream presentation METADATA of every input but the first; optional units of unknown type
    are left out, since they may hold offsets; INDEX and END are made anew. Memory is that of one GOP and one NETWORK.
    `inputs` is consumed one by one, so it may open files lazily; on any error the output is incomplete.

    Args:
        inputs: the streams.
        output: takes the joined stream.
        index: write INDEX and footer.
        limits: what this process is willing to spend.
        keep_first: where inputs are to be shown in different ways, take the first one's and call this with what is
            dropped, in words. Without it that is an error.

    Returns:
        The finished writer, for its totals.

    Raises:
        UnsupportedError: E_JOIN, an input's SEQUENCE is not that of the first, it is to be shown in another way
            (pixel aspect, orientation, HDR metadata), or there is no input.
        NvrcError: whatever reading an input or writing the output raises; `file` names the input.
    """
    work = _Join(output, keep_first)
    for number, fileobj in enumerate(inputs):
        with _named(fileobj, number):
            work.begin(number)
            for unit in UnitReader(fileobj, limits):
                work.take(unit)
    if work.writer is None:
        raise UnsupportedError("E_JOIN", "there is nothing to join", section="2.9")
    work.writer.finish(index)
    return work.writer


class _Join:
    """The state of a join.

    Attributes:
        writer: None until the first input's METADATA before its first NETWORK has been read.
    """

    def __init__(self, output: BinaryIO, keep_first: Callable[[str], None] | None) -> None:
        self.writer: StreamWriter | None = None
        self._output = output
        self._keep_first = keep_first
        self._sequence: SequenceHeader | None = None
        self._number = 0
        self._gop: Unit | None = None
        self._head: list[Metadata] = []
        self._first: dict[str, WholeStream] = {}
        self._own: dict[str, WholeStream] = {}
        self._open = False

    def begin(self, number: int) -> None:
        """The units of input `number` come next."""
        self._number, self._gop, self._own, self._open = number, None, {}, True

    def take(self, unit: Unit) -> None:
        """The next unit."""
        content = unit.content
        if isinstance(content, SequenceHeader):
            self._take_sequence(unit, content)
        elif isinstance(content, Metadata):
            self._take_metadata(content)
        elif unit.payload is None or self._sequence is None:
            return
        elif isinstance(content, NetworkHeader):
            self._writer().network_payload(unit.payload)
        elif isinstance(content, Gop):
            self._compare()
            self._gop = unit
        elif isinstance(content, Digest):
            _copy_gop(self._writer(), self._gop, unit.payload)
            self._gop = None

    def _writer(self) -> StreamWriter:
        if self.writer is None:
            if self._sequence is None:
                raise InternalError("E_ORDER", "a unit before SEQUENCE came out of the reader", section="2.5, R2.8")
            self.writer = StreamWriter(self._output, self._sequence, [entry.key for entry in self._head])
            for entry in self._head:
                self.writer.metadata(entry.key, entry.value)
        return self.writer

    def _take_sequence(self, unit: Unit, content: SequenceHeader) -> None:
        if self._sequence is None:
            self._sequence = content
        elif content != self._sequence:
            names = [name for name, value in vars(content).items() if value != getattr(self._sequence, name)]
            message = f"input {self._number + 1} differs from the first in {', '.join(names)}"
            raise UnsupportedError("E_JOIN", message, offset=unit.offset, unit="SEQUENCE", section="2.9")

    def _take_metadata(self, content: Metadata) -> None:
        if content.key in WHOLE_STREAM and self._open:
            try:
                entry = parse_entry(content.key, content.value)
            except ValueError:
                entry = None
            if entry is not None and not isinstance(entry, FrameTimes):
                self._own.setdefault(content.key, entry)
        if content.key in WHOLE_STREAM and self._number:
            return
        if self.writer is None:
            self._head.append(content)
        else:
            self.writer.metadata(content.key, content.value)

    def _compare(self) -> None:
        """At the first GOP of an input: check its presentation METADATA against that of the first input."""
        if not self._open:
            return
        self._open = False
        if not self._number:
            self._first = self._own
            return
        for key in WHOLE_STREAM:
            own, first = self._own.get(key), self._first.get(key)
            if own == first:
                continue
            message = f"input {self._number + 1} has {_words(own)} as {key}, the first has {_words(first)}"
            if self._keep_first is None:
                message += ": --keep-first (keep_first) shows all as the first"
                raise UnsupportedError("E_JOIN", message, section="2.9, 3.6.1")
            self._keep_first(f"{message}, which all get")


def _words(entry: WholeStream | None) -> str:
    if entry is None:
        return "nothing"
    return f"{entry.numerator}:{entry.denominator}" if isinstance(entry, Fraction) else entry.text()


@contextmanager
def _named(fileobj: BinaryIO, number: int) -> Iterator[None]:
    """Put the input's name into an error, unless it is one of writing."""
    try:
        yield
    except NvrcError as error:
        name = getattr(fileobj, "name", None)
        if error.code != "E_WRITE":
            error.file = name if isinstance(name, str) else f"input {number + 1}"
        raise


def _copy_gop(writer: StreamWriter, gop: Unit | None, digest_payload: bytes) -> None:
    if gop is None or gop.payload is None or not isinstance(gop.content, Gop):
        raise InternalError("E_ORDER", "a DIGEST without a GOP came out of the reader", section="2.5, R2.10")
    writer.gop_payload(gop.content, gop.payload, digest_payload)
