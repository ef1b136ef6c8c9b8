"""Is synthesis exact on this machine? Golden streams and random networks through ONNX Runtime, equality only.

    python tools/exactness/run.py --provider cuda --options --speed --bandwidth-tbs 3.35 --json exactness.json
    python tools/exactness/run.py --provider cpu --sizes 1x1,17x31,64x48

Every profile at every size, an unequal last GOP, 1, 4 and all frames in a call, against the NumPy reference (large
pictures: against ONNX Runtime on the CPU, one frame of which is checked against NumPy). On CUDA everything runs with
TF32 off and with TF32 forced on. Exit code 0: every sample is equal; 1: not; 69: the provider cannot be used here.
With --options other settings are tried too; their differences are reported, but do not change the exit code, since the
decoder does not use them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools" / "exactness")]
for package, folder in (("nvrc_decoder", "decoder"), ("nvrc_conformance", "conformance")):
    if importlib.util.find_spec(package) is None:
        sys.path.append(str(ROOT / folder))

from cases import Work, calls_that_fit, differing_samples, golden_work, random_work  # noqa: E402
from speed import end_to_end, layer_traffic, operator_traffic, random_stream, synthesis_speed  # noqa: E402
from variants import Variant, decoder_variants, swept_variants  # noqa: E402

import nvrc_decoder  # noqa: E402
from nvrc_conformance.manifest import load_manifest  # noqa: E402
from nvrc_decoder.decode.engines import Engines  # noqa: E402
from nvrc_decoder.errors import NvrcError  # noqa: E402
from nvrc_decoder.profiles import PROFILES  # noqa: E402
from nvrc_decoder.synthesis.cuda.providers import (  # noqa: E402
    Provider,
    device_memory,
    device_name,
    import_onnxruntime,
)
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer  # noqa: E402

SIZES = "1x1,2x3,17x31,33x1,1x70,64x48,127x65,352x288,1280x720,1920x1080"
SWEPT_SIZES = "17x31,64x48,352x288"


def _sizes(text: str) -> list[tuple[int, int]]:
    sizes = []
    for item in text.split(","):
        width, _, height = item.partition("x")
        if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
            raise argparse.ArgumentTypeError(f"{item!r} is not WIDTHxHEIGHT")
        sizes.append((int(width), int(height)))
    return sizes


def _numbers(text: str) -> list[int]:
    return [0 if item == "whole" else int(item) for item in text.split(",")]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tf32", choices=["on", "off", "both"], default="both", help="on CUDA (both)")
    parser.add_argument("--sizes", type=_sizes, default=_sizes(SIZES), help=SIZES)
    parser.add_argument("--profiles", default=",".join(profile.name for profile in PROFILES))
    parser.add_argument("--gops", type=_numbers, default=[9, 4], help="frames of the GOPs (9,4)")
    parser.add_argument("--batches", type=_numbers, default=[1, 4, 0], help="frames in a call (1,4,whole)")
    parser.add_argument("--no-golden", action="store_true", help="leave the golden streams out")
    parser.add_argument("--options", action="store_true", help="also try other options, one at a time")
    parser.add_argument(
        "--swept-sizes", type=_sizes, default=_sizes(SWEPT_SIZES), help=f"with --options: {SWEPT_SIZES}"
    )
    parser.add_argument("--speed", action="store_true", help="also measure frames/s")
    parser.add_argument("--speed-profile", default="main")
    parser.add_argument("--speed-size", type=_sizes, default=_sizes("1920x1080"))
    parser.add_argument("--speed-frames", type=int, default=32, help="frames of a GOP for synthesis alone (32)")
    parser.add_argument("--speed-gops", type=_numbers, default=[8, 8], help="GOPs of the stream end to end (8,8)")
    parser.add_argument("--stream", type=Path, help="measure this stream end to end, not a random one")
    parser.add_argument("--bandwidth-tbs", type=float, help="the device's memory bandwidth in TB/s, for the bound")
    parser.add_argument("--threads", type=int, help="threads of ONNX Runtime on the CPU")
    parser.add_argument("--json", type=Path, help="write everything here")
    return parser.parse_args(arguments)


def compare(work: Work, variant: Variant, provider: Provider, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Compare a piece of work, and yield a row for each number of frames in a call."""
    runtime = {"threads": options.threads, **variant.runtime}
    free = device_memory() if provider == "cuda" else None
    row: dict[str, Any] = {
        "variant": variant.name,
        "profile": work.profile.name,
        "size": "{}x{}".format(*work.size),
        "case": work.name,
        "gops": [len(right) for _, right in work.gops],
        "against": work.against,
    }
    try:
        synthesizer = OrtSynthesizer(*work.network, provider=provider, cuda_options=variant.cuda, **runtime)
    except NvrcError as failure:
        yield {**row, "error": str(failure)}
        return
    for batch in calls_that_fit(work, options.batches, free):
        synthesizer.batch = batch
        count = largest = total = 0
        error = None
        try:
            for grids, right in work.gops:
                found = synthesizer.synthesise(grids, len(right), range(len(right)))
                differing, most, samples = differing_samples(found, right)
                count, largest, total = count + differing, max(largest, most), total + samples
        except NvrcError as failure:
            error = str(failure)
        result = {"frames_in_a_call": batch, "samples": total, "differing": count, "largest": largest, "error": error}
        yield {**row, **result}


def through_the_decoder(provider: Provider, threads: int | None) -> Iterator[dict[str, Any]]:
    """Decode the golden streams as a user does; a fallback to the CPU is a failure here."""
    manifest = load_manifest(ROOT / "conformance" / "manifest.json")
    for stream in manifest.streams:
        with nvrc_decoder.open(manifest.file(stream), provider=provider, threads=threads) as video:
            error = None
            try:
                md5s = [frame.md5() for frame in video]
            except NvrcError as failure:
                md5s, error = [], str(failure)
            if error is None and video.provider != provider:
                error = f"fell back to {video.provider}"
        wrong = sum(a != b for a, b in zip(md5s, stream.frame_md5, strict=False)) + abs(
            len(md5s) - len(stream.frame_md5)
        )
        yield {
            "variant": "nvrc_decoder.open",
            "profile": stream.profile,
            "size": f"{stream.width}x{stream.height}",
            "case": stream.id,
            "against": "manifest",
            "frames": stream.frame_count,
            "differing_frames": wrong,
            "error": error,
        }


def works(sizes: Sequence[tuple[int, int]], golden: bool, options: argparse.Namespace) -> Iterator[Work]:
    """All work, small pictures first."""
    if golden:
        yield from golden_work(load_manifest(ROOT / "conformance" / "manifest.json"))
    names = options.profiles.split(",")
    for width, height in sorted(sizes, key=lambda size: size[0] * size[1]):
        for profile in PROFILES:
            if profile.name in names:
                yield from random_work(profile, width, height, options.gops, options.threads)


def failed(row: dict[str, Any]) -> bool:
    """Whether a row has a difference or an error."""
    return bool(row.get("differing") or row.get("differing_frames") or row["error"])


def summary(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table, a line for each variant, profile and size."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        golden = row["against"] == "manifest" or not row["case"].startswith(("lively", "bound", "aligned"))
        size = "golden" if golden else row["size"]
        groups.setdefault((row["variant"], row["profile"], size), []).append(row)
    yield f"{'variant':<32} {'profile':<8} {'size':<10} {'runs':>5} {'samples':>13} {'differing':>10} {'largest':>8}"
    for (variant, profile, size), members in groups.items():
        samples = sum(row.get("samples", 0) for row in members)
        differing = sum(row.get("differing", row.get("differing_frames", 0)) for row in members)
        largest = max(row.get("largest", 0) for row in members)
        errors = {row["error"] for row in members if row["error"]}
        line = f"{variant:<32} {profile:<8} {size:<10} {len(members):>5} {samples:>13} {differing:>10} {largest:>8}"
        yield line + ("  " + "; ".join(sorted(errors)) if errors else "")


def environment(provider: Provider) -> dict[str, Any]:
    """The device and the versions that the results depend on."""
    onnxruntime = import_onnxruntime()
    return {
        "provider": provider,
        "device": device_name() if provider == "cuda" else platform.processor() or platform.machine(),
        "device_memory_free": device_memory() if provider == "cuda" else None,
        "onnxruntime": onnxruntime.__version__,
        "cuda": getattr(onnxruntime, "cuda_version", None),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the speed, and its share of the bound."""
    (width, height), threads, provider = options.speed_size[0], options.threads, options.provider
    profile = next(profile for profile in PROFILES if profile.name == options.speed_profile)
    alone = synthesis_speed(profile, width, height, options.speed_frames, provider, threads, 5)
    data = (
        options.stream.read_bytes()
        if options.stream
        else random_stream(profile, width, height, options.speed_gops, threads)
    )
    whole = end_to_end(data, provider, threads)
    operators = operator_traffic(profile, width, height, provider)
    layers = layer_traffic(profile, width, height)
    document = {"synthesis": alone, "end_to_end": whole, "operator_bytes": operators, "layer_bytes": layers}
    print(f"{profile.name} {width}x{height}, {alone['frames_in_a_call']} frames in a call:")
    print(f"  synthesis alone  {alone['frames_per_second']:9.2f} frames/s")
    size = f"{whole['width']}x{whole['height']}, {whole['symbols'] / max(1, whole['frames']):.0f} symbols a frame"
    print(f"  end to end       {whole['frames_per_second']:9.2f} frames/s on {whole['provider']} ({size})")
    print(f"  half-resolution stage transfers {operators['half'] / 1e9:.3f} GB a frame as its operators run,")
    print(f"  {layers / 1e9:.3f} GB if each layer read and wrote once")
    if options.bandwidth_tbs:
        for name, moved in (("as operators run", operators["half"]), ("each layer once", layers)):
            bound = options.bandwidth_tbs * 1e12 / moved
            share, total = alone["frames_per_second"] / bound, whole["frames_per_second"] / bound
            document[f"bound, {name}"] = bound
            print(f"  bound, {name}: {bound:.1f} frames/s; alone {share:.1%}, end to end {total:.1%} of it")
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; the exit code."""
    options = parse(arguments)
    try:
        Engines("onnxruntime", options.provider)
        where = environment(options.provider)
    except NvrcError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(", ".join(f"{name} {value}" for name, value in where.items() if value), flush=True)
    began = time.perf_counter()
    rows = [] if options.no_golden else list(through_the_decoder(options.provider, options.threads))
    variants = decoder_variants(options.provider, options.tf32)
    for work in works(options.sizes, not options.no_golden, options):
        for variant in (one for one in variants if work.has_planes or not one.planes):
            for row in compare(work, variant, options.provider, options):
                rows.append(row)
                if failed(row):
                    print(f"not equal: {json.dumps(row)}", flush=True)
    bad = sum(map(failed, rows))
    print(*summary(rows), sep="\n")
    print(f"{len(rows)} runs, {bad} not equal, {time.perf_counter() - began:.0f} s", flush=True)
    document: dict[str, Any] = {"environment": where, "runs": rows}
    if options.options:
        swept: list[dict[str, Any]] = []
        for work in works(options.swept_sizes, False, options):
            for variant in swept_variants(options.provider):
                swept += compare(work, variant, options.provider, options)
        print("\nother options:", *summary(swept), sep="\n", flush=True)
        breaking = sorted({row["variant"] for row in swept if failed(row)})
        print(f"options that break exactness: {', '.join(breaking) or 'none'}", flush=True)
        document |= {"options": swept, "breaking": breaking}
    if options.speed:
        document["speed"] = measure(options)
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
