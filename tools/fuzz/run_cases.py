"""Decode damaged streams in one process, under a memory limit and a time limit for each; print a JSON summary.

    python tools/fuzz/run_cases.py STREAM... --mutations 5000 --seed 1

Every case must end in a typed error with exit code 65, 69 or 77, or decode with every digest right. The exit code is 1
where one does not.
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
from fuzz.oracle import check_digests, is_refusal
from nvrc_bench.decode.peak_memory import peak_bytes
from nvrc_decoder.errors import NvrcError

ADDRESS_SPACE = 1_000_000_000
# In processor time, so that a busy machine does not count; waiting takes none, so it has a limit of its own.
SECONDS_A_CASE = 5.0
STALL_SECONDS = 60.0
KEPT_FAULTS = 20


class Hang(BaseException):
    """A case took too long."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Hang


def decode(data: bytes) -> None:
    """Decode every frame from the start; raises what the decoder raises, and where a DIGEST does not match."""
    with nvrc_decoder.open(io.BytesIO(data), engine="reference") as video:
        frames = tuple(b"".join(frame.chunks()) for frame in video)
    check_digests(data, frames)


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
    signal.setitimer(signal.ITIMER_PROF, SECONDS_A_CASE)
    signal.setitimer(signal.ITIMER_REAL, STALL_SECONDS)
    try:
        read(data)
    except NvrcError as error:
        return error.code, None if is_refusal(error) else f"exit code {error.exit_code}: {error}"
    except Hang:
        return "hang", f"more than {SECONDS_A_CASE} s of processor time, or {STALL_SECONDS} s"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic in a native extension is no Exception
        return "crash", f"{type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "decoded", None


def run(cases: Iterable[bytes]) -> dict[str, Any]:
    """Decode the cases from the start and by random access; count the outcomes, keep the first faults."""
    counts: Counter[str] = Counter()
    faults: list[dict[str, str]] = []
    slowest, total = 0.0, 0
    began = time.perf_counter()
    for number, data in enumerate(cases):
        for read in (decode, seek_to_last):
            start = time.process_time()
            name, fault = outcome(data, read)
            slowest = max(slowest, time.process_time() - start)
            if read is decode:
                counts[name] += 1
            if fault is not None and len(faults) < KEPT_FAULTS:
                faults.append({"case": str(number), "how": read.__name__, "fault": fault, "stream": data.hex()})
        total += 1
    return {
        "cases": total,
        "outcomes": dict(counts),
        "seconds": round(time.perf_counter() - began, 1),
        "slowest_seconds": round(slowest, 3),
        "faults": faults,
    }


def main() -> None:
    """Decode the cases that the options ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("streams", type=Path, nargs="+", help="a mutant is made of one of them")
    parser.add_argument("--mutations", type=int, default=0)
    parser.add_argument("--truncations", action="store_true", help="also cut each stream before each byte")
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="also decode these files")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    streams = [stream.read_bytes() for stream in arguments.streams]
    decode(streams[0])
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGPROF, _alarm)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    parts = {
        "truncations": run(cut for stream in streams for cut in truncations(stream) if arguments.truncations),
        "mutations": run(mutations(streams, arguments.mutations, arguments.seed)),
        "files": run(file.read_bytes() for file in arguments.files),
    }
    print(json.dumps({**parts, "peak_kilobytes": peak_bytes() // 1024}, indent=2))
    sys.exit(any(part["faults"] for part in parts.values()))


if __name__ == "__main__":
    main()
