"""Install the wheel in clean virtual environments, and decode the golden streams in each.

``python tools/install/check_install.py WHEEL``: alone, with [cpu] and with [cuda]. Each also runs our decoder on the
archive of the suite, as one does who has no checkout. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from environments import ROOT, environment, install, label

PROBE = Path(__file__).with_name("probe.py")
ARCHIVE = ROOT / "tools" / "suite" / "archive.py"
FEW_STREAMS = ("--filter", "nano-4*", "--filter", "unsupported-*", "--filter", "limit-*")

# Extra -> the engine that `auto` must choose, and whether a line of advice is expected on stderr.
EXTRAS = {"": ("reference", True), "cpu": ("onnxruntime", False), "cuda": ("onnxruntime", False)}


def prepare(wheel: Path, extra: str) -> Path:
    """A virtual environment with the wheel and one extra; its directory is reused from an earlier run."""
    place = environment(f"install-{extra or 'alone'}", fresh=False)
    install(place, wheel, extra)
    return place


def check(place: Path, engine: str, advice: bool) -> list[str]:
    """The faults of the installation in `place`."""
    faults = []
    python = str(place / "bin" / "python")
    # Outside of the checkout and isolated (-I), so that the installed packages are imported, not the working tree.
    probe = subprocess.run(
        [python, "-I", str(PROBE), str(ROOT / "conformance" / "manifest.json"), engine],
        cwd="/",
        capture_output=True,
        text=True,
    )
    print(probe.stdout, end="")
    if probe.returncode:
        faults.append(f"the probe failed: {probe.stdout}{probe.stderr}")
    manifest = json.loads((ROOT / "conformance" / "manifest.json").read_text())
    stream = manifest["streams"][0]
    command = [str(place / "bin" / "nvrc-ref"), "verify", str(ROOT / "conformance" / stream["file"])]
    verify = subprocess.run([*command, "--md5", stream["md5"]], cwd="/", capture_output=True, text=True)
    if verify.returncode:
        faults.append(f"nvrc-ref verify ended with {verify.returncode}: {verify.stderr}")
    lines = verify.stderr.splitlines()
    if len(lines) != int(advice):
        faults.append(f"expected {int(advice)} lines on stderr, got {lines}")
    faults += check_refusal(place, "encoder", "encode", "missing.y4m", "-o", "out.nvrc")
    return faults + check_suite(place)


def check_refusal(place: Path, extra: str, *words: str) -> list[str]:
    """The faults of a command that needs an extra which is not installed."""
    refused = subprocess.run([str(place / "bin" / "nvrc-ref"), *words], cwd="/", capture_output=True, text=True)
    if refused.returncode == 69 and f"nvrc-ref[{extra}]" in refused.stderr:
        return []
    return [f"{words[0]} without the extra {extra} ended with {refused.returncode}: {refused.stderr}"]


def check_suite(place: Path) -> list[str]:
    """The faults of a run of the installed decoder on the archive of the suite, in a folder without a checkout."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, str(ARCHIVE), name], check=True, stdout=subprocess.DEVNULL)
        (packed,) = folder.glob("*.tar.gz")
        shutil.unpack_archive(packed, folder)
        (adapter,) = folder.glob("*/conformance/adapters/numpy.toml")
        run = [str(place / "bin" / "nvrc-ref"), "conformance", "run", str(adapter), "--suite", str(packed), "--quiet"]
        done = subprocess.run([*run, *FEW_STREAMS], cwd=folder, capture_output=True, text=True)
        print(f"  {done.stdout}", end="")
        faults = check_refusal(place, "conformance", "conformance", "lint", "--suite", str(packed))
    return faults if done.returncode == 0 else [*faults, f"the suite ended with {done.returncode}: {done.stderr}"]


def main() -> int:
    """Check every extra; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--extra", action="append", choices=list(EXTRAS), help="Only this extra.")
    arguments = parser.parse_args()
    failed = 0
    for extra in arguments.extra or EXTRAS:
        faults = check(prepare(arguments.wheel.resolve(), extra), *EXTRAS[extra])
        failed += bool(faults)
        print(f"{label(extra)}: {'ok' if not faults else 'FAILED'}")
        for fault in faults:
            print(f"  {fault}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
