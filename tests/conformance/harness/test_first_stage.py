"""The first stage that differs is named, from what the decoder under test writes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_suite import VALID, Tiny

from nvrc_conformance.harness.adapter import load_adapter
from nvrc_conformance.harness.first_stage import first_stage_fault, read_stages
from nvrc_conformance.harness.run import run_cases
from nvrc_conformance.harness.score import Result
from nvrc_conformance.manifest import MANIFEST_PATH

RIGHT = [("sequence", "aa"), ("gops[0].grids.3", "bb"), ("gops[0].grids.0", "cc")]


def results(tiny: Tiny, place: Path, behaviour: str, stages: str) -> dict[str, Result]:
    adapter = tiny.adapter(place, behaviour, stages=tiny.words(stages, "{stages}"))
    return {result.id: result for result in run_cases(adapter, tiny.cases, jobs=2).results}


@pytest.mark.parametrize("behaviour", ["one-sample-off", "always-rejects", "traceback"])
def test_the_first_wrong_stage_is_named(tiny: Tiny, tmp_path: Path, behaviour: str) -> None:
    found = results(tiny, tmp_path, behaviour, "stages-wrong")
    for case in tiny.cases:
        grids = [(path, digest) for path, digest in case.stages if ".grids." in path]
        if case.id in VALID:
            path, digest = grids[-1]
            assert found[case.id].stage == path
            message = f"; the first stage that differs is {path}: it is {'0' * 32}, must be {digest}"
            assert found[case.id].message.endswith(message)
        else:
            assert (found[case.id].stage, "stage that" in found[case.id].message) == (None, False)


def test_a_stage_that_is_missing_is_named(tiny: Tiny, tmp_path: Path) -> None:
    found = results(tiny, tmp_path, "always-rejects", "stages-cut")["nano-sparse"]
    path = next(path for path, _ in tiny.cases[0].stages if ".grids." in path)
    assert (found.state, found.stage) == ("fail", path)
    assert found.message.endswith(f"; the first stage that is missing is {path}; those before it agree")


def test_a_decoder_may_write_some_stages_only(tiny: Tiny, tmp_path: Path) -> None:
    found = results(tiny, tmp_path, "always-rejects", "stages-of-grids")["nano-sparse"]
    assert found.stage is not None
    assert found.stage.startswith("gops[0].grids.")
    assert found.message.endswith("(before it, sequence is missing)")


def test_stages_that_agree_point_to_the_frames(tiny: Tiny, tmp_path: Path) -> None:
    found = results(tiny, tmp_path, "one-sample-off", "stages-right")["nano-sparse"]
    assert found.stage is None
    assert found.message.endswith(f"; all {len(tiny.cases[0].stages)} stages agree")


@pytest.mark.parametrize("behaviour", ["segfault", "silent"])
def test_no_stages_are_told(tiny: Tiny, tmp_path: Path, behaviour: str) -> None:
    found = results(tiny, tmp_path, "one-sample-off", behaviour)["nano-sparse"]
    assert found.message.endswith("; its stages command gave no stages")


def test_stages_are_asked_of_failures_only(tiny: Tiny, tmp_path: Path) -> None:
    found = results(tiny, tmp_path, "perfect", "hang")
    assert {result.state for result in found.values()} == {"pass"}
    adapter = tiny.adapter(tmp_path, "hang", timeout=0.2, stages=tiny.words("stages-wrong", "{stages}"))
    assert {result.stage for result in run_cases(adapter, tiny.cases).results} == {None}


def test_lines_that_are_no_stages_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "stages.txt"
    file.write_bytes(b"\xff\nsequence aa\r\nsequence bb\n\nthree words here\ngops[0].grids.3  bb")
    assert read_stages(file) == {"sequence": "aa", "gops[0].grids.3": "bb"}


def test_what_is_no_file_has_no_lines(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent", ".", "pipe"):
        assert read_stages(tmp_path / name) == {}


def test_a_digest_cut_off_by_a_crash_is_missing() -> None:
    right = [("sequence", "aabb"), ("gops[0].grids.3", "ccdd")]
    fault = first_stage_fault(right, {"sequence": "aabb", "gops[0].grids.3": "ccd"})
    assert fault.path == "gops[0].grids.3"
    assert fault.message == "the first stage that is missing is gops[0].grids.3; those before it agree"
    assert "differs" in first_stage_fault(right, {"sequence": "aabb", "gops[0].grids.3": "ce"}).message


@pytest.mark.parametrize(
    ("found", "shown"), [("1" * 59 + "0", "1" * 59 + "0"), ("\x1b[2J", "?[2J"), ("1" * 99, "1" * 61)]
)
def test_a_wrong_stage_is_shown_whole_and_plain(found: str, shown: str) -> None:
    message = first_stage_fault([("gops[0].nodes.4", "1" * 60)], {"gops[0].nodes.4": found}).message
    assert message == f"the first stage that differs is gops[0].nodes.4: it is {shown}, must be {'1' * 60}"


def test_the_order_is_that_of_decoding() -> None:
    assert (
        first_stage_fault(RIGHT, {"sequence": "aa", "gops[0].grids.0": "x", "gops[0].grids.3": "y"}).path == RIGHT[1][0]
    )
    assert first_stage_fault(RIGHT, {"gops[0].grids.3": "bb", "gops[0].grids.0": "cc"}).path == "sequence"
    assert first_stage_fault(RIGHT, {"sequence": "aa", "gops[0].grids.0": "cc"}).path == RIGHT[1][0]
    assert first_stage_fault(RIGHT, dict(RIGHT)).path is None


@pytest.mark.parametrize("name", ["onnxruntime", "numpy"])
def test_our_decoders_print_their_stages(tiny: Tiny, name: str) -> None:
    adapter = load_adapter(MANIFEST_PATH.parent / "adapters" / f"{name}.toml")
    wrong = replace(adapter, command=tuple(tiny.words("one-sample-off")))
    found = {result.id: result for result in run_cases(wrong, tiny.cases, jobs=2).results}
    for case in tiny.cases[: len(VALID)]:
        assert found[case.id].message.endswith(f"; all {len(case.stages)} stages agree")
