"""Concatenation of streams with identical SEQUENCE, without decoding (spec 2.9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.units import Digest, Gop, Metadata, NetworkHeader, SequenceHeader
from nvrc_decoder.bitstream.writer import StreamWriter
from nvrc_decoder.errors import InternalError, NvrcError, UnsupportedError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits

__all__ = ["join"]


def join(
    inputs: Iterable[BinaryIO], output: BinaryIO, *, index: bool = True, limits: Limits = DEFAULT_LIMITS
) -> StreamWriter:
    """Writes the GOPs of all inputs, in order, to `output` as one stream.

    Payloads of NETWORK, GOP, DIGEST and METADATA are copied as they are; a NETWORK that equals the one in force is
    left out; optional units of unknown type are left out, since they may hold offsets; INDEX and END are made anew.
    Memory is that of one GOP and one NETWORK. `inputs` is consumed one by one, so it may open files lazily; on any
    error the output is incomplete.

    Returns:
        The finished writer, for its totals.

    Raises:
        UnsupportedError: E_JOIN, an input's SEQUENCE is not that of the first, or there is no input.
        NvrcError: whatever reading an input or writing the output raises; `file` names the input.
    """
    writer: StreamWriter | None = None
    for number, fileobj in enumerate(inputs):
        with _named(fileobj, number):
            writer = _append(writer, number, fileobj, output, limits)
    if writer is None:
        raise UnsupportedError("E_JOIN", "there is nothing to join", section="2.9")
    writer.finish(index)
    return writer


@contextmanager
def _named(fileobj: BinaryIO, number: int) -> Iterator[None]:
    """An error says which input it comes from; one in writing comes from none."""
    try:
        yield
    except NvrcError as error:
        name = getattr(fileobj, "name", None)
        if error.code != "E_WRITE":
            error.file = name if isinstance(name, str) else f"input {number}"
        raise


def _append(
    writer: StreamWriter | None, number: int, fileobj: BinaryIO, output: BinaryIO, limits: Limits
) -> StreamWriter | None:
    """Copy one input; the writer, made with the first of them."""
    gop: Unit | None = None
    for unit in UnitReader(fileobj, limits):
        content = unit.content
        if isinstance(content, SequenceHeader):
            if writer is None:
                writer = StreamWriter(output, content)
            elif content != writer.sequence:
                names = [name for name, value in vars(content).items() if value != getattr(writer.sequence, name)]
                message = f"input {number} differs from the first in {', '.join(names)}"
                raise UnsupportedError("E_JOIN", message, offset=unit.offset, unit="SEQUENCE", section="2.9")
            continue
        if writer is None or unit.payload is None:
            continue
        if isinstance(content, NetworkHeader):
            writer.network_payload(unit.payload)
        elif isinstance(content, Metadata):
            writer.metadata(content.key, content.value)
        elif isinstance(content, Gop):
            gop = unit
        elif isinstance(content, Digest):
            _copy_gop(writer, gop, unit.payload)
            gop = None
    return writer


def _copy_gop(writer: StreamWriter, gop: Unit | None, digest_payload: bytes) -> None:
    if gop is None or gop.payload is None or not isinstance(gop.content, Gop):
        raise InternalError("E_ORDER", "a DIGEST without a GOP came out of the reader", section="2.5, R2.10")
    writer.gop_payload(gop.content, gop.payload, digest_payload)
