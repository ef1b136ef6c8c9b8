"""What every plot needs: matplotlib, a frame without borders, and the file's bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from nvrc_decoder.system.packages import load_package

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["hide_borders", "picture_bytes", "require_matplotlib"]


def require_matplotlib() -> None:
    """Check that plots can be drawn, before anything is measured.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, matplotlib is not installed.
    """
    load_package("matplotlib", "a plot")


def hide_borders(axes: Axes, *sides: str) -> None:
    """Hide the borders of a plot on these sides: ``top``, ``right``, ``left``."""
    for side in sides:
        axes.spines[side].set_visible(False)


def picture_bytes(figure: Figure, kind: str) -> bytes:
    """The figure as a file.

    Args:
        figure: the figure.
        kind: ``png``, ``svg`` or ``pdf``.
    """
    data = io.BytesIO()
    figure.savefig(data, format=kind)
    return data.getvalue()
