"""Peak memory of decoding, in a process that does nothing else.

``python -m nvrc_bench.decode.peak_memory DECODING`` reads and prints JSON.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

from nvrc_bench.decode.stages import Decoding, end_to_end
from nvrc_bench.machine import peak_resident_bytes
from nvrc_decoder.errors import InternalError
from nvrc_decoder.limits import Limits
from nvrc_decoder.system.allocator import return_large_arrays

__all__ = ["measure", "peak_bytes"]


def peak_bytes() -> int:
    """The largest resident set of this process so far."""
    resident = peak_resident_bytes()
    if resident:
        return resident
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(decoding: Decoding) -> int:
    """Bytes at the peak of decoding the whole stream to y4m in a fresh process.

    Raises:
        InternalError: E_INTERNAL, the process failed.
    """
    command = [sys.executable, "-m", __name__, json.dumps(dataclasses.asdict(decoding))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InternalError("E_INTERNAL", f"measuring memory failed: {done.stderr.strip()[-300:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return int(document["peak_bytes"])


def main() -> None:
    """Decode, print the peak."""
    words = json.loads(sys.argv[1])
    return_large_arrays()
    end_to_end(Decoding(**{**words, "limits": Limits(**words["limits"])}))
    print(json.dumps({"peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
