"""The manifest of the suite: `conformance/manifest.json` (fields in conformance/README.md).

The streams and their manifest are part of the sources, beside this package; an installed package does not have them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nvrc_conformance.stages import GopStages, NetworkStages, Stages
from nvrc_decoder.bitstream.container import VERSION
from nvrc_decoder.errors import InputError

__all__ = ["MANIFEST_PATH", "EarlierVersionError", "FaultStream", "GoldenStream", "Manifest", "load_manifest"]

MANIFEST_PATH = Path(__file__).resolve().parents[1] / "manifest.json"
"""The manifest of the checkout that this package is in; absent where the package is installed without one."""


@dataclass(frozen=True)
class GoldenStream:
    """One golden stream and what it decodes to.

    Attributes:
        id: immutable name.
        description: its purpose.
        origin: ``random`` for a stream of the generator, ``adopted`` for one that an encoder made.
        file: path relative to the manifest, with ``/``.
        bytes: size of the file.
        sha256: SHA-256 of the file.
        features: the parts of the format that it exercises, from a fixed vocabulary.
        profile, width, height, chroma_format, bit_depth: as in SEQUENCE; the profile by name.
        frame_count: frames of the stream.
        md5: MD5 of all frames together.
        frame_md5: MD5 of each frame.
        stages: digests of the stages before the frames.
    """

    id: str
    description: str
    origin: str
    file: str
    bytes: int
    sha256: str
    features: tuple[str, ...]
    profile: str
    width: int
    height: int
    chroma_format: int
    bit_depth: int
    frame_count: int
    md5: str
    frame_md5: tuple[str, ...]
    stages: Stages


@dataclass(frozen=True)
class FaultStream:
    """One stream that a decoder must refuse.

    Attributes:
        id: immutable name.
        description: its fault.
        why: what a decoder without the check would do.
        expect: how a decoder must end: ``reject``, ``unsupported`` or ``limit``.
        also: other ways in which it may end.
        requirement: number of the requirement that it breaks; None where it is over a limit.
        code: error code (spec 9.2).
        unit: the unit at fault; None where there is none.
        sibling: id of the golden stream that it is made of.
        profile: that of its sibling, by name.
        file: path relative to the manifest, with ``/``.
        bytes: size of the file.
        sha256: SHA-256 of the file.
    """

    id: str
    description: str
    why: str
    expect: str
    also: tuple[str, ...]
    requirement: str | None
    code: str
    unit: str | None
    sibling: str
    profile: str
    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All streams of the suite, both kinds in order of id.

    Attributes:
        path: the manifest's file; the streams' files are relative to its folder.
        streams: the golden streams.
        faults: the streams that a decoder must refuse.
    """

    path: Path
    streams: tuple[GoldenStream, ...]
    faults: tuple[FaultStream, ...] = ()

    def stream(self, name: str) -> GoldenStream:
        """The golden stream with an id; KeyError if there is none."""
        for stream in self.streams:
            if stream.id == name:
                return stream
        raise KeyError(name)

    def file(self, stream: GoldenStream | FaultStream) -> Path:
        """The path of a stream."""
        return self.path.parent / stream.file

    def read(self, name: str) -> bytes:
        """The bytes of the golden stream with an id."""
        return self.file(self.stream(name)).read_bytes()

    def with_streams(self, streams: Iterable[GoldenStream]) -> Manifest:
        """The same manifest with other golden streams."""
        return replace(self, streams=tuple(sorted(streams, key=lambda stream: stream.id)))

    def with_faults(self, faults: Iterable[FaultStream]) -> Manifest:
        """The same manifest with other streams that a decoder must refuse."""
        return replace(self, faults=tuple(sorted(faults, key=lambda fault: fault.id)))

    def text(self) -> str:
        """The file's contents."""
        streams = [*map(asdict, self.streams), *map(asdict, self.faults)]
        document = {"format": "nvrc", "version": VERSION, "streams": streams}
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _stages(document: dict[str, Any]) -> Stages:
    networks = tuple(NetworkStages(**network) for network in document["networks"])
    gops = tuple(GopStages(**gop) for gop in document["gops"])
    return Stages(document["sequence"], networks, gops)


def _stream(document: dict[str, Any]) -> GoldenStream:
    lists = {name: tuple(document[name]) for name in ("features", "frame_md5")}
    return GoldenStream(**{**document, **lists, "stages": _stages(document["stages"])})


class EarlierVersionError(ValueError):
    """A manifest of an earlier version of the format."""


def load_manifest(path: Path = MANIFEST_PATH) -> Manifest:
    """Read a manifest.

    Args:
        path: the manifest, or the folder that has it as ``manifest.json``.

    Raises:
        InputError: E_NO_INPUT, there is none.
        EarlierVersionError: it is of an earlier version of the format.
        ValueError: it is no manifest, or one of a later version.
    """
    if path.is_dir():
        path /= MANIFEST_PATH.name
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            "E_NO_INPUT",
            f"there is no conformance suite at {path}: give the folder conformance/ of a checkout",
        ) from None
    document = json.loads(text)
    if document["format"] != "nvrc" or document["version"] != VERSION:
        message = f"{path} is a manifest of {document['format']} version {document['version']}"
        earlier = document["format"] == "nvrc" and document["version"] < VERSION
        raise EarlierVersionError(message) if earlier else ValueError(message)
    listed = [(stream.get("expect", "valid") == "valid", stream) for stream in document["streams"]]
    faults = tuple(FaultStream(**{**stream, "also": tuple(stream["also"])}) for valid, stream in listed if not valid)
    return Manifest(path, tuple(_stream(stream) for valid, stream in listed if valid), faults)
