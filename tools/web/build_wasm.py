"""Build ``web/nvrc.wasm``, and ``web/wasm.json`` which describes it: ``make web`` runs this program.

Needs ``clang`` and ``wasm-ld``. The same versions of both give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tempfile
from pathlib import Path

__all__ = ["RECORD", "WASM", "build", "compiler", "describe"]

ROOT = Path(__file__).resolve().parents[2]
WASM = ROOT / "web" / "nvrc.wasm"
RECORD = ROOT / "web" / "wasm.json"


def compiler() -> str:
    """The versions of clang and wasm-ld here.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    versions = []
    for program in ("clang", "wasm-ld"):
        text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        versions.append(f"{program} {re.findall(r'[0-9]+[.][0-9]+[.][0-9]+', text)[0]}")
    return ", ".join(versions)


def build(folder: Path) -> bytes:
    """The module, built in a folder.

    Raises:
        subprocess.CalledProcessError: it does not build.
    """
    sources = ROOT / "conformance" / "decoders" / "c"
    subprocess.run(["make", "-C", str(sources), "wasm", f"BUILD={folder}"], capture_output=True, check=True)
    return (folder / "nvrc.wasm").read_bytes()


def describe(module: bytes) -> dict[str, object]:
    """What `RECORD` says of a module that was built here."""
    return {"sha256": hashlib.sha256(module).hexdigest(), "bytes": len(module), "compiler": compiler()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        module = build(Path(name))
    WASM.write_bytes(module)
    RECORD.write_text(json.dumps(describe(module), indent=2) + "\n", encoding="utf-8")
    print(RECORD.read_text(encoding="utf-8"), end="")
