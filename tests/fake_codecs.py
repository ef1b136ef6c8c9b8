"""Tiny codecs as programs, for tests of the benchmark: coarse quantisation with zlib, and a stand-in for nvrc-ref."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from pathlib import Path

HEADER_END = b"\n"
FAKE = [sys.executable, str(Path(__file__).resolve())]
"""The command of this program."""
PLAIN = {
    "kind": "command",
    "name": "plain",
    "command": [*FAKE, "encode", "{input}", "{output}", "{point}"],
    "decode": [*FAKE, "decode", "{input}", "{output}"],
    "points": [4, 8, 16],
    "version": "3",
}
"""The coarse codec, as a codec of a benchmark."""


def encode(source: str, target: str, step: int) -> None:
    """Compress y4m with every sample rounded down to a multiple of `step`."""
    data = Path(source).read_bytes()
    head, _, rest = data.partition(HEADER_END)
    coarse = bytes(value // step for value in rest.replace(b"FRAME\n", b""))
    Path(target).write_bytes(b"%d %s\n" % (step, head) + zlib.compress(coarse))
    calls = os.environ.get("FAKE_CODEC_CALLS")
    if calls:
        with open(calls, "a", encoding="ascii") as file:
            file.write(f"{step}\n")
    if step == int(os.environ.get("FAKE_CODEC_FAILS", "0")):
        sys.exit("this step is out of order")
    if step == int(os.environ.get("FAKE_CODEC_HANGS", "0")):
        time.sleep(600)
    time.sleep(float(os.environ.get("FAKE_CODEC_LINGERS", "0")))


def decode(source: str, target: str) -> None:
    """Decode a file of `encode` to y4m."""
    line, _, payload = Path(source).read_bytes().partition(HEADER_END)
    step, _, head = line.partition(b" ")
    samples = bytes(min(255, value * int(step) + int(step) // 2) for value in zlib.decompress(payload))
    fields = {field[:1]: field[1:] for field in head.split()}
    size = int(fields[b"W"]) * int(fields[b"H"]) * 3 // 2
    frames = [samples[i : i + size] for i in range(0, len(samples), size)]
    Path(target).write_bytes(head + b"\n" + b"".join(b"FRAME\n" + frame for frame in frames))


def nvrc(words: list[str]) -> None:
    """Stand in for nvrc-ref: --version, encode with --report, info, decode."""
    if words == ["--version"]:
        print("fake nvrc-ref 1.2")
    elif words[0] == "encode":
        target, report = words[words.index("-o") + 1], words[words.index("--report") + 1]
        encode(words[1], target, int(words[words.index("--lambda") + 1]))
        size = Path(target).stat().st_size
        document = {"components": {"grids": size - 10, "headers": 10}, "kmac_per_pixel": 0.4, "seconds": 1.0}
        Path(report).write_text(json.dumps({**document, "arguments": words}))
    elif words[0] == "info":
        print(json.dumps({"networks": [{"kmac_per_pixel": 0.4, "kmac_of_motion": 0.1, "parameter_bytes": 3}]}))
    else:
        decode(words[1], words[words.index("-o") + 1])


def main() -> None:
    """``encode IN OUT STEP``, ``decode IN OUT`` or ``nvrc ...``."""
    name, *words = sys.argv[1:]
    if name == "encode":
        encode(words[0], words[1], int(words[2]))
    elif name == "decode":
        decode(words[0], words[1])
    else:
        nvrc(words)


if __name__ == "__main__":
    main()
