"""A fake decoder: ``python fake_decoder.py BEHAVIOUR ANSWERS INPUT OUTPUT``; it knows the right answers by heart.

ANSWERS has for each stream, under the SHA-256 of its file, either its frames or the exit code that it deserves.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SOME_FRAMES = bytes(5000)


def widened(answer: dict[str, Any], frames: bytes) -> bytes:
    """The frames with a column more in each plane."""
    rows, place = [], 0
    while place < len(frames):
        for height, width in answer["shapes"]:
            for _ in range(height):
                row = frames[place : place + width * answer["sample_bytes"]]
                rows.append(row + row[-answer["sample_bytes"] :])
                place += len(row)
    return b"".join(rows)


def nudged(answer: dict[str, Any], frames: bytes) -> bytes:
    """The frames with the last sample of all changed by one."""
    place = len(frames) - answer["sample_bytes"]
    return frames[:place] + bytes([frames[place] ^ 1]) + frames[place + 1 :]


def shortened(answer: dict[str, Any], frames: bytes) -> bytes:
    """The frames without the last one."""
    return frames[: -answer["sample_bytes"] * sum(height * width for height, width in answer["shapes"])]


CHANGES = {
    "one-sample-off": nudged,
    "one-frame-short": shortened,
    "extra-bytes": lambda answer, frames: frames + b"\0",
    "wrong-size": widened,
}


def stage_lines(behaviour: str, stages: list[list[str]]) -> list[list[str]]:
    """The stages that a decoder writes: all of them, or with a fault in the last grid or before it."""
    last = max(place for place, (path, _) in enumerate(stages) if ".grids." in path)
    if behaviour == "stages-wrong":
        stages[last][1] = "0" * 32
    if behaviour == "stages-cut":
        return stages[:last]
    if behaviour == "stages-of-grids":
        stages[last][1] = "0" * 32
        return stages[last:]
    return stages


def answer_of(folder: str, stream: str) -> tuple[dict[str, Any], bytes | None]:
    """What is known of a stream, and its frames if it is valid."""
    name = hashlib.sha256(Path(stream).read_bytes()).hexdigest()
    answer = json.loads(Path(folder, f"{name}.json").read_bytes())
    frames = Path(folder, f"{name}.yuv")
    return answer, frames.read_bytes() if frames.exists() else None


def act(behaviour: str) -> None:
    """What a decoder does that does not even look at the stream."""
    if behaviour == "always-rejects":
        sys.exit(65)
    if behaviour == "traceback":
        raise ValueError("reject: the stream is invalid")
    if behaviour == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour == "hang":
        print("waiting", flush=True)
        time.sleep(600)
    if behaviour == "hang-in-child":
        subprocess.run([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    if behaviour == "silent":
        sys.exit(0)
    if behaviour == "greedy":
        bytearray(1 << 30)


def main() -> None:
    """Behave."""
    behaviour, folder, stream, output = sys.argv[1:]
    act(behaviour)
    answer, frames = answer_of(folder, stream)
    if behaviour == "nano-only" and answer["profile"] != "nano":
        sys.exit(69)
    if behaviour.startswith("stages-"):
        lines = [" ".join(line) for line in stage_lines(behaviour, answer["stages"])]
        Path(output).write_text("\n".join(["a line that is no stage", *lines]))
        sys.exit(1)
    if frames is None:
        if behaviour in ("always-accepts", "writes-then-rejects"):
            Path(output).write_bytes(SOME_FRAMES)
        if behaviour == "opens-then-rejects":
            Path(output).touch()
        sys.exit(0 if behaviour == "always-accepts" else answer["code"])
    change = CHANGES.get(behaviour)
    Path(output).write_bytes(frames if change is None else change(answer, frames))


if __name__ == "__main__":
    main()
