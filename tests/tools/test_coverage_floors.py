"""A share of covered branches below its floor is a fault, and names the files."""

from __future__ import annotations

from typing import IO, Any

import pytest

from lint.coverage_floors import FLOORS, shortfalls

SHARES = {"*/nvrc_decoder/*": 95.0, "*/nvrc_encoder/*": 89.99, "*/nvrc_ref/*": 93.5}


class Measured:
    """Stands for `coverage.Coverage`."""

    def report(self, *, include: list[str], file: IO[str], show_missing: bool) -> float:
        assert show_missing
        file.write(f"table of {include[0]}\n")
        return SHARES[include[0]]


def test_share_below_its_floor_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    measured: Any = Measured()
    (line,) = shortfalls(measured)
    assert line == "nvrc_encoder: 89.99 % of lines and branches, the floor is 90 %:\ntable of */nvrc_encoder/*\n"
    assert len(capsys.readouterr().out.splitlines()) == len(FLOORS) == 3
