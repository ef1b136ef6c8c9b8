"""The specification of a run: clips, codecs, points; read from JSON or from the command line."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from nvrc_decoder.errors import InputError

__all__ = ["KINDS", "ClipSpec", "CodecSpec", "RunSpec", "load_run", "option_words", "parse_codec"]

KINDS = ("nvrc", "x264", "x265", "svt-av1", "vp9", "command")
"""Kinds of codecs; `command` is any program that writes a file and decodes it again."""

_SIZE = re.compile(r"[0-9]{1,5}x[0-9]{1,5}")
_CROP = re.compile(r"[0-9]{1,5}x[0-9]{1,5}(\+[0-9]{1,5}\+[0-9]{1,5})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+@()-]{0,79}")


def _wrong(message: str) -> InputError:
    return InputError("E_CONFIG", message)


@dataclass(frozen=True)
class ClipSpec:
    """A video and how it is cut.

    Attributes:
        path: any file that the encoder reads.
        name: name in tables and file names; empty for the file's name with the cuts.
        frames: number of frames, which the file must have; None for all.
        skip: frames left out at the start.
        crop: WIDTHxHEIGHT of the middle, or WIDTHxHEIGHT+X+Y; before scaling.
        scale: WIDTHxHEIGHT.
        filter: FFmpeg's flags for scaling.
        size, rate, chroma, bit_depth: format of headerless YUV, where its name does not tell.
    """

    path: str
    name: str = ""
    frames: int | None = None
    skip: int = 0
    crop: str | None = None
    scale: str | None = None
    filter: str = "lanczos"
    size: str | None = None
    rate: str | None = None
    chroma: str = "420"
    bit_depth: int = 8

    def __post_init__(self) -> None:
        for value, pattern, what in (
            (self.crop, _CROP, "crop"),
            (self.scale, _SIZE, "scale"),
            (self.size, _SIZE, "size"),
            (self.filter, re.compile(r"[a-z0-9_+]+"), "filter"),
        ):
            if value is not None and not pattern.fullmatch(value):
                raise _wrong(f"{what} of the clip {self.path} is {value!r}")
        if (self.frames is not None and self.frames < 1) or self.skip < 0:
            raise _wrong(f"frames and skip of the clip {self.path} cannot be less than 1 and 0")
        if self.chroma not in ("400", "420", "444") or self.bit_depth not in (8, 10):
            raise _wrong(f"the clip {self.path} has to be 400, 420 or 444 with 8 or 10 bits")
        if self.rate is not None:
            try:
                # An exponent is refused: Fraction would compute its power of ten, however large.
                rate = Fraction(self.rate) if re.fullmatch(r"[0-9./]{1,40}", str(self.rate)) else Fraction(0)
            except (ValueError, ZeroDivisionError):
                rate = Fraction(0)
            if rate <= 0:
                raise _wrong(f"rate of the clip {self.path} is {self.rate!r}")


@dataclass(frozen=True)
class CodecSpec:
    """A codec and its points.

    Attributes:
        kind: one of `KINDS`.
        name: name in tables; empty for the kind.
        points: values of the rate parameter; empty for the kind's own.
        parameter: the option that takes a point, such as ``--target-bpp`` in place of ``--lambda`` (nvrc).
        preset, profile: as the kind understands them; None for its default.
        options: option -> value, appended as ``--option value`` (nvrc); a value of true is a flag. For the codecs of
            FFmpeg these are private options (``-option value``).
        arguments: words appended to the command line.
        command: for nvrc, the command that starts it, such as another checkout's; for `command`, the encoder, with
            ``{input}``, ``{output}`` and ``{point}``.
        decode: for `command`, the decoder, with ``{input}`` and ``{output}`` (a y4m file).
        suffix: for `command`, the suffix of the stream's file name.
        environment: variables to set.
        version: the version to record, where the program does not tell.
        per_clip: name of a clip -> any of points, preset, profile, options (added), arguments (added) for it.
    """

    kind: str
    name: str = ""
    points: tuple[str, ...] = ()
    parameter: str | None = None
    preset: str | None = None
    profile: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    decode: tuple[str, ...] = ()
    suffix: str = "bin"
    environment: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    per_clip: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise _wrong(f"unknown codec {self.kind!r}: choose from {', '.join(KINDS)}")
        object.__setattr__(self, "name", self.name or self.kind)
        if not _NAME.fullmatch(self.name):
            raise _wrong(f"the name {self.name!r} of a codec has to be letters, digits, spaces and ._+@()-")
        if len(set(self.points)) != len(self.points):
            raise _wrong(f"the codec {self.name} has a point twice")
        if self.kind == "command" and not (self.command and self.decode and self.points):
            raise _wrong(f"the codec {self.name} needs command, decode and points")

    def for_clip(self, clip: str) -> CodecSpec:
        """The codec with its changes for a clip."""
        changes = _converted(self.per_clip.get(clip, {}), f"per_clip of {self.name}")
        unknown = set(changes) - {"points", "preset", "profile", "options", "arguments"}
        if unknown:
            raise _wrong(f"per_clip of {self.name} cannot have {', '.join(sorted(unknown))}")
        if "options" in changes:
            changes["options"] = {**self.options, **changes["options"]}
        if "arguments" in changes:
            changes["arguments"] = (*self.arguments, *changes["arguments"])
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True)
class RunSpec:
    """A whole run.

    Attributes:
        clips, codecs: clips, at least one, and codecs.
        imports: files of points from elsewhere, or ``published:NAME`` for the shipped ones.
        anchor: name of the codec that BD-rates are relative to; None for the first of x264, x265 with points.
        jobs: points that run concurrently; None for one, or for as many as a cluster has room for.
        threads: threads of each point; None shares the processors among the jobs.
        ffmpeg: the program.
        keep_streams: whether to keep the encoded streams, in ``streams``.
        seconds: time limit of all points, after which the others are stopped or left out; None for no limit.
    """

    clips: tuple[ClipSpec, ...]
    codecs: tuple[CodecSpec, ...]
    imports: tuple[str, ...] = ()
    anchor: str | None = None
    jobs: int | None = None
    threads: int | None = None
    ffmpeg: str = "ffmpeg"
    keep_streams: bool = True
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not self.clips:
            raise _wrong("there is no clip")
        names = [codec.name for codec in self.codecs]
        for name in names:
            if names.count(name) > 1:
                raise _wrong(f"two codecs are called {name!r}: give one another name")
        if (self.jobs is not None and self.jobs < 1) or (self.threads is not None and self.threads < 1):
            raise _wrong("jobs and threads cannot be less than 1")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise _wrong("seconds has to be a positive number")


def _strings(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str | int | float) for item in value):
        raise _wrong(f"{what} has to be a list of strings or numbers")
    return tuple(str(item) for item in value)


def _converted(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Checked values of JSON: lists as tuples of strings, numbers as strings where a string is needed."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if key in ("points", "arguments", "command", "decode", "imports"):
            result[key] = _strings(value, f"{key} in {where}")
        elif key in ("options", "environment", "per_clip"):
            if not isinstance(value, dict):
                raise _wrong(f"{key} in {where} has to be an object")
            result[key] = value
        elif key in ("path", "name", "crop", "scale", "filter", "size", "chroma", "kind", "parameter", "suffix"):
            result[key] = str(value)
        elif key in ("preset", "profile", "rate", "version", "anchor", "ffmpeg"):
            result[key] = None if value is None else str(value)
        elif key in ("frames", "skip", "bit_depth", "jobs", "threads") and type(value) is not int and value is not None:
            raise _wrong(f"{key} in {where} has to be an integer")
        elif key == "seconds" and type(value) not in (int, float) and value is not None:
            raise _wrong(f"{key} in {where} has to be a number")
        else:
            result[key] = value
    return result


def _make(kind: type[Any], values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise _wrong(f"{where} has to be an object")
    known = {item.name for item in dataclasses.fields(kind)}
    unknown = set(values) - known
    if unknown:
        raise _wrong(f"{where} has the unknown {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    try:
        return kind(**_converted(values, where))
    except TypeError as error:
        raise _wrong(f"{where}: {error}") from None


def load_run(path: str, clip_folder: str | None = None) -> RunSpec:
    """Read a run from JSON (docs/bench.md).

    Args:
        path: the file; paths of imports in it are relative to it.
        clip_folder: where relative paths of clips begin; None for the file's folder.

    Raises:
        InputError: E_NO_INPUT, there is no such file; E_CONFIG, it is not a run.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise _wrong(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("clips"), list):
        raise _wrong(f"{path} has to be an object with a list of clips")
    base = Path(path).resolve().parent
    folder = base if clip_folder is None else Path(clip_folder).resolve()
    clips = tuple(_make(ClipSpec, clip, f"a clip of {path}") for clip in document["clips"])
    codecs = document.get("codecs", [])
    if not isinstance(codecs, list):
        raise _wrong(f"codecs in {path} has to be a list")
    values = {
        **document,
        "clips": tuple(dataclasses.replace(clip, path=str(folder / clip.path)) for clip in clips),
        "codecs": tuple(
            parse_codec(codec) if isinstance(codec, str) else _make(CodecSpec, codec, f"a codec of {path}")
            for codec in codecs
        ),
    }
    run = _make(RunSpec, values, path)
    imports = (item if item.startswith("published:") else str(base / item) for item in run.imports)
    result: RunSpec = dataclasses.replace(run, imports=tuple(imports))
    return result


def parse_codec(text: str) -> CodecSpec:
    """A codec from ``KIND`` or ``KIND:key=value,key=value``; points are separated by slashes.

    name, points, preset, profile, parameter and version are the codec's, everything else is an option of it.

    Raises:
        InputError: E_CONFIG, the text is not of this form.
    """
    kind, _, rest = text.partition(":")
    values: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, found, value = item.partition("=")
        if not key:
            raise _wrong(f"{text!r} is not KIND:key=value,...")
        if key == "points":
            values["points"] = tuple(filter(None, value.split("/")))
        elif key in ("name", "preset", "profile", "parameter", "version"):
            values[key] = value
        else:
            options[key] = value if found else True
    return CodecSpec(kind=kind, options=options, **values)


def option_words(options: Mapping[str, Any], prefix: str) -> Sequence[str]:
    """Options as words of a command line; true is a flag, false and null leave the option out."""
    words: list[str] = []
    for key, value in options.items():
        if value is None or value is False:
            continue
        words.append(key if key.startswith("-") else f"{prefix}{key}")
        if value is not True:
            words.append(str(value))
    return words
