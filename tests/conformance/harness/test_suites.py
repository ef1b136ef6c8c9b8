"""Suites that cannot be used are refused before a decoder runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_suite import Tiny

from nvrc_conformance.harness.cases import load_cases
from nvrc_decoder.errors import InputError


@pytest.fixture
def suite(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy of the tiny suite."""
    shutil.copytree(tiny.folder, tmp_path / "suite")
    return tmp_path / "suite"


def refusal(suite: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_cases(suite)
    return f"{caught.value.code} {caught.value.message}"


def change(suite: Path, key: str, value: Any) -> None:
    """Change a key of the manifest."""
    path = suite / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


def test_a_damaged_stream_is_not_the_decoders_fault(suite: Path) -> None:
    file = suite / "streams" / "unit.nvrc"
    file.write_bytes(file.read_bytes() + b"\0")
    assert refusal(suite) == f"E_SUITE {file} is not the stream of the manifest: the suite is damaged, take it anew"
    file.unlink()
    assert refusal(suite).startswith(f"E_SUITE cannot read {file}: No such file or directory: the suite is incomplete")


def test_a_manifest_of_something_else_is_refused(suite: Path) -> None:
    path = suite / "manifest.json"
    change(suite, "version", 2)
    assert refusal(suite).startswith(f"E_SUITE {path} is of nvrc version 2, this harness of version 3")
    change(suite, "version", 3)
    change(suite, "streams", [{"id": "a"}])
    assert refusal(suite) == f"E_SUITE {path} is not the manifest of a conformance suite (KeyError: 'file')"
    path.write_text("[]")
    assert refusal(suite).startswith(f"E_SUITE {path} is not the manifest of a conformance suite (TypeError: ")
    path.write_text("{")
    assert refusal(suite).startswith(f"E_SUITE {path} is not JSON: ")
    path.unlink()
    assert refusal(suite).startswith(f"E_NO_INPUT cannot read {path}: No such file or directory: name the folder")


def test_a_suite_has_streams_of_different_ids(suite: Path) -> None:
    streams = json.loads((suite / "manifest.json").read_text())["streams"]
    for wrong in ([], [streams[0], streams[1], streams[0]]):
        change(suite, "streams", wrong)
        assert refusal(suite).startswith(f"E_SUITE {suite / 'manifest.json'} has no streams, or two of one id")


def test_an_unknown_expectation_is_refused(suite: Path) -> None:
    streams = json.loads((suite / "manifest.json").read_text())["streams"]
    change(suite, "streams", [{**streams[0], "expect": "maybe"}])
    assert "(ValueError: 'maybe' is not a valid Outcome)" in refusal(suite)
