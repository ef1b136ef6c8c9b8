"""The decoder stands alone at run time. Which module may import which is in pyproject.toml, held by `make lint`."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DECODER = ROOT / "decoder" / "nvrc_decoder"
OTHER_PACKAGES = {"nvrc_bench", "nvrc_conformance", "nvrc_encoder", "nvrc_graphs", "nvrc_output", "nvrc_ref"}
FORBIDDEN = {"torch", "onnx", "onnxscript", "av", "rich", "click"} | OTHER_PACKAGES


def imported_by_name(source: str) -> Iterator[str]:
    """Top-level package of every import that is a call with a literal name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value).split(".")[0]


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after running `code`."""
    code += "\nimport json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_no_import_by_name_is_forbidden() -> None:
    """`importlib.import_module` and `__import__`, which import-linter cannot see; `make lint` sees the rest."""
    named = {name for path in DECODER.rglob("*.py") for name in imported_by_name(path.read_text())}
    assert FORBIDDEN.isdisjoint(named)


def test_scan_sees_imports_by_name() -> None:
    source = "def f():\n    importlib.import_module('onnx.helper')\n    __import__('av')\n    import_module('rich')\n"
    assert set(imported_by_name(source)) == {"onnx", "av", "rich"}


def test_importing_the_decoder_is_light() -> None:
    loaded = loaded_after("import nvrc_decoder; nvrc_decoder.open; nvrc_decoder.Video")
    assert loaded.isdisjoint(FORBIDDEN | {"cv2", "onnxruntime"})
    assert "nvrc_decoder" in loaded


def test_the_package_alone_imports_nothing() -> None:
    loaded = loaded_after("import nvrc_decoder")
    assert loaded.isdisjoint(FORBIDDEN | {"cv2", "onnxruntime", "numpy", "constriction"})


def test_decoding_to_y4m_needs_no_opencv(tmp_path: Path, golden: Callable[[str], Path]) -> None:
    words = ["decode", str(golden("nano-two-gops")), "-o", str(tmp_path / "clip.y4m"), "--engine", "reference"]
    loaded = loaded_after(f"from nvrc_ref.main import run; assert run({words!r}) == 0")
    assert loaded.isdisjoint(FORBIDDEN - {"click", "nvrc_ref", "nvrc_output"} | {"cv2", "onnxruntime"})
    assert (tmp_path / "clip.y4m").exists()


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
def test_decoding_imports_neither_torch_nor_onnx(engine: str, golden: Callable[[str], Path]) -> None:
    stream = str(golden("nano-random"))
    loaded = loaded_after(f"import nvrc_decoder; list(nvrc_decoder.open({stream!r}, engine={engine!r}))")
    assert loaded.isdisjoint(FORBIDDEN)
    assert ("onnxruntime" in loaded) == (engine == "onnxruntime")


def test_command_line_help_is_light() -> None:
    loaded = loaded_after("from nvrc_ref.main import run; run(['--help'])")
    assert loaded.isdisjoint({"torch", "onnx", "av", "cv2", "onnxruntime", "rich"})
