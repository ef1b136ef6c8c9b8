"""The table of requirements for annex B of the specification; `generate.py` puts it there.

The rows come from the chapters; the faults are the streams of the suite that break a requirement; the streams are the
golden ones that have what it is about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.bitstream.reader import Unit, UnitReader
from nvrc_decoder.bitstream.syntax import Bits, Check, Derived, Field, Option, Table, parse
from nvrc_decoder.bitstream.tables import PAYLOADS
from nvrc_decoder.bitstream.units import (
    NetworkHeader,
    SequenceHeader,
    UnitType,
    _gop_scope,
    network_scope,
)

__all__ = ["Requirement", "fault_streams", "golden_streams", "render", "requirements"]

ROOT = Path(__file__).parents[2]
_MANIFEST = ROOT / "conformance" / "manifest.json"
_HEADING = re.compile(r"^##+ ([\d.]+) ", re.MULTILINE)
_REQUIREMENT = re.compile(
    r"\*\*(R[\d.]+)\*\* It is a requirement of bitstream conformance that (.*?)\. \(`(E_\w+)`", re.DOTALL
)
# What these are about is not in every stream that has the element.
_ABOUT: dict[str, Callable[[SequenceHeader, NetworkHeader], bool]] = {
    "R3.9": lambda sequence, _: sequence.chroma_sample_position != 0,
    "R3.39": lambda sequence, network: _has(network, sequence.profile_spec.flow_slot),
    "R3.40": lambda sequence, network: _has(network, sequence.profile_spec.band_slots[0]),
    "R3.41": lambda sequence, network: _has(network, sequence.profile_spec.band_slots[0]),
    "R3.42": lambda sequence, network: _has(network, sequence.profile_spec.flow_slot),
    "R3.48": lambda sequence, network: _has(network, sequence.profile_spec.split_slot),
    "R3.49": lambda sequence, network: _has(network, sequence.profile_spec.split_slot),
    "R3.51": lambda _, network: network.prior.synthesis,
}
_WITH_INDEX = ("R2.11", "R2.15", "R2.16", "R2.17")
# Features of the manifest.
_FEATURES = {"R4.3": "grid escapes"}


@dataclass(frozen=True)
class Requirement:
    """A numbered requirement as a chapter states it: number, section, error code, text."""

    number: str
    section: str
    code: str
    text: str


def _order(number: str) -> tuple[int, int]:
    chapter, place = number[1:].split(".")
    return int(chapter), int(place)


def requirements(spec: Path = ROOT / "spec") -> list[Requirement]:
    """All requirements of the chapters, by number."""
    found: list[Requirement] = []
    for chapter in sorted(spec.glob("0*.md")):
        text = chapter.read_text(encoding="utf-8")
        for match in _REQUIREMENT.finditer(text):
            section = _HEADING.findall(text, 0, match.start())[-1]
            found.append(Requirement(match[1], section, match[3], " ".join(match[2].split())))
    return sorted(found, key=lambda requirement: _order(requirement.number))


def fault_streams(manifest: Path = _MANIFEST) -> dict[str, list[str]]:
    """Ids of the streams of the suite that break each requirement, sorted."""
    found: dict[str, list[str]] = {}
    for stream in _listed_streams(manifest):
        if stream.get("requirement") is not None:
            found.setdefault(stream["requirement"], []).append(stream["id"])
    return {number: sorted(names) for number, names in found.items()}


def _listed_streams(manifest: Path) -> list[dict[str, Any]]:
    streams: list[dict[str, Any]] = json.loads(manifest.read_text(encoding="utf-8"))["streams"]
    return streams


def golden_streams(folder: Path = ROOT / "conformance" / "streams") -> dict[str, list[str]]:
    """Names of the golden streams that have what each requirement of `_narrow` is about; smallest first."""
    golden = (stream for stream in _listed_streams(folder.parent / "manifest.json") if "expect" not in stream)
    features = {Path(stream["file"]).stem: stream["features"] for stream in golden}
    found: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*.nvrc"), key=lambda file: (file.stat().st_size, file.stem)):
        has = (number for number, feature in _FEATURES.items() if feature in features.get(file.stem, ()))
        for number in (*_exercised(file), *has):
            found.setdefault(number, []).append(file.stem)
    return found


def _narrow(number: str) -> bool:
    """Whether a requirement is about something that a stream may lack."""
    return number.startswith("R3.") or number in _WITH_INDEX or number in _FEATURES


def _exercised(file: Path) -> set[str]:
    numbers: set[str] = set()
    about: set[str] = set()
    sequence: SequenceHeader | None = None
    network: NetworkHeader | None = None
    with file.open("rb") as fileobj:
        for unit in UnitReader(fileobj):
            content = unit.content
            sequence = content if isinstance(content, SequenceHeader) else sequence
            network = content if isinstance(content, NetworkHeader) else network
            if sequence is not None and network is not None:
                about.update(number for number, holds in _ABOUT.items() if holds(sequence, network))
            if unit.type == UnitType.INDEX:
                numbers.update(_WITH_INDEX)
            if content is not None:
                numbers.update(_of_unit(unit, sequence, network))
    return {number for number in numbers if number not in _ABOUT} | about


def _of_unit(unit: Unit, sequence: SequenceHeader | None, network: NetworkHeader | None) -> Iterator[str]:
    scope: Mapping[str, Any] = {}
    if unit.type == UnitType.NETWORK and sequence is not None:
        scope = network_scope(sequence)
    elif unit.type == UnitType.GOP and sequence is not None and network is not None:
        scope = _gop_scope(network, sequence.profile_spec)
    payload = PAYLOADS[UnitType(unit.type).name]
    reader = ByteReader(unit.payload or b"", unit.payload_offset, unit.name)
    return _checked(payload.table, parse(payload.table, payload.section, reader, scope))


def _checked(table: Table, values: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of the requirements on the elements that a parsed payload has."""

    def numbers(name: str, checks: tuple[Check, ...]) -> Iterator[str]:
        if values.get(name) not in (None, []):
            yield from (check.id for check in checks)

    for element in table:
        if isinstance(element, Field | Derived):
            yield from numbers(element.name, element.checks)
        elif isinstance(element, Bits):
            for field in element.fields:
                yield from numbers(field.name, (*field.checks, *element.reserved_checks))
        elif isinstance(element, Option):
            yield from _checked(element.body, values)
        else:
            for record in values.get(element.name, ()):
                yield from _checked(element.body, record)


def _has(network: NetworkHeader, slot: int) -> bool:
    return any(grid.slot == slot for grid in network.grids)


def _listed(number: str, known: Mapping[str, list[str]], count: int, kept: str | None) -> str:
    names = known.get(number, [])
    if not _narrow(number):
        return "all"
    if len(names) == count:
        return "all"
    if not names:
        return "none"
    return f"`{kept if kept in names else names[0]}`"


def render(previous: str = "") -> str:
    """The table.

    Args:
        previous: the table before. The stream that it names for a requirement is kept where it still fits, so that a
            smaller stream does not put it out of date.
    """
    kept = dict(re.findall(r"^\| (R[\d.]+) \|.*\| `([\w-]+)` \|$", previous, re.MULTILINE))
    faults, golden = fault_streams(), golden_streams()
    count = len(list((ROOT / "conformance" / "streams").glob("*.nvrc")))
    lines = ["| number | section | code | that | faults | streams |", "|---|---|---|---|---|---|"]
    for requirement in requirements():
        number = requirement.number
        files = ", ".join(f"`{name}`" for name in faults.get(number, [])) or "none"
        text = requirement.text.replace("|", "\\|")
        place = f"{number} | {requirement.section} | `{requirement.code}` | {text}"
        lines.append(f"| {place} | {files} | {_listed(number, golden, count, kept.get(number))} |")
    return "\n".join(lines) + "\n"
