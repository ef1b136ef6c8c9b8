"""What the harness needs to know of the suite: each stream, how it must end, and its frames."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from nvrc_conformance.manifest import FaultStream, GoldenStream, Manifest, load_manifest, stage_paths
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
        profile: name of its profile.
        pixels: layout of its frames; None unless it may be valid.
        frame_md5: MD5 of each frame; empty unless it may be valid.
        also: other ways in which it may end.
        stages: path and digest of each stage before the frames, in decoding order; empty unless it is valid.
    """

    id: str
    path: Path
    description: str
    expect: Outcome
    profile: str
    pixels: Pixels | None = None
    frame_md5: tuple[str, ...] = ()
    also: tuple[Outcome, ...] = ()
    stages: tuple[tuple[str, str], ...] = ()


def load_cases(suite: Path) -> tuple[Case, ...]:
    """Read a suite, and check each of its files against its SHA-256.

    Args:
        suite: the folder with ``manifest.json``.

    Raises:
        InputError: E_NO_INPUT, there is no manifest; E_SUITE, it cannot be used, or a stream is absent or damaged.
    """
    manifest = load_manifest(suite)
    streams = manifest.all_streams
    try:
        cases = tuple(_case(manifest, stream) for stream in streams)
    except ValueError as error:
        message = f"{manifest.path} is not the manifest of a conformance suite ({type(error).__name__}: {error})"
        raise InputError("E_SUITE", message) from None
    if not cases or len({case.id for case in cases}) != len(cases):
        message = f"{manifest.path} has no streams, or two of one id: the suite is damaged, take it anew"
        raise InputError("E_SUITE", message)
    for case, stream in zip(cases, streams, strict=True):
        _check_file(case, stream.sha256)
    return cases


def _case(manifest: Manifest, stream: GoldenStream | FaultStream) -> Case:
    path = manifest.file(stream)
    if isinstance(stream, FaultStream):
        return _refused(manifest, stream, path)
    return Case(
        stream.id,
        path,
        stream.description,
        Outcome.VALID,
        stream.profile,
        _pixels(stream),
        stream.frame_md5,
        stages=tuple(stage_paths(stream.stages)),
    )


def _refused(manifest: Manifest, stream: FaultStream, path: Path) -> Case:
    """A stream to refuse. A valid one, over a limit, has the frames of its sibling for a decoder without the limit."""
    expect, *also = (Outcome(name) for name in (stream.expect, *stream.also))
    case = Case(stream.id, path, stream.description, expect, stream.profile, also=tuple(also))
    if Outcome.VALID not in (expect, *also):
        return case
    if expect is not Outcome.LIMIT:
        raise ValueError(f"{stream.id} must be refused, and may be valid")
    try:
        sibling = manifest.stream(stream.sibling)
    except KeyError:
        raise ValueError(f"{stream.id} may be valid, and its sibling {stream.sibling} is not in the suite") from None
    return replace(case, pixels=_pixels(sibling), frame_md5=sibling.frame_md5)


def _pixels(stream: GoldenStream) -> Pixels:
    shapes = plane_shapes(stream.width, stream.height, stream.chroma_format)
    return Pixels(shapes, 1 if stream.bit_depth == 8 else 2)


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
