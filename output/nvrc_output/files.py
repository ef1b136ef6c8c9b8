"""Output that appears under its final name only when it is complete."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from nvrc_decoder.errors import OutputError
from nvrc_output.standard_streams import require_stdout

__all__ = [
    "atomic_directory",
    "atomic_file",
    "atomic_path",
    "check_target",
    "io_errors",
    "is_special",
    "only_writer",
    "prove_writable",
    "remove_unfinished",
    "spare_inputs",
    "unfinished",
]

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_unfinished: set[Path] = set()
"""Temporary files and folders, which are removed when the process ends, even by a signal."""


@contextmanager
def io_errors(name: str) -> Iterator[None]:
    """Turn an `OSError` while writing `name` (full disk, closed pipe, no permission) into E_IO, exit code 74."""
    try:
        yield
    except OSError as error:
        raise OutputError("E_IO", f"writing {name} failed: {error.strerror or error}") from error


def _new_file_mode() -> int:
    """Permissions that a new file gets from the process's umask."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        mask = next(int(line.split()[1], 8) for line in status.splitlines() if line.startswith("Umask:"))
    except (OSError, StopIteration):  # no Linux: the mask can only be read by setting it
        mask = os.umask(0o077)
        os.umask(mask)
    return 0o666 & ~mask


def _is_same(one: str, other: str) -> bool:
    """Whether two names mean the same file, which need not exist yet."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def spare_inputs(targets: Sequence[str | None], inputs: Sequence[str | None]) -> None:
    """Refuse to overwrite an input, and to write two outputs to one file.

    Args:
        targets, inputs: names; ``-``, devices and None are ignored.

    Raises:
        OutputError: E_OUTPUT, a target is an input or another target, also through links.
    """
    outputs = [target for target in targets if target not in (None, "-") and not is_special(Path(target))]
    for target, source in itertools.product(outputs, inputs):
        if source not in (None, "-") and _is_same(target, source):
            raise OutputError("E_OUTPUT", f"{target} is an input, which would be overwritten: name another output")
    for one, other in itertools.combinations(outputs, 2):
        if _is_same(one, other):
            names = one if one == other else f"{one} and {other}"
            raise OutputError("E_OUTPUT", f"two outputs would go to {names}: name two files")


def check_target(target: Path) -> None:
    """Refuse a path at which no file can be created.

    Raises:
        OutputError: E_OUTPUT, it is a directory or its folder does not exist.
    """
    if target.is_dir():
        raise OutputError("E_OUTPUT", f"{target} is a directory")
    if not target.parent.is_dir():
        raise OutputError("E_OUTPUT", f"the folder {target.parent} does not exist")


def is_special(target: Path) -> bool:
    """Whether a name is of a device, pipe, socket or open file, which is written in place, not replaced."""
    if str(target).startswith(("/dev/std", "/dev/fd/", "/proc/")):
        return True
    try:
        return not stat.S_ISREG(target.stat().st_mode)
    except OSError:
        return False


def prove_writable(target: Path) -> None:
    """Refuse a name that cannot be written, before the work begins.

    Raises:
        OutputError: E_OUTPUT, as `check_target`; E_IO, its folder takes no file.
    """
    if is_special(target) and not target.is_dir():
        return
    with only_writer(target):
        pass


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A temporary file or folder, which is removed on leaving unless it was renamed."""
    _unfinished.add(path)
    try:
        yield path
    finally:
        _remove(path)
        _unfinished.discard(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def remove_unfinished() -> None:
    """Remove the temporary files of outputs that were not completed; the last step of a process."""
    while _unfinished:
        _remove(_unfinished.pop())


@contextmanager
def only_writer(target: Path, *, folder: bool = False) -> Iterator[None]:
    """Lock `target` against other processes; the system releases the lock however this process ends.

    Args:
        target: the file, or folder, to write.
        folder: whether `target` is a folder.

    Raises:
        OutputError: E_OUTPUT, another process writes it, or as `check_target`; E_IO, its folder takes no file.
    """
    if not folder:
        check_target(target)
    lock = target.with_name(f".{target.name}.lock")
    with io_errors(str(target)):
        while True:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                    break
            except BlockingIOError:
                os.close(descriptor)
                raise OutputError("E_OUTPUT", f"another process is writing {target}: wait, or name another") from None
            except FileNotFoundError:
                pass
            except OSError:  # a file system without locks
                break
            os.close(descriptor)  # its owner removed the file between the two calls
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink(missing_ok=True)  # while locked, so that no other process has locked a file of this name
        os.close(descriptor)


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary file beside `target` with its suffix; renamed to `target` on success, removed on any error.

    Raises:
        OutputError: E_OUTPUT, the target is a directory, its folder does not exist, or another process writes it; E_IO,
            writing failed.
    """
    partial = target.with_name(f".{target.stem}.partial{target.suffix}")
    with only_writer(target), io_errors(str(target)), unfinished(partial) as temporary:
        _remove(temporary)  # of a process that was killed
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield temporary
        temporary.chmod(_new_file_mode())
        os.replace(temporary, target)


@contextmanager
def atomic_file(target: str) -> Iterator[BinaryIO]:
    """A binary file that becomes `target` on success and is removed on an error; ``-`` is stdout.

    Raises:
        OutputError: as `atomic_path`.
    """
    if target == "-":
        with io_errors("the standard output"):
            file = require_stdout()
            yield file
            file.flush()
    elif target.endswith("/"):
        raise OutputError("E_OUTPUT", f"{target} is the name of a folder: name a file")
    elif is_special(Path(target)) and not Path(target).is_dir():
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
        merge: whether `target` may have files: those of the same name are replaced, others stay. Without it `target`
            has to be new or empty, and appears with all its content at once.

    Raises:
        OutputError: E_OUTPUT, the target is a file, or it has content and `merge` is not set, or its parent does not
            exist; E_IO, writing failed.
    """
    if target.exists() and not target.is_dir():
        raise OutputError("E_OUTPUT", f"{target} exists and is not a folder")
    target = target.resolve()
    if not target.name:
        raise OutputError("E_OUTPUT", f"{target} is not a folder to write to: name one in it")
    if not merge and target.exists() and any(target.iterdir()):
        raise OutputError("E_OUTPUT", f"the folder {target} is not empty: name a new one")
    if not target.parent.is_dir():
        raise OutputError("E_OUTPUT", f"the folder {target.parent} does not exist")
    partial = target.with_name(f".{target.name}.partial")
    with only_writer(target, folder=True), io_errors(str(target)), unfinished(partial) as temporary:
        _remove(temporary)  # of a process that was killed
        temporary.mkdir(0o700)
        yield temporary
        if merge and target.exists():
            for path in sorted(temporary.iterdir()):
                os.replace(path, target / path.name)
        else:
            temporary.chmod(_new_file_mode() | 0o111)
            if target.exists():
                target.rmdir()
            os.replace(temporary, target)
