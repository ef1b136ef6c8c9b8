"""Packages that may be missing or half installed: importing them, and the command that mends them.

Two wheels may share a folder, as `onnxruntime` and `onnxruntime-gpu` do. Removing one of them takes files of the other
along, and what is left may still be imported, as an empty namespace. pip takes such a package for installed.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from traceback import walk_tb
from typing import Any

from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.system.out_of_memory import is_out_of_memory

__all__ = [
    "install_line",
    "is_found",
    "load_package",
    "package_fault",
    "package_faults",
    "reinstall_line",
    "remedy",
    "require_packages",
]

_BASE = ""


@dataclass(frozen=True)
class _Package:
    """A package that nvrc-ref uses.

    Attributes:
        title: its name in messages.
        extra: the extra of nvrc-ref that installs it; empty for a base dependency.
        wheels: wheels that put files into its folder; the one to install comes first.
        attributes: names that an intact package has.
    """

    title: str
    extra: str
    wheels: tuple[str, ...]
    attributes: tuple[str, ...] = ()


_OPENCV = tuple(f"opencv-{kind}" for kind in ("python-headless", "python", "contrib-python-headless", "contrib-python"))
_PACKAGES = {
    "numpy": _Package("NumPy", _BASE, ("numpy",), ("ndarray", "frombuffer", "linalg")),
    "constriction": _Package("constriction", _BASE, ("constriction",), ("stream",)),
    "cv2": _Package("OpenCV", _BASE, _OPENCV, ("error", "Error", "imencode", "remap")),
    "onnxruntime": _Package(
        "ONNX Runtime",
        "cpu",
        ("onnxruntime", "onnxruntime-gpu"),
        ("InferenceSession", "SessionOptions", "OrtValue", "get_available_providers"),
    ),
    "torch": _Package("PyTorch", "encoder", ("torch",), ("Tensor", "from_numpy", "nn")),
    "av": _Package("PyAV", "encoder", ("av",), ("open", "VideoFrame", "error")),
    "onnx": _Package("onnx", "encoder", ("onnx",), ("load_model_from_string", "ModelProto")),
    "rich": _Package("rich", "encoder", ("rich",)),
    "pytorch_msssim": _Package("pytorch-msssim", "encoder", ("pytorch-msssim",), ("ms_ssim",)),
    "bjontegaard": _Package("bjontegaard", "bench", ("bjontegaard",)),
    "matplotlib": _Package("matplotlib", "bench", ("matplotlib",)),
    "jsonschema": _Package("jsonschema", "conformance", ("jsonschema",), ("Draft202012Validator",)),
    "referencing": _Package("referencing", "conformance", ("referencing",), ("Registry",)),
    "ray": _Package("Ray", "ray", ("ray",), ("init", "remote", "wait")),
}
_ENCODER_WHEELS = "torch onnx av rich pytorch-msssim"


def load_package(name: str, purpose: str) -> Any:
    """The module `name`, imported.

    Args:
        name: one of the packages that nvrc-ref uses.
        purpose: what needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, it is missing or half installed; the message says what to do.
        MemoryError: the import ran out of memory.
    """
    if name == "onnxruntime":
        # From 1.29 on it otherwise looks up a host and writes into the home folder as soon as it is imported.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if name == "ray":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not is_found(name, purpose):
        raise _fault(name, purpose, None)
    try:
        module = importlib.import_module(name)
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(str(error)) from error
        raise _fault(_culprit(error) or name, purpose, error) from error
    if _lacking(name, module):
        raise _fault(name, purpose, None)
    return module


def is_found(name: str, purpose: str) -> bool:
    """Whether the package `name` exists; does not import it.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, nothing but an empty folder is left of it.
    """
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return sys.modules.get(name) is not None
    if spec is not None and spec.origin is None:
        raise _fault(name, purpose, None)
    return spec is not None


def require_packages(names: Iterable[str], purpose: str) -> None:
    """Check that packages are installed, without importing them.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, naming all that are not installed.
    """
    absent = []
    for name in names:
        if not is_found(name, purpose):
            if _has_record(name):
                raise _fault(name, purpose, None)
            absent.append(_PACKAGES[name])
    if absent:
        titles = " and ".join(package.title for package in absent)
        extras = ",".join(dict.fromkeys(package.extra for package in absent))
        raise MissingExtraError("E_MISSING_EXTRA", f"{purpose} needs {titles}: {install_line(extras)}")


def package_fault(error: BaseException) -> MissingExtraError | None:
    """The missing or half-installed package that caused an unexpected error; None if none did."""
    name = _culprit(error)
    if name is None and isinstance(error, ImportError | SyntaxError):
        # An error inside of a package does not name it; the frames of the traceback do.
        roots = [str(frame.f_globals.get("__name__")).split(".")[0] for frame, _ in walk_tb(error.__traceback__)]
        name = next((root for root in roots if root in _PACKAGES), None)
    if name is not None:
        return _fault(name, "this", error)
    # A base package that cannot even be compiled or loaded is named nowhere.
    for base in ("numpy", "constriction"):
        if base not in sys.modules:
            try:
                load_package(base, "this")
            except MissingExtraError as fault:
                return fault
    return None


@contextmanager
def package_faults() -> Iterator[None]:
    """Turns any error of an import that a missing or half-installed package causes into a `MissingExtraError`."""
    try:
        yield
    except Exception as error:
        fault = package_fault(error)
        if fault is None:
            raise
        raise fault from error


def _culprit(error: BaseException) -> str | None:
    """The package that an error names: one that was not found, or one whose module lacks an attribute."""
    if isinstance(error, ImportError):
        name = str(error.name or "").split(".")[0]
        return name if name in _PACKAGES else None
    module = getattr(error, "obj", None) if isinstance(error, AttributeError) else None
    name = str(getattr(module, "__name__", "")).split(".")[0]
    return name if name in _PACKAGES and _lacking(name, sys.modules.get(name)) else None


def install_line(extras: str) -> str:
    """The command that installs extras of nvrc-ref, such as ``encoder,bench``.

    The extra `encoder` installs `onnxruntime`, which would overwrite an installed `onnxruntime-gpu`.
    """
    if "encoder" in extras.split(",") and _is_installed("onnxruntime-gpu"):
        wheels = _ENCODER_WHEELS + (" bjontegaard matplotlib" if "bench" in extras else "")
        return f'pip install {wheels} ("nvrc-ref[{extras}]" would overwrite onnxruntime-gpu)'
    return f'pip install "nvrc-ref[{extras}]"'


def reinstall_line(name: str, extras: str | None = None) -> str:
    """The command that mends a package: it uninstalls all of its wheels first, because they share files."""
    package = _PACKAGES[name]
    installed = " ".join(wheel for wheel in package.wheels if _is_installed(wheel))
    install = _install(package, package.extra if extras is None else extras)
    return f"pip uninstall -y {installed}, then {install}" if installed else install


def _install(package: _Package, extras: str) -> str:
    return install_line(extras) if extras else f"pip install {package.wheels[0]}"


def remedy(name: str) -> str:
    """The command that installs a package, or mends it where pip has a record of it or files of it are left."""
    package = _PACKAGES[name]
    extras = package.extra
    # The extra `cpu` would install the other wheel.
    if name == "onnxruntime" and _is_installed("onnxruntime-gpu"):
        extras = "cuda,cuda-libs"
    return reinstall_line(name, extras) if _is_left(name) else _install(package, extras)


def _fault(name: str, purpose: str, error: BaseException | None) -> MissingExtraError:
    line = remedy(name)
    state = "only half installed" if _is_left(name) else "not installed"
    why = f" ({' '.join(str(error).split())[:200]})" if error is not None and str(error) else ""
    message = f"{purpose} needs {_PACKAGES[name].title}, which is {state}{why}: {line}"
    return MissingExtraError("E_MISSING_EXTRA", message)


def _lacking(name: str, module: object) -> bool:
    """Whether a module is not intact; an empty folder has no file of its own."""
    package = _PACKAGES[name]
    return getattr(module, "__file__", None) is None or not all(hasattr(module, part) for part in package.attributes)


def _is_left(name: str) -> bool:
    """Whether anything is left of a package, if only its record or an empty folder."""
    return _has_record(name) or importlib.machinery.PathFinder.find_spec(name) is not None


def _has_record(name: str) -> bool:
    """Whether pip has a record of one of a package's wheels, and would do nothing if asked to install it."""
    return any(map(_is_installed, _PACKAGES[name].wheels))


def _is_installed(wheel: str) -> bool:
    """Whether pip has a record of a wheel."""
    try:
        metadata.distribution(wheel)
    except Exception:  # a broken record counts as none
        return False
    return True
