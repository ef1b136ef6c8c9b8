"""The score of a run by what the manifest leaves free, and by what the adapter says the decoder lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_conformance.harness.adapter import Adapter
from nvrc_conformance.harness.cases import Case, Outcome, load_cases
from nvrc_conformance.harness.child import Ending
from nvrc_conformance.harness.score import Result, score
from nvrc_conformance.manifest import MANIFEST_PATH

CODES = {0: Outcome.VALID, 65: Outcome.REJECT, 69: Outcome.UNSUPPORTED, 77: Outcome.LIMIT}
ADAPTER = Adapter("fake", Path(), ("fake",), CODES, 1.0, None, frozenset({"nano"}), frozenset())
REFUSED = Case("refused", Path("refused.nvrc"), "one fault", Outcome.REJECT, "nano")


def ended(case: Case, code: int) -> Result:
    return score(case, ADAPTER, Ending(code, 0.0, ""), Path("/nonexistent/frames.yuv"))


@pytest.mark.parametrize(("code", "state"), [(65, "pass"), (77, "pass"), (69, "fail"), (0, "fail")])
def test_a_free_outcome_passes(code: int, state: str) -> None:
    assert ended(replace(REFUSED, also=(Outcome.LIMIT,)), code).state == state


def test_a_failure_lists_the_free_outcomes() -> None:
    result = ended(replace(REFUSED, also=(Outcome.LIMIT,)), 69)
    assert result.message.endswith("must reject it or report it as over a limit")
    assert ended(REFUSED, 77).message.endswith("must reject it")


def test_a_fault_of_a_profile_that_is_lacking_is_unsupported() -> None:
    result = ended(replace(REFUSED, profile="main"), 69)
    assert (result.state, result.ok) == ("unsupported", True)
    assert result.message.endswith("it has no main")
    assert ended(REFUSED, 69).state == "fail"
    assert ended(replace(REFUSED, profile="main", expect=Outcome.UNSUPPORTED), 69).state == "pass"


def test_the_manifest_says_which_outcomes_are_free() -> None:
    cases = {case.id: case for case in load_cases(MANIFEST_PATH.parent)}
    assert cases["limit-size"].also == (Outcome.REJECT,)
    assert cases["reject-9-1-size"].also == (Outcome.LIMIT,)
    assert cases["reject-3-1-width"].also == ()
    assert cases["limit-valid"].also == (Outcome.VALID,)


@pytest.mark.parametrize(("code", "state"), [(77, "pass"), (0, "pass"), (65, "fail"), (69, "fail")])
def test_over_a_limit_is_not_invalid(tmp_path: Path, code: int, state: str) -> None:
    cases = {case.id: case for case in load_cases(MANIFEST_PATH.parent)}
    output = tmp_path / "frames.yuv"
    if code == 0:
        with nvrc_decoder.open(cases["nano-sparse"].path) as video:
            output.write_bytes(b"".join(chunk for frame in video for chunk in frame.chunks()))
    assert score(cases["limit-valid"], ADAPTER, Ending(code, 0.0, ""), output).state == state


def test_frames_of_a_stream_over_a_limit_count(tmp_path: Path) -> None:
    (case,) = (case for case in load_cases(MANIFEST_PATH.parent) if case.id == "limit-valid")
    output = tmp_path / "frames.yuv"
    output.write_bytes(b"wrong")
    result = score(case, ADAPTER, Ending(0, 0.0, ""), output)
    assert result.state == "fail"
    assert result.message.startswith("the output is ")
