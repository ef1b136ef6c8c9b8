"""Runs scripts of this folder in Node."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["needs_node", "run_script"]

FOLDER = Path(__file__).parent


def _version() -> int:
    if shutil.which("node") is None:
        return 0
    found = re.match(r"v(\d+)", subprocess.run(["node", "--version"], capture_output=True, text=True).stdout)
    return int(found[1]) if found else 0


needs_node = pytest.mark.skipif(_version() < 20, reason="needs Node 20")


def run_script(name: str, *words: object) -> list[Any]:
    """What a script prints, a JSON document a line."""
    done = subprocess.run(
        ["node", str(FOLDER / name), *map(str, words)], capture_output=True, text=True, timeout=300, cwd=FOLDER
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
