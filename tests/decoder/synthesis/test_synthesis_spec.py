"""Chapters 6 to 8 say what the code does: tables, constants, section numbers, examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nvrc_decoder.synthesis
from nvrc_decoder import profiles
from nvrc_decoder.picture.planes import DIGEST_BYTES
from nvrc_decoder.synthesis import arithmetic
from spec.synthesis_tables import update

SPEC = Path(__file__).parents[3] / "spec"
CHAPTERS = ("06-arithmetic.md", "07-profiles-synthesis.md", "08-reconstruction.md")


def text(chapter: str) -> str:
    return (SPEC / chapter).read_text(encoding="utf-8")


def test_tables_are_those_of_the_profiles():
    chapter = text("07-profiles-synthesis.md")
    assert update(chapter) == chapter
    blocks = re.findall(r"<!-- generated: (\w+) -->", chapter)
    assert blocks == ["STAGES", "SLOTS", *(f"LAYERS_{p.name.upper()}" for p in profiles.PROFILES), "COST"]


def test_an_outdated_table_is_noticed():
    chapter = text("07-profiles-synthesis.md")
    row = "| nano | 0 | feature | 32 | 4 | 0 |"
    assert row in chapter
    assert update(chapter.replace(row, row.replace("4", "5"))) == chapter


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Q_MAX", profiles.Q_MAX),
        ("WEIGHT_MAX", arithmetic.WEIGHT_MAX),
        ("ACTIVATION_MIN", profiles.ACTIVATION_MIN),
        ("ACTIVATION_MAX", profiles.ACTIVATION_MAX),
        ("ACCUMULATOR_LIMIT", arithmetic.ACCUMULATOR_LIMIT),
    ],
)
def test_constants(name, value):
    assert f"| `{name}` | {value} |" in text("06-arithmetic.md")


def test_digest_length():
    assert f"the first {DIGEST_BYTES} bytes of the SHA-256" in text("08-reconstruction.md")


def test_every_section_that_the_code_names_exists():
    sections = {match for chapter in CHAPTERS for match in re.findall(r"^##+ ([\d.]+) ", text(chapter), re.MULTILINE)}
    requirements = {match for chapter in CHAPTERS for match in re.findall(r"\*\*(R\d+\.\d+)\*\*", text(chapter))}
    assert requirements == {"R6.1", "R6.2", "R8.1"}
    folder = Path(nvrc_decoder.synthesis.__file__).parent
    for file in (*folder.rglob("*.py"), folder.parent / "picture" / "planes.py"):
        source = file.read_text(encoding="utf-8")
        assert set(re.findall(r"(?<![\w.])([678](?:\.\d+)+)(?=[,):]|\.?$|\.?\s)", source, re.MULTILINE)) <= sections
        assert set(re.findall(r"\b(R[678]\.\d+)\b", source)) <= requirements
