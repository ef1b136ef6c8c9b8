"""Faults of a suite itself: what `nvrc-ref conformance lint` finds."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nvrc_conformance.manifest import FaultStream, GoldenStream, Manifest, load_manifest
from nvrc_decoder.errors import InputError
from nvrc_decoder.system.packages import load_package

__all__ = ["ANNEX", "SCHEMAS", "lint_suite"]

SCHEMAS = ("manifest.schema.json", "report.schema.json")
"""The files in ``schemas/`` of a suite."""

ANNEX = Path("spec") / "annex-b-requirements.md"
"""Where the requirements are listed, relative to the folder that has the suite's folder."""

_ROW = re.compile(r"^\| (R\d+\.\d+) \|", re.MULTILINE)
_FOLDERS = ("streams", "faults")


def lint_suite(suite: Path) -> Iterator[str]:
    """The faults of a suite, each as a sentence, without decoding anything.

    Args:
        suite: the folder with ``manifest.json``; ``schemas/`` in it and ``spec/`` beside it are needed as well, as a
            checkout and an archive have them.

    Raises:
        InputError: E_NO_INPUT, there is no manifest.
        MissingExtraError: E_MISSING_EXTRA, jsonschema is not installed.
    """
    try:
        manifest: Manifest | str = load_manifest(suite)
    except InputError as error:
        if error.code == "E_NO_INPUT":
            raise
        manifest = f"{error.message}."
    yield from _schema_faults(suite)
    if isinstance(manifest, str):
        yield manifest
        return
    streams = manifest.all_streams
    ids = Counter(stream.id for stream in streams)
    yield from (f"The id {name} is given {count} times." for name, count in ids.items() if count > 1)
    for stream in streams:
        yield from _file_faults(manifest, stream)
    yield from _stray_faults(suite, {stream.file for stream in streams})
    yield from _sibling_faults(manifest)
    yield from _requirement_faults(suite, manifest)


def _schema_faults(suite: Path) -> Iterator[str]:
    jsonschema = load_package("jsonschema", "conformance lint")
    referencing = load_package("referencing", "conformance lint")
    validator = jsonschema.Draft202012Validator
    try:
        document = _json(suite / "manifest.json")
    except (ValueError, RecursionError):  # the loader says so
        return
    for name in SCHEMAS:
        try:
            schema = _json(suite / "schemas" / name)
            validator.check_schema(schema)
            # An empty registry: a reference to another document is refused, not fetched.
            checks = validator(schema, registry=referencing.Registry())
            for error in checks.iter_errors(document) if name == SCHEMAS[0] else ():
                yield f"manifest.json breaks its schema at {error.json_path}: {_short(error)}."
        except jsonschema.SchemaError as error:
            yield f"schemas/{name} is no JSON schema: {_short(error)}."
        except (OSError, ValueError, RecursionError, referencing.exceptions.Unresolvable) as error:
            yield f"schemas/{name} cannot be used: {error}."


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _short(error: Any) -> str:
    text = " ".join(str(error.message).split()).rstrip(".")
    return text if len(text) <= 200 else f"{text[:200]}..."


def _file_faults(manifest: Manifest, stream: GoldenStream | FaultStream) -> Iterator[str]:
    try:
        data = manifest.file(stream).read_bytes()
    except OSError as error:
        yield f"{stream.file}, which the manifest lists, cannot be read: {error.strerror}."
        return
    if len(data) != stream.bytes:
        yield f"{stream.file} has {len(data)} bytes, the manifest says {stream.bytes}."
    if hashlib.sha256(data).hexdigest() != stream.sha256:
        yield f"The SHA-256 of {stream.file} in the manifest is stale."


def _stray_faults(suite: Path, listed: set[str]) -> Iterator[str]:
    for folder in _FOLDERS:
        for path in sorted((suite / folder).rglob("*")):
            name = path.relative_to(suite).as_posix()
            if not path.is_dir() and name not in listed:
                yield f"{name} is not in the manifest."


def _sibling_faults(manifest: Manifest) -> Iterator[str]:
    golden = {stream.id: stream for stream in manifest.streams}
    for fault in manifest.faults:
        sibling = golden.get(fault.sibling)
        if sibling is None:
            yield f"The sibling {fault.sibling} of {fault.id} is no golden stream."
        elif sibling.profile != fault.profile:
            yield f"{fault.id} has profile {fault.profile}, its sibling {sibling.id} has {sibling.profile}."


def _requirement_faults(suite: Path, manifest: Manifest) -> Iterator[str]:
    """Requirements without a stream, and streams of requirements that there are not."""
    path = suite.resolve().parent / ANNEX
    try:
        numbers = _ROW.findall(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        yield f"The requirements cannot be checked, since {ANNEX} beside the suite cannot be read: {error}."
        return
    if not numbers:
        yield f"{ANNEX} lists no requirements."
    broken = {fault.requirement: fault.id for fault in manifest.faults if fault.requirement is not None}
    yield from (f"{number} has no stream that breaks it." for number in numbers if number not in broken)
    for number in sorted(set(broken) - set(numbers)):
        yield f"{broken[number]} breaks {number}, which {ANNEX} does not list."
