"""Sizes that a reader can hold: ``python tools/lint/sizes.py``, part of ``make lint``.

- A Python or C file has at most 400 lines, a function at most 60, its docstring included. Decorators are not counted:
  the options of a command are a table.
- No 12 lines of logic stand in two places. Lines are compared after parsing: layout, comments, docstrings, annotations,
  imports and names of variables make no difference. Tests are exempt.

An exception is listed below with its reason. One that is not needed any longer is a fault as well.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FILE_LINES = 400
FUNCTION_LINES = 60
REPEATED_LINES = 12

ROOT = Path(__file__).resolve().parents[2]

_STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)

# File, or file and function, to the reason why it may be longer.
LONG: dict[str, str] = {}

# Two files, in alphabetical order, to the reason why they have the same lines.
REPEATED: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class Line:
    """A line of logic: the number it starts on, and what it says."""

    number: int
    text: str


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Qualified name and number of lines of every function, methods and functions inside of functions included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{node.name}"
            if not isinstance(node, ast.ClassDef):
                yield name, (node.end_lineno or node.lineno) - node.lineno + 1
            yield from functions(node, f"{name}.")
        else:
            yield from functions(node, prefix)


class _Logic(ast.NodeTransformer):
    """Takes away what is no logic: docstrings, annotations, declarations, imports, names of variables."""

    def visit(self, node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.AnnAssign(value=None):
                return None
            case ast.Expr(value=ast.Constant()):
                return None
            case ast.AnnAssign(value=ast.expr() as value):
                node = ast.copy_location(ast.Assign([node.target], value), node)
            case ast.Name():
                node.id = "_"
            case ast.arg():
                node.arg, node.annotation = "_", None
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.returns = None
        return self.generic_visit(node)


def logic(source: str) -> list[Line]:
    """The lines of logic of a file, in order: simple statements, and the heads of compound ones."""
    lines = []
    tree = ast.parse(source)
    _Logic().visit(tree)
    for node in ast.walk(tree):
        if isinstance(node, _STATEMENTS):
            head = [value for _, value in ast.iter_fields(node) if not _is_block(value)]
            nodes = [part for value in head for part in (value if isinstance(value, list) else [value])]
            numbers = [getattr(node, "lineno", 0), *(getattr(part, "end_lineno", 0) for part in nodes)]
            first, last = numbers[0] or max(numbers), max(numbers)
            text = " ".join([type(node).__name__, *(ast.dump(p) if isinstance(p, ast.AST) else repr(p) for p in nodes)])
            # A statement of several lines weighs as many.
            lines += [Line(number, f"{text} {number - first}") for number in range(first, last + 1)]
    return sorted(lines, key=lambda line: line.number)


def _is_block(value: object) -> bool:
    """Statements inside of a statement: lines of their own."""
    return isinstance(value, list) and any(isinstance(part, _STATEMENTS) for part in value)


def repetitions(sources: Mapping[str, str], length: int = REPEATED_LINES) -> Iterator[tuple[str, int, str, int]]:
    """File and line of both places where `length` lines of logic are the same; the first in each pair of files."""
    seen: dict[tuple[str, ...], tuple[str, int, int]] = {}
    pairs = set()
    for name, source in sorted(sources.items()):
        lines = logic(source)
        for start in range(len(lines) - length + 1):
            window = lines[start : start + length]
            key = tuple(line.text for line in window)
            other, number, index = seen.setdefault(key, (name, window[0].number, start))
            overlaps = other == name and start - index < length
            if not overlaps and (other, name) not in pairs:
                pairs.add((other, name))
                yield other, number, name, window[0].number


def faults(
    sources: Mapping[str, str],
    long: Mapping[str, str],
    repeated: Mapping[tuple[str, str], str],
) -> Iterator[str]:
    """One line a fault in these files, by name; those under ``tests/`` may repeat lines."""
    sizes = {name: (len(source.splitlines()), FILE_LINES) for name, source in sources.items()}
    python = {name: source for name, source in sources.items() if name.endswith(".py")}
    for name, source in python.items():
        for function, count in functions(ast.parse(source)):
            sizes[f"{name}:{function}"] = count, FUNCTION_LINES
    over = {name: size for name, size in sizes.items() if size[0] > size[1]}
    for name, (count, most) in over.items():
        if name not in long:
            yield f"{name}: {count} lines, {most} are the most"
    yield from (f"{name}: no longer too long: remove it from LONG" for name in long if name not in over)

    twice = {}
    for one, number, other, second in repetitions({n: s for n, s in python.items() if not n.startswith("tests/")}):
        twice[one, other] = f"{other}:{second}: {REPEATED_LINES} lines that {one}:{number} has, too"
    yield from (line for pair, line in twice.items() if pair not in repeated)
    for one, other in repeated:
        if (one, other) not in twice:
            yield f"{one}, {other}: no repetition any longer, take it out of REPEATED"


def tracked_sources(root: Path) -> dict[str, str]:
    """Python and C files that git knows or would take, by their path from the root."""
    words = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    names = subprocess.run(
        [*words, "*.py", "*.c", "*.h"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {name: (root / name).read_text(encoding="utf-8") for name in names if (root / name).exists()}


def main() -> None:
    """Print every fault; the exit code is 1 if there is one."""
    sources = tracked_sources(ROOT)
    lines = list(faults(sources, LONG, REPEATED))
    print("\n".join(lines) or f"Sizes of {len(sources)} files are in order.")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
