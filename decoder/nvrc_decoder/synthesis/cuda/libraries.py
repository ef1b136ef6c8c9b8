"""Loads the libraries that ONNX Runtime's CUDA provider is linked against, from wherever they are installed.

`onnxruntime.preload_dlls` does the same, but prints what it cannot load. Once a library is loaded, the provider's own
request for it by name is answered with it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from pathlib import Path

__all__ = ["CUDA_MAJORS", "load_libraries"]

CUDA_MAJORS = (12, 13)
"""Major versions of CUDA whose libraries are known here."""

# In an order in which each library follows those that it needs.
_LINUX = {
    12: ("libcudart.so.12", "libcublasLt.so.12", "libcublas.so.12", "libcufft.so.11", "libcurand.so.10"),
    13: ("libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcufft.so.12", "libcurand.so.10"),
}
_WINDOWS = {
    12: ("cudart64_12.dll", "cublasLt64_12.dll", "cublas64_12.dll", "cufft64_11.dll"),
    13: ("cudart64_13.dll", "cublasLt64_13.dll", "cublas64_13.dll", "cufft64_12.dll"),
}
# The parts that cuDNN would look for beside the program.
_WINDOWS_CUDNN = tuple(
    f"cudnn{part}64_9.dll"
    for part in (
        "_engines_runtime_compiled",
        "_engines_precompiled",
        "_engines_tensor_ir",
        "_heuristic",
        "_ops",
        "_adv",
        "_graph",
        "",
    )
)


def load_libraries(major: int) -> list[str]:
    """Load CUDA's libraries and cuDNN for CUDA `major`.

    Returns:
        Names of the libraries that cannot be loaded. Always empty on Windows, where the name alone does not tell
        whether ONNX Runtime will find a library, and for a CUDA that is not in `CUDA_MAJORS`.
    """
    if major not in CUDA_MAJORS:
        return []
    if sys.platform == "win32":
        for name in (*_WINDOWS[major], *_WINDOWS_CUDNN):
            # By name first: the library may be loaded already, by torch for example.
            _load_first([name, *_wheel_files(name, major), *_torch_files(name)])
        return []
    missing = []
    for name in (f"libnvrtc.so.{major}", *_LINUX[major], "libcudnn.so.9"):
        if not _load_first([*_wheel_files(name, major), name, *_torch_files(name)]):
            missing.append(name)
    # cuDNN compiles some kernels with NVRTC, but works without it.
    return [name for name in missing if "nvrtc" not in name]


def _load_first(candidates: list[str]) -> bool:
    """Whether one of the libraries, names or paths, can be loaded."""
    return any(_loads(candidate) for candidate in candidates)


def _wheel_files(name: str, major: int) -> list[str]:
    """Paths of a library in NVIDIA's wheels, those for CUDA `major` first."""
    paths = [
        path
        for folder in _package_folders("nvidia")
        for place in ("*/lib", "*/bin", "*/bin/*")
        for path in folder.glob(f"{place}/{name}")
    ]
    return [str(path) for path in sorted(paths, key=lambda path: (f"cu{major}" not in path.parts, path))]


def _torch_files(name: str) -> list[str]:
    """The path of a library in the folder of an installed torch, which is not imported."""
    paths = [folder / "lib" / name for folder in _package_folders("torch")]
    return [str(path) for path in paths if path.is_file()]


def _package_folders(package: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(folder) for folder in (spec.submodule_search_locations if spec is not None else None) or ()]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
