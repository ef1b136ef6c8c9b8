"""The pages: figures as the JSON has them, links and paths that exist, commands whose options exist."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from nvrc_ref.main import Settings, group

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "demo" / "README.md",
        ROOT / "conformance" / "README.md",
        ROOT / "web" / "README.md",
    ]
)
FOLDERS = "bench|cli|conformance|decoder|demo|docs|encoder|graphs|output|spec|tests|tools|web"
PATH = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w)")
ELSEWHERE = {"demo/data/gallery/05_default_juggle.mp4"}
"""Paths in other repositories."""
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(path: Path) -> str:
    """A page's name in the test report."""
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `nvrc-ref` command in the fenced blocks of a page."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True) if "nvrc-ref " in line else []
            if words[:1] == ["nvrc-ref"]:
                yield words[1:] if words[1] != "bench" or words[2] in ("decode", "rd") else ["bench", "rd", *words[2:]]


OPTION = re.compile(r"--?[a-z][a-z0-9-]*")


@functools.cache
def known_options(command: tuple[str, ...]) -> frozenset[str]:
    """The options in the help of a command."""
    result = CliRunner().invoke(group, [*command, "--help"], obj=Settings())
    assert result.exit_code == 0, result.output
    return frozenset(OPTION.findall(result.output))


def test_figures_are_rendered_from_the_json() -> None:
    pytest.importorskip("bjontegaard")
    from benchmarks import performance

    assert performance.stale() == []


def test_a_changed_figure_makes_a_page_stale() -> None:
    pytest.importorskip("bjontegaard")
    from benchmarks import performance

    text = (ROOT / "docs" / "performance.md").read_text("utf-8")
    for figure in ("-2.3 %", "21 minutes"):
        assert performance.render_page(text.replace(figure, "-9.9 %")) == text


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name)
def test_paths_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    assert {path for path in PATH.findall(text) if not (ROOT / path).exists()} <= ELSEWHERE


def test_sources_cite_pages_that_exist() -> None:
    folders = set(FOLDERS.split("|")) - {"docs"}
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    cited = {page for path in sources for page in re.findall(r"\bdocs/[a-z][\w./-]*\w", path.read_text("utf-8"))}
    assert len(cited) > 3
    assert [page for page in cited if not list(ROOT.glob(f"{page}*"))] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_have_their_options(page: Path) -> None:
    for words in commands(page.read_text("utf-8")):
        known = known_options(tuple(words[: 2 if words[0] in ("bench", "conformance") else 1]))
        used = {word.split("=")[0] for word in words if OPTION.match(word)}
        assert used <= known, words


def test_the_readme_is_short_and_has_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert text.count("\n") < 120
    assert len(list(commands(text))) > 10
