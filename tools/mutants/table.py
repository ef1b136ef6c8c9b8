"""The README of the mutants: a table of each file, from the mutants and the results of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mutants.misreadings import Mutant

__all__ = ["render"]

_HEAD = """\
<!-- Written by tools/mutants/run.py. -->
# Mutants

Misreadings of the specification, each put into the decoder in C (`../decoders/c`) by itself: another clip, rounding,
order or neighbour, an array or a counter that is too small, a check that is missing. `blind.toml` was written without
knowledge of the streams, `seeing.toml` with it. Each row tells the first stream, in order of size, that the mutant does
not pass, or whose last frame it does not decode by itself (2.8); or why no stream can tell it from a right decoder.
`sparse-nano-four-gops` is no file of the suite: the run makes it, with a hole of 2^35 bytes before the last GOP.

    python tools/mutants/run.py --jobs 2

{noticed} of {possible} mutants are noticed. {proved} more end like a right decoder on every stream.

| mutant | section | misreading | noticed by |
|---|---|---|---|
"""


def render(mutants: Sequence[Mutant], results: Mapping[str, str | None]) -> str:
    """The README.

    Raises:
        ValueError: the results are those of other mutants.
    """
    if [mutant.id for mutant in mutants] != list(results):
        raise ValueError("the results are those of other mutants: run tools/mutants/run.py")
    proved = sum(bool(mutant.equivalent) for mutant in mutants)
    noticed = sum(name is not None for name in results.values())
    head = _HEAD.format(noticed=noticed, possible=len(mutants) - proved, proved=proved)
    return head + "".join(_row(mutant, results[mutant.id]) for mutant in mutants)


def _row(mutant: Mutant, noticed_by: str | None) -> str:
    last = f"`{noticed_by}`" if noticed_by else f"none can: {mutant.equivalent}"
    cells = mutant.id, mutant.section, mutant.misreading, last
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |\n"
