"""The requirements for the decoder in C: ``python tools/spec/c_requirements.py``.

Writes `conformance/decoders/c/requirements.h` from annex B of the specification, so that no sentence is typed twice.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["ANNEX", "HEADER", "main", "read_rows", "render"]

ROOT = Path(__file__).parents[2]
ANNEX = ROOT / "spec" / "annex-b-requirements.md"
HEADER = ROOT / "conformance" / "decoders" / "c" / "requirements.h"

_ROW = re.compile(r"^\| (R\d+\.\d+) \| ([\d.]+) \| `(E_\w+)` \| (.*?) \| [^|]* \| [^|]* \|$", re.MULTILINE)
_HEAD = """\
/* Written by tools/spec/c_requirements.py from annex B of spec/: X(name, number, section, code, sentence). */
#ifndef NVRC_REQUIREMENTS_H
#define NVRC_REQUIREMENTS_H

/* clang-format off */
#define NVRC_REQUIREMENTS(X) \\
"""
_TAIL = """
/* clang-format on */

#endif
"""


def read_rows(annex: str) -> list[tuple[str, str, str, str]]:
    """Number, section, code and sentence of each requirement of the annex, the sentence without marks."""
    rows = _ROW.findall(annex)
    return [(number, section, code, text.replace("`", "").replace("\\|", "|")) for number, section, code, text in rows]


def render(annex: str) -> str:
    """The header for the text of the annex."""
    rows = []
    for number, section, code, sentence in read_rows(annex):
        plain = sentence.replace('"', '\\"')
        rows.append(f'  X({number.replace(".", "_")}, "{number}", "{section}", "{code}", "{plain}")')
    return _HEAD + " \\\n".join(rows) + "\n" + _TAIL


def main() -> None:
    """Writes the header."""
    HEADER.write_text(render(ANNEX.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
