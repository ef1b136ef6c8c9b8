"""The allocator's settings: released arrays leave the process, or stay for reuse."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROBE = """
import mmap, sys
import numpy as np
from nvrc_decoder.system.allocator import return_large_arrays

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE

done = return_large_arrays() if sys.argv[1] == "yes" else None
np.ones(24 << 20, np.uint8)
arrays = [np.ones(2 << 20, np.uint8) for _ in range(40)]
before = resident()
last = arrays[-1]
del arrays
print(done, before - resident())
"""


def run(call: str, probe: str = PROBE, **environment: str) -> tuple[str, int]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", probe, call]
    done, freed = subprocess.run(
        command, env={**clean, **environment}, check=True, capture_output=True, text=True
    ).stdout.split()
    return done, int(freed)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_released_arrays_leave_the_process() -> None:
    done, freed = run("yes")
    if done == "False":
        pytest.skip("another C library than glibc")
    assert freed > 70 << 20
    # The reason for the setting: glibc keeps all memory below the last array that is in use.
    assert run("no")[1] < 10 << 20


def test_the_environment_overrides_the_allocator() -> None:
    assert run("yes", MALLOC_TRIM_THRESHOLD_="1000000")[0] == "False"


SHARING = """
import mmap, sys, threading
import numpy as np
from nvrc_decoder.system.allocator import return_large_arrays

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE

kept = []

def fill_and_leave_holes():
    arrays = [np.ones(100_000, np.uint8) for _ in range(400)]
    kept.append(arrays[-1])

done = return_large_arrays() if sys.argv[1] == "yes" else None
thread = threading.Thread(target=fill_and_leave_holes)
thread.start()
thread.join()
before = resident()
arrays = [np.ones(100_000, np.uint8) for _ in range(390)]
print(done, resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_threads_share_released_memory() -> None:
    done, grown = run("yes", probe=SHARING)
    if done == "False":
        pytest.skip("another C library than glibc")
    assert grown < 4 << 20
    assert run("no", probe=SHARING)[1] > 30 << 20


KEEPING = """
import resource
import numpy as np
from nvrc_decoder.system.allocator import keep_large_arrays

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults(4)
done = keep_large_arrays()
faults(1)
print(done, fresh, faults(4))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's behaviour")
def test_kept_arrays_are_reused() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", KEEPING]
    done, fresh, kept = subprocess.run(command, env=clean, check=True, capture_output=True, text=True).stdout.split()
    if done == "False":
        pytest.skip("another C library than glibc")
    # Once the memory is resident, another array of this size takes no new page.
    assert int(kept) < 100
    assert int(fresh) > 100
