"""Where a suite is: in this checkout, in a folder, or in an archive of `make suite`."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nvrc_conformance.manifest import MANIFEST_PATH
from nvrc_decoder.errors import InputError

__all__ = ["UNPACKED_MAX", "open_suite"]

UNPACKED_MAX = 1 << 25
"""Bytes that an archive may unpack to; a suite takes about a twentieth of them."""

_MEMBERS_MAX = 10_000
_DEPTH_MAX = 16


@contextmanager
def open_suite(name: str | Path | None) -> Iterator[Path]:
    """The folder of a suite, which has ``manifest.json``; an archive is unpacked for as long as the context lasts.

    Args:
        name: that folder, one that has it as ``conformance/``, or an archive with one folder of this kind; None for
            the suite of the checkout that this package is in.

    Raises:
        InputError: E_NO_INPUT, there is no suite of this name; E_SUITE, the archive cannot be used.
    """
    if name is None:
        yield MANIFEST_PATH.parent
        return
    place = Path(name)
    if not place.is_file():
        yield _folder(place)
        return
    with tempfile.TemporaryDirectory(prefix="nvrc-suite-") as temporary:
        yield _unpack(place, Path(temporary))


def _folder(place: Path) -> Path:
    inner = place / "conformance"
    return inner if (inner / MANIFEST_PATH.name).is_file() else place


def _unpack(archive: Path, target: Path) -> Path:
    data = _decompress(archive)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            members = _members(archive, tar)
            if not hasattr(tarfile, "data_filter"):
                raise _fault(archive, "this Python cannot unpack it safely: unpack it with tar, and name the folder")
            tar.extractall(target, members, filter="data")
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        raise _fault(archive, f"it cannot be unpacked: {error}") from None
    folders = list(target.iterdir())
    if len(folders) != 1 or not folders[0].is_dir():
        raise _fault(archive, "a suite has one folder, in which all else is")
    folder = _folder(folders[0])
    if not (folder / MANIFEST_PATH.name).is_file():
        raise _fault(archive, "it has no manifest.json: take an archive of `make suite`")
    return folder


def _decompress(archive: Path) -> bytes:
    """The whole tar; so its headers cannot ask for more memory than it has bytes."""
    try:
        with gzip.open(archive) as file:
            data = file.read(UNPACKED_MAX + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _fault(archive, f"this is no .tar.gz: {error}") from None
    except OSError as error:
        raise InputError("E_NO_INPUT", f"cannot read the suite {archive}: {error.strerror}") from None
    if len(data) > UNPACKED_MAX:
        raise _fault(archive, f"it unpacks to more than {UNPACKED_MAX} bytes")
    return data


def _members(archive: Path, tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    members: list[tarfile.TarInfo] = []
    for member in tar:
        if not (member.isdir() or member.isreg()) or member.issparse():
            raise _fault(archive, f"{member.name!r} is neither a plain file nor a folder")
        if member.name.count("/") > _DEPTH_MAX:
            raise _fault(archive, f"it has more than {_DEPTH_MAX} folders in each other")
        members.append(member)
        if len(members) > _MEMBERS_MAX:
            raise _fault(archive, f"it has more than {_MEMBERS_MAX} files")
    return members


def _fault(archive: Path, message: str) -> InputError:
    return InputError("E_SUITE", f"{archive}: {message}")
