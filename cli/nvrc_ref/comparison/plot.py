"""A plot of PSNR over the frames of a comparison."""

from __future__ import annotations

from nvrc_bench.plots import hide_borders, picture_bytes
from nvrc_ref.comparison.measure import Comparison

__all__ = ["draw"]

_LUMA, _ALL, _INK = "#0072b2", "#e69f00", "#333333"


def draw(comparison: Comparison, title: str, kind: str) -> bytes:
    """The plot of a comparison's PSNRs: of luma, and of all planes weighted 6:1:1.

    Args:
        comparison: the comparison of at least one frame.
        title: the names of the videos.
        kind: ``png``, ``svg`` or ``pdf``.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    numbers = [frame.number for frame in comparison.frames]
    mean = comparison.mean()
    has_chroma = mean.psnr["u"] is not None
    figure = Figure(figsize=(8, 3.6), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    marker = "." if len(numbers) <= 64 else ""
    axes.plot(
        numbers, [f.psnr_y for f in comparison.frames], color=_LUMA, marker=marker, label=f"Y, mean {mean.psnr_y:.2f}"
    )
    if has_chroma:
        values = [float(frame.psnr["yuv"] or 0.0) for frame in comparison.frames]
        label = f"YUV 6:1:1, mean {float(mean.psnr['yuv'] or 0.0):.2f}"
        axes.plot(numbers, values, color=_ALL, marker=marker, label=label)
    worst = comparison.worst(1)[0]
    axes.annotate(
        f"frame {worst.number}",
        (worst.number, worst.psnr_y),
        textcoords="offset points",
        xytext=(0, -12),
        ha="center",
        fontsize=8,
        color=_INK,
    )
    axes.set_xlabel("frame")
    axes.set_ylabel("PSNR, dB")
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axes.margins(y=0.2)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    hide_borders(axes, "top", "right")
    return picture_bytes(figure, kind)
