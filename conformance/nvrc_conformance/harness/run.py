"""The decoder under test on many streams, some of them concurrently."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from nvrc_conformance.harness.adapter import Adapter
from nvrc_conformance.harness.cases import Case
from nvrc_conformance.harness.child import Children
from nvrc_conformance.harness.first_stage import first_stage_fault, read_stages
from nvrc_conformance.harness.interruption import signals_held
from nvrc_conformance.harness.score import Result, State, at_stage, score
from nvrc_decoder.errors import InputError

__all__ = ["Report", "check_known_failures", "run_cases"]


@dataclass(frozen=True)
class Report:
    """The results of a decoder.

    Attributes:
        decoder: its name.
        results: a result for each stream that was run, in the order of the suite.
        not_run: ids of streams that were left out after a failure.
        seconds: time of the whole run.
    """

    decoder: str
    results: tuple[Result, ...]
    not_run: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every stream is as it should be; streams are left out only after one that is not."""
        return all(result.ok for result in self.results)

    def counts(self) -> dict[State, int]:
        """The number of streams in each state."""
        found = Counter(result.state for result in self.results)
        return {state: found[state] for state in State}


def check_known_failures(adapter: Adapter, cases: tuple[Case, ...]) -> None:
    """Refuse known failures that no stream has as its id, such as misspelt ones.

    Raises:
        InputError: E_ADAPTER.
    """
    for name in sorted(adapter.known_failures - {case.id for case in cases}):
        raise InputError("E_ADAPTER", f"known_failures has {name!r}, but no stream of the suite has this id: remove it")


def run_cases(
    adapter: Adapter,
    cases: tuple[Case, ...],
    *,
    jobs: int = 1,
    fail_fast: bool = False,
    on_result: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Run the decoder on each stream, and score it.

    Args:
        adapter: the decoder.
        cases: the streams.
        jobs: how many are run concurrently.
        fail_fast: stop at the first result that is not ok; runs in progress are killed.
        on_result: is called with each result as it comes, in this thread.

    Raises:
        InputError: E_ADAPTER, the program cannot be started.
    """
    began = time.monotonic()
    results: dict[str, Result] = {}
    done: SimpleQueue[Result | Exception | None] = SimpleQueue()
    children = Children()
    with (
        signals_held(lambda: done.put(None)),
        tempfile.TemporaryDirectory(prefix="nvrc-conformance-") as folder,
        ThreadPoolExecutor(jobs) as pool,
    ):
        try:
            for case in cases:
                pool.submit(_put_result, done, children, adapter, case, Path(folder))
            for _ in cases:
                result = done.get()
                if result is None:  # a signal
                    break
                if isinstance(result, Exception):
                    raise result
                results[result.id] = result
                on_result(result)
                if fail_fast and not result.ok:
                    break
        finally:
            children.stop()
            pool.shutdown(cancel_futures=True)
    return Report(
        adapter.name,
        tuple(results[case.id] for case in cases if case.id in results),
        tuple(case.id for case in cases if case.id not in results),
        round(time.monotonic() - began, 3),
    )


def _put_result(
    done: SimpleQueue[Result | Exception | None], children: Children, adapter: Adapter, case: Case, folder: Path
) -> None:
    try:
        done.put(_run_case(children, adapter, case, folder))
    except Exception as error:
        done.put(error)


def _run_case(children: Children, adapter: Adapter, case: Case, folder: Path) -> Result:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        output, stages, log = Path(place) / "frames.yuv", Path(place) / "stages.txt", Path(place) / "log"
        words = adapter.words(case.path.resolve(), output)
        ending = children.run(words, adapter.folder, log, adapter.timeout, adapter.memory)
        result = score(case, adapter, ending, output)
        if not adapter.stages or not case.stages or result.state not in (State.FAIL, State.ERROR):
            return result
        # How this run ends does not matter: what it wrote before a crash tells the stage as well.
        words = adapter.stage_words(case.path.resolve(), stages)
        printed = stages if adapter.prints_stages else None
        children.run(words, adapter.folder, log, adapter.timeout, adapter.memory, printed=printed)
        return at_stage(result, first_stage_fault(case.stages, read_stages(stages)))
