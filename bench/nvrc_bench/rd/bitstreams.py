"""The bytes of the video in a file, without what the container adds."""

from __future__ import annotations

from nvrc_decoder.errors import InvalidStreamError

__all__ = ["annex_b_bytes", "ivf_bytes", "obu_bytes"]

_TEMPORAL_DELIMITER = 2
_IVF_HEADER = 32
_IVF_FRAME_HEADER = 12


def annex_b_bytes(data: bytes) -> int:
    """Bytes of H.264 or H.265 as a byte stream: all of it, start codes and parameter sets included."""
    return len(data)


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        if at + i >= len(data):
            break
        value |= (data[at + i] & 0x7F) << (7 * i)
        if not data[at + i] & 0x80:
            return value, at + i + 1
    raise InvalidStreamError("E_STREAM", f"the AV1 stream has a bad length at byte {at}")


def obu_bytes(data: bytes) -> int:
    """Bytes of AV1 as a sequence of OBUs with sizes, without temporal delimiters, which containers leave out, too.

    Raises:
        InvalidStreamError: E_STREAM, it is not such a sequence.
    """
    at = total = 0
    while at < len(data):
        start, header = at, data[at]
        if header & 0x80 or not header & 0x02:
            raise InvalidStreamError("E_STREAM", f"byte {at} of the AV1 stream begins no OBU with a size")
        at += 2 if header & 0x04 else 1
        size, at = _leb128(data, at)
        at += size
        if at > len(data):
            raise InvalidStreamError("E_STREAM", "the AV1 stream is cut off")
        if header >> 3 & 15 != _TEMPORAL_DELIMITER:
            total += at - start
    return total


def ivf_bytes(data: bytes) -> int:
    """Bytes of the frames of an IVF file.

    Raises:
        InvalidStreamError: E_STREAM, it is no IVF file.
    """
    if data[:4] != b"DKIF":
        raise InvalidStreamError("E_STREAM", "this is no IVF file")
    at, total = int.from_bytes(data[6:8], "little") or _IVF_HEADER, 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        at += _IVF_FRAME_HEADER + size
        if at > len(data):
            raise InvalidStreamError("E_STREAM", "the IVF file is cut off")
        total += size
    return total
