"""What is next to a broken requirement of spec chapters 4 to 8 is valid.

The streams that break them are in the conformance suite: see `tests/conformance/test_faults.py`.
"""

from __future__ import annotations

import pytest

from nvrc_conformance.faults.coded import with_last_value, with_layer
from nvrc_conformance.faults.describe import refusal
from nvrc_conformance.faults.parts import SMALL, Break, Parts
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.decode.gop import load_network

VALID = Parts(load_manifest().read(SMALL))
ALLOWED: dict[str, Break] = {
    "R5.1": with_layer("context.output", bias_shift=18),
    "R6.1": with_layer("stage2.inject", weight=170, multiplier=6),
    "R6.2": with_layer("head.pointwise", bias_shift=14),
}


@pytest.mark.parametrize("number", ALLOWED)
def test_the_sibling_is_a_valid_network(number: str) -> None:
    made = Parts(ALLOWED[number](VALID))
    assert load_network(made.sequence, made.network) is not None


@pytest.mark.parametrize("value", [-2047, 2047])
def test_the_largest_value_is_decoded(value: int) -> None:
    assert refusal(with_last_value(value)(VALID)).code == "E_DIGEST"
