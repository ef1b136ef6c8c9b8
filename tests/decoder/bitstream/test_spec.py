"""The specification says what the code does: generated blocks are up to date, every error code is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_decoder.bitstream.tables import PAYLOADS
from spec import requirements_table
from spec.syntax_tables import checks_of, update

SPEC = Path(__file__).parents[3] / "spec"


@pytest.mark.parametrize("chapter", ["03-syntax.md", "09-errors-limits.md"])
def test_generated_blocks_are_up_to_date(chapter: str) -> None:
    text = (SPEC / chapter).read_text(encoding="utf-8")
    assert "<!-- generated:" in text
    assert update(text) == text


def test_every_payload_is_in_chapter_3() -> None:
    text = (SPEC / "03-syntax.md").read_text(encoding="utf-8")
    for name, payload in PAYLOADS.items():
        assert f"## {payload.section} {name}\n\n<!-- generated: {name} -->" in text


def test_requirement_numbers_are_unique() -> None:
    numbers = [check.id for payload in PAYLOADS.values() for check in checks_of(payload.table)]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) == {f"R3.{i}" for i in range(1, 52)}


def test_every_code_is_in_chapter_9() -> None:
    source = Path(nvrc_decoder.__file__).parent
    used = {code for file in source.rglob("*.py") for code in re.findall(r'"(E_[A-Z0-9_]+)"', file.read_text("utf-8"))}
    listed = set(re.findall(r"`(E_[A-Z0-9_]+)`", (SPEC / "09-errors-limits.md").read_text(encoding="utf-8")))
    assert used - listed == set()


def test_annex_b_lists_every_requirement() -> None:
    text = (SPEC / "annex-b-requirements.md").read_text(encoding="utf-8")
    assert requirements_table.update(text) == text
    numbers = re.findall(r"^\| (R[\d.]+) \|", text, re.MULTILINE)
    assert numbers == sorted(set(numbers), key=lambda number: [int(part) for part in number[1:].split(".")])
    stated = {n for file in SPEC.glob("0*.md") for n in re.findall(r"\*\*(R\d+\.\d+)\*\*", file.read_text("utf-8"))}
    assert set(numbers) == stated


def test_every_requirement_has_a_test() -> None:
    named = requirements_table.naming_tests()
    assert [found.number for found in requirements_table.requirements() if found.number not in named] == []


@pytest.mark.parametrize(("before", "kept"), [("lite-pyramid", True), ("nano-sparse", False)])
def test_a_named_stream_is_kept_where_it_fits(before: str, kept: bool) -> None:
    table = requirements_table.render(f"| R3.46 | 3.3 | `E_RANGE` | that | tests | `{before}` |\n")
    (now,) = re.findall(r"^\| R3\.46 \|.*`([\w-]+)` \|$", table, re.MULTILINE)
    assert (now == before) is kept
