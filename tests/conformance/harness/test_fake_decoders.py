"""The tester tested: the exact score of decoders that are right, wrong, dishonest or broken."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_suite import IDS, VALID, Tiny

from nvrc_conformance.harness.cases import Pixels
from nvrc_conformance.harness.run import Report, run_cases

REJECT, UNSUPPORTED, LIMIT = ("digest", "level"), ("unit",), ("large",)
REFUSED = (*REJECT, *UNSUPPORTED, *LIMIT)


def run(tiny: Tiny, place: Path, behaviour: str, **keys: object) -> Report:
    return run_cases(tiny.adapter(place, behaviour, **keys), tiny.cases, jobs=2)


@functools.cache
def report_of(tiny: Tiny, behaviour: str) -> Report:
    """The report of a fake decoder whose adapter has no further keys."""
    return run(tiny, tiny.answers.parent, behaviour)


def states(report: Report) -> dict[str, str]:
    return {result.id: result.state for result in report.results}


def all_but(state: str, others: dict[tuple[str, ...], str]) -> dict[str, str]:
    """Every id with a state, those of `others` with another one."""
    return dict.fromkeys(IDS, state) | {name: other for names, other in others.items() for name in names}


SCORES = {
    "perfect": all_but("pass", {}),
    "opens-then-rejects": all_but("pass", {}),
    "always-accepts": all_but("pass", {REFUSED: "fail"}),
    "always-rejects": all_but("fail", {REJECT: "pass"}),
    "silent": all_but("fail", {}),
    "traceback": all_but("error", {}),
    "segfault": all_but("error", {}),
    "one-sample-off": all_but("pass", {VALID: "fail"}),
    "one-frame-short": all_but("pass", {VALID: "fail"}),
    "extra-bytes": all_but("pass", {VALID: "fail"}),
    "wrong-size": all_but("pass", {VALID: "fail"}),
    "writes-then-rejects": all_but("pass", {REFUSED: "fail"}),
    "nano-only": all_but("pass", {("lite-420-10",): "unsupported"}),
}


@pytest.mark.parametrize("behaviour", SCORES)
def test_a_fake_decoder_scores_exactly(tiny: Tiny, behaviour: str) -> None:
    report = report_of(tiny, behaviour)
    assert states(report) == SCORES[behaviour]
    assert report.ok is (set(SCORES[behaviour].values()) == {"pass"})
    assert report.not_run == ()


@pytest.mark.parametrize("behaviour", ["hang", "hang-in-child"])
def test_a_decoder_that_hangs_is_killed(tiny: Tiny, tmp_path: Path, behaviour: str) -> None:
    began = time.monotonic()
    report = run(tiny, tmp_path, behaviour, timeout=0.2)
    assert states(report) == all_but("timeout", {})
    assert time.monotonic() - began < 60
    assert report.results[0].message == "the decoder was killed after 0.2 s"


def messages(report: Report) -> dict[str, str]:
    return {result.id: result.message for result in report.results}


def test_the_first_wrong_sample_is_named(tiny: Tiny) -> None:
    said = messages(report_of(tiny, "one-sample-off"))
    assert said["nano-sparse"].startswith("frame 2 of 0..2 differs first at plane V, row 15, column 14 is ")
    assert said["nano-sparse"].endswith(" (wrong samples: 1 of 1379)")
    assert said["nano-400-10"].startswith("frame 1 of 0..1 differs first at plane Y, row 26, column 21 is ")
    assert said["lite-420-10"].startswith("frame 1 of 0..1 differs first at plane V, row 10, column 13 is ")


def test_a_manifest_of_other_sizes_gives_no_place(tiny: Tiny, tmp_path: Path) -> None:
    """Rows and columns are swapped, so that the MD5s are those of the manifest."""
    (case,) = (case for case in tiny.cases if case.id == "nano-sparse")
    assert case.pixels is not None
    swapped = Pixels(tuple((columns, rows) for rows, columns in case.pixels.shapes), case.pixels.sample_bytes)
    report = run_cases(tiny.adapter(tmp_path, "one-sample-off"), (replace(case, pixels=swapped),))
    assert report.results[0].message.startswith("frame 2 of 0..2 differs (the place is unknown, since our own decoder ")


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("one-frame-short", "the output is 1 frame short: 2758 bytes, must be 4137"),
        ("extra-bytes", "the output is 1 byte too long: 4138 bytes, must be 4137"),
        ("wrong-size", "the output is 189 bytes too long: 4326 bytes, must be 4137; frame 0 of 0..2 differs first at"),
        ("silent", "the decoder exited with 0 and wrote no output file"),
        ("always-rejects", "the decoder rejected it (exit code 65), must decode it"),
        ("traceback", "the decoder exited with 1, which is in no list of the adapter"),
        ("segfault", "the decoder ended by SIGSEGV"),
    ],
)
def test_a_fault_on_a_valid_stream_is_told(tiny: Tiny, behaviour: str, message: str) -> None:
    assert messages(report_of(tiny, behaviour))["nano-sparse"].startswith(message)


def test_the_last_words_are_kept_but_not_scored(tiny: Tiny) -> None:
    report = report_of(tiny, "traceback")
    assert {result.said for result in report.results} == {"ValueError: reject: the stream is invalid"}


def test_a_fault_on_a_refused_stream_is_told(tiny: Tiny) -> None:
    said = messages(report_of(tiny, "writes-then-rejects"))
    assert said["digest"] == (
        "the decoder rejected it (exit code 65) and left 5000 bytes of output: a decoder that refuses leaves none"
    )
    said = messages(report_of(tiny, "always-accepts"))
    assert said["digest"] == "the decoder decoded it (exit code 0), must reject it"
    assert said["unit"] == "the decoder decoded it (exit code 0), must report it as unsupported"
    said = messages(report_of(tiny, "always-rejects"))
    assert said["large"] == "the decoder rejected it (exit code 65), must report it as over a limit"


def test_an_unlisted_code_is_no_rejection(tiny: Tiny, tmp_path: Path) -> None:
    report = run(tiny, tmp_path, "perfect", reject_codes=[1])
    assert states(report) == all_but("pass", {REJECT: "error"})


def test_a_profile_left_out_may_be_unsupported(tiny: Tiny, tmp_path: Path) -> None:
    report = run(tiny, tmp_path, "nano-only", profiles=["nano"])
    assert states(report) == SCORES["nano-only"]
    assert report.ok
    assert not run(tiny, tmp_path, "always-rejects", profiles=["nano"]).ok


def test_known_failures_must_still_fail(tiny: Tiny, tmp_path: Path) -> None:
    report = run(tiny, tmp_path, "one-sample-off", known_failures=list(VALID))
    assert states(report) == all_but("pass", {VALID: "known failure"})
    assert report.ok
    report = run(tiny, tmp_path, "perfect", known_failures=["nano-sparse"])
    assert states(report) == all_but("pass", {("nano-sparse",): "unexpected pass"})
    assert not report.ok


def test_the_memory_limit_holds_in_the_decoder(tiny: Tiny, tmp_path: Path) -> None:
    assert states(run(tiny, tmp_path, "greedy", memory=500_000_000)) == all_but("error", {})
    assert states(run(tiny, tmp_path, "perfect", memory=500_000_000)) == all_but("pass", {})


def test_fail_fast_stops_at_the_first_failure(tiny: Tiny, tmp_path: Path) -> None:
    adapter = tiny.adapter(tmp_path, "always-accepts")
    report = run_cases(adapter, tiny.cases, jobs=1, fail_fast=True)
    assert states(report) == dict.fromkeys(VALID, "pass") | {"digest": "fail"}
    assert report.not_run == ("level", "unit", "large")
    assert not report.ok
