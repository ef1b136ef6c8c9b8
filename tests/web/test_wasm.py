"""The module that is committed is the one that its sources give."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from web import build_wasm

RECORD = json.loads(build_wasm.RECORD.read_text("utf-8"))


def test_module_is_the_recorded_one_and_small() -> None:
    module = build_wasm.WASM.read_bytes()
    assert (hashlib.sha256(module).hexdigest(), len(module)) == (RECORD["sha256"], RECORD["bytes"])
    assert len(module) < 200_000


def test_sources_give_the_module(tmp_path: Path) -> None:
    if any(shutil.which(program) is None for program in ("clang", "wasm-ld", "make", "cc")):
        pytest.skip("needs clang, wasm-ld, make and cc")
    if build_wasm.compiler() != RECORD["compiler"]:
        pytest.skip(f"needs {RECORD['compiler']}")
    assert build_wasm.build(tmp_path) == build_wasm.WASM.read_bytes()
