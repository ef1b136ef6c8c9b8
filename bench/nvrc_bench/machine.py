"""What results depend on: the processor, the versions of packages, and the memory that a process took."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

__all__ = ["package_versions", "peak_resident_bytes", "processor_model"]

_CPUINFO = Path("/proc/cpuinfo")


def processor_model() -> str:
    """The processor's name, such as ``Intel(R) Xeon(R) CPU``."""
    model = platform.processor() or platform.machine()
    if not _CPUINFO.exists():
        return model
    lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def peak_resident_bytes(pid: int | None = None) -> int:
    """The largest resident set that a process had so far; 0 where /proc does not tell.

    ``ru_maxrss`` is no substitute on Linux: it starts at the size of the parent process.

    Args:
        pid: the process; None for this one.
    """
    try:
        with open(f"/proc/{pid or 'self'}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
