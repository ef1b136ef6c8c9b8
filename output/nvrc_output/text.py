"""Text that commands print: notes, tables for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

import click

from nvrc_output.standard_streams import silence_stdout

__all__ = ["counted", "duration", "emit_json", "note", "summary", "table"]


def note(message: str) -> None:
    """Print a line of progress or advice on stderr."""
    click.echo(message, err=True)


def summary(text: str, *, err: bool = False) -> None:
    """Print the summary of a command that has written files; if that fails, it is only a warning.

    Args:
        text: the summary.
        err: whether to print on stderr, because stdout has the output.
    """
    try:
        click.echo(text, err=err)
    except OSError as error:
        silence_stdout()
        note(f"warning: cannot write to the standard output: {error.strerror or error}")


def counted(number: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """A time for people, rounded as an estimate should be: ``45 s``, ``3 min``, ``2 h 40 min``, ``14 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(5 * round(minutes / 5), 60)
    if hours >= 10 or not rest:
        return f"{round(minutes / 60)} h"
    return f"{hours} h {rest} min"


def emit_json(document: Any) -> None:
    """Print the one JSON document of a command on stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[object]], *, header: Sequence[str] = (), right: Collection[int] = ()) -> str:
    """Rows as aligned columns.

    Args:
        rows: the cells of each row.
        header: titles of the columns; empty for none.
        right: indices of right-aligned columns.
    """
    cells = [[str(cell) for cell in row] for row in [*([header] if header else []), *rows]]
    columns = max((len(row) for row in cells), default=0)
    widths = [max((len(row[i]) for row in cells if i < len(row)), default=0) for i in range(columns)]
    lines = []
    for row in cells:
        parts = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)
