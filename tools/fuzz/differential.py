"""NumPy, ONNX Runtime and C on the same mutants: all three must end in the same way, with the same frames.

    python tools/fuzz/differential.py --cases 20000 --seed 1

A mutant has one fault, and all around it is made right (`repaired_mutant`). Where it breaks a coded payload, the
payloads are drawn anew under the damaged headers (`revived`); where frames do not match DIGEST, DIGEST is made right.
What is over a limit and invalid, too, may end in either way (spec 9.1.1). Each disagreement is kept as a
stream in the output folder, and so is the stream in hand, as `case.nvrc`: a fault in C, an error of another kind in
Python and `SECONDS_A_CASE` of processor time end the process.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.c_decoder import CDecoder, build
from fuzz.mutations import chosen_stream, repaired_mutant
from fuzz.oracle import DECODED, Outcome, decode, golden_streams
from fuzz.revival import revived, with_right_digests

SECONDS_A_CASE = 30


def may_differ(outcomes: Mapping[str, Outcome]) -> bool:
    """Whether decoders differ as spec 9.1.1 lets them: some report a limit where others refuse the stream."""
    kinds = {outcome.kind for outcome in outcomes.values()}
    return len(kinds) > 1 and "limit" in kinds and DECODED not in kinds


def disagreement(outcomes: Mapping[str, Outcome]) -> str | None:
    """What the decoders disagree on, None where they agree or may differ."""
    if may_differ(outcomes):
        return None
    if len({outcome.kind for outcome in outcomes.values()}) > 1:
        return ", ".join(f"{name}: {outcome.kind} {outcome.code}".rstrip() for name, outcome in outcomes.items())
    if len({outcome.frames for outcome in outcomes.values()}) > 1:
        return "the frames differ"
    return None


def cases(
    streams: Sequence[bytes], seed: int, number: int, keep: Callable[[bytes], object]
) -> Iterator[tuple[bytes, Outcome]]:
    """The mutant of this number, and where that is refused, what it becomes with right DIGESTs or other payloads.

    Each comes with how NumPy ends, whose frames are held against the DIGEST units here. `keep` gets each stream before
    anything reads it.
    """
    generator = random.Random(f"{seed} {number}")
    mutant = repaired_mutant(generator, chosen_stream(generator, streams))
    keep(mutant)
    outcome = ending(mutant)
    if outcome.kind == "reject":
        alive = revived(mutant, generator)
        yield mutant, outcome
        if alive is None:
            return
        keep(alive)
        mutant, outcome = alive, ending(alive)
    if outcome.kind == DECODED:
        right = with_right_digests(mutant, outcome.frames)
        if right != mutant:
            yield mutant, Outcome("reject", "E_DIGEST")
        mutant = right
        keep(mutant)
    yield mutant, outcome


def ending(data: bytes) -> Outcome:
    """How NumPy ends, but a stream that is refused for a DIGEST alone is decoded."""
    outcome = decode(data, verify=False)
    # Behind a wrong DIGEST, a decoder does not come to what is unsupported or over a limit.
    return outcome if outcome.kind in (DECODED, "reject") else decode(data)


def compare(data: bytes, reference: Outcome, c: CDecoder) -> dict[str, Outcome]:
    """How each decoder ends.

    ONNX Runtime makes frames alone: all before them is the same code as NumPy's. Without `verify`, they are its own;
    with it, the reference would replace wrong ones.
    """
    outcomes = {"NumPy": reference, "C": c.decode(data)}
    if reference.kind == DECODED:
        outcomes["ONNX Runtime"] = decode(data, "onnxruntime", verify=False)
    return outcomes


def run(c: CDecoder, seed: int, first: int, count: int, folder: Path) -> dict[str, Any]:
    """Compare the cases `first` to `first + count - 1`; a report."""
    streams = golden_streams()
    began = time.monotonic()
    kinds: Counter[str] = Counter()
    found: list[dict[str, Any]] = []
    total = frames = allowed = 0
    try:
        for number in range(first, first + count):
            signal.setitimer(signal.ITIMER_PROF, SECONDS_A_CASE)
            for place, (data, reference) in enumerate(cases(streams, seed, number, (folder / "case.nvrc").write_bytes)):
                outcomes = compare(data, reference, c)
                total += 1
                kinds[outcomes["NumPy"].kind] += 1
                frames += len(outcomes["NumPy"].frames)
                allowed += may_differ(outcomes)
                what = disagreement(outcomes)
                if what is not None:
                    path = folder / f"disagreement-{seed}-{number}-{place}.nvrc"
                    path.write_bytes(data)
                    found.append({"case": number, "what": what, "stream": path.name})
    finally:  # else the signal would end whoever goes on
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {
        "seed": seed,
        "first": first,
        "mutants": count,
        "streams": total,
        "outcomes": dict(kinds),
        "frames": frames,
        "limit_or_refusal": allowed,
        "seconds": round(time.monotonic() - began, 1),
        "disagreements": found,
    }


def main() -> None:
    """Compare the cases that the options ask for; exit 1 where decoders disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--output", type=Path, default=Path("out/fuzz"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    c = CDecoder(build(arguments.output / "c"))
    report = run(c, arguments.seed, arguments.first, arguments.cases, arguments.output)
    print(json.dumps(report, indent=2))
    sys.exit(bool(report["disagreements"]))


if __name__ == "__main__":
    main()
