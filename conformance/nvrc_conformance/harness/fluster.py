"""The golden streams as test suites of fluster, one for each profile."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nvrc_conformance.manifest import GoldenStream, Manifest
from nvrc_decoder.picture.format import pixel_format
from nvrc_decoder.profiles import PROFILES

__all__ = ["CODEC", "export_suites"]

CODEC = "NVRC"
"""The codec's name in fluster."""


def export_suites(manifest: Manifest, folder: Path) -> dict[str, int]:
    """Write ``test_suites/`` and ``resources/``; fluster has nothing to download.

    Args:
        manifest: a suite whose files are right.
        folder: an empty folder.

    Returns:
        Name of each test suite -> number of its streams.
    """
    (folder / "test_suites").mkdir()
    written = {}
    for profile in PROFILES:
        streams = [stream for stream in manifest.streams if stream.profile == profile.name]
        if not streams:
            continue
        name = f"{CODEC}-{profile.name}"
        vectors = []
        for stream in streams:
            place = folder / "resources" / name / stream.id
            place.mkdir(parents=True)
            data = manifest.file(stream).read_bytes()
            (place / _file(stream)).write_bytes(data)
            vectors.append(_vector(stream, data))
        suite = {
            "name": name,
            "codec": CODEC,
            "description": f"Golden streams of profile {profile.name} of the NVRC conformance suite",
            "test_vectors": vectors,
        }
        text = json.dumps(suite, indent=4, ensure_ascii=False) + "\n"
        (folder / "test_suites" / f"{name}.json").write_text(text, encoding="utf-8")
        written[name] = len(vectors)
    return written


def _file(stream: GoldenStream) -> str:
    return f"{stream.id}.nvrc"


def _vector(stream: GoldenStream, data: bytes) -> dict[str, Any]:
    """A test vector; `source` is the name of the file, since it is in `resources` already.

    Fluster names output formats as FFmpeg does.
    """
    return {
        "name": stream.id,
        "source": _file(stream),
        "source_checksum": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "input_file": _file(stream),
        "output_format": pixel_format(stream.chroma_format, stream.bit_depth),
        "result": stream.md5,
    }
