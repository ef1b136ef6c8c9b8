"""The generated blocks of the specification: ``python tools/spec/generate.py`` writes them again.

A block stands between ``<!-- generated: NAME -->`` and ``<!-- end generated -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from spec import requirements_table, syntax_tables, synthesis_tables

__all__ = ["main", "update"]

SPEC = Path(__file__).resolve().parents[2] / "spec"

_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end generated -->)", re.DOTALL)
_BLOCKS = {**syntax_tables.BLOCKS, **synthesis_tables.BLOCKS}


def _made(name: str, previous: str) -> str:
    return requirements_table.render(previous) if name == "REQUIREMENTS" else _BLOCKS[name]()


def update(text: str) -> str:
    """`text` with every generated block replaced by what it should hold.

    Raises:
        KeyError: there is no block of that name.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}\n{_made(match[2], match[3])}\n{match[4]}", text)


def main() -> None:
    """Updates every file of the specification in place; annex B, which is made of the chapters, after them."""
    for path in sorted(SPEC.glob("*.md")):
        path.write_text(update(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
