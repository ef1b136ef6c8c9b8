"""Output that appears under its final name only when it is complete."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nvrc_decoder.errors import OutputError

__all__ = ["atomic_directory", "atomic_file", "atomic_path", "check_target", "io_errors", "spare_inputs"]


@contextmanager
def io_errors(name: str) -> Iterator[None]:
    """Turn an `OSError` while writing `name` (full disk, closed pipe, no permission) into E_IO, exit code 74."""
    try:
        yield
    except OSError as error:
        raise OutputError("E_IO", f"writing {name} failed: {error.strerror or error}") from error


def _new_file_mode() -> int:
    """Permissions that a new file gets from the process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def spare_inputs(targets: Sequence[str | None], inputs: Sequence[str]) -> None:
    """Refuse to write over what is read.

    Raises:
        OutputError: E_OUTPUT, one of the targets is one of the inputs, by whatever name.
    """
    for target, source in itertools.product(targets, inputs):
        if target is None or "-" in (target, source):
            continue
        try:
            same = os.path.samefile(target, source)
        except OSError:
            continue  # one of them is not there
        if same and not _is_special(Path(target)):
            raise OutputError("E_OUTPUT", f"{target} is the input, which would be lost: name another output")


def check_target(target: Path) -> None:
    """Refuse a name that no file can get.

    Raises:
        OutputError: E_OUTPUT, it is a directory or its folder does not exist.
    """
    if target.is_dir():
        raise OutputError("E_OUTPUT", f"{target} is a directory")
    if not target.parent.is_dir():
        raise OutputError("E_OUTPUT", f"the folder {target.parent} does not exist")


def _is_special(target: Path) -> bool:
    """A device, pipe or socket, which cannot be replaced and is written in place."""
    try:
        return not stat.S_ISREG(target.stat().st_mode)
    except OSError:
        return False


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path beside `target` with its suffix; renamed to `target` on success, removed on any error.

    Raises:
        OutputError: E_OUTPUT, the target is a directory or its folder does not exist; E_IO, writing failed.
    """
    check_target(target)
    with io_errors(str(target)):
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(_new_file_mode())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def atomic_file(target: str) -> Iterator[BinaryIO]:
    """A binary file that becomes `target` on success and leaves nothing on an error; ``-`` is stdout.

    Raises:
        OutputError: as `atomic_path`.
    """
    if target == "-":
        with io_errors("the standard output"):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
    elif _is_special(Path(target)) and not Path(target).is_dir():
        with io_errors(target), open(target, "wb") as file:
            yield file
    else:
        with atomic_path(Path(target)) as temporary, open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def atomic_directory(target: Path, *, merge: bool = True) -> Iterator[Path]:
    """A temporary folder beside `target` whose files move into `target` on success.

    Args:
        target: the folder.
        merge: in an existing `target`, files of the same name are replaced and others stay. Without it `target` has to
            be new or empty, and then appears with all its content at once.

    Raises:
        OutputError: E_OUTPUT, the target is a file, or it has content and `merge` is not set, or its parent does not
            exist; E_IO, writing failed.
    """
    if target.exists() and not target.is_dir():
        raise OutputError("E_OUTPUT", f"{target} exists and is not a folder")
    target = target.absolute()
    if not merge and target.exists() and any(target.iterdir()):
        raise OutputError("E_OUTPUT", f"the folder {target} is not empty: name a new one")
    if not target.parent.is_dir():
        raise OutputError("E_OUTPUT", f"the folder {target.parent} does not exist")
    with io_errors(str(target)):
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            yield temporary
            if merge and target.exists():
                for path in sorted(temporary.iterdir()):
                    os.replace(path, target / path.name)
                temporary.rmdir()
            else:
                temporary.chmod(_new_file_mode() | 0o111)
                if target.exists():
                    target.rmdir()
                os.replace(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
