"""The JSON schemas: what we write follows them, and they refuse what is wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tiny_suite import Tiny

from nvrc_conformance.harness.reports import json_report
from nvrc_conformance.harness.run import run_cases
from nvrc_conformance.harness.score import State
from nvrc_conformance.manifest import MANIFEST_PATH, load_manifest

MANIFEST = json.loads(MANIFEST_PATH.read_text())


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((MANIFEST_PATH.parent / "schemas" / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def errors(name: str, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(document)]


def properties(schema: Any) -> Iterator[tuple[str, Any]]:
    """Name and schema of every property, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for value in schema.values():
            yield from properties(value)


def test_the_manifest_follows_its_schema() -> None:
    assert errors("manifest", MANIFEST) == []
    assert errors("manifest", json.loads(load_manifest().text())) == []


@pytest.mark.parametrize("behaviour", ["perfect", "one-sample-off", "segfault"])
def test_reports_follow_their_schema(tiny: Tiny, tmp_path: Path, behaviour: str) -> None:
    adapter = tiny.adapter(tmp_path, behaviour, known_failures=["unit"], stages=tiny.words("stages-wrong", "{stages}"))
    for fail_fast in (False, True):
        report = run_cases(adapter, tiny.cases, fail_fast=fail_fast)
        assert errors("report", json.loads(json_report(report))) == []


def test_every_state_is_in_the_schema() -> None:
    assert dict(properties(validator("report").schema))["state"]["enum"] == list(State)


@pytest.mark.parametrize("name", ["manifest", "report"])
def test_every_property_is_described(name: str) -> None:
    schema = validator(name).schema
    for key, value in properties(schema):
        shared = schema.get("$defs", {}).get(value.get("$ref", "").removeprefix("#/$defs/"), {})
        assert value.get("description") or shared.get("description"), key


WRONG: list[tuple[Callable[[Any, Any], object], str]] = [
    (lambda golden, refused: golden.update(sha256="A" * 64), "$.streams[0].sha256: "),
    (lambda golden, refused: golden.update(file="../a.nvrc"), "$.streams[0].file: "),
    (lambda golden, refused: golden.update(bit_depth=9), "$.streams[0].bit_depth: "),
    (lambda golden, refused: golden.update(news=1), "$.streams[0]: Additional properties are not allowed"),
    (lambda golden, refused: golden.pop("stages"), "$.streams[0]: 'stages' is a required property"),
    (lambda golden, refused: golden["stages"]["gops"][0]["nodes"].update({"3": "2"}), "$.streams[0].stages.gops[0].n"),
    (lambda golden, refused: refused.update(expect="valid"), "$.streams[1].expect: "),
    (lambda golden, refused: refused.update(also=["valid"]), "$.streams[1].also[0]: "),
    (lambda golden, refused: refused.update(requirement="3.1"), "$.streams[1].requirement: "),
    (lambda golden, refused: refused.pop("why"), "$.streams[1]: 'why' is a required property"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_the_schema_refuses_what_is_wrong(change: Callable[[Any, Any], object], message: str) -> None:
    golden, refused = (copy.deepcopy(MANIFEST["streams"][place]) for place in (0, -1))
    change(golden, refused)
    (error,) = errors("manifest", {**MANIFEST, "streams": [golden, refused]})
    assert error.startswith(message)
