"""The entropy coder: rANS, coded step by step and table by table (spec 4.1, 4.3, 4.4).

`SymbolDecoder` and `SymbolEncoder` have the same method `code_step`, so that the code which walks a grid or a
parameter list is written once for both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import constriction
import numpy as np
import numpy.typing as npt

from nvrc_decoder.entropy.scratch import Scratch
from nvrc_decoder.entropy.tables import ESCAPE, TABLE_COUNT, TABLE_RADII, bit_model, table_model
from nvrc_decoder.errors import InvalidStreamError
from nvrc_decoder.profiles import Q_MAX

__all__ = [
    "ESCAPE_PREFIX_MAX",
    "WORD_BYTES",
    "Int32Array",
    "IntArray",
    "StepCoder",
    "SymbolDecoder",
    "SymbolEncoder",
    "no_check",
]

ESCAPE_PREFIX_MAX = 20
WORD_BYTES = 4

IntArray = npt.NDArray[np.integer[Any]]
Int32Array = npt.NDArray[np.int32]

# Most symbols that one call sorts, or decodes with one table.
_PIECE = 1 << 13
# Escapes between two checks; each takes as long as some twenty other symbols.
_ESCAPES = 1 << 9
# Symbol of the residual 0 in each table: K + 1.
_CENTRES: list[int] = (TABLE_RADII + 1).tolist()


def no_check() -> None:
    """The `check` of a decoder that is never stopped or paused."""


class StepCoder(Protocol):
    """Codes steps, in either direction."""

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
            The values, int32 [n]. A decoder's array is valid until its next step.
        """


class _Groups:
    """The coding order of a step's symbols: by ascending table index, otherwise unchanged.

    Attributes:
        tables: indices of the tables in use, ascending.
        counts: number of symbols of each of them.
    """

    def __init__(self, table_index: IntArray) -> None:
        # uint16 makes NumPy's stable sort a radix sort.
        self._keys = np.asarray(table_index).astype(np.uint16, copy=False)
        pieces = [self._keys[piece] for piece in self._cuts()]
        self._piece_counts = np.array([np.bincount(keys, minlength=TABLE_COUNT) for keys in pieces])
        self._totals = self._piece_counts.sum(axis=0)
        self.tables: list[int] = np.flatnonzero(self._totals).tolist()
        self.counts: list[int] = self._totals[self.tables].tolist()

    def _cuts(self) -> list[slice]:
        return [slice(start, start + _PIECE) for start in range(0, len(self._keys), _PIECE)]

    def pieces(self) -> Iterator[tuple[slice, npt.NDArray[np.intp], Any]]:
        """The step in pieces that fit the caches.

        Yields:
            A slice of the step; its symbols in coding order, as indices into the slice; and their places in the coding
            order of the whole step.
        """
        if len(self._keys) <= _PIECE:
            yield slice(None), np.argsort(self._keys, kind="stable"), slice(None)
            return
        counts = self._piece_counts
        earlier_tables, earlier_pieces = np.cumsum(self._totals) - self._totals, np.cumsum(counts, axis=0) - counts
        # Offset of a table's symbols from the coding order of the piece to that of the step.
        shifts = earlier_tables + earlier_pieces - (np.cumsum(counts, axis=1) - counts)
        for piece, shift, count in zip(self._cuts(), shifts, counts, strict=True):
            order = np.argsort(self._keys[piece], kind="stable")
            places = np.repeat(shift, count)
            places += np.arange(len(order))
            yield piece, order, places


def _check_range(values: Int32Array, limit: int) -> None:
    if values.size and max(int(values.max()), -int(values.min())) > limit:
        worst = int(values[np.argmax(np.abs(values))])
        raise InvalidStreamError("E_RANGE", f"a coded value is {worst}, the limit is +-{limit}", section="4.4, R4.4")


class SymbolDecoder:
    """Decodes one payload.

    Args:
        payload: 32-bit little-endian words in the order of consumption.
        check: called every few thousand symbols; an exception from it ends the step.
        scratch: memory for a step; None to allocate it.

    Raises:
        InvalidStreamError: E_LENGTH, if the length is not a multiple of 4; E_ENTROPY, if the first word is 0.
    """

    def __init__(
        self,
        payload: bytes | bytearray | memoryview,
        check: Callable[[], None] = no_check,
        scratch: Scratch | None = None,
    ) -> None:
        if len(payload) % WORD_BYTES:
            raise InvalidStreamError(
                "E_LENGTH", f"a coded payload of {len(payload)} bytes is not a whole number of words", section="4.1"
            )
        words = np.frombuffer(payload, dtype="<u4")
        if words.size and words[0] == 0:
            raise InvalidStreamError("E_ENTROPY", "the first word of a coded payload is 0", section="4.1, R4.1")
        # constriction is a stack: it takes its words from the end. It can handle neither a zero there nor a view.
        self._check = check
        self._scratch = scratch or Scratch()
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
        decode, array, count = self._coder.decode, self._scratch.array, len(table_index)
        residuals, centre = array("residuals", (count,), np.int32), array("centre", (count,), np.int32)
        start = 0
        for table, n in zip(groups.tables, groups.counts, strict=True):
            model, stop = table_model(table), start + n
            centre[start:stop] = _CENTRES[table]
            while stop - start > _PIECE:
                residuals[start : start + _PIECE] = decode(model, _PIECE)
                start += _PIECE
                self._check()
            residuals[start:stop] = decode(model, stop - start)
            start = stop
        escaped = np.flatnonzero(np.equal(residuals, ESCAPE, out=array("escaped", (count,), np.bool_)))
        residuals -= centre
        # Not a list: a hostile step may escape everywhere, and most likely fails at its first escape.
        for number, j in enumerate(map(int, escaped)):
            if number % _ESCAPES == 0:
                self._check()
            residuals[j] = self._escape(int(centre[j]) - 1)
        result = array("result", (count,), np.int32)
        for piece, order, places in groups.pieces():
            result[piece][order] = residuals[places]
            self._check()
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
        residuals = np.empty_like(result)
        for piece, order, places in groups.pieces():
            residuals[places] = (result[piece] - np.asarray(mean, dtype=np.int32)[piece])[order]
        centre = np.repeat([_CENTRES[table] for table in groups.tables], groups.counts)
        escaped = np.abs(residuals) >= centre
        symbols = np.where(escaped, ESCAPE, residuals + centre).astype(np.int32)
        start = 0
        for table, n in zip(groups.tables, groups.counts, strict=True):
            self._runs.append((table_model(table), symbols[start : start + n]))
            start += n
        bits: list[int] = []
        for j in np.flatnonzero(escaped).tolist():
            bits += _escape_bits(int(residuals[j]), int(centre[j]) - 1)
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
