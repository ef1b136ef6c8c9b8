"""Decodes the golden streams with the lowest versions that pyproject.toml allows.

``python tools/install/check_lowest.py WHEEL``: the decoder's dependencies and its extra [cpu]. The encoder's are left
out: the lowest PyTorch is on PyPI only as a build for CUDA, of several gigabytes. Needs the standard library only; uv,
which finds the versions, is installed from PyPI.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from check_install import EXTRAS, check
from environments import ROOT, environment

EXTRA = "cpu"
_LOWER_BOUND = re.compile(r"([\w-]+)>=([\d.]+)")


def lower_bounds(project: Path) -> dict[str, str]:
    """Package to lowest version, of the dependencies and of the extra."""
    table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    requirements = [*table["dependencies"], *table["optional-dependencies"][EXTRA]]
    matches = [_LOWER_BOUND.match(line) for line in requirements]
    return {match[1]: match[2] for match in matches if match}


def not_lowest(bounds: dict[str, str], installed: Sequence[str]) -> list[str]:
    """Faults: packages of `installed` (lines NAME==VERSION) that are not of the lowest minor version."""
    versions = dict(line.split("==") for line in installed if "==" in line)
    return [
        f"{name} is {versions.get(name, 'missing')}, not {bound}"
        for name, bound in bounds.items()
        if not f"{versions.get(name, '')}.".startswith(f"{bound}.")
    ]


def prepare(wheel: Path) -> tuple[Path, list[str]]:
    """A fresh environment with the wheel and the lowest versions, and the packages in it."""
    tools = environment("uv", fresh=False)
    pip = [str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), "uv"], check=True)
    place = environment("lowest", fresh=True)
    uv, python = str(tools / "bin" / "uv"), ["--python", str(place / "bin" / "python")]
    # A wheel's own requirements are indirect to `uv pip install`, which would take their newest versions.
    pinned = str(place / "lowest.txt")
    lowest = ["--resolution", "lowest-direct", "--extra", EXTRA, "--output-file", pinned]
    subprocess.run([uv, "pip", "compile", "--quiet", *python, *lowest, str(ROOT / "pyproject.toml")], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", *python, "--requirement", pinned], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", *python, "--no-deps", str(wheel)], check=True)
    listed = subprocess.run([uv, "pip", "freeze", *python], check=True, capture_output=True, text=True).stdout
    return place, listed.splitlines()


def main() -> int:
    """Install, decode, print the versions; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    place, installed = prepare(parser.parse_args().wheel.resolve())
    bounds = lower_bounds(ROOT / "pyproject.toml")
    faults = [*not_lowest(bounds, installed), *check(place, *EXTRAS[EXTRA])]
    print(f"lowest versions ({', '.join(f'{k} {v}' for k, v in bounds.items())}): {'FAILED' if faults else 'ok'}")
    for fault in faults:
        print(f"  {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
