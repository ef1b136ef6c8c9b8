"""The conformance package without its streams, as a wheel installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nvrc_conformance
from nvrc_conformance.manifest import MANIFEST_PATH, load_manifest
from nvrc_decoder.errors import InputError


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that imports the package from a folder without streams."""
    source = Path(nvrc_conformance.__file__).parent
    shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


def python(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)


def test_an_absent_suite_is_a_typed_error(tmp_path: Path, installed: dict[str, str]) -> None:
    code = (
        "from nvrc_conformance.manifest import load_manifest\n"
        "from nvrc_decoder.errors import InputError\n"
        "try:\n    load_manifest()\n"
        "except InputError as error:\n    print(error.code, error.message)\n"
    )
    done = python(installed, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"E_NO_INPUT there is no conformance suite at {tmp_path / 'manifest.json'}: give ")


def test_the_generator_needs_a_named_manifest(tmp_path: Path, installed: dict[str, str]) -> None:
    done = python(installed, "-m", "nvrc_conformance.generate")
    assert done.returncode == 2
    assert "name one with --manifest" in done.stderr
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_stands_for_its_manifest(tmp_path: Path) -> None:
    assert load_manifest(MANIFEST_PATH.parent) == load_manifest()
    with pytest.raises(InputError, match="no conformance suite at"):
        load_manifest(tmp_path)
