"""The entropy coder of spec chapter 4 in Python integers, in both directions, symbol by symbol."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

MASK = (1 << 24) - 1
BIT_TABLE = [1 << 23, 1 << 23]


def read_tables() -> list[list[int]]:
    """The tables of spec/tables/laplace.bin, cut by the formula of spec 4.2."""
    data = (Path(__file__).resolve().parents[2] / "spec" / "tables" / "laplace.bin").read_bytes()
    tables = []
    offset = 0
    for index in range(40):
        for _ in range(8):
            size = 2 * radius(index) + 2
            tables.append([int.from_bytes(data[offset + 3 * j : offset + 3 * j + 3], "little") for j in range(size)])
            offset += 3 * size
    assert offset == len(data)
    return tables


def radius(index: int) -> int:
    """K = min(255, ceil(10 b) + 1), in integers: (10 b)^4 = 10^4 2^(index - 16)."""
    k = 0
    while k**4 * 2**16 < 10**4 * 2**index:
        k += 1
    return min(255, k + 1)


class Decoder:
    """R4.1 and spec 4.1."""

    def __init__(self, payload: bytes) -> None:
        self.words = list(struct.unpack(f"<{len(payload) // 4}I", payload))
        self.state = 0
        if self.words:
            self.state = self.words.pop(0)
            if self.words:
                self.state = self.state << 32 | self.words.pop(0)

    def symbol(self, table: Sequence[int]) -> int:
        quantile = self.state & MASK
        symbol = left = 0
        while quantile >= left + table[symbol]:
            left += table[symbol]
            symbol += 1
        self.state = (self.state >> 24) * table[symbol] + quantile - left
        if self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop(0)
        return symbol

    def exhausted(self) -> bool:
        return not self.words and self.state == 0

    def step(self, tables: Sequence[Sequence[int]], table_index: Sequence[int], mean: Sequence[int]) -> list[int]:
        n = len(table_index)
        values = [0] * n
        escaped = []
        for position in sorted(range(n), key=lambda p: table_index[p]):
            table = tables[table_index[position]]
            k = (len(table) - 2) // 2
            symbol = self.symbol(table)
            if symbol == 0:
                escaped.append((position, k))
            else:
                values[position] = mean[position] + symbol - 1 - k
        for position, k in escaped:
            prefix = 0
            while self.symbol(BIT_TABLE) == 0:
                prefix += 1
                if prefix > 20:
                    raise ValueError("E_ESCAPE")
            v = 0
            for _ in range(prefix):
                v = 2 * v + self.symbol(BIT_TABLE)
            v += 2**prefix - 1
            r = k + 1 + v
            values[position] = mean[position] + (-r if self.symbol(BIT_TABLE) else r)
        return values


class Encoder:
    """The inverse: symbols are recorded and encoded last first."""

    def __init__(self) -> None:
        self.symbols: list[tuple[Sequence[int], int]] = []

    def step(
        self,
        tables: Sequence[Sequence[int]],
        table_index: Sequence[int],
        mean: Sequence[int],
        values: Sequence[int],
    ) -> None:
        escapes = []
        for position in sorted(range(len(values)), key=lambda p: table_index[p]):
            table = tables[table_index[position]]
            k = (len(table) - 2) // 2
            r = values[position] - mean[position]
            if abs(r) <= k:
                self.symbols.append((table, r + k + 1))
            else:
                self.symbols.append((table, 0))
                escapes.append((r, abs(r) - k - 1))
        for r, v in escapes:
            binary = f"{v + 1:b}"
            bits = "0" * (len(binary) - 1) + binary + ("1" if r < 0 else "0")
            self.symbols += [(BIT_TABLE, int(bit)) for bit in bits]

    def finish(self) -> bytes:
        state = 0
        words: list[int] = []
        for table, symbol in reversed(self.symbols):
            frequency = table[symbol]
            if state >> 40 >= frequency:
                words.append(state & 0xFFFFFFFF)
                state >>= 32
            state = (state // frequency << 24) + state % frequency + sum(table[:symbol])
        while state:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        return struct.pack(f"<{len(words)}I", *reversed(words))
