"""Install the wheel in clean virtual environments, and decode the golden streams in each.

``python tools/install/check_install.py WHEEL``: alone, with [cpu] and with [cuda]. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from environments import ROOT, environment, install, label

PROBE = Path(__file__).with_name("probe.py")

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
    encode = [str(place / "bin" / "nvrc-ref"), "encode", "missing.y4m", "-o", "out.nvrc"]
    refused = subprocess.run(encode, cwd="/", capture_output=True, text=True)
    if refused.returncode != 69 or "nvrc-ref[encoder]" not in refused.stderr:
        faults.append(f"encode without its extra ended with {refused.returncode}: {refused.stderr}")
    return faults


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
