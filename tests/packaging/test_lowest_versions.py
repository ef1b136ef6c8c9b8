"""`make check-lowest` really has the lowest versions."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "install"))

from check_lowest import lower_bounds, not_lowest  # noqa: E402


def test_every_dependency_has_a_lower_bound() -> None:
    bounds = lower_bounds(ROOT / "pyproject.toml")
    assert set(bounds) == {"numpy", "constriction", "click", "opencv-python-headless", "onnxruntime"}


def test_newer_or_missing_versions_are_faults() -> None:
    bounds = {"numpy": "1.26", "click": "8.1", "onnxruntime": "1.20"}
    assert not_lowest(bounds, ["numpy==1.26.0", "click==8.1.0", "onnxruntime==1.20.0", "sympy==1"]) == []
    assert not_lowest(bounds, ["numpy==2.4.6", "click==8.10.0", "nvrc-ref @ file:///x.whl"]) == [
        "numpy is 2.4.6, not 1.26",
        "click is 8.10.0, not 8.1",
        "onnxruntime is missing, not 1.20",
    ]
