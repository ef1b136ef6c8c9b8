"""Which ONNX Runtime provider can run here, found out without printing anything.

ONNX Runtime prints to stderr when it is asked for CUDA and a library is missing. So everything that its CUDA provider
needs is checked first: the build, the driver with a device, then the libraries.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.synthesis.cuda.libraries import CUDA_MAJORS, load_libraries
from nvrc_decoder.system.packages import install_line, load_package, reinstall_line

__all__ = [
    "CPU_PROVIDER",
    "CUDA_OPTIONS",
    "CUDA_PROVIDER",
    "PROVIDERS",
    "CudaFault",
    "Provider",
    "ProviderName",
    "cuda_error",
    "device_memory",
    "device_name",
    "find_cuda_fault",
    "import_onnxruntime",
]

Provider = Literal["auto", "cuda", "cpu"]
ProviderName = Literal["cuda", "cpu"]
PROVIDERS: tuple[Provider, ...] = ("auto", "cuda", "cpu")

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

# Defence in depth: the graphs should be exact with other values of the first four, too (docs/gpu.md).
CUDA_OPTIONS = {
    # Full float32 products.
    "use_tf32": "0",
    # One kernel for each operator, in the layout that the graph is written in.
    "fuse_conv_bias": "0",
    "prefer_nhwc": "0",
    # ONNX Runtime's default, EXHAUSTIVE, times every algorithm for each new shape: slow to start, and the choice
    # depends on the clock. HEURISTIC asks cuDNN, which gives the same answer each time.
    "cudnn_conv_algo_search": "HEURISTIC",
    # Memory in the sizes requested, not in powers of two: batches are sized to fill most of it.
    "arena_extend_strategy": "kSameAsRequested",
}

_EXTRAS = "cuda,cuda-libs"


@dataclass(frozen=True)
class CudaFault:
    """Why CUDA cannot be used.

    Attributes:
        reason: what is missing.
        remedy: what to do about it, often an install command.
        device: whether this machine has an NVIDIA GPU, as far as can be seen.
    """

    reason: str
    remedy: str
    device: bool


def import_onnxruntime() -> Any:
    """The onnxruntime module, imported on first use.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, it is missing or half installed.
    """
    return load_package("onnxruntime", "this")


def find_cuda_fault(onnxruntime: Any) -> CudaFault | None:
    """What keeps this ONNX Runtime from using CUDA; None if provider, driver, device and libraries are all found."""
    if CUDA_PROVIDER not in onnxruntime.get_available_providers():
        # Both wheels must go: each has overwritten files of the other, and removing one alone would remove them.
        remedy = reinstall_line("onnxruntime", _EXTRAS)
        return CudaFault("this ONNX Runtime is built without CUDA", remedy, _device_file_exists())
    major = _cuda_major(onnxruntime)
    driver = _load_driver()
    if driver is None or driver.cuInit(0) != 0:
        reason = "there is no NVIDIA driver" if driver is None else "the NVIDIA driver does not start"
        return CudaFault(reason, "install the NVIDIA driver", _device_file_exists())
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value < 1:
        return CudaFault("the NVIDIA driver sees no GPU", "make one visible", False)
    if driver.cuDriverGetVersion(ctypes.byref(version)) != 0 or version.value // 1000 < major:
        here = f"{version.value // 1000}.{version.value % 1000 // 10}"
        reason = f"the NVIDIA driver is for CUDA {here}, this ONNX Runtime for CUDA {major}"
        return CudaFault(reason, "update the driver", True)
    missing = load_libraries(major)
    if missing:
        return CudaFault(f"{', '.join(missing)} cannot be loaded", install_line(_EXTRAS), True)
    _register_provider(onnxruntime)
    return None


def cuda_error(fault: CudaFault) -> MissingExtraError:
    """The error for a caller who asked for CUDA where it cannot be used."""
    return MissingExtraError("E_MISSING_EXTRA", f"CUDA cannot be used: {fault.reason}; {fault.remedy}")


def device_memory() -> int:
    """Free bytes of the first GPU; 0 where they cannot be read."""
    driver = _load_driver()
    if driver is None:
        return 0
    device, context = ctypes.c_int(0), ctypes.c_void_p()
    # The context that ONNX Runtime uses, too; retaining it costs nothing where it exists.
    if (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)
    ):
        return 0
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    try:
        if driver.cuCtxPushCurrent_v2(context):
            return 0
        failed = driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
        driver.cuCtxPopCurrent_v2(ctypes.byref(context))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(device)
    return 0 if failed else free.value


def device_name() -> str:
    """The driver's name for the first GPU; empty where it cannot be read."""
    driver = _load_driver()
    device, name = ctypes.c_int(0), ctypes.create_string_buffer(128)
    if (
        driver is None
        or driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, len(name), device)
    ):
        return ""
    return name.value.decode(errors="replace")


def _cuda_major(onnxruntime: Any) -> int:
    """Major version of the CUDA that this ONNX Runtime was built with."""
    number = str(getattr(onnxruntime, "cuda_version", "") or "").split(".")[0]
    return int(number) if number.isdigit() else max(CUDA_MAJORS)


def _register_provider(onnxruntime: Any) -> None:
    """Have an ONNX Runtime whose CUDA provider is a plug-in register it again, now that its libraries are loaded.

    `preload_dlls` prints about libraries, but is asked for none. On Windows it prints about an imported torch, too, and
    then registers nothing.
    """
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None and (sys.platform != "win32" or "torch" not in sys.modules):
        preload(cuda=False, cudnn=False, msvc=False)


def _device_file_exists() -> bool:
    """Whether the kernel lists an NVIDIA GPU; cheap, and without side effects. Linux only."""
    folder = Path("/proc/driver/nvidia/gpus")
    return folder.is_dir() and any(folder.iterdir())


def _load_driver() -> Any:
    """The CUDA driver's library, or None."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
