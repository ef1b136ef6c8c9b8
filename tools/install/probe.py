"""Run inside a clean installation: decode the golden streams, and check what was imported.

``python probe.py MANIFEST ENGINE``; exit code 0 if all is well. In an environment for development it finds a fault for
each of the encoder's packages, as it should.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import nvrc_decoder

FORBIDDEN = ("torch", "onnx", "onnxscript")


def main() -> int:
    """Decode every golden stream of the manifest with the engine that `auto` chooses."""
    manifest, engine = Path(sys.argv[1]), sys.argv[2]
    streams = [stream for stream in json.loads(manifest.read_text())["streams"] if "expect" not in stream]
    wrong = []
    for stream in streams:
        md5 = hashlib.md5(usedforsecurity=False)
        with nvrc_decoder.open(manifest.parent / stream["file"]) as video:
            if video.engine != engine:
                wrong.append(f"auto chose {video.engine}, not {engine}")
            for frame in video:
                for chunk in frame.chunks():
                    md5.update(chunk)
        if md5.hexdigest() != stream["md5"]:
            wrong.append(f"{stream['id']}: MD5 {md5.hexdigest()}, expected {stream['md5']}")
    installed = [name for name in FORBIDDEN if importlib.util.find_spec(name) is not None]
    wrong += [f"{name} is installed, so this is no installation of the decoder alone" for name in installed]
    wrong += [f"{name} was imported" for name in FORBIDDEN if name in sys.modules]
    for line in wrong:
        print(f"  {line}")
    print(f"  {len(streams)} streams, engine {engine}, {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
