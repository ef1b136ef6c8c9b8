"""Decode damaged streams in one process, under a memory limit and a time limit for each; print a JSON summary.

    python tools/fuzz/run_cases.py STREAM --mutations 5000 --seed 1

Every case must end in a typed error with exit code 65, 69 or 77, or decode with every digest right.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nvrc_decoder
from fuzz.mutations import mutations, truncations
from nvrc_bench.decode.peak_memory import peak_bytes
from nvrc_decoder.errors import NvrcError

ADDRESS_SPACE = 1_000_000_000
SECONDS_A_CASE = 5.0
EXIT_CODES = {65, 69, 77}
KEPT_FAULTS = 20


class Hang(BaseException):
    """A case took too long."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Hang


def decode(data: bytes) -> None:
    """Decode every frame from the start, then the last one by itself, as a player might."""
    with nvrc_decoder.open(io.BytesIO(data), engine="reference") as video:
        for _ in video:
            pass
    seek_to_last(data)


def seek_to_last(data: bytes) -> None:
    """Decode the last frame by random access."""
    with nvrc_decoder.open(io.BytesIO(data), engine="reference") as video:
        count = video.frame_count
        if count is not None:
            video.seek(count - 1)
            next(video)


def outcome(data: bytes, read: Any) -> tuple[str, str | None]:
    """How a case ends.

    Returns:
        The error code, ``decoded``, ``hang`` or ``crash``; and why that is a fault, None if it is not.
    """
    signal.setitimer(signal.ITIMER_REAL, SECONDS_A_CASE)
    try:
        read(data)
    except NvrcError as error:
        allowed = error.exit_code in EXIT_CODES and str(error).startswith(f"error[{error.code}]")
        return error.code, None if allowed else f"exit code {error.exit_code}: {error}"
    except Hang:
        return "hang", f"more than {SECONDS_A_CASE} s"
    except BaseException as error:  # a panic in a native extension is no Exception
        return "crash", f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "decoded", None


def run(cases: Iterable[bytes]) -> dict[str, Any]:
    """Decode the cases from the start and by random access; count the outcomes, keep the first faults."""
    counts: Counter[str] = Counter()
    faults: list[dict[str, str]] = []
    slowest, total = 0.0, 0
    for number, data in enumerate(cases):
        for read in (decode, seek_to_last):
            start = time.perf_counter()
            name, fault = outcome(data, read)
            slowest = max(slowest, time.perf_counter() - start)
            if read is decode:
                counts[name] += 1
            if fault is not None and len(faults) < KEPT_FAULTS:
                faults.append({"case": str(number), "how": read.__name__, "fault": fault, "stream": data.hex()})
        total += 1
    return {"cases": total, "outcomes": dict(counts), "slowest_seconds": round(slowest, 3), "faults": faults}


def main() -> None:
    """Decode the cases that the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stream", type=Path)
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--truncations", action="store_true", help="also cut the stream before each byte")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="also decode these files")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    stream = arguments.stream.read_bytes()
    decode(stream)
    signal.signal(signal.SIGALRM, _alarm)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    report: dict[str, Any] = {
        "truncations": run(truncations(stream) if arguments.truncations else ()),
        "mutations": run(mutations(stream, arguments.mutations, arguments.seed)),
        "files": run(file.read_bytes() for file in arguments.files),
    }
    report["peak_kilobytes"] = peak_bytes() // 1024
    print(json.dumps(report))


if __name__ == "__main__":
    main()
