"""The examples of docs/api.md, block by block in one session, and what the public package says of itself."""

from __future__ import annotations

import doctest
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.bitstream.reader import UnitReader

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "api.md"
STREAM = "trained-nano"


def blocks() -> list[tuple[int, str]]:
    """Line and text of each fenced example."""
    text = GUIDE.read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start(1)), match.group(1)) for match in found]


def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_manifest().read(STREAM)
    (tmp_path / "clip.nvrc").write_bytes(data)
    gop = next(unit for unit in UnitReader(io.BytesIO(data)) if unit.name == "GOP 1")
    damaged = bytearray(data)
    damaged[gop.payload_offset + 20] ^= 1
    (tmp_path / "damaged.nvrc").write_bytes(damaged)
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner()
    names: dict[str, object] = {}
    report: list[str] = []
    for line, text in blocks():
        test = doctest.DocTestParser().get_doctest(text, names, "docs/api.md", str(GUIDE), line)
        assert test.examples, f"the block at line {line} has no example"
        runner.run(test, out=report.append, clear_globs=False)
        names = test.globs
    assert runner.failures == 0, "".join(report)
    assert runner.tries > 20


@pytest.mark.full
def test_the_data_loader_example(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (code,) = [
        text for text in re.findall(r"```py\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL) if "DataLoader" in text
    ]
    (tmp_path / "example.py").write_text(code)
    (tmp_path / "clip.nvrc").write_bytes(load_manifest().read(STREAM))
    command = [sys.executable, "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    shapes = [(4, 54, 96, 3)] * 3
    assert done.stdout.splitlines() == [f"fork {shapes}", f"spawn {shapes}"], done.stderr


def test_the_allocator_example() -> None:
    (code,) = [
        text for text in re.findall(r"```py\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL) if "arrays()" in text
    ]
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_guide_lists_the_public_names() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    (rows,) = re.findall(r"^## All public names$(.*)\Z", text, re.MULTILINE | re.DOTALL)
    cells = [line.split("|")[1] for line in rows.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(nvrc_decoder.__all__)


def test_every_export_exists_and_is_typed() -> None:
    assert all(hasattr(nvrc_decoder, name) for name in nvrc_decoder.__all__)
    assert (ROOT / "decoder" / "nvrc_decoder" / "py.typed").exists()
