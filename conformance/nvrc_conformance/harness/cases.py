"""What the harness needs to know of the suite: each stream, how it must end, and its frames."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nvrc_conformance.manifest import MANIFEST_PATH
from nvrc_decoder.bitstream.container import VERSION
from nvrc_decoder.errors import InputError
from nvrc_decoder.picture.planes import plane_shapes

__all__ = ["Case", "Outcome", "Pixels", "load_cases", "select_cases"]


class Outcome(StrEnum):
    """How a decoder ends, and how it must end on a stream: the values of `expect` in the manifest."""

    VALID = "valid"
    REJECT = "reject"
    UNSUPPORTED = "unsupported"
    LIMIT = "limit"


@dataclass(frozen=True)
class Pixels:
    """The layout of a raw frame.

    Attributes:
        shapes: (rows, columns) of each plane: one for 4:0:0, otherwise Y, U, V.
        sample_bytes: 1 for 8 bits, 2 (little-endian) for 10.
    """

    shapes: tuple[tuple[int, int], ...]
    sample_bytes: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame."""
        return self.sample_bytes * sum(rows * columns for rows, columns in self.shapes)


@dataclass(frozen=True)
class Case:
    """A stream of the suite.

    Attributes:
        id: its name.
        path: its file.
        description: why it is there.
        expect: how a decoder must end.
        profile: name of its profile; None where the stream has none that is known.
        pixels: layout of its frames; None unless it is valid.
        frame_md5: MD5 of each frame; empty unless it is valid.
        also: other ways in which it may end.
    """

    id: str
    path: Path
    description: str
    expect: Outcome
    profile: str | None = None
    pixels: Pixels | None = None
    frame_md5: tuple[str, ...] = ()
    also: tuple[Outcome, ...] = ()


def load_cases(suite: Path | None = None) -> tuple[Case, ...]:
    """Read a suite, and check each of its files against its SHA-256.

    Args:
        suite: the folder with ``manifest.json``; None for that of the checkout that this package is in.

    Raises:
        InputError: E_NO_INPUT, there is no manifest; E_SUITE, it cannot be used, or a stream is absent or damaged.
    """
    path = MANIFEST_PATH if suite is None else suite / MANIFEST_PATH.name
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}: name the folder of a conformance suite with --suite"
        raise InputError("E_NO_INPUT", message) from None
    except ValueError as error:
        raise InputError("E_SUITE", f"{path} is not JSON: {error}") from None
    try:
        found = (document["format"], document["version"])
        cases = tuple(_case(path.parent, stream) for stream in document["streams"]) if _is_ours(found) else ()
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path} is not the manifest of a conformance suite ({type(error).__name__}: {error})"
        raise InputError("E_SUITE", message) from None
    if not _is_ours(found):
        message = f"{path} is of {found[0]} version {found[1]}, this harness of version {VERSION}: use the same release"
        raise InputError("E_SUITE", message)
    if not cases or len({case.id for case in cases}) != len(cases):
        raise InputError("E_SUITE", f"{path} has no streams, or two of one id: the suite is damaged, take it anew")
    for case, stream in zip(cases, document["streams"], strict=True):
        _check_file(case, stream["sha256"])
    return cases


def _is_ours(found: tuple[object, object]) -> bool:
    return found == ("nvrc", VERSION)


def _case(folder: Path, stream: dict[str, Any]) -> Case:
    path, expect = folder / stream["file"], Outcome(stream.get("expect", "valid"))
    if expect is not Outcome.VALID:
        also = tuple(map(Outcome, stream.get("also", ())))
        return Case(stream["id"], path, stream["description"], expect, stream.get("profile"), also=also)
    shapes = plane_shapes(stream["width"], stream["height"], stream["chroma_format"])
    pixels = Pixels(shapes, 1 if stream["bit_depth"] == 8 else 2)
    return Case(
        stream["id"], path, stream["description"], expect, stream["profile"], pixels, tuple(stream["frame_md5"])
    )


def _check_file(case: Case, sha256: str) -> None:
    try:
        found = hashlib.sha256(case.path.read_bytes()).hexdigest()
    except OSError as error:
        message = f"cannot read {case.path}: {error.strerror}: the suite is incomplete, take it anew"
        raise InputError("E_SUITE", message) from None
    if found != sha256:
        raise InputError(
            "E_SUITE", f"{case.path} is not the stream of the manifest: the suite is damaged, take it anew"
        )


def select_cases(cases: tuple[Case, ...], patterns: tuple[str, ...]) -> tuple[Case, ...]:
    """The cases whose id matches one of the glob patterns; all where there is no pattern.

    Raises:
        InputError: E_SUITE, a pattern matches no id.
    """
    for pattern in patterns:
        if not any(fnmatchcase(case.id, pattern) for case in cases):
            raise InputError("E_SUITE", f"no stream matches {pattern!r}: `nvrc-ref conformance list` shows the ids")
    if not patterns:
        return cases
    return tuple(case for case in cases if any(fnmatchcase(case.id, pattern) for pattern in patterns))
