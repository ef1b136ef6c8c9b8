"""Chapters 6 to 8 say what the code does: tables, constants, section numbers, examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_decoder import profiles
from nvrc_decoder.picture.planes import DIGEST_BYTES
from nvrc_decoder.synthesis import arithmetic
from spec.generate import update

SPEC = Path(__file__).parents[3] / "spec"
CHAPTERS = ("06-arithmetic.md", "07-profiles-synthesis.md", "08-reconstruction.md")


DIAGRAMS = [f"DIAGRAM_{profile.name.upper()}" for profile in profiles.PROFILES]


def text(chapter: str) -> str:
    return (SPEC / chapter).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("06-arithmetic.md", ["LAYER_RANGES"]),
        ("07-profiles-synthesis.md", ["SLOT_NAMES", "STAGES", "SLOTS", *DIAGRAMS, "COST"]),
    ],
)
def test_tables_are_those_of_the_profiles(name, blocks):
    chapter = text(name)
    assert update(chapter) == chapter
    assert re.findall(r"<!-- generated: (\w+) -->", chapter) == blocks


def test_an_outdated_table_is_noticed():
    chapter = text("07-profiles-synthesis.md")
    row = "| 4 | `PlaneSlot` | plane | 4 | 3 | nodes | yes | 3 | 3 | 4 |"
    assert row in chapter
    assert update(chapter.replace(row, row.replace("3", "5"))) == chapter


def test_layer_kinds_have_one_range_each():
    rows = re.findall(
        r"^\| `((?:context|stage|head)[^`]*)` \| (\d+) \| (-?\d+)\.\.(\w+) \|$", text(CHAPTERS[0]), re.MULTILINE
    )
    assert len(rows) == 9
    said = {name: (int(largest), int(low), high) for name, largest, low, high in rows}
    for profile in profiles.PROFILES:
        grids = [slot.max_channels for slot in profile.slots]
        layers = profiles.synthesis_layers(profile, profile.max_channels, profile.blocks, grids, profiles.CHROMA_444)
        for spec in (*profiles.context_layers(5, 7), *layers):
            pattern = re.sub(r"stage[0-9]\.(?!temporal)", "stage{k}.", re.sub(r"block\d", "block{b}", spec.name))
            high = "MaxSample" if spec.kind == "head_pointwise" else str(spec.high)
            assert said[pattern] == (spec.input_max, spec.low, high)


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
    folder = Path(nvrc_decoder.__file__).parent
    for file in (*(folder / "synthesis").rglob("*.py"), *(folder / "picture").rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        assert set(re.findall(r"(?<![\w.])([678](?:\.\d+)+)(?=[,):]|\.?$|\.?\s)", source, re.MULTILINE)) <= sections
        assert set(re.findall(r"\b(R[678]\.\d+)\b", source)) <= requirements
