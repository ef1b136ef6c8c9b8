"""A plot of the time of each decoding stage, as stacked bars."""

from __future__ import annotations

from typing import Any

from nvrc_bench.plots import hide_borders, picture_bytes, require_matplotlib
from nvrc_output.text import counted

__all__ = ["draw_stages"]

# Colours that the colour-blind can tell apart: warm for entropy decoding, cool for frames.
_COLOURS = {
    "parse": "#999999",
    "network": "#bbbbbb",
    "contexts": "#d55e00",
    "rANS": "#e69f00",
    "planes": "#cc79a7",
    "synthesis": "#0072b2",
    "digest": "#56b4e9",
    "output": "#009e73",
}
_LIGHT = ("parse", "network", "rANS", "digest")
_INK = "#333333"
_WIDE_ENOUGH = 0.07


def _text(stage: str) -> str:
    """A text colour that is readable on the stage's colour."""
    return "black" if stage in _LIGHT else "white"


def _widths(document: dict[str, Any]) -> dict[str, float]:
    """Milliseconds a frame of each bar; planes are split from synthesis if they were measured."""
    widths: dict[str, float] = {}
    for name, stage in document["stages"].items():
        width = stage["ms_per_frame"]
        if name == "synthesis" and document["synthesis"] is not None and document["synthesis"]["planes_ms"] is not None:
            widths["planes"] = min(document["synthesis"]["planes_ms"], width)
            width -= widths["planes"]
        widths[name] = width
    return widths


def draw_stages(document: dict[str, Any], kind: str) -> bytes:
    """The plot of a document that has end to end and stages.

    Args:
        document: the document from `measure_decoding`.
        kind: ``png``, ``svg`` or ``pdf``.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    whole, stream = document["end_to_end"], document["stream"]
    widths = _widths(document)
    figure = Figure(figsize=(9, 2.9), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    reach = max(sum(widths.values()), whole["ms_per_frame"])
    left = 0.0
    for name, width in widths.items():
        axes.barh(1, width, left=left, height=0.55, color=_COLOURS[name], edgecolor="white", linewidth=0.8, label=name)
        if width > _WIDE_ENOUGH * reach:
            axes.text(left + width / 2, 1, f"{width:.1f}", ha="center", va="center", color=_text(name), fontsize=9)
        left += width
    axes.barh(0, whole["ms_per_frame"], height=0.55, color=_INK)
    label = f"{whole['ms_per_frame']:.1f} ms, {whole['frames_per_second']:.1f} frames/s"
    axes.text(whole["ms_per_frame"] / 2, 0, label, ha="center", va="center", color="white", fontsize=9)
    axes.set_yticks([1, 0], ["stage after stage", "end to end"])
    axes.set_xlim(0, reach * 1.02)
    axes.set_xlabel("milliseconds a frame")
    axes.set_title(
        f"{stream['profile']}, {stream['width']}x{stream['height']}, {counted(stream['frames'], 'frame')}: "
        f"where the time of decoding goes",
        fontsize=10,
        loc="left",
    )
    hide_borders(axes, "top", "right", "left")
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=len(widths), frameon=False, fontsize=8, handlelength=1.2)
    return picture_bytes(figure, kind)
