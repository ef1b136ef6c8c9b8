"""Kill an encode at random moments, resume it each time, and compare the file with that of an unbroken encode.

    python tools/resume/ten_kills.py [--kills 10] [--seed N] [--goal size|psnr|none] [--json FILE]

A checkpoint is written after every step, so that each kill comes during one or next to one. Exit status 1: the files
differ, or no kill came during the training.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch

TESTS = Path(__file__).parents[2] / "tests"
GOALS: dict[str, dict[str, Any]] = {"size": {"target_size": 1500}, "psnr": {"target_psnr": 29.0}, "none": {}}


def encode_once(output: Path, state: Path, goal: str, iterations: int) -> None:
    """The child: an encode that resumes from `state` and saves it after every step."""
    from encoder_cases import gradient_source

    from nvrc_encoder import EncodeOptions, encode, encoding
    from nvrc_encoder.training import loop
    from nvrc_encoder.training.run import Run

    train = loop.train

    def often(run: Run, report: object = None, **more: Any) -> None:
        train(run, None, every=0.0, **more)

    options = EncodeOptions(
        preset="draft", iterations=iterations, gop=6, device="cpu", trials=True, motion=True, **GOALS[goal]
    )
    with mock.patch.object(encoding, "train", often), open(output, "wb") as file:
        encode(gradient_source(48, 32, 9), file, options, checkpoint=state, resume=True)


def _start(arguments: list[str]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, __file__, "--child", *arguments], env=environment)


def _moment(state: Path) -> str:
    """The position of the run in its last checkpoint."""
    if not state.exists():
        return "before the first checkpoint"
    content = torch.load(state, weights_only=True)["state"]
    if content["memo"]["stage"] != "training":
        return f"{content['memo']['stage']}, iteration {content['iteration']} of {content['end']}"
    if content["search"] is not None:
        return f"search, {content['search']['evaluations']} evaluations"
    kept = "" if content["best"] is None else f", best of {content['best']['iteration']} kept"
    return f"iteration {content['iteration']} of {content['end']}{kept}"


def main() -> int:
    """Kill, resume and compare; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--goal", choices=list(GOALS), default="size")
    parser.add_argument("--iterations", type=int, default=120)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2, metavar=("OUTPUT", "STATE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        output, state = map(Path, arguments.child)
        encode_once(output, state, arguments.goal, arguments.iterations)
        return 0
    choice = random.Random(arguments.seed)
    more = ["--goal", arguments.goal, "--iterations", str(arguments.iterations)]
    with tempfile.TemporaryDirectory() as folder:
        whole, broken, state = (Path(folder) / name for name in ("whole", "broken", "state"))
        other = Path(folder) / "other"
        began = time.monotonic()
        process = _start([str(whole), str(other), *more])
        while process.poll() is None and not other.exists():
            time.sleep(0.01)
        ready = time.monotonic()
        if process.wait() != 0:
            print("the unbroken encode failed")
            return 1
        seconds = time.monotonic() - ready
        print(f"seed {arguments.seed}: unbroken {seconds:.1f} s after {ready - began:.1f} s of start", flush=True)
        moments: list[str] = []
        while len(moments) < arguments.kills:
            process = _start([str(broken), str(state), *more])
            before = state.stat().st_mtime_ns if state.exists() else 0
            while process.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
                time.sleep(0.005)
            # On average a little less than the share of a kill, so that the kills together reach the run's last part.
            time.sleep(choice.uniform(0, 1.5 * seconds / (arguments.kills + 1)))
            if process.poll() is not None:
                print(f"the run was over before kill {len(moments) + 1}", flush=True)
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments.append(_moment(state))
            print(f"kill {len(moments)}: {moments[-1]}", flush=True)
        finished = _start([str(broken), str(state), *more]).wait() == 0
        same = finished and broken.read_bytes() == whole.read_bytes()
        size = whole.stat().st_size
    print(f"{len(moments)} kills, {size} bytes: {'the same file' if same else 'ANOTHER FILE'}")
    if arguments.json:
        document = {"seed": arguments.seed, "kills": moments, "bytes": size, "identical": same}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if same and moments else 1


if __name__ == "__main__":
    sys.exit(main())
