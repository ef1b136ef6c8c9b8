"""The check of sizes finds what is planted, and takes only exceptions that are needed."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from lint.sizes import faults, functions, logic, repetitions, tracked_sources

LOOP = "".join(f"    total += values[{i}] * {i}\n" for i in range(11))
ONE = f"def first(values: list[int]) -> int:\n    total = 0\n{LOOP}    return total\n"
# The same with other names, a docstring, annotations and comments.
OTHER = (
    'import sys\n\ndef second(rows):\n    """Sum."""\n    # All.\n    sum_: int = 0\n'
    + LOOP.replace("total", "sum_").replace("values", "rows")
    + "    return sum_\n"
)


def found(sources: dict[str, str], long: dict[str, str] | None = None) -> list[str]:
    return list(faults(sources, long or {}, {}))


@pytest.mark.parametrize("name", ["cli/a.py", "tests/a.py", "fast/a.c", "fast/a.h"])
def test_long_file_is_found(name: str) -> None:
    assert found({name: "\n" * 400}) == []
    assert found({name: "\n" * 401}) == [f"{name}: 401 lines, 400 are the most"]


def test_long_function_is_found() -> None:
    def source(lines: int) -> str:
        return "class A:\n    @staticmethod\n    def f():\n        def g():\n" + "".join(
            f"            g({i})\n" for i in range(lines - 2)
        )

    assert found({"a.py": source(60)}) == []
    assert found({"a.py": source(61)}) == ["a.py:A.f: 61 lines, 60 are the most"]
    assert dict(functions(ast.parse(source(61)))) == {"A.f": 61, "A.f.g": 60}


def test_functions_below_a_condition_are_seen() -> None:
    source = "if True:\n    async def f():\n" + "".join(f"        f({i})\n" for i in range(60))
    assert found({"a.py": source}) == ["a.py:f: 61 lines, 60 are the most"]


def test_repeated_lines_are_found() -> None:
    assert found({"a.py": ONE, "b.py": OTHER}) == ["b.py:6: 12 lines that a.py:2 has, too"]
    assert found({"a.py": ONE, "b.py": OTHER.replace("* 5", "* 6")}) == []


def test_repetition_in_one_file_is_found() -> None:
    assert found({"a.py": ONE + OTHER}) == ["a.py:20: 12 lines that a.py:2 has, too"]


def test_alike_lines_in_a_row_are_no_repetition() -> None:
    assert found({"a.py": "x = 1\n" * 23}) == []
    assert found({"a.py": "x = 1\n" * 24}) != []


def test_long_statement_weighs_its_lines() -> None:
    table = "x = [\n" + "".join(f"    {i},\n" for i in range(10)) + "]\n"
    assert len(logic(table)) == 12
    assert list(repetitions({"a.py": table, "b.py": "\n" + table})) == [("a.py", 1, "b.py", 2)]
    assert list(repetitions({"a.py": table, "b.py": table.replace("7", "8")})) == []


def test_tests_may_repeat() -> None:
    assert found({"a.py": ONE, "tests/b.py": OTHER}) == []


def test_exceptions_count_while_needed() -> None:
    long, pair = {"a.py": "a table"}, {("b.py", "c.py"): "two formats"}
    sources = {"a.py": "\n" * 401, "b.py": ONE, "c.py": OTHER}
    assert list(faults(sources, long, pair)) == []
    assert list(faults({"a.py": ""}, long, pair)) == [
        "a.py: no longer too long: remove it from LONG",
        "b.py, c.py: no repetition any longer, take it out of REPEATED",
    ]


def test_command_names_files_that_git_would_take(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "new.py").write_text("x = 1\n")
    (tmp_path / "ignored.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    assert tracked_sources(tmp_path) == {"new.py": "x = 1\n"}
