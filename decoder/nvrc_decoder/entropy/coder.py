"""The entropy coder: rANS, coded step by step and table by table (spec 4.1, 4.3, 4.4).

`SymbolDecoder` and `SymbolEncoder` have the same method `code_step`, so that whoever walks a grid or a parameter
list is written once for both directions.
"""

from __future__ import annotations

from typing import Any, Protocol

import constriction
import numpy as np
import numpy.typing as npt

from nvrc_decoder.entropy.tables import ESCAPE, TABLE_COUNT, TABLE_RADII, bit_model, table_model
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.profiles import Q_MAX

__all__ = ["ESCAPE_PREFIX_MAX", "WORD_BYTES", "Int32Array", "IntArray", "StepCoder", "SymbolDecoder", "SymbolEncoder"]

ESCAPE_PREFIX_MAX = 20
WORD_BYTES = 4

IntArray = npt.NDArray[np.integer[Any]]
Int32Array = npt.NDArray[np.int32]

_CENTRES = (TABLE_RADII + 1).astype(np.int16)


class StepCoder(Protocol):
    """What codes one step, in either direction."""

    def code_step(
        self, table_index: IntArray, mean: IntArray, values: IntArray | None = None, *, limit: int = Q_MAX
    ) -> Int32Array:
        """Code the values of one step.

        Args:
            table_index: [n], 0..319.
            mean: integer part of the mean, [n], |mean| <= 2303.
            values: [n] to encode, or None to decode.
            limit: largest magnitude of a value.

        Returns:
            The values, int32 [n].
        """


class _Groups:
    """The order of a step's symbols: ascending table index, stable; `order[j]` is the position of the j-th symbol."""

    def __init__(self, table_index: IntArray) -> None:
        # uint16 makes NumPy's stable sort a radix sort.
        compact = np.asarray(table_index).astype(np.uint16)
        self.order = np.argsort(compact, kind="stable")
        counts = np.bincount(compact, minlength=TABLE_COUNT)
        self.tables: list[int] = np.flatnonzero(counts).tolist()
        self.counts: list[int] = counts[self.tables].tolist()
        # Symbol of the residual 0, in the order of coding: K + 1.
        self.centre = np.repeat(_CENTRES[self.tables], self.counts)


def _check_range(values: Int32Array, limit: int) -> None:
    if values.size and max(int(values.max()), -int(values.min())) > limit:
        worst = int(values[np.argmax(np.abs(values))])
        raise InvalidStreamError("E_RANGE", f"a coded value is {worst}, the limit is +-{limit}", section="4.4, R4.4")


class SymbolDecoder:
    """Decodes one payload.

    Args:
        payload: 32-bit little-endian words in the order of consumption.

    Raises:
        InvalidStreamError: E_LENGTH, if the length is not a multiple of 4; E_ENTROPY, if the first word is 0.
    """

    def __init__(self, payload: bytes | bytearray | memoryview) -> None:
        if len(payload) % WORD_BYTES:
            raise InvalidStreamError(
                "E_LENGTH", f"a coded payload of {len(payload)} bytes is not a whole number of words", section="4.1"
            )
        words = np.frombuffer(payload, dtype="<u4")
        if words.size and words[0] == 0:
            raise InvalidStreamError("E_ENTROPY", "the first word of a coded payload is 0", section="4.1, R4.1")
        # constriction is a stack: it takes its words from the end. A zero there, or a view, would upset it.
        self._coder = constriction.stream.stack.AnsCoder(words[::-1].astype(np.uint32))

    def code_step(
        self, table_index: IntArray, mean: IntArray, values: IntArray | None = None, *, limit: int = Q_MAX
    ) -> Int32Array:
        """Decode one step; see `StepCoder.code_step`. `values` must be None.

        Raises:
            InvalidStreamError: E_ESCAPE for an escape whose prefix is too long, E_RANGE for a value beyond `limit`.
        """
        if values is not None:
            raise ValueError("a decoder takes no values")
        if not len(table_index):
            return np.empty(0, dtype=np.int32)
        groups = _Groups(table_index)
        decode = self._coder.decode
        residuals = np.empty(len(groups.order), dtype=np.int32)
        start = 0
        for table, n in zip(groups.tables, groups.counts, strict=True):
            residuals[start : start + n] = decode(table_model(table), n)
            start += n
        escaped = np.flatnonzero(residuals == ESCAPE)
        residuals -= groups.centre
        # No list of all: a hostile step may escape everywhere, and most likely fails at its first escape.
        for j in map(int, escaped):
            residuals[j] = self._escape(int(groups.centre[j]) - 1)
        result = np.empty_like(residuals)
        result[groups.order] = residuals
        result += mean
        _check_range(result, limit)
        return result

    def _escape(self, radius: int) -> int:
        model = bit_model()
        decode = self._coder.decode
        prefix = 0
        while not decode(model):
            prefix += 1
            if prefix > ESCAPE_PREFIX_MAX:
                raise InvalidStreamError(
                    "E_ESCAPE", f"an escape has a prefix of more than {ESCAPE_PREFIX_MAX} zeros", section="4.4, R4.3"
                )
        magnitude = 1
        for _ in range(prefix):
            magnitude = magnitude << 1 | int(decode(model))
        magnitude += radius
        return -magnitude if decode(model) else magnitude

    def finish(self) -> None:
        """Check that the payload was consumed exactly.

        Raises:
            InvalidStreamError: E_ENTROPY, if words are left or the state is not 0.
        """
        if not self._coder.is_empty():
            raise InvalidStreamError(
                "E_ENTROPY", "a coded payload does not end with its last symbol", section="4.1, R4.2"
            )


class SymbolEncoder:
    """Records steps and turns them into one payload."""

    def __init__(self) -> None:
        self._runs: list[tuple[Any, Int32Array]] = []

    def code_step(
        self, table_index: IntArray, mean: IntArray, values: IntArray | None = None, *, limit: int = Q_MAX
    ) -> Int32Array:
        """Record one step; see `StepCoder.code_step`. Returns `values`.

        Raises:
            InvalidStreamError: E_RANGE, if a value is beyond `limit`; such a stream must not be written.
        """
        if values is None:
            raise ValueError("an encoder needs values")
        result = np.array(values, dtype=np.int32)
        if not result.size:
            return result
        _check_range(result, limit)
        groups = _Groups(table_index)
        residuals = (result - np.asarray(mean, dtype=np.int32))[groups.order]
        escaped = np.abs(residuals) >= groups.centre
        symbols = np.where(escaped, ESCAPE, residuals + groups.centre).astype(np.int32)
        start = 0
        for table, n in zip(groups.tables, groups.counts, strict=True):
            self._runs.append((table_model(table), symbols[start : start + n]))
            start += n
        bits: list[int] = []
        for j in np.flatnonzero(escaped).tolist():
            bits += _escape_bits(int(residuals[j]), int(groups.centre[j]) - 1)
        if bits:
            self._runs.append((bit_model(), np.array(bits, dtype=np.int32)))
        return result

    def finish(self) -> bytes:
        """The payload: little-endian words in the order of consumption, a multiple of 4 bytes, b"" for no symbols."""
        coder = constriction.stream.stack.AnsCoder()
        for model, symbols in reversed(self._runs):
            coder.encode_reverse(symbols, model)
        words: npt.NDArray[np.uint32] = coder.get_compressed()
        return words[::-1].astype("<u4").tobytes()


def _escape_bits(residual: int, radius: int) -> list[int]:
    """Bits of an escaped residual, |residual| > radius: prefix, suffix, sign (spec 4.4)."""
    magnitude = abs(residual) - radius
    prefix = magnitude.bit_length() - 1
    suffix = [magnitude >> shift & 1 for shift in range(prefix - 1, -1, -1)]
    return [0] * prefix + [1] + suffix + [int(residual < 0)]
