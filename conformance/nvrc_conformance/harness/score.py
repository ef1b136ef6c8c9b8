"""The score of one run: what its ending and its output say about the decoder."""

from __future__ import annotations

import signal
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from nvrc_conformance.harness.adapter import Adapter
from nvrc_conformance.harness.cases import Case, Outcome
from nvrc_conformance.harness.child import Ending
from nvrc_conformance.harness.first_stage import StageFault
from nvrc_conformance.harness.frames import frames_fault

__all__ = ["Result", "State", "at_stage", "score"]


class State(StrEnum):
    """The score of a stream."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    TIMEOUT = "timeout"
    UNSUPPORTED = "unsupported"
    KNOWN_FAILURE = "known failure"
    UNEXPECTED_PASS = "unexpected pass"


@dataclass(frozen=True)
class Result:
    """The result of one stream.

    Attributes:
        id: its name.
        expect: how the decoder must end.
        state: the score.
        ok: whether that is as it should be: a pass, a known failure, or unsupported as the adapter says.
        message: what is wrong; empty for a pass.
        said: the last line that the decoder printed; empty for a pass.
        seconds: how long it ran.
        stage: path of the first stage that differs or is missing; None where that is not known.
    """

    id: str
    expect: Outcome
    state: State
    ok: bool
    message: str
    said: str
    seconds: float
    stage: str | None = None


_SAYS = {
    Outcome.VALID: "decoded it",
    Outcome.REJECT: "rejected it",
    Outcome.UNSUPPORTED: "reported it as unsupported",
    Outcome.LIMIT: "reported it as over a limit",
}
_MUST = {
    Outcome.VALID: "decode it",
    Outcome.REJECT: "reject it",
    Outcome.UNSUPPORTED: "report it as unsupported",
    Outcome.LIMIT: "report it as over a limit",
}


def score(case: Case, adapter: Adapter, ending: Ending, output: Path) -> Result:
    """Score a run.

    Args:
        case: the stream.
        adapter: the decoder.
        ending: how it ended.
        output: where it was told to write its frames.
    """
    state, message = _judge(case, adapter, ending, output)
    ok = state is State.PASS or (state is State.UNSUPPORTED and case.profile not in adapter.profiles)
    if case.id in adapter.known_failures:
        if state is State.PASS:
            state, message = State.UNEXPECTED_PASS, "it passes: remove it from known_failures"
        else:
            state, message = State.KNOWN_FAILURE, f"{state}: {message}"
        ok = state is State.KNOWN_FAILURE
    said = "" if state is State.PASS else ending.said
    return Result(case.id, case.expect, state, ok, message, said, round(ending.seconds, 3))


def at_stage(result: Result, fault: StageFault) -> Result:
    """The result, with the first stage at fault."""
    return replace(result, message=f"{result.message}; {fault.message}", stage=fault.path)


def _judge(case: Case, adapter: Adapter, ending: Ending, output: Path) -> tuple[State, str]:
    if ending.code is None:
        return State.TIMEOUT, f"the decoder was killed after {adapter.timeout:g} s"
    if ending.code < 0:
        return State.ERROR, f"the decoder ended by {_signal_name(-ending.code)}"
    outcome = adapter.codes.get(ending.code)
    if outcome is None:
        return State.ERROR, f"the decoder exited with {ending.code}, which is in no list of the adapter"
    said = f"the decoder {_SAYS[outcome]} (exit code {ending.code})"
    if outcome is not Outcome.VALID and (written := _size(output)):
        return State.FAIL, f"{said} and left {written} bytes of output: a decoder that refuses leaves none"
    lacks = case.profile not in adapter.profiles
    if outcome is Outcome.UNSUPPORTED and case.expect is not outcome and (lacks or case.expect is Outcome.VALID):
        return State.UNSUPPORTED, f"{said}; it has no {case.profile}" if lacks else said
    if outcome not in (case.expect, *case.also):
        return State.FAIL, f"{said}, must {' or '.join(_MUST[right] for right in (case.expect, *case.also))}"
    fault = frames_fault(case, output) if outcome is Outcome.VALID else None
    return (State.PASS, "") if fault is None else (State.FAIL, fault)


def _size(output: Path) -> int:
    """Bytes that the decoder left; 0 where there is no file."""
    return output.stat().st_size if output.is_file() else 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
