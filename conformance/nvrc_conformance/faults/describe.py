"""How the NumPy reference refuses a stream, and the manifest entry that says so."""

from __future__ import annotations

import hashlib
import io

import nvrc_decoder
from nvrc_conformance.faults.parts import Fault
from nvrc_conformance.manifest import FaultStream, GoldenStream
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.limits import DEFAULT_LIMITS, Limits

__all__ = ["NO_LIMITS", "OUTCOMES", "describe_fault", "refusal"]

NO_LIMITS = Limits(*[1 << 62] * len(vars(DEFAULT_LIMITS)))
"""Limits that no stream of the suite is over."""
OUTCOMES = {65: "reject", 69: "unsupported", 77: "limit"}
"""The outcome that each exit code stands for (spec 9.1)."""


def refusal(data: bytes, limits: Limits = DEFAULT_LIMITS) -> NvrcError:
    """How the NumPy reference refuses a stream.

    Raises:
        ValueError: it decodes the stream.
    """
    try:
        with nvrc_decoder.open(io.BytesIO(data), engine="reference", limits=limits, lookahead=False) as video:
            for _ in video:
                pass
    except NvrcError as error:
        return error
    raise ValueError("the stream is decoded, and should be refused")


def describe_fault(fault: Fault, sibling: GoldenStream, data: bytes) -> FaultStream:
    """The manifest entry of a stream that must be refused.

    Raises:
        ValueError: the NumPy reference decodes it, or refuses it for another reason.
    """
    error = refusal(data, DEFAULT_LIMITS if fault.expect == "limit" else NO_LIMITS)
    outcome = OUTCOMES.get(error.exit_code)
    named = (error.section or "").partition(", ")[2] or None
    if (outcome, named) != (fault.expect, fault.requirement):
        raise ValueError(f"{fault.id}: must be {fault.expect} for {fault.requirement}, but: {error}")
    return FaultStream(
        id=fault.id,
        description=fault.description,
        why=fault.why,
        expect=fault.expect,
        also=fault.also,
        requirement=fault.requirement,
        code=error.code,
        unit=error.unit,
        sibling=fault.sibling,
        profile=sibling.profile,
        file=f"faults/{fault.id}.nvrc",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
