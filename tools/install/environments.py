"""Virtual environments with the wheel installed; needs the standard library only."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

__all__ = ["ROOT", "environment", "install", "label", "requirement"]

ROOT = Path(__file__).resolve().parents[2]


def label(extra: str) -> str:
    """The name of an installation."""
    return f"nvrc-ref[{extra}]" if extra else "nvrc-ref alone"


def requirement(wheel: Path, extra: str) -> str:
    """The requirement for pip."""
    return f"{wheel}[{extra}]" if extra else str(wheel)


def environment(name: str, *, fresh: bool) -> Path:
    """The folder of an environment that has only pip; without `fresh` an earlier one is reused."""
    place = ROOT / ".venvs" / name
    if fresh or not (place / "bin" / "python").exists():
        venv.create(place, with_pip=True, clear=fresh)
    return place


def install(place: Path, wheel: Path, extra: str) -> None:
    """Install the wheel, even over one of the same version, and its dependencies with one extra."""
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "--force-reinstall", "--no-deps", str(wheel)], check=True)
    subprocess.run([*pip, requirement(wheel, extra)], check=True)
