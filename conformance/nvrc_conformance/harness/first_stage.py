"""The first stage at which the decoder under test goes wrong, by the digests that it writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nvrc_conformance.text import printable

__all__ = ["StageFault", "first_stage_fault", "read_stages"]

_BYTES_MAX = 1 << 22


@dataclass(frozen=True)
class StageFault:
    """A stage that differs or is missing.

    Attributes:
        path: its path, such as ``gops[0].grids.3``; None where all stages agree.
        message: what is wrong with it.
    """

    path: str | None
    message: str


def read_stages(file: Path) -> dict[str, str]:
    """Path -> digest, of the lines ``path digest`` that a decoder wrote; other lines and the second of a path are
    left out. A file that is absent, or no plain file, has no lines."""
    try:
        if not file.is_file():
            return {}
        with file.open("rb") as opened:
            text = opened.read(_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) == 2:
            found.setdefault(words[0], words[1])
    return found


def first_stage_fault(right: Sequence[tuple[str, str]], found: Mapping[str, str]) -> StageFault:
    """The first stage, in decoding order, that differs; where none does, the first that is missing.

    A digest that is cut off, as a crash leaves the last one in a buffer, is missing.

    Args:
        right: path and digest of each stage, in decoding order.
        found: what the decoder wrote.
    """
    if not found:
        return StageFault(None, "its stages command gave no stages")
    missing: str | None = None
    for path, digest in right:
        if path not in found or (found[path] != digest and digest.startswith(found[path])):
            missing = missing or path
        elif found[path] != digest:
            # A character more than is right, so that what is too long looks so.
            shown = printable(found[path][: len(digest) + 1])
            message = f"the first stage that differs is {path}: it is {shown}, must be {digest}"
            return StageFault(path, message if missing is None else f"{message} (before it, {missing} is missing)")
    if missing is not None:
        return StageFault(missing, f"the first stage that is missing is {missing}; those before it agree")
    return StageFault(None, f"all {len(right)} stages agree")
