"""The wheel has the packages, their data and their metadata, and nothing else."""

from __future__ import annotations

import email.message
import email.parser
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from nvrc_ref.playing.assets import ASSETS

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "nvrc_bench": "bench",
    "nvrc_conformance": "conformance",
    "nvrc_decoder": "decoder",
    "nvrc_encoder": "encoder",
    "nvrc_output": "output",
    "nvrc_ref": "cli",
}
PLAYER = "nvrc_ref/playing/web"
"""Where the wheel has the player of `web/`."""
PLAYER_BYTES = 300_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the checkout."""
    builder = WheelBuilder(str(ROOT))
    (path,) = builder.build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.parser.Parser().parsestr(wheel.read(name).decode())


def test_wheel_has_the_packages_only(wheel: zipfile.ZipFile) -> None:
    """No program of tools, no export of graphs, no test, no stream."""
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == set(FOLDERS)


@pytest.mark.parametrize("package", FOLDERS)
def test_wheel_has_every_file_of_a_package(wheel: zipfile.ZipFile, package: str) -> None:
    folder = ROOT / FOLDERS[package]
    files = {path for path in (folder / package).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    names = {name for name in wheel.namelist() if name.startswith(f"{package}/") and not name.startswith(PLAYER)}
    assert names == {path.relative_to(folder).as_posix() for path in files}
    assert f"{package}/py.typed" in wheel.namelist()


def test_wheel_has_the_player(wheel: zipfile.ZipFile) -> None:
    infos = [info for info in wheel.infolist() if info.filename.startswith(PLAYER)]
    assert {info.filename for info in infos} == {f"{PLAYER}/{name}" for name in ASSETS}
    assert sum(info.compress_size for info in infos) < PLAYER_BYTES
    for info in infos:
        assert wheel.read(info) == (ROOT / "web" / info.filename.rsplit("/", 1)[1]).read_bytes()


def test_command_is_installed(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "nvrc-ref = nvrc_ref.start:start" in wheel.read(name).decode()


def test_metadata_describes_the_project(metadata: email.message.Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    classifiers = metadata.get_all("Classifier", [])
    assert {"Typing :: Typed", "Programming Language :: Python :: 3.11", "Topic :: Multimedia :: Video"} <= set(
        classifiers
    )
    assert not any(line.startswith("License ::") for line in classifiers), "License-Expression says it"


def test_torch_and_onnx_come_with_extras_only(metadata: email.message.Message) -> None:
    needed = metadata.get_all("Requires-Dist", [])
    always = {line.split(">")[0].split("<")[0] for line in needed if "extra ==" not in line}
    assert always == {"click", "constriction", "numpy", "opencv-python-headless"}
    assert not any(line.startswith("onnxscript") and "dev" not in line for line in needed), "only graphs/ needs it"
