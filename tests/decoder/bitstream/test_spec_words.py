"""The words of the specification: names that exist, sections that exist, links that lead somewhere."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from nvrc_decoder.bitstream.syntax import Bits, Loop, Option, Table
from nvrc_decoder.bitstream.tables import PAYLOADS
from nvrc_decoder.bitstream.units import Digest, End, IndexEntry, Metadata, SequenceHeader
from nvrc_decoder.limits import Limits
from nvrc_decoder.octree.schedule import expand_schedule
from nvrc_decoder.profiles import PROFILES

SPEC = Path(__file__).parents[3] / "spec"
PAGES = sorted(SPEC.glob("**/*.md"))
CHAPTERS = [page for page in PAGES if re.match(r"\d\d-|annex-", page.name)]
TEXT = {page.name: page.read_text(encoding="utf-8") for page in PAGES}

CONTAINER = {"magic", "version", "minor", "unit_type", "unit_length", "payload", "crc", "index_offset", "footer_magic"}
# Variables of one letter with an index; a layer's property; an example; names of other documents.
OTHERS = {"b_q", "input_max", "lower_case", "max_content_light_level", "max_pic_average_light_level"}
OTHERS |= {f"{letter}_{axis}" for letter in "ep" for axis in "atyx"}


def elements(table: Table) -> Iterator[str]:
    """Names of all syntax elements of a payload."""
    for element in table:
        if isinstance(element, Loop | Option):
            yield from elements(element.body)
            continue
        yield element.name
        if isinstance(element, Bits):
            yield from (field.name for field in element.fields)


ELEMENTS = {name for payload in PAYLOADS.values() for name in elements(payload.table)}


def code_blocks(text: str) -> str:
    return "\n".join(re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


FUNCTIONS = {
    name for text in TEXT.values() for name in re.findall(r"^([a-z]+(?:_[a-z]+)*)\(", code_blocks(text), re.MULTILINE)
} | {"next_word", "push_word"}


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_every_name_is_one_that_the_reader_has(page: Path) -> None:
    known = ELEMENTS | CONTAINER | FUNCTIONS | OTHERS | {field.name for field in fields(Limits)}
    text = re.sub(r"`test_\w+`", "", TEXT[page.name])
    found = set(re.findall(r"(?<![\w/.{-])[a-z]+(?:_[a-z0-9]+)+\b(?!\.(?:py|bin))", text))
    assert sorted(found - known) == []


def test_headers_have_the_names_of_the_elements() -> None:
    units = {SequenceHeader: "SEQUENCE", IndexEntry: "INDEX", End: "END", Digest: "DIGEST", Metadata: "METADATA"}
    for header, unit in units.items():
        assert {field.name for field in fields(header)} <= set(elements(PAYLOADS[unit].table)), unit


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_every_section_named_exists(page: Path) -> None:
    headings = {match for text in TEXT.values() for match in re.findall(r"^##+ ([\dA-C][\d.]*\d) ", text, re.MULTILINE)}
    prose = re.sub(r"^```.*?^```|<!-- example.*", "", TEXT[page.name], flags=re.MULTILINE | re.DOTALL)
    named = {
        number
        for group in re.findall(r"[(]([^()]*)[)]|\b(?:in|of|by|as) (\d\.\d[\d.]*)", prose)
        for number in re.findall(r"(?<![\w.^-])([1-9]\.\d+(?:\.\d+)*)(?![\w/*])", " ".join(group))
    }
    assert sorted(named - headings) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_pages(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXT[page.name]):
        assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_no_chapter_sends_the_reader_to_code(page: Path) -> None:
    text = TEXT[page.name].replace("`tables/make_tables.py` computes with 60 decimal digits", "")
    assert re.findall(r"Python|NumPy|PyTorch|constriction|onnx|\w+\.py\b", text, re.IGNORECASE) == []


def test_the_glossary_is_in_alphabetical_order() -> None:
    text = TEXT["annex-c-glossary.md"]
    terms = re.findall(r"^\| ([\w -]+) \| .* \| [\d.,; ]+ \|$", text, re.MULTILINE)
    assert len(terms) == text.count("\n| ") - 1  # without the head
    assert terms == sorted(terms, key=str.lower)


def test_the_ordinal_of_a_step_is_at_most_6() -> None:
    assert "It is at most 6" in TEXT["05-schedules-contexts.md"]
    splits = [h | p << 4 for h, p in itertools.product(range(1, 8), range(8)) if not h & p]
    steps = {split: expand_schedule((9, 9, 9), (split,)) for split in splits}
    assert max(step.step_index for found in steps.values() for step in found) == 6
    assert all(len({step.step_index for step in found[1:]}) == len(found) - 1 for found in steps.values())


def test_a_colocated_value_lies_inside_the_other_grid() -> None:
    strides = {slot.stride for profile in PROFILES for slot in profile.slots}
    for size, stride, other in itertools.product(range(1, 200), strides, strides):
        assert (-(-size // stride) - 1) * stride // other <= -(-size // other) - 1
