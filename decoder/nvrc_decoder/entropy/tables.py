"""The 320 integer Laplace tables that every symbol is coded with (spec 4.2).

The frequencies are data, not a formula: `laplace.bin` is a copy of `spec/tables/laplace.bin`, pinned by its SHA-256.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import Any

import constriction
import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InternalError

__all__ = [
    "ESCAPE",
    "FRACTION_COUNT",
    "LAPLACE_SHA256",
    "PRECISION_BITS",
    "RADII",
    "SCALE_COUNT",
    "TABLE_COUNT",
    "TABLE_RADII",
    "bit_model",
    "frequencies",
    "table_model",
]

PRECISION_BITS = 24
SCALE_COUNT = 40
FRACTION_COUNT = 8
TABLE_COUNT = SCALE_COUNT * FRACTION_COUNT
ESCAPE = 0
LAPLACE_SHA256 = "8e4e3c464f3ebf50babb35a4e3d8958678fabc899cbf4b5bf87660ca8b2aee06"

# K of each scale: the table of scale i holds the residuals -K .. K.
RADII = (
    *(2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 6, 6, 7, 9, 10, 11, 13, 16, 18),
    *(21, 25, 30, 35, 41, 49, 58, 69, 81, 97, 115, 136, 161, 192, 228, 255, 255, 255, 255, 255),
)
# K of each table, int32 [320].
TABLE_RADII: npt.NDArray[np.int32] = np.repeat(np.array(RADII, dtype=np.int32), FRACTION_COUNT)
TABLE_RADII.setflags(write=False)


@functools.cache
def _all_frequencies() -> tuple[npt.NDArray[np.int64], ...]:
    data = resources.files("nvrc_decoder.entropy").joinpath("laplace.bin").read_bytes()
    if hashlib.sha256(data).hexdigest() != LAPLACE_SHA256:
        raise InternalError("E_INTERNAL", "the installed table file laplace.bin is damaged; install the package again")
    octets = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3).astype(np.int64)
    flat = octets[:, 0] | octets[:, 1] << 8 | octets[:, 2] << 16
    flat.setflags(write=False)
    return tuple(np.split(flat, np.cumsum(2 * TABLE_RADII + 2)[:-1]))


def frequencies(table: int) -> npt.NDArray[np.int64]:
    """Frequencies of a table, int64 [2 K + 2], each at least 1, sum 2^24; the escape first, then r = -K .. K.

    Args:
        table: table index, 0..319.

    Raises:
        InternalError: E_INTERNAL, if the installed table file is damaged.
    """
    return _all_frequencies()[table]


def _exact_model(counts: npt.NDArray[np.int64]) -> Any:
    # perfect=True keeps k / 2^24 as the integer k; the default's approximation would change the tables.
    return constriction.stream.model.Categorical(counts / float(1 << PRECISION_BITS), perfect=True)


@functools.cache
def table_model(table: int) -> Any:
    """constriction's entropy model of a table (0..319); made once, then shared."""
    return _exact_model(frequencies(table))


@functools.cache
def bit_model() -> Any:
    """constriction's model of the table {2^23, 2^23}, in which a symbol is one raw bit."""
    return _exact_model(np.full(2, 1 << (PRECISION_BITS - 1), dtype=np.int64))
