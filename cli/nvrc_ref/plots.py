"""Plots that commands write: the format by the file's name."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["plot_format"]

_FORMATS = ("png", "svg", "pdf")


def plot_format(path: str) -> str:
    """``png``, ``svg`` or ``pdf``, as the name of the plot ends.

    Raises:
        click.UsageError: it ends otherwise.
        MissingExtraError: E_MISSING_EXTRA, matplotlib is not installed.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    if kind not in _FORMATS:
        raise click.UsageError(f"cannot tell the format of the plot from {path!r}; use .png, .svg or .pdf")
    from nvrc_bench.plots import require_matplotlib

    require_matplotlib()
    return kind
