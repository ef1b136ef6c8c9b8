"""The streams that a decoder must refuse: each is refused for the one reason that the manifest gives."""

from __future__ import annotations

import hashlib
import re
import zlib
from pathlib import Path

import pytest

from nvrc_conformance.faults.describe import NO_LIMITS, OUTCOMES, refusal
from nvrc_conformance.faults.parts import Parts
from nvrc_conformance.faults.recipes import FAULTS
from nvrc_conformance.generate import FAULT_BYTES_MAX
from nvrc_conformance.manifest import FaultStream, load_manifest
from nvrc_decoder.bitstream.container import HEADER_BYTES
from nvrc_decoder.limits import DEFAULT_LIMITS

MANIFEST = load_manifest()
SPEC = Path(__file__).parents[2] / "spec"
UNSUPPORTED = {"E_VERSION", "E_UNSUPPORTED"}
# Requirements that no stream of the suite breaks, each with the reason.
EXCEPTIONS: dict[str, str] = {}
# Faults of the units themselves: their lengths or CRCs are wrong, or they are cut.
BROKEN_UNITS = {"R1.1", "R2.1", "R2.3", "R2.4"}

every_fault = pytest.mark.parametrize("fault", MANIFEST.faults, ids=lambda fault: fault.id)


def requirements_of_the_spec() -> dict[str, str]:
    """Number and code of each requirement, from the text of the specification."""
    found: dict[str, str] = {}
    for chapter in sorted(SPEC.glob("0*.md")):
        text = chapter.read_text(encoding="utf-8")
        for number, code in re.findall(r"\*\*(R\d+\.\d+)\*\* It is a requirement .*?\(`(E_\w+)`", text, re.DOTALL):
            assert number not in found, f"{number} stands twice"
            found[number] = code
    return found


REQUIREMENTS = requirements_of_the_spec()


def read(fault: FaultStream) -> bytes:
    return MANIFEST.file(fault).read_bytes()


def test_every_requirement_has_a_fault() -> None:
    broken = {fault.requirement for fault in MANIFEST.faults} - {None}
    assert broken.isdisjoint(EXCEPTIONS)
    assert broken | set(EXCEPTIONS) == set(REQUIREMENTS)


@pytest.mark.full
def test_recipes_make_the_committed_faults() -> None:
    assert [fault.id for fault in MANIFEST.faults] == sorted(fault.id for fault in FAULTS)
    committed = {fault.id: fault for fault in MANIFEST.faults}
    for recipe in FAULTS:
        fault = committed[recipe.id]
        data = recipe.make(Parts(MANIFEST.read(recipe.sibling)))
        assert data == read(fault), recipe.id
        assert (len(data), hashlib.sha256(data).hexdigest()) == (fault.bytes, fault.sha256)
        assert (recipe.expect, recipe.also, recipe.requirement, recipe.sibling) == (
            fault.expect,
            fault.also,
            fault.requirement,
            fault.sibling,
        )


def test_the_folder_holds_the_faults_of_the_manifest() -> None:
    folder = MANIFEST.path.parent / "faults"
    assert {file.name for file in folder.iterdir()} == {MANIFEST.file(fault).name for fault in MANIFEST.faults}
    assert len({read(fault) for fault in MANIFEST.faults}) == len(MANIFEST.faults)
    assert sum(fault.bytes for fault in MANIFEST.faults) <= FAULT_BYTES_MAX


@every_fault
def test_the_reference_refuses_for_the_reason_given(fault: FaultStream) -> None:
    data = read(fault)
    error = refusal(data, DEFAULT_LIMITS if fault.expect == "limit" else NO_LIMITS)
    assert (OUTCOMES[error.exit_code], error.code, error.unit) == (fault.expect, fault.code, fault.unit)
    if fault.requirement is not None:
        assert (error.section or "").endswith(f", {fault.requirement}")
    assert error.offset is not None
    assert 0 <= error.offset <= len(data)


@every_fault
def test_default_limits_leave_a_free_outcome(fault: FaultStream) -> None:
    assert OUTCOMES[refusal(read(fault)).exit_code] in (fault.expect, *fault.also)


@every_fault
def test_the_entry_agrees_with_the_spec(fault: FaultStream) -> None:
    if fault.requirement is None:
        assert (fault.expect, fault.code) == ("limit", "E_LIMIT")
    else:
        assert fault.code == REQUIREMENTS[fault.requirement]
        assert fault.expect == ("unsupported" if fault.code in UNSUPPORTED else "reject")
    assert fault.why.endswith(".")
    assert fault.expect not in fault.also
    sibling = MANIFEST.stream(fault.sibling)
    assert fault.profile == sibling.profile
    assert read(fault) != MANIFEST.read(sibling.id)


@every_fault
def test_lengths_and_crcs_are_repaired(fault: FaultStream) -> None:
    data, at = read(fault), HEADER_BYTES
    if fault.requirement in BROKEN_UNITS or fault.expect == "limit":
        return
    kinds = []
    while at < len(data) and kinds[-1:] != [0x05]:
        start, length, shift = at, 0, 0
        at += 1
        while True:
            length |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                break
        at += length
        assert zlib.crc32(data[start:at]) == int.from_bytes(data[at : at + 4], "little")
        kinds.append(data[start])
        at += 4
    assert kinds[-1] == 0x05
    assert len(data) - at in ({1, 13, 24} if fault.requirement == "R2.14" else {0, 12})
