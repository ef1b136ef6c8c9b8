"""The decoder stands alone: it imports nothing of the other packages, of PyTorch or of onnx."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DECODER = ROOT / "decoder" / "nvrc_decoder"
FORBIDDEN = {"torch", "onnx", "onnxscript", "av", "rich", "click", "nvrc_encoder", "nvrc_conformance", "nvrc_ref"}
SOURCES = sorted(DECODER.rglob("*.py"))


def imported_roots(path: Path) -> Iterator[str]:
    """Top-level package of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value).split(".")[0]


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after running `code`."""
    code += "\nimport json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(DECODER)))
def test_decoder_source_imports_nothing_forbidden(path: Path) -> None:
    assert FORBIDDEN.isdisjoint(imported_roots(path))


def test_scan_sees_imports_inside_functions(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("def f():\n    import torch.nn\n    importlib.import_module('onnx')\n    from av import open\n")
    assert set(imported_roots(source)) == {"torch", "onnx", "av"}


def test_importing_the_decoder_is_light() -> None:
    loaded = loaded_after("import nvrc_decoder; nvrc_decoder.open; nvrc_decoder.Video")
    assert loaded.isdisjoint(FORBIDDEN | {"cv2", "onnxruntime"})
    assert "nvrc_decoder" in loaded


def test_the_package_alone_imports_nothing() -> None:
    loaded = loaded_after("import nvrc_decoder")
    assert loaded.isdisjoint(FORBIDDEN | {"cv2", "onnxruntime", "numpy", "constriction"})


def test_decoding_to_y4m_needs_no_opencv(tmp_path: Path) -> None:
    stream = str(ROOT / "conformance" / "streams" / "nano-two-gops.nvrc")
    words = ["decode", stream, "-o", str(tmp_path / "clip.y4m"), "--engine", "reference"]
    loaded = loaded_after(f"from nvrc_ref.main import run; assert run({words!r}) == 0")
    assert loaded.isdisjoint(FORBIDDEN - {"click", "nvrc_ref"} | {"cv2", "onnxruntime"})
    assert (tmp_path / "clip.y4m").exists()


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
def test_decoding_imports_neither_torch_nor_onnx(engine: str) -> None:
    stream = ROOT / "conformance" / "streams" / "nano-random.nvrc"
    loaded = loaded_after(f"import nvrc_decoder; list(nvrc_decoder.open({str(stream)!r}, engine={engine!r}))")
    assert loaded.isdisjoint(FORBIDDEN)
    assert ("onnxruntime" in loaded) == (engine == "onnxruntime")


def test_command_line_help_is_light() -> None:
    loaded = loaded_after("from nvrc_ref.main import run; run(['--help'])")
    assert loaded.isdisjoint({"torch", "onnx", "av", "cv2", "onnxruntime", "rich"})
