"""Virtual environments with the wheel in them; needs the standard library only."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

__all__ = ["ROOT", "environment", "install", "label", "requirement"]

ROOT = Path(__file__).resolve().parents[2]


def label(extra: str) -> str:
    """What an installation is called."""
    return f"nvrc-ref[{extra}]" if extra else "nvrc-ref alone"


def requirement(wheel: Path, extra: str) -> str:
    """What pip is asked for."""
    return f"{wheel}[{extra}]" if extra else str(wheel)


def environment(name: str, *, fresh: bool) -> Path:
    """The directory of an environment with nothing but pip in it; without `fresh` an earlier one is used again."""
    place = ROOT / ".venvs" / name
    if fresh or not (place / "bin" / "python").exists():
        venv.create(place, with_pip=True, clear=fresh)
    return place


def install(place: Path, wheel: Path, extra: str) -> None:
    """Install the wheel, even over one of the same version, and what it needs with one extra."""
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, "--force-reinstall", "--no-deps", str(wheel)], check=True)
    subprocess.run([*pip, requirement(wheel, extra)], check=True)
