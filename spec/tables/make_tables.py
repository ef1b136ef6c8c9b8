"""Makes the 320 integer Laplace tables of spec chapter 4, in 60-digit decimal arithmetic, and nothing else.

    python spec/tables/make_tables.py            write laplace.bin, its copy in the decoder, and laplace.json
    python spec/tables/make_tables.py --check    make them again and compare with the stored files

The copy is left out where the decoder's folder is not beside `spec`. The rule is that of spec 4.2. Only the standard
library is used, so that any Python makes the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from pathlib import Path

SCALES = 40
FRACTIONS = 8
PRECISION_BITS = 24
RADIUS_MAX = 255
DIGITS = 60
# An integer part is trusted only if the value is further than this from an integer.
GUARD = Decimal(10) ** -30

HERE = Path(__file__).resolve().parent
STORED = HERE / "laplace.bin"
SUMMARY = HERE / "laplace.json"
PACKAGED = HERE.parent.parent / "decoder" / "nvrc_decoder" / "entropy" / "laplace.bin"


def scale(index: int) -> Decimal:
    """b = 2^(-4 + index/4)."""
    quarters = index - 16
    whole, rest = divmod(quarters, 4)
    root = Decimal(2).sqrt()
    return Decimal(2) ** whole * {0: Decimal(1), 1: root.sqrt(), 2: root, 3: root * root.sqrt()}[rest]


def radius(index: int) -> int:
    """K = min(255, ceil(10 b) + 1)."""
    with localcontext() as context:
        context.prec = DIGITS
        return min(RADIUS_MAX, int((10 * scale(index)).to_integral_value(ROUND_CEILING)) + 1)


def _mass(low: Decimal, high: Decimal, b: Decimal) -> Decimal:
    """Mass of the zero-mean Laplace distribution of scale b on [low, high]."""
    if low >= 0:
        return ((-low / b).exp() - (-high / b).exp()) / 2
    if high <= 0:
        return _mass(-high, -low, b)
    return 1 - ((low / b).exp() + (-high / b).exp()) / 2


def _floor(value: Decimal) -> int:
    below = value.to_integral_value(ROUND_FLOOR)
    # An exact tie cannot occur (the values are transcendental), a near one would make the result depend on DIGITS.
    if min(value - below, below + 1 - value) < GUARD and value > GUARD:
        raise ArithmeticError(f"{value} is too close to an integer for {DIGITS} digits")
    return int(below)


def frequencies(scale_index: int, fraction: int) -> list[int]:
    """Integer frequencies of table 8 * scale_index + fraction: the escape first, then r = -K .. K."""
    with localcontext() as context:
        context.prec = DIGITS
        b = scale(scale_index)
        mean = Decimal(fraction) / FRACTIONS
        half = Decimal("0.5")
        k = radius(scale_index)
        inside = [_mass(r - half - mean, r + half - mean, b) for r in range(-k, k + 1)]
        below, above = -k - half - mean, k + half - mean
        escape = ((below / b).exp() + (-above / b).exp()) / 2
        symbols = 2 * k + 2
        spare = (1 << PRECISION_BITS) - symbols
        table = [1 + _floor(p * spare) for p in [escape, *inside]]
        # What the floors leave over goes to the likeliest symbol: r = 0, or r = 1 for a mean beyond 1/2.
        table[1 + k + (fraction > FRACTIONS // 2)] += (1 << PRECISION_BITS) - sum(table)
    return table


def pack(table: list[int]) -> bytes:
    """Three little-endian bytes a frequency."""
    return b"".join(frequency.to_bytes(3, "little") for frequency in table)


def make() -> tuple[bytes, str]:
    """The contents of laplace.bin and of laplace.json."""
    parts = []
    summary = []
    for index in range(SCALES):
        for fraction in range(FRACTIONS):
            packed = pack(frequencies(index, fraction))
            parts.append(packed)
            digest = hashlib.sha256(packed).hexdigest()
            summary.append({"table": 8 * index + fraction, "K": radius(index), "sha256": digest})
    data = b"".join(parts)
    head = f'{{"sha256": "{hashlib.sha256(data).hexdigest()}",\n "bytes": {len(data)},\n "tables": [\n  '
    return data, head + ",\n  ".join(json.dumps(entry) for entry in summary) + "\n ]}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="make the integer Laplace tables")
    parser.add_argument("--check", action="store_true", help="compare with the stored files, write nothing")
    check = parser.parse_args().check
    data, summary = make()
    copies = [STORED, PACKAGED] if PACKAGED.parent.is_dir() else [STORED]
    if check:
        same = all(copy.read_bytes() == data for copy in copies) and SUMMARY.read_text() == summary
        print("tables are identical" if same else "tables DIFFER")
        return 0 if same else 1
    for copy in copies:
        copy.write_bytes(data)
    SUMMARY.write_text(summary)
    print(f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
