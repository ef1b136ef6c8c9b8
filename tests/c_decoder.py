"""Builds of the decoder in C, and the units of a stream."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nvrc_conformance.manifest import MANIFEST_PATH
from nvrc_decoder.bitstream.reader import UnitReader

__all__ = ["SOURCES", "build", "build_sanitized", "build_test", "needs_c", "units"]

SOURCES = MANIFEST_PATH.parent / "decoders" / "c"
WARNINGS = "-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Werror"
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=all"

needs_c = pytest.mark.skipif(
    shutil.which("cc") is None or shutil.which("make") is None, reason="needs the C compiler cc, and make"
)


def build(folder: Path, flags: str) -> Path:
    """The command line, built with these flags and all warnings in a folder."""
    words = ["make", "-C", str(SOURCES), "CC=cc", f"CFLAGS={WARNINGS} {flags}", f"BUILD={folder}"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "nvrc-c"


def build_sanitized(folder: Path) -> Path:
    """A build that stops at the first fault which sanitizers find."""
    probe = folder / "probe.c"
    probe.write_text("int main(void) { return 0; }\n", encoding="utf-8")
    words = ["cc", *SANITIZERS.split(), "-o", str(folder / "probe"), str(probe)]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("cc has no sanitizers here")
    return build(folder, f"-O2 {SANITIZERS}")


def build_test(sanitized: Path, name: str, folder: Path) -> Path:
    """The program `tests/NAME.c`, with the library of a sanitized build."""
    program = folder / name
    objects = [str(path) for path in sanitized.parent.glob("*.o") if path.name != "main.o"]
    flags = f"{WARNINGS} -O1 {SANITIZERS} -I{SOURCES}".split()
    subprocess.run(["cc", *flags, "-o", str(program), str(SOURCES / "tests" / f"{name}.c"), *objects], check=True)
    return program


def units(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The first byte of each unit of a valid stream, of its payload and of its crc (spec 2.3)."""
    for unit in UnitReader(io.BytesIO(data)):
        yield unit.offset, unit.payload_offset, unit.offset + unit.size - 4
