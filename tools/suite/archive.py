"""The conformance suite as an archive, for those who have no checkout.

``python tools/suite/archive.py FOLDER`` writes ``nvrc-conformance-VERSION.tar.gz`` and prints its SHA-256. The same
files give the same bytes. It has the suite and the specification beside each other, as a checkout has them: the decoder
in C is built with the tables of the specification, and `nvrc-ref conformance lint` reads its list of requirements.
Needs the standard library only.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The harness is in the wheel, and what is built stays where it is.
LEFT_OUT = {"nvrc_conformance", "build", "__pycache__"}
PARTS = ("LICENSE", "conformance", "spec")

# Of all files: 1980-01-01, the earliest time that no unpacking program complains of.
TIME = 315532800


def files(root: Path) -> Iterator[Path]:
    """The files of the archive, relative to `root`, in order."""
    for part in PARTS:
        place = root / part
        for path in sorted([place] if place.is_file() else place.rglob("*")):
            inside = path.relative_to(root)
            hidden = any(name in LEFT_OUT or name.startswith(".") for name in inside.parts)
            if path.is_file() and not hidden:
                yield inside


def archive(root: Path, name: str) -> bytes:
    """The archive of a checkout; `name` is the folder in it that has all files."""
    tar_bytes = io.BytesIO()
    with tarfile.open(fileobj=tar_bytes, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in files(root):
            data = (root / path).read_bytes()
            member = tarfile.TarInfo(f"{name}/{path.as_posix()}")
            member.size, member.mtime, member.mode = len(data), TIME, 0o644
            tar.addfile(member, io.BytesIO(data))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=TIME) as file:
        file.write(tar_bytes.getvalue())
    return packed.getvalue()


def main() -> None:
    """Write the archive into the folder on the command line, and print its SHA-256 as sha256sum does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name = f"nvrc-conformance-{project['version']}"
    target = Path(sys.argv[1]) / f"{name}.tar.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    data = archive(ROOT, name)
    target.write_bytes(data)
    print(f"{hashlib.sha256(data).hexdigest()}  {target}")


if __name__ == "__main__":
    main()
