"""Mutants of the decoder in C: what is read, how they are built and run, what the table says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from c_decoder import needs_c

from mutants.misreadings import Mutant, load_mutants, mutated
from mutants.run import FOLDER, README, RESULTS, SOURCES, Workshop, is_right, load_all, run_mutants
from mutants.suite import load_suite
from mutants.table import render

MUTANT = Mutant(
    "trailing", "2.6", "container.c", "r.pos != d->source.size", "r.pos > d->source.size", "It is | ignored."
)
TEXT = """
[[mutant]]
id = "a"
section = "1.4"
file = "reader.c"
find = '''one'''
replace = "two"
misreading = "One is two."
"""


def test_mutants_are_read(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text(TEXT + TEXT.replace('"a"', '"b"') + 'equivalent = "Proof."\n', encoding="utf-8")
    first = Mutant("a", "1.4", "reader.c", "one", "two", "One is two.")
    assert load_mutants(path) == (first, replace(first, id="b", equivalent="Proof."))


@pytest.mark.parametrize(
    "text",
    [TEXT + "proof = ''\n", TEXT.replace('section = "1.4"', ""), TEXT.replace('"1.4"', "1.4")],
    ids=["unknown", "missing", "number"],
)
def test_wrong_keys_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="a: wrong keys"):
        load_mutants(path)


@pytest.mark.parametrize("source", ["", "one one"])
def test_text_must_be_there_once(source: str) -> None:
    mutant = replace(MUTANT, find="one", replace="two")
    assert mutated(mutant, "one x") == "two x"
    with pytest.raises(ValueError, match="trailing: its text is"):
        mutated(mutant, source)
    with pytest.raises(ValueError, match="replaces itself"):
        mutated(replace(mutant, replace="one"), "one")


def test_every_mutant_changes_the_decoder() -> None:
    found = load_all()
    assert len(found) >= 150
    for mutant in found:
        mutated(mutant, (SOURCES / mutant.file).read_text(encoding="utf-8"))
        assert mutant.misreading.endswith(".")


def test_the_table_is_that_of_the_last_results() -> None:
    results = json.loads(RESULTS.read_bytes())
    assert README.read_text(encoding="utf-8") == render(load_all(), results)
    assert all(is_right(mutant, results[mutant.id]) for mutant in load_all())


def test_the_page_of_the_suite_has_the_score() -> None:
    found, results = load_all(), json.loads(RESULTS.read_bytes())
    page = " ".join((FOLDER.parent / "README.md").read_text(encoding="utf-8").split())
    noticed = sum(name is not None for name in results.values())
    assert f"has {len(found)} misreadings of the specification" in page
    assert f"{noticed} of them fail at least one stream" in page
    assert f"For {sum(bool(mutant.equivalent) for mutant in found)} there is a proof" in page
    assert len(found) == noticed + sum(bool(mutant.equivalent) for mutant in found)


def test_rows_of_the_table() -> None:
    proved = replace(MUTANT, id="proved", equivalent="It\nis so.")
    lines = render([MUTANT, proved], {"trailing": "some-stream", "proved": None}).splitlines()
    assert "1 of 1 mutants are noticed. 1 more end like a right decoder on every stream." in lines
    assert lines[-2] == "| trailing | 2.6 | It is \\| ignored. | `some-stream` |"
    assert lines[-1] == "| proved | 2.6 | It is \\| ignored. | none can: It is so. |"
    with pytest.raises(ValueError, match="other mutants"):
        render([MUTANT], {"proved": None})


def test_unnoticed_mutants_need_a_proof() -> None:
    proved = replace(MUTANT, equivalent="Proof.")
    assert is_right(proved, None)
    assert not is_right(proved, "some-stream")
    assert is_right(MUTANT, "some-stream")
    assert not is_right(MUTANT, None)


@pytest.mark.full
@needs_c
def test_streams_notice_mutants(tmp_path: Path) -> None:
    small = load_suite(only={"nano-sparse", "reject-2-14-trailing"})
    part = replace(MUTANT, id="part", file="seek.c", find="d->gop.whole = frame == 0;", replace="d->gop.whole = 1;")
    unseen = replace(MUTANT, id="unseen", file="limits.c", find="4194304, 16777216", replace="4194304, 16777217")
    seen = []
    likely = {"part": "nano-sparse, frame 2 alone", "unseen": "nano-sparse"}
    found = run_mutants([MUTANT, part, unseen], small, 1, lambda mutant, _: seen.append(mutant.id), likely)
    assert found == {"trailing": "reject-2-14-trailing", "part": "nano-sparse, frame 2 alone", "unseen": None}
    assert seen == list(found)
    workshop = Workshop(tmp_path)
    for mutant, likely_stream in ((part, None), (MUTANT, "nano-sparse")):
        failure = workshop.first_failure(mutant, small, likely_stream)
        assert failure is not None
        assert failure.id == found[mutant.id]
    with pytest.raises(RuntimeError, match="does not compile"):
        workshop.first_failure(replace(MUTANT, replace="("), small)


@pytest.mark.full
@needs_c
def test_a_wrong_decoder_is_no_measure() -> None:
    suite = load_suite(only={"nano-sparse"})
    wrong = replace(suite.cases[0], frame_md5=("0" * 32,) * len(suite.cases[0].frame_md5))
    with pytest.raises(RuntimeError, match="the decoder itself does not pass nano-sparse: frame 0"):
        run_mutants([], replace(suite, cases=(wrong,)), 1)


@needs_c
@pytest.mark.full
def test_the_suite_notices_every_mutant() -> None:
    found = load_all()
    results = run_mutants(found, load_suite(), 2, likely=json.loads(RESULTS.read_bytes()))
    assert [mutant.id for mutant in found if not is_right(mutant, results[mutant.id])] == []
