"""The specification says what the code does: generated blocks are up to date, every error code is listed."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_decoder.bitstream.tables import PAYLOADS
from nvrc_decoder.entropy.coder import ESCAPE_PREFIX_MAX
from nvrc_decoder.limits import LEVELS
from nvrc_decoder.octree.schedule import SPLITS_MAX
from nvrc_decoder.picture.format import RATE_MAX
from nvrc_decoder.profiles import PROFILES, Q_MAX, node_shape
from nvrc_decoder.pyramid import Pyramid
from spec import requirements_table
from spec.generate import update
from spec.syntax_tables import checks_of

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
    assert update(text) == text
    numbers = re.findall(r"^\| (R[\d.]+) \|", text, re.MULTILINE)
    assert numbers == sorted(set(numbers), key=lambda number: [int(part) for part in number[1:].split(".")])
    stated = {n for file in SPEC.glob("0*.md") for n in re.findall(r"\*\*(R\d+\.\d+)\*\*", file.read_text("utf-8"))}
    assert set(numbers) == stated


def test_every_requirement_has_a_fault_in_annex_b() -> None:
    faults = requirements_table.fault_streams()
    assert [found.number for found in requirements_table.requirements() if found.number not in faults] == []


@pytest.mark.parametrize(("before", "now"), [("lite-pyramid", "lite-pyramid"), ("nano-sparse", "nano-motion-frame")])
def test_the_stream_in_annex_b_is_kept_where_it_fits(before: str, now: str) -> None:
    table = requirements_table.render(f"| R3.46 | 3 | `E_RANGE` | that | none | `{before}` |")
    assert re.findall(r"^\| R3\.46 .*\| ([^|]*) \|$", table, re.MULTILINE) == [f"`{now}`"]


def test_value_ranges_are_those_of_the_format() -> None:
    text = (SPEC / "09-errors-limits.md").read_text(encoding="utf-8").split("## 9.5 ")[1]
    rows = dict(re.findall(r"^\| (.*?) \| (.*) \| .*? \|$", text.replace("\\|", "!"), re.MULTILINE))
    side, frames = 65535, 65536
    assert rows["width * height (R9.1)"] == f"1..{side * side}"
    assert side * side * RATE_MAX < 1 << 63
    assert max(level.max_rate for level in LEVELS[:-1]) * RATE_MAX < 1 << 62
    assert (LEVELS[-1].max_rate * RATE_MAX).bit_length() == 71
    dense = Pyramid(16, 1, (16,) * 4)
    symbols = max(
        sum(math.prod(node_shape(slot, frames, side, side, dense)) * slot.max_channels for slot in profile.slots)
        for profile in PROFILES
    )
    assert rows["GopSymbols (3.4, R9.5)"] == f"at most {symbols}"
    assert 255 + (2 << ESCAPE_PREFIX_MAX) - 1 == (1 << 21) + 254
    assert SPLITS_MAX == 32
    channels = max(slot.max_channels for profile in PROFILES for slot in profile.slots)
    assert rows["sum of Faces (5.3); sum of input 18 before the min"] == f"magnitude at most {channels * Q_MAX}"


@pytest.mark.parametrize("rate", [1, 1 << 30, RATE_MAX])
@pytest.mark.parametrize("size", [1, 1 << 20, 65535 * 65535])
def test_the_check_of_level_6_fits_in_64_bits(rate: int, size: int) -> None:
    top = LEVELS[-1].max_rate
    for denominator in (1, *(max(1, size * rate // top + shift) for shift in (-1, 0, 1)), RATE_MAX):
        assert (size * rate <= top * denominator) == (-(-size * rate // (1 << 40)) <= denominator)
