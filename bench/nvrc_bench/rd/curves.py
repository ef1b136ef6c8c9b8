"""A plot of the rate-distortion curves of a clip."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nvrc_bench.plots import hide_borders, picture_bytes, require_matplotlib
from nvrc_output.text import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_clip"]

# Okabe and Ito's colours, which the colour-blind can tell apart; ours first.
_OURS = ("#d55e00", "#0072b2", "#cc79a7", "#e69f00")
_OTHERS = ("#333333", "#009e73", "#56b4e9", "#8c6bb1", "#999999", "#6b4f2a")
_MARKS = ("D", "s", "^", "v", "P", "X")
_LABEL_GAP = 0.048
_TILT = 0.1
_PLAIN_TICKS = (1, 2, 3, 5)

Curve = list[tuple[float, float]]


def _curves(document: dict[str, Any], clip: str, metric: str) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for point in document["points"]:
        quality = point["psnr"].get(metric)
        if point["clip"] == clip and quality is not None:
            curves.setdefault(point["codec"], []).append((point["bpp"], quality))
    return {codec: sorted(curve) for codec, curve in curves.items()}


def _spread(heights: Sequence[float], ranks: Sequence[float], gap: float) -> list[float]:
    """Heights within 0..1, spread in the order of `ranks` so that neighbours are at least `gap` apart."""
    order = sorted(range(len(heights)), key=lambda i: ranks[i])
    placed = [0.0] * len(heights)
    for _ in range(60):
        low = -gap
        for i in order:
            placed[i] = max(heights[i] if not placed[i] else placed[i], low + gap)
            low = placed[i]
        excess = low - 1
        if excess <= 1e-9:
            break
        for i in order:
            placed[i] -= excess
        high = 2.0
        for i in reversed(order):
            placed[i] = min(placed[i], high - gap)
            high = placed[i]
    return placed


def draw_clip(document: dict[str, Any], clip: dict[str, Any]) -> bytes | None:
    """The PNG of a clip: Y-PSNR over bits per pixel; None if it has no points.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = _curves(document, clip["name"], "y")
    if not curves:
        return None
    figure = Figure(figsize=(8.6, 5.2), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.085, 0.115, 0.7, 0.78))
    axes.set_xscale("log")
    colours = _draw_curves(axes, document, curves)
    _label_ends(axes, curves, colours)
    _dress(axes, clip)
    return picture_bytes(figure, "png")


def _draw_curves(axes: Axes, document: dict[str, Any], curves: dict[str, Curve]) -> dict[str, str]:
    """Draw the curves, ours thicker and imported ones dashed; codec -> colour."""
    kinds = {codec["name"]: codec["kind"] for codec in document["codecs"]}
    imported = {point["codec"] for point in document["points"] if point["imported"]}
    ours, others = itertools.cycle(_OURS), itertools.cycle(_OTHERS)
    colours = {codec: next(ours) if kinds.get(codec) == "nvrc" else next(others) for codec in curves}
    for (codec, curve), mark in zip(curves.items(), itertools.cycle(_MARKS), strict=False):
        rates, qualities = zip(*curve, strict=True)
        axes.plot(
            rates,
            qualities,
            color=colours[codec],
            marker=mark,
            markersize=5,
            linewidth=2.4 if kinds.get(codec) == "nvrc" else 1.5,
            linestyle="--" if codec in imported else "-",
        )
    return colours


def _label_ends(axes: Axes, curves: dict[str, Curve], colours: dict[str, str]) -> None:
    """Name each curve to the right of the plot, with a line to the curve's end."""
    low, high = axes.get_ylim()
    ends = [(curve[-1][1] - low) / (high - low) for curve in curves.values()]
    # Of curves that end at the same height, the left one gets the upper label: fewer lines cross.
    left, right = (math.log(limit) for limit in axes.get_xlim())
    ranks = [
        height - _TILT * (math.log(curve[-1][0]) - left) / (right - left)
        for height, curve in zip(ends, curves.values(), strict=True)
    ]
    for (codec, curve), height in zip(curves.items(), _spread(ends, ranks, _LABEL_GAP), strict=True):
        axes.annotate(
            codec,
            xy=curve[-1],
            xytext=(1.025, height),
            textcoords="axes fraction",
            va="center",
            fontsize=9.5,
            color=colours[codec],
            arrowprops={
                "arrowstyle": "-",
                "color": colours[codec],
                "linewidth": 0.6,
                "alpha": 0.6,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )


def _dress(axes: Axes, clip: dict[str, Any]) -> None:
    """Axes, grid and title."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=_PLAIN_TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("bits per luma pixel, the whole stream")
    axes.set_ylabel("Y-PSNR in dB, mean of the frames")
    axes.set_title(
        f"{clip['name']}: {clip['width']}x{clip['height']}, {counted(clip['frames'], 'frame')}", loc="left", fontsize=11
    )
    hide_borders(axes, "top", "right")
