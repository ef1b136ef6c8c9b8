"""Coverage-guided fuzzing of one target with Atheris, which is libFuzzer for Python.

    python tools/fuzz/run_atheris.py parse|entropy|decode CORPUS... [libFuzzer's flags]

Inputs that are worth keeping go to the first folder, which comes before those of the suite. What a target raises, more
than 5 s of processor time for an input, and what is over the flags of `make fuzz-atheris` end the run, and leave the
input behind.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["nvrc_decoder"]):
    import nvrc_decoder.opening  # noqa: F401  # `nvrc_decoder.open` would import it later, without coverage
    from fuzz.mutations import damage, repaired_mutant
    from fuzz.run_cases import SECONDS_A_CASE, Hang
    from fuzz.targets import TARGETS

# libFuzzer's own mutations know which comparisons failed; those of the project know more of bytes that hold integers.
_LIBFUZZER_SHARE = 0.5
_LARGEST_CHANGE = 64


def change(generator: random.Random, data: bytearray) -> None:
    """One change to a payload, by libFuzzer or by the project."""
    if data and generator.random() < _LIBFUZZER_SHARE:
        data[:] = atheris.Mutate(bytes(data), len(data) + _LARGEST_CHANGE)
    else:
        damage(generator, data)


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """libFuzzer's custom mutator: the payload of a unit changes, and all around it is made right."""
    return repaired_mutant(random.Random(seed), data, change)[:most]


def in_time(target: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """The target, which raises `Hang` after an input that took too long."""

    def timed(data: bytes) -> None:
        began = time.process_time()
        target(data)
        if time.process_time() - began > SECONDS_A_CASE:
            raise Hang

    return timed


def main() -> None:
    """Fuzz the target that the first argument names."""
    target = in_time(TARGETS[sys.argv[1]])
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
