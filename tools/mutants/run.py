"""Mutation testing of the conformance suite: ``python tools/mutants/run.py``.

Builds each mutant of the decoder in C (`conformance/mutants/*.toml`) and runs the streams of the suite on it, the small
ones first, then asks for the last frame of each by itself (2.8), up to the first thing that is wrong. The last is a
stream of more than 32 GiB, in a file with a hole. A mutant that passes all must have a proof that no stream can tell
it from the decoder; one with a proof must pass all. The results go to `conformance/mutants/results.json`, from there
into its README.

    python tools/mutants/run.py --jobs 2              every mutant; the exit code is 1 if the suite misses one
    python tools/mutants/run.py --only ID --only ID   some, and what the streams say; writes no results
    python tools/mutants/run.py --render              the table alone, without a run
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutants.misreadings import Mutant, load_mutants, mutated
from mutants.suite import Suite, last_name, load_suite
from mutants.table import render
from nvrc_conformance.harness.adapter import Adapter
from nvrc_conformance.harness.cases import Outcome
from nvrc_conformance.harness.run import run_cases
from nvrc_conformance.harness.score import Result
from nvrc_decoder.profiles import PROFILES

__all__ = ["FOLDER", "SOURCES", "Workshop", "is_right", "load_all", "run_mutants"]

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "conformance" / "decoders" / "c"
FOLDER = ROOT / "conformance" / "mutants"
RESULTS = FOLDER / "results.json"
README = FOLDER / "README.md"

# Overflow of an accumulator that a mutant makes smaller wraps, so that results do not depend on the compiler.
FLAGS = "-std=c99 -O1 -fwrapv -w"
# 66: there is no such frame.
CODES = {0: Outcome.VALID, 65: Outcome.REJECT, 66: Outcome.REJECT, 69: Outcome.UNSUPPORTED, 77: Outcome.LIMIT}
SECONDS = 30.0
ADDRESS_SPACE = 4_000_000_000


class Workshop:
    """Builds mutants, each in a folder of its own, and runs streams on them.

    Args:
        folder: an empty folder. The decoder is built in it once; a mutant compiles what it changes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        shutil.copytree(SOURCES, folder / "original", ignore=shutil.ignore_patterns("build"))
        self._make(folder / "original")

    def first_failure(self, mutant: Mutant | None, suite: Suite, likely: str | None = None) -> Result | None:
        """The result of the first stream that a mutant does not pass; None if it passes all.

        Args:
            mutant: the mutant; None for the decoder itself.
            suite: what it is run on.
            likely: the name of the stream that is run before all others.

        Raises:
            RuntimeError: the mutant does not compile.
        """
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            copy = Path(name) / "c"
            shutil.copytree(self._folder / "original", copy)
            if mutant is not None:
                file = copy / mutant.file
                file.write_text(mutated(mutant, file.read_text(encoding="utf-8")), encoding="utf-8")
                self._make(copy)
            return (likely and _first_failure(copy, suite.alone(likely))) or _first_failure(copy, suite)

    def _make(self, folder: Path) -> None:
        words = ["make", "-s", "-C", str(folder), "CC=cc", f"CFLAGS={FLAGS}", f"TABLES={ROOT / 'spec' / 'tables'}"]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{folder} does not compile:\n{done.stderr}")


def _first_failure(folder: Path, suite: Suite) -> Result | None:
    """The result of the first stream that a decoder does not pass; None if it passes all."""
    report = run_cases(_adapter(folder), suite.cases, fail_fast=True)
    failed = next((result for result in report.results if not result.ok), None)
    return failed or _first_wrong_last(folder, suite)


def _first_wrong_last(folder: Path, suite: Suite) -> Result | None:
    """The result of the first stream whose last frame, by itself, is wrong; None if all are right."""
    for case, number in suite.lasts:
        # A valid stream is read on past the frame, where the check of a digest may be due.
        words = () if case.expect is Outcome.VALID else ("--frames", "1")
        (result,) = run_cases(_adapter(folder, "--start", str(number), *words), (case,)).results
        if not result.ok:
            return replace(result, id=last_name(result.id, number))
    return None


def _adapter(folder: Path, *words: str) -> Adapter:
    command = ("build/nvrc-c", "{input}", "-o", "{output}", *words)
    profiles = frozenset(profile.name for profile in PROFILES)
    return Adapter("mutant", folder, command, CODES, SECONDS, None, profiles, frozenset())


def load_all() -> tuple[Mutant, ...]:
    """All mutants, those of each file in its order.

    Raises:
        ValueError: a file is wrong, or two mutants have the same id.
    """
    mutants = tuple(mutant for path in sorted(FOLDER.glob("*.toml")) for mutant in load_mutants(path))
    name, count = Counter(mutant.id for mutant in mutants).most_common(1)[0]
    if count > 1:
        raise ValueError(f"two mutants have the id {name}")
    return mutants


def run_mutants(
    mutants: Sequence[Mutant],
    suite: Suite,
    jobs: int,
    on_result: Callable[[Mutant, Result | None], None] = lambda mutant, result: None,
    likely: Mapping[str, str | None] | None = None,
) -> dict[str, str | None]:
    """Run mutants, after the decoder itself.

    Args:
        mutants: the mutants.
        suite: what they are run on.
        jobs: how many mutants are run concurrently.
        on_result: is called with each mutant and the stream that noticed it, in order.
        likely: earlier results. A mutant is run on the stream of its result before all others, which is many times
            faster; where that one does not notice it any more, all are run.

    Returns:
        The id of each mutant, and that of the first stream that noticed it; None where none did.

    Raises:
        RuntimeError: the decoder does not pass, or a mutant does not compile.
        ValueError: the text of a mutant is not in its file once.
    """
    first = likely or {}
    for mutant in mutants:
        mutated(mutant, (SOURCES / mutant.file).read_text(encoding="utf-8"))
    found: dict[str, str | None] = {}
    with tempfile.TemporaryDirectory(prefix="nvrc-mutants-") as name, ThreadPoolExecutor(jobs) as pool:
        workshop = Workshop(Path(name))
        suite = suite.with_sparse(Path(name) / "sparse.nvrc")
        failure = workshop.first_failure(None, suite)
        if failure is not None:
            raise RuntimeError(f"the decoder itself does not pass {failure.id}: {failure.message}")
        try:
            results = pool.map(lambda each: workshop.first_failure(each, suite, first.get(each.id)), mutants)
            for mutant, result in zip(mutants, results, strict=True):
                found[mutant.id] = result.id if result else None
                on_result(mutant, result)
        finally:
            pool.shutdown(cancel_futures=True)
    return found


def is_right(mutant: Mutant, noticed_by: str | None) -> bool:
    """Whether a stream noticed the mutant, or it has a proof that none can."""
    return (noticed_by is None) == bool(mutant.equivalent)


def _print(mutant: Mutant, result: Result | None) -> None:
    mark = "" if is_right(mutant, result.id if result else None) else "WRONG "
    said = f"{result.id}: {result.message}" if result else "no stream notices it"
    print(f"{mark}{mutant.id}: {said}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the mutants; the exit code is 1 if one is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="how many mutants are run concurrently")
    parser.add_argument("--only", action="append", metavar="ID", help="run this mutant")
    parser.add_argument("--suite", type=Path, help="folder of another suite; writes no results")
    parser.add_argument("--render", action="store_true", help="write the table from the last results")
    arguments = parser.parse_args()
    mutants = load_all()
    if arguments.render:
        README.write_text(render(mutants, json.loads(RESULTS.read_bytes())), encoding="utf-8")
        return 0
    unknown = set(arguments.only or ()) - {mutant.id for mutant in mutants}
    if unknown:
        parser.error(f"there is no mutant {min(unknown)}")
    chosen = [mutant for mutant in mutants if not arguments.only or mutant.id in arguments.only]
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    found = run_mutants(chosen, load_suite(arguments.suite), arguments.jobs, _print)
    if not arguments.only and not arguments.suite:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        README.write_text(render(mutants, found), encoding="utf-8")
    wrong = [mutant.id for mutant in chosen if not is_right(mutant, found[mutant.id])]
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} mutants are as they should be", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
