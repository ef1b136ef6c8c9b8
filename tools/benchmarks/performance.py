"""Render the figures of docs/performance.md and README.md from the committed JSON in bench/points.

python tools/benchmarks/performance.py            # after a change of bench/points: tables and picture
python tools/benchmarks/performance.py --check    # exit code 1 where a page or the picture is stale

Rate-distortion tables are computed from `small-clips.json`, with BD-rates by `nvrc_bench.rd.bd_rate`; all other tables
are in `figures.json` as they were measured. A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` in a
page.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nvrc_bench.rd.bd_rate import bd_tables

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/performance.md")
PICTURE = "docs/rate-distortion.svg"
CURVES = ROOT / "bench" / "points" / "small-clips.json"
FIGURES = ROOT / "bench" / "points" / "figures.json"

OURS, ANCHOR = "nvrc", "x264 veryslow"
ORDER = (OURS, ANCHOR, "x265 veryslow", "VP9 speed 0", "SVT-AV1 preset 2")
TITLES = {"carphone-32": "carphone, 32 frames", "carphone-96": "carphone, 96 frames", "city-64": "city, 64 frames"}
_BLOCK = re.compile(r"(?<=<!-- table: )([a-z-]+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)
_COLOURS = dict(zip(ORDER, ("#d55e00", "#333333", "#009e73", "#56b4e9", "#8c6bb1"), strict=True))
_MARKS = dict(zip(ORDER, "Do^sv", strict=True))

Curve = dict[str, Any]
Rows = list[list[str]]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, a line feed at the end of each row."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def load_curves() -> list[Curve]:
    """The curves of the small clips; each point gets its ``bpp``."""
    curves: list[Curve] = json.loads(CURVES.read_text("utf-8"))["curves"]
    for curve in curves:
        samples = curve["width"] * curve["height"] * curve["frames"]
        for point in curve["points"]:
            point["bpp"] = 8 * point["bytes"] / samples
    return curves


def _find(curves: Sequence[Curve], codec: str, clip: str) -> Curve:
    return next(curve for curve in curves if (curve["codec"], curve["clip"]) == (codec, clip))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f} %"


def bd_cells(curves: Sequence[Curve]) -> dict[tuple[str, str, str], str]:
    """BD-rate against the anchor: (metric, clip, codec) -> percent."""
    points = [
        {"clip": curve["clip"], "codec": curve["codec"], "bpp": point["bpp"], "psnr": point["psnr"]}
        for curve in curves
        for point in curve["points"]
    ]
    metrics = bd_tables(points, ANCHOR)["metrics"]
    return {
        (metric, clip, codec): _percent(cell["percent"])
        for metric, table in metrics.items()
        for clip, row in table["clips"].items()
        for codec, cell in row.items()
    }


def _span(values: Sequence[float], digits: int) -> str:
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def comparison() -> str:
    """README: bits at equal quality, and seconds, of each codec."""
    curves = load_curves()
    cells = bd_cells(curves)
    fast = {"nvrc": find_figures("fast-motion")["rows"][0][4], ANCHOR: "0 %"}
    rows: Rows = []
    for codec in ORDER:
        seconds = {
            key: [point[key] for clip in TITLES for point in _find(curves, codec, clip)["points"]]
            for key in ("encode_seconds", "decode_seconds")
        }
        size = ["0 %" if codec == ANCHOR else cells["y", clip, codec] for clip in TITLES]
        times = _span(seconds["encode_seconds"], 0 if codec == OURS else 1), _span(seconds["decode_seconds"], 1)
        name = "**nvrc-ref**" if codec == OURS else codec
        rows.append([name, *size, fast.get(codec, "not measured"), *times])
    header = ["codec", *TITLES.values(), "fast motion, one point", "encode, s", "decode, s"]
    return markdown(header, rows)


def bd_rates() -> str:
    """BD-rates of all codecs by Y-PSNR and YUV-PSNR, and what a point of ours takes."""
    curves = load_curves()
    cells = bd_cells(curves)
    codecs = [codec for codec in ORDER if codec != ANCHOR]
    rows: Rows = []
    for clip, title in TITLES.items():
        ours = _find(curves, OURS, clip)["points"]
        size = [f"{cells['y', clip, codec]} ({cells['yuv', clip, codec]})" for codec in codecs]
        rows.append([title, str(len(ours)), *size, _span([point["encode_seconds"] for point in ours], 0)])
    return markdown(["clip", "points", *codecs, "processor seconds a point of nvrc"], rows)


def points() -> str:
    """Every point of ours."""
    curves = load_curves()
    rows: Rows = []
    for clip, title in TITLES.items():
        for point in reversed(_find(curves, OURS, clip)["points"]):
            psnr = point["psnr"]
            rows.append(
                [
                    title,
                    point["label"].removeprefix("lambda "),
                    f"{point['bytes']}",
                    f"{point['bpp']:.4f}",
                    f"{psnr['y']:.2f}",
                    f"{psnr['yuv']:.2f}",
                    f"{point['ms_ssim_y']:.4f}",
                    f"{point['encode_seconds']:.0f}",
                    f"{point['decode_seconds']:.1f}",
                ]
            )
    header = ["clip", "lambda", "bytes", "bits a pixel", "Y dB", "YUV dB", "MS-SSIM of Y", "encode, s", "decode, s"]
    return markdown(header, rows)


COMPUTED: dict[str, Callable[[], str]] = {"comparison": comparison, "bd-rates": bd_rates, "points": points}


def find_figures(name: str) -> dict[str, Any]:
    """A table of `figures.json`.

    Raises:
        KeyError: there is none of this name.
    """
    tables = json.loads(FIGURES.read_text("utf-8"))["tables"]
    found: dict[str, dict[str, Any]] = {table["name"]: table for table in tables}
    return found[name]


def render(name: str) -> str:
    """What stands between the marks of a table, line feeds at both ends."""
    if name in COMPUTED:
        return f"\n{COMPUTED[name]()}\n"
    table = find_figures(name)
    state = f"Format {table['format']}, revision {table['revision']}; " if "revision" in table else ""
    note = f"{table['note']} " if "note" in table else ""
    text = f"{note}*{state}{table['machine']}; `{table['command']}`.*"
    text = textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)
    return f"\n{markdown(table['header'], table['rows'])}\n{text}\n\n"


def render_page(text: str) -> str:
    """A page with all its tables as the JSON has them."""
    return _BLOCK.sub(lambda match: match[1] + match[2] + render(match[1]), text)


def data_digest() -> str:
    """SHA-256 of the curves that the picture shows; the picture carries it."""
    return hashlib.sha256(CURVES.read_bytes()).hexdigest()


def draw() -> str:
    """The rate-distortion curves of the small clips as SVG, one panel a clip."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    curves = load_curves()
    figure = Figure(figsize=(10.5, 3.7), layout="constrained")
    FigureCanvasSVG(figure)
    for axes, (clip, title) in zip(figure.subplots(1, len(TITLES)), TITLES.items(), strict=True):
        axes.set_xscale("log")
        for codec in reversed(ORDER):
            found = sorted(_find(curves, codec, clip)["points"], key=lambda point: point["bpp"])
            axes.plot(
                [point["bpp"] for point in found],
                [point["psnr"]["y"] for point in found],
                color=_COLOURS[codec],
                marker=_MARKS[codec],
                markersize=4,
                linewidth=2.4 if codec == OURS else 1.3,
                label="nvrc-ref" if codec == OURS else codec,
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("bits a pixel", fontsize=9)
        ticks = [tick for tick in (0.01, 0.02, 0.03, 0.05, 0.1, 0.2) if axes.get_xlim()[0] < tick < axes.get_xlim()[1]]
        axes.set_xticks(ticks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(labelsize=8)
        axes.grid(True, color="#dddddd", linewidth=0.6)
    figure.axes[0].set_ylabel("Y-PSNR, dB", fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=len(ORDER), fontsize=9, frameon=False)
    file = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "nvrc", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Description": f"points {data_digest()}"})
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def stale() -> list[str]:
    """Files that differ from what the JSON says."""
    texts = {page: (ROOT / page).read_text("utf-8") for page in PAGES}
    different = [page for page, text in texts.items() if render_page(text) != text]
    picture = ROOT / PICTURE
    current = picture.is_file() and data_digest() in picture.read_text("utf-8")
    return list(itertools.chain(different, () if current else (PICTURE,)))


def main() -> int:
    """Write the pages and the picture, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where something is stale")
    arguments = parser.parse_args()
    if arguments.check:
        for name in stale():
            print(f"{name} is stale: run python tools/benchmarks/performance.py")
        return 1 if stale() else 0
    for page in PAGES:
        path = ROOT / page
        path.write_text(render_page(path.read_text("utf-8")), "utf-8")
    (ROOT / PICTURE).write_text(draw(), "utf-8")
    print(f"written: {', '.join((*PAGES, PICTURE))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
