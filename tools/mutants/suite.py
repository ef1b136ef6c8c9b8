"""The streams that mutants are run on, and the frames that are asked for by themselves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from nvrc_conformance.harness.cases import Case, load_cases
from nvrc_conformance.manifest import MANIFEST_PATH, load_manifest
from nvrc_conformance.sparse import write_sparse

__all__ = ["Suite", "last_name", "load_suite"]

# Requirements that a reader checks on its way to a GOP (2.8): by INDEX, or by hopping where there is none.
_BY_INDEX = {"R2.3", "R2.13", "R2.14", "R2.15", "R2.16", "R2.17", "R3.35", "R3.36"}
_BY_HOPPING = {"R1.1", "R2.3", "R2.5", "R2.9", "R2.12", "R2.13", "R2.14", "R3.31"}
# A fault of another requirement that it meets by INDEX.
_LED_ASTRAY = "reject-2-10-type"
# The last frame of a larger stream is not asked for by itself: reading forward does the same with more bytes.
_LARGE = 50_000
# The golden stream that becomes larger than 32 GiB.
_SPARSE = "nano-four-gops"


@dataclass(frozen=True)
class Suite:
    """What a mutant is run on.

    Attributes:
        cases: the streams by size, so that most mutants are noticed soon.
        lasts: in the same order, streams whose last frame is asked for by itself, each with the number of that frame.
    """

    cases: tuple[Case, ...]
    lasts: tuple[tuple[Case, int], ...]

    def with_sparse(self, path: Path) -> Suite:
        """The same, and the last frame of a stream of more than 32 GiB, in a file with a hole that is written here."""
        manifest = load_manifest()
        write_sparse(path, manifest.read(_SPARSE))
        (case,) = (case for case in load_cases(manifest.path.parent) if case.id == _SPARSE)
        last = replace(case, id=f"sparse-{_SPARSE}", path=path, frame_md5=case.frame_md5[-1:])
        return replace(self, lasts=(*self.lasts, (last, len(case.frame_md5) - 1)))

    def alone(self, name: str | None) -> Suite:
        """The suite of the one run that results call by this name; an empty suite where no run has it."""
        return Suite(
            tuple(case for case in self.cases if case.id == name),
            tuple((case, number) for case, number in self.lasts if last_name(case.id, number) == name),
        )


def last_name(case_id: str, number: int) -> str:
    """The name in results of a stream whose frame `number` is asked for by itself."""
    return f"{case_id}, frame {number} alone"


def load_suite(folder: Path | None = None, only: Collection[str] | None = None) -> Suite:
    """Read a suite.

    Args:
        folder: that of its manifest; None for the one of the checkout.
        only: ids of the streams that are taken; None for all.
    """
    manifest = load_manifest(folder or MANIFEST_PATH)
    frames = {stream.id: stream.frame_count for stream in manifest.streams}
    for fault in manifest.faults:
        by_index = "INDEX" in manifest.stream(fault.sibling).features
        if fault.requirement in (_BY_INDEX if by_index else _BY_HOPPING) or fault.id == _LED_ASTRAY:
            frames[fault.id] = frames[fault.sibling]
    cases = [case for case in load_cases(manifest.path.parent) if only is None or case.id in only]
    cases.sort(key=lambda case: (case.path.stat().st_size, case.id))
    lasts = [
        (replace(case, frame_md5=case.frame_md5[-1:]), frames[case.id] - 1)
        for case in cases
        if case.id in frames and case.path.stat().st_size < _LARGE
    ]
    return Suite(tuple(cases), tuple(lasts))
