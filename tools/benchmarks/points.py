"""Turn the points of a run into curves that another run can import, so that they are not encoded again.

python tools/benchmarks/points.py RESULTS_FOLDER -o points.json --source "revision, machine, date" [--codec NAME ...]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from nvrc_bench.rd.imported import FORMAT


def curves_of(folder: Path, codecs: list[str] | None) -> list[dict[str, Any]]:
    """One curve for each clip and codec, its points by rate."""
    sizes = {
        file.stem.rsplit("-", 1)[0]: json.loads(file.read_text(encoding="utf-8"))
        for file in (folder / "clips").glob("*.json")
    }
    curves: dict[tuple[str, str], dict[str, Any]] = {}
    for file in sorted((folder / "points").glob("*/*/*.json")):
        point = json.loads(file.read_text(encoding="utf-8"))
        if point["imported"] or (codecs and point["codec"] not in codecs):
            continue
        curve = curves.setdefault(
            (point["clip"], point["codec"]),
            {
                "codec": point["codec"],
                "clip": point["clip"],
                **{key: sizes[point["clip"]][key] for key in ("width", "height")},
                "frames": point["frames"],
                "settings": " ".join(point["commands"][0][1:]),
                "points": [],
            },
        )
        one = {
            "label": point["point"],
            "bytes": point["bytes"],
            "psnr": {name: round(value, 4) for name, value in point["psnr"].items() if value is not None},
            "encode_seconds": round(point["encode_cpu_seconds"], 2),
            "decode_seconds": round(point["decode_cpu_seconds"], 2),
        }
        if point["ms_ssim_y"] is not None:
            one["ms_ssim_y"] = round(point["ms_ssim_y"], 5)
        if point.get("kmac_per_pixel"):
            one["kmac_per_pixel"] = point["kmac_per_pixel"]
        curve["points"].append(one)
    for curve in curves.values():
        curve["points"].sort(key=lambda one: one["bytes"])
    return [curves[key] for key in sorted(curves)]


def main() -> None:
    """Write the curves of a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--source", required=True, help="revision, machine and date; seconds are of all processors")
    parser.add_argument("--codec", nargs="*", metavar="NAME", help="these codecs only")
    arguments = parser.parse_args()
    curves = curves_of(arguments.folder, arguments.codec)
    document = {"format": FORMAT, "source": arguments.source, "curves": curves}
    arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{arguments.output}: {len(curves)} curves, {sum(len(curve['points']) for curve in curves)} points")


if __name__ == "__main__":
    main()
