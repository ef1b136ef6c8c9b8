"""The shipped tables: their pin, their sums, and that the script still makes them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nvrc_decoder.entropy.tables import LAPLACE_SHA256, RADII, TABLE_COUNT, TABLE_RADII, frequencies, table_model

SPEC_TABLES = Path(__file__).resolve().parents[3] / "spec" / "tables"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load(SPEC_TABLES / "make_tables.py")


def test_the_decoder_ships_the_specified_tables() -> None:
    data = (SPEC_TABLES / "laplace.bin").read_bytes()
    assert resources.files("nvrc_decoder.entropy").joinpath("laplace.bin").read_bytes() == data
    assert hashlib.sha256(data).hexdigest() == LAPLACE_SHA256
    summary = json.loads((SPEC_TABLES / "laplace.json").read_text())
    assert summary["sha256"] == LAPLACE_SHA256
    assert summary["bytes"] == len(data) < 150_000
    assert [entry["K"] for entry in summary["tables"]] == TABLE_RADII.tolist()


def test_each_table_sums_to_2_to_the_24() -> None:
    for table in range(TABLE_COUNT):
        counts = frequencies(table)
        assert len(counts) == 2 * TABLE_RADII[table] + 2
        assert counts.min() >= 1
        assert counts.sum() == 1 << 24


def test_tables_of_mean_zero_are_symmetric() -> None:
    for index, radius in enumerate(RADII):
        inside = frequencies(8 * index)[1:]
        assert inside.argmax() == radius
        np.testing.assert_array_equal(inside, inside[::-1])


@pytest.mark.parametrize("table", [0, 4, 63, 130, 205, 319])
def test_the_script_makes_the_same_tables(script: ModuleType, table: int) -> None:
    made = script.frequencies(table // 8, table % 8)
    assert made == frequencies(table).tolist()
    summary = json.loads((SPEC_TABLES / "laplace.json").read_text())
    assert hashlib.sha256(script.pack(made)).hexdigest() == summary["tables"][table]["sha256"]


def test_the_script_checks_a_specification_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SPEC_TABLES, tmp_path / "tables")
    alone = load(tmp_path / "tables" / "make_tables.py")
    made = (SPEC_TABLES / "laplace.bin").read_bytes(), (SPEC_TABLES / "laplace.json").read_text()
    monkeypatch.setattr(alone, "make", lambda: made)
    monkeypatch.setattr(sys, "argv", ["make_tables.py", "--check"])
    assert alone.main() == 0
    (tmp_path / "tables" / "laplace.bin").write_bytes(made[0][:-1])
    assert alone.main() == 1


def test_tables_approximate_the_laplace_distribution() -> None:
    for index, fraction in ((10, 3), (20, 5), (30, 0)):
        b, mean, radius = 2.0 ** (-4 + index / 4), fraction / 8, RADII[index]
        edges = np.arange(-radius, radius + 2) - 0.5 - mean
        cdf = np.where(edges < 0, np.exp(edges / b) / 2, 1 - np.exp(-edges / b) / 2)
        np.testing.assert_allclose(
            frequencies(8 * index + fraction)[1:] / 2**24, np.diff(cdf), atol=(2 * radius + 3) / 2**24
        )


def test_models_are_made_once() -> None:
    assert table_model(17) is table_model(17)
