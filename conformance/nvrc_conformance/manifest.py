"""The manifest of the suite: `conformance/manifest.json` (fields in conformance/README.md).

The streams and their manifest are part of the sources, beside this package; an installed package does not have them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from nvrc_conformance.text import printable
from nvrc_decoder.bitstream.container import VERSION
from nvrc_decoder.errors import InputError
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444, PROFILES

__all__ = [
    "MANIFEST_PATH",
    "STREAM_ID",
    "EarlierVersionError",
    "FaultStream",
    "GoldenStream",
    "GopStages",
    "Manifest",
    "NetworkStages",
    "Stages",
    "load_manifest",
    "stage_paths",
]

_Entry = TypeVar("_Entry", "NetworkStages", "GopStages", "GoldenStream", "FaultStream")

STREAM_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

MANIFEST_PATH = Path(__file__).resolve().parents[1] / "manifest.json"
"""The manifest of the checkout that this package is in; absent where the package is installed without one."""


@dataclass(frozen=True)
class NetworkStages:
    """Digests of one NETWORK: its header, the coded parameters of each layer by name, the integers of all layers."""

    header: str
    parameters: dict[str, str]
    integers: str


@dataclass(frozen=True)
class GopStages:
    """A GOP and the digests of its stages, in decoding order.

    Attributes:
        network: the number of its NETWORK.
        frame_count: its frames.
        nodes: by slot, its node maps in words.
        grids: by slot, digests of its grids.
        synthesis: by name, digests of what synthesis makes of them.
    """

    network: int
    frame_count: int
    nodes: dict[str, str]
    grids: dict[str, str]
    synthesis: dict[str, str]


@dataclass(frozen=True)
class Stages:
    """Stage digests of a stream, in decoding order (conformance/README.md)."""

    sequence: str
    networks: tuple[NetworkStages, ...]
    gops: tuple[GopStages, ...]


def stage_paths(stages: Stages) -> list[tuple[str, str]]:
    """Path and digest of each stage in decoding order; for `nodes` the node map stands in place of a digest.

    A path is where the digest stands in the manifest: ``networks[0].parameters.stage0.inject``, ``gops[2].grids.9``.
    """
    listed = [("sequence", stages.sequence)]
    named: set[int] = set()
    for i, gop in enumerate(stages.gops):
        if gop.network not in named:
            named.add(gop.network)
            path, network = f"networks[{gop.network}]", stages.networks[gop.network]
            listed.append((f"{path}.header", network.header))
            listed += [(f"{path}.parameters.{name}", digest) for name, digest in network.parameters.items()]
            listed.append((f"{path}.integers", network.integers))
        listed += [(f"gops[{i}].nodes.{slot}", nodes) for slot, nodes in gop.nodes.items()]
        listed += [(f"gops[{i}].grids.{slot}", digest) for slot, digest in gop.grids.items()]
        listed += [(f"gops[{i}].synthesis.{name}", digest) for name, digest in gop.synthesis.items()]
    return listed


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
        stages: digests of the stages of decoding.
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

    @property
    def all_streams(self) -> tuple[GoldenStream | FaultStream, ...]:
        """The golden streams, then those to refuse."""
        return (*self.streams, *self.faults)

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


def _is_text(value: object) -> bool:
    """Whether it is text that a terminal shows as it is."""
    return isinstance(value, str) and value.isprintable()


# Annotation of a field -> whether a value of the document is right. Lists become tuples after the check.
_CHECKS: dict[Any, Callable[[Any], bool]] = {
    "str": _is_text,
    "str | None": lambda value: value is None or _is_text(value),
    "int": lambda value: type(value) is int and value >= 0,
    "tuple[str, ...]": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "dict[str, str]": lambda value: isinstance(value, dict) and all(map(_is_text, (*value, *value.values()))),
    "Stages": lambda value: isinstance(value, Stages),
}
_VALUES: dict[str, tuple[object, ...]] = {
    "profile": tuple(profile.name for profile in PROFILES),
    "chroma_format": (CHROMA_400, CHROMA_420, CHROMA_444),
    "bit_depth": (8, 10),
}


def _made(kind: type[_Entry], document: dict[str, Any]) -> _Entry:
    """An entry of the manifest.

    Raises:
        TypeError: a field is missing, unknown or of another type.
        ValueError: a field has a value that it cannot have.
    """
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    entry = kind(**values)
    for field in fields(kind):
        value = document[field.name]
        if not _CHECKS[field.type](value):
            raise TypeError(f"{field.name} is not {field.type}, or not printable")
        if field.name in _VALUES and value not in _VALUES[field.name]:
            raise ValueError(f"{field.name} cannot be {value!r}")
    return entry


def _stages(document: dict[str, Any]) -> Stages:
    networks = tuple(_made(NetworkStages, network) for network in document["networks"])
    gops = tuple(_made(GopStages, gop) for gop in document["gops"])
    if not all(gop.network < len(networks) for gop in gops):
        raise ValueError("a GOP has a network that is not listed")
    if not _is_text(document["sequence"]):
        raise TypeError("sequence is not str, or not printable")
    return Stages(document["sequence"], networks, gops)


def _golden(document: dict[str, Any]) -> GoldenStream:
    stream = _made(GoldenStream, {**document, "stages": _stages(document["stages"])})
    if not (stream.width and stream.height):
        raise ValueError("width or height is 0")
    if len(stream.frame_md5) != stream.frame_count:
        raise ValueError(f"frame_md5 has {len(stream.frame_md5)} frames, frame_count says {stream.frame_count}")
    return stream


def _check_names(name: str, file: str) -> None:
    """Refuse an id that is none, and a file that is not below the manifest.

    Raises:
        TypeError, ValueError.
    """
    if not STREAM_ID.fullmatch(name):
        raise ValueError(f"{name!r} is no id")
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or not file.isprintable():
        raise ValueError(f"the file {file!r} is not in its folder")


class EarlierVersionError(InputError):
    """A manifest of an earlier version of the format."""


def load_manifest(path: Path = MANIFEST_PATH) -> Manifest:
    """Read a manifest.

    Args:
        path: the manifest, or the folder that has it as ``manifest.json``.

    Raises:
        InputError: E_NO_INPUT, there is none; E_SUITE, it is no manifest, or one of a later version.
        EarlierVersionError: E_SUITE, it is of an earlier version of the format.
    """
    if path.is_dir():
        path /= MANIFEST_PATH.name
    document = _read(path)
    try:
        if document["format"] != "nvrc":
            raise ValueError(f"format cannot be {document['format']!r}")
        version = document["version"]
        if version != VERSION:
            kind = EarlierVersionError if version < VERSION else InputError
            raise kind("E_SUITE", f"{path} is of nvrc version {version!r}, this release reads version {VERSION}")
        golden, faults = [], []
        for stream in document["streams"]:
            _check_names(stream["id"], stream["file"])
            if "expect" in stream:
                faults.append(_made(FaultStream, stream))
            else:
                golden.append(_golden(stream))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{path} is not the manifest of a conformance suite ({type(error).__name__}: {printable(str(error))})"
        raise InputError("E_SUITE", message) from None
    return Manifest(path, tuple(golden), tuple(faults))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        message = (
            f"cannot read {path}: {error.strerror}: name a conformance suite, such as conformance/ of a checkout or "
            "an archive of `make suite`"
        )
        raise InputError("E_NO_INPUT", message) from None
    except (ValueError, RecursionError) as error:
        raise InputError("E_SUITE", f"{path} is not JSON: {error}") from None
