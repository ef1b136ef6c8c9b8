"""Holds the floors of branch coverage: ``python tools/lint/coverage_floors.py``, part of ``make coverage``."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import coverage

# Packages to the least percentage of their lines and branches that tests run.
FLOORS = {
    ("nvrc_decoder",): 95.0,
    ("nvrc_encoder",): 90.0,
    ("nvrc_ref", "nvrc_output", "nvrc_bench"): 90.0,
}


def shortfalls(measured: coverage.Coverage) -> Iterator[str]:
    """One line for each group of packages below its floor, with the files that are not covered whole."""
    for packages, floor in FLOORS.items():
        table = io.StringIO()
        share = measured.report(include=[f"*/{package}/*" for package in packages], file=table, show_missing=True)
        line = f"{', '.join(packages)}: {share:.2f} % of lines and branches, the floor is {floor:.0f} %"
        print(line)
        if share < floor:
            yield f"{line}:\n{table.getvalue()}"


def main() -> None:
    """Combine what the runs measured and compare; the exit code is 1 below a floor."""
    measured = coverage.Coverage()
    measured.load()
    lines = list(shortfalls(measured))
    print("\n".join(lines))
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
