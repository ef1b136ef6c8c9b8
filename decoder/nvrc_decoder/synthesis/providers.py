"""Which ONNX Runtime provider can run here, found out without noise.

ONNX Runtime prints to stderr when it is asked for CUDA and a library is missing, so everything that its CUDA provider
needs is tried first: the driver with a device, then the libraries.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import sys
from typing import Any

from nvrc_decoder.errors import MissingExtraError

__all__ = ["CPU_PROVIDER", "CUDA_OPTIONS", "CUDA_PROVIDER", "cuda_is_usable", "import_onnxruntime"]

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

# Defence in depth: the graphs are exact with any of these set otherwise.
CUDA_OPTIONS = {
    "use_tf32": "0",
    "fuse_conv_bias": "0",
    "prefer_nhwc": "0",
    "cudnn_conv_algo_search": "HEURISTIC",
}

# Library versions per CUDA major version; Windows has everything in one search path and is left to ONNX Runtime.
LINUX_LIBRARIES = {
    12: ("cudart.so.12", "cublasLt.so.12", "cublas.so.12", "cufft.so.11", "curand.so.10", "cudnn.so.9"),
    13: ("cudart.so.13", "cublasLt.so.13", "cublas.so.13", "cufft.so.12", "curand.so.10", "cudnn.so.9"),
}


def import_onnxruntime() -> Any:
    """The onnxruntime module, imported on first use.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, if it is not installed.
    """
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtraError(
            "E_MISSING_EXTRA", 'this needs ONNX Runtime: pip install "nvrc-ref[cpu]" (or "nvrc-ref[cuda,cuda-libs]")'
        ) from error


def cuda_is_usable(onnxruntime: Any) -> bool:
    """Whether this ONNX Runtime has a CUDA provider whose driver, device and libraries are all here."""
    if CUDA_PROVIDER not in onnxruntime.get_available_providers() or not _driver_has_device():
        return False
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None:
        silence = io.StringIO()
        # What could not be loaded shows below.
        with (
            contextlib.redirect_stdout(silence),
            contextlib.redirect_stderr(silence),
            contextlib.suppress(Exception),
        ):
            preload()
    if sys.platform != "linux":
        return True
    version = str(getattr(onnxruntime, "cuda_version", "") or "")
    major = int(version.split(".")[0]) if version.split(".")[0].isdigit() else max(LINUX_LIBRARIES)
    return all(_loads(f"lib{name}") for name in LINUX_LIBRARIES.get(major, ()))


def _driver_has_device() -> bool:
    """Whether the NVIDIA driver is installed, starts, and sees a device."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True
