"""The suite in fluster's format, and our decoders for fluster."""

from __future__ import annotations

import enum
import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tiny_suite import VALID, Tiny

import nvrc_decoder
from nvrc_conformance.manifest import MANIFEST_PATH
from nvrc_ref.main import run

# A program like a decoder: it copies its input, and refuses it by its first byte.
PROGRAM = """#!/bin/sh
case "$(head -c 1 "$1")" in u) exit 69;; r) exit 65;; esac
cp "$1" "$3"
"""


class NotSupportedError(Exception):
    """Stands for fluster's."""


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The file for fluster, imported beside modules that stand for fluster's."""
    registered: list[type] = []
    modules: dict[str, dict[str, Any]] = {
        "fluster": {},
        "fluster.codec": {"Codec": enum.Enum("Codec", {"NVRC": "NVRC"}), "OutputFormat": enum.Enum},
        "fluster.decoder": {
            "Decoder": object,
            "NotSupportedError": NotSupportedError,
            "register_decoder": lambda cls: registered.append(cls) or cls,
        },
        "fluster.utils": {
            "file_checksum": lambda name: hashlib.md5(Path(name).read_bytes()).hexdigest(),
            "run_command": lambda words, timeout, verbose: subprocess.run(words, timeout=timeout, check=True),
        },
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("fluster_nvrc", MANIFEST_PATH.parent / "adapters" / "fluster_nvrc.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    vars(made)["registered"] = registered
    return made


def test_the_valid_streams_are_exported(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "fluster"
    assert run(["conformance", "export", "--suite", str(tiny.folder), "--fluster", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: NVRC-nano with 2 streams, NVRC-lite with 1 stream\n"
    suites = [json.loads(path.read_text()) for path in sorted((target / "test_suites").iterdir())]
    assert [(suite["name"], suite["codec"]) for suite in suites] == [("NVRC-lite", "NVRC"), ("NVRC-nano", "NVRC")]
    vectors = {vector["name"]: (suite["name"], vector) for suite in suites for vector in suite["test_vectors"]}
    assert sorted(vectors) == sorted(VALID)
    formats = {"nano-sparse": "yuv420p", "nano-400-10": "gray10le", "lite-420-10": "yuv420p10le"}
    for name, (suite, vector) in vectors.items():
        file = target / "resources" / suite / name / vector["input_file"]
        assert hashlib.md5(file.read_bytes()).hexdigest() == vector["source_checksum"]
        assert vector["source"] == vector["input_file"]
        assert vector["output_format"] == formats[name]
        with nvrc_decoder.open(file, engine="reference") as video:
            frames = b"".join(chunk for frame in video for chunk in frame.chunks())
        assert hashlib.md5(frames).hexdigest() == vector["result"]


def test_every_stream_has_a_format_in_fluster(tmp_path: Path) -> None:
    assert run(["conformance", "export", "--fluster", str(tmp_path / "fluster")]) == 0
    assert len(list((tmp_path / "fluster" / "test_suites").iterdir())) == 3


def test_a_folder_with_content_is_not_written_to(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert run(["conformance", "export", "--suite", str(tiny.folder), "--fluster", str(tmp_path)]) == 74
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_damaged_suite_is_not_exported(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    document = (tiny.folder / "manifest.json").read_text()
    (tmp_path / "suite" / "manifest.json").write_text(document)
    target = tmp_path / "fluster"
    assert run(["conformance", "export", "--suite", str(tmp_path / "suite"), "--fluster", str(target)]) == 66
    assert not target.exists()


def test_the_decoders_for_fluster_are_registered(plugin: ModuleType) -> None:
    assert [made.name for made in plugin.registered] == ["nvrc-c", "nvrc-ref"]


def test_fluster_learns_how_a_decoder_ended(plugin: ModuleType, tmp_path: Path) -> None:
    program, stream, output = tmp_path / "acme", tmp_path / "stream", tmp_path / "out"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    decoder = plugin.NvrcC()
    decoder.binary = str(program)

    def decode(text: str) -> str:
        stream.write_text(text)
        result: str = decoder.decode(str(stream), str(output), None, 60, False, False)
        return result

    assert decode("frames") == hashlib.md5(b"frames").hexdigest()
    with pytest.raises(NotSupportedError):
        decode("unsupported")
    with pytest.raises(subprocess.CalledProcessError):
        decode("rejected")


def test_our_decoder_gives_fluster_its_frames(plugin: ModuleType, tiny: Tiny, tmp_path: Path) -> None:
    decoder = plugin.NvrcRef()
    words = decoder.command(str(tiny.cases[0].path), str(tmp_path / "nano.out"))
    assert words[0] == "nvrc-ref"
    assert run(words[1:]) == 0
    frames = json.loads((tiny.folder / "manifest.json").read_text())["streams"][0]["md5"]
    assert hashlib.md5((tmp_path / "nano.out").read_bytes()).hexdigest() == frames
