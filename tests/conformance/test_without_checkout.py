"""The conformance package without its streams, as a wheel installs it, and the archive that has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from c_decoder import needs_c

import nvrc_conformance
from nvrc_conformance.manifest import MANIFEST_PATH, load_manifest
from nvrc_decoder.errors import InputError
from suite.archive import ROOT, archive, files


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that imports the package from a folder without streams."""
    source = Path(nvrc_conformance.__file__).parent
    shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the suite."""
    path = tmp_path_factory.mktemp("packed") / "suite.tar.gz"
    path.write_bytes(archive(ROOT, "nvrc-conformance-1"))
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty folder to work in."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def python(environment: dict[str, str], *words: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


def test_an_absent_suite_is_a_typed_error(tmp_path: Path, installed: dict[str, str]) -> None:
    code = (
        "from nvrc_conformance.manifest import load_manifest\n"
        "from nvrc_decoder.errors import InputError\n"
        "try:\n    load_manifest()\n"
        "except InputError as error:\n    print(error.code, error.message)\n"
    )
    done = python(installed, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"E_NO_INPUT cannot read {tmp_path / 'manifest.json'}: No such file or directory: ")


def test_the_generator_needs_a_named_manifest(tmp_path: Path, installed: dict[str, str]) -> None:
    done = python(installed, "-m", "nvrc_conformance.generate")
    assert done.returncode == 2
    assert "name one with --manifest" in done.stderr
    assert not (tmp_path / "manifest.json").exists()


def test_a_folder_stands_for_its_manifest(tmp_path: Path) -> None:
    assert load_manifest(MANIFEST_PATH.parent) == load_manifest()
    with pytest.raises(InputError, match="name a conformance suite"):
        load_manifest(tmp_path)


def test_a_folder_beside_the_package_is_no_suite(installed: dict[str, str], empty: Path) -> None:
    done = python(installed, "-m", "nvrc_ref", "conformance", "list", folder=empty)
    assert (done.returncode, done.stdout) == (66, "")
    assert done.stderr.startswith("error[E_NO_INPUT] cannot read ")


def test_the_same_files_make_the_same_archive(packed: Path, tmp_path: Path) -> None:
    for path in files(ROOT):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, tmp_path / path)
    for name in ("decoders/c/build/nvrc-c", ".cache/notes", "streams/.hidden"):
        (tmp_path / "conformance" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "conformance" / name).touch()
    assert archive(tmp_path, "nvrc-conformance-1") == packed.read_bytes()


def test_the_archive_has_the_suite_and_the_specification(packed: Path) -> None:
    with tarfile.open(packed) as tar:
        names = [member.name.removeprefix("nvrc-conformance-1/") for member in tar]
    streams = [f"conformance/{stream.file}" for stream in load_manifest().all_streams]
    others = ["conformance/README.md", "conformance/adapters/c.toml", "spec/tables/laplace.bin", "LICENSE"]
    assert set(names) >= {*streams, *others}
    assert names == sorted(names)
    assert not [name for name in names if "nvrc_conformance" in name or "build" in name]


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_an_installed_harness_runs_the_archive(installed: dict[str, str], packed: Path, empty: Path, kind: str) -> None:
    if kind == "folder":
        shutil.unpack_archive(packed, empty, filter="data")
    suite = packed if kind == "archive" else "nvrc-conformance-1"
    adapter = shutil.copy(MANIFEST_PATH.parent / "adapters" / "numpy.toml", empty)
    run = ("-m", "nvrc_ref", "conformance", "run", adapter, "--suite", suite, "--filter", "*nano-sparse", "--quiet")
    done = python(installed, *run, folder=empty)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("nvrc-ref, NumPy: 1 stream, 1 pass, ")
    done = python(installed, "-m", "nvrc_ref", "conformance", "lint", "--quick", "--suite", suite, folder=empty)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.full
@needs_c
def test_the_decoder_in_c_is_built_from_the_archive(installed: dict[str, str], packed: Path, empty: Path) -> None:
    shutil.unpack_archive(packed, empty, filter="data")
    suite = empty / "nvrc-conformance-1" / "conformance"
    subprocess.run(["make", "-s", "-C", suite / "decoders" / "c"], check=True)
    run = ("-m", "nvrc_ref", "conformance", "run", suite / "adapters" / "c.toml", "--suite", packed, "--quiet")
    done = python(installed, *run, folder=empty)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"nvrc-c: {len(load_manifest().all_streams)} streams, ")
