"""What can run CUDA, told from a fake driver, fake libraries and a fake ONNX Runtime; and nothing is printed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthesis_cases import Picture, random_case

from nvrc_decoder.errors import MissingExtraError
from nvrc_decoder.profiles import PROFILES
from nvrc_decoder.synthesis.cuda import libraries, providers
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer


class FakeOnnxRuntime:
    """An onnxruntime-gpu as far as the probe looks; it prints whenever it is told to load libraries."""

    cuda_version = "13.0"

    def __init__(self, offered: bool = True) -> None:
        self.offered = offered
        self.registered = 0

    def get_available_providers(self) -> list[str]:
        return [providers.CUDA_PROVIDER, providers.CPU_PROVIDER] if self.offered else [providers.CPU_PROVIDER]

    def preload_dlls(self, cuda: bool = True, cudnn: bool = True, msvc: bool = True) -> None:
        if cuda or cudnn or msvc:
            print("Failed to load something")
            print("Failed to load something", file=sys.stderr)
        self.registered += 1


class FakeDriver:
    """libcuda as far as it is called; results go through ctypes references as in the real one."""

    def __init__(self, *, starts: bool = True, devices: int = 1, version: int = 13000, free: int = 5 << 30) -> None:
        self.starts, self.devices, self.version, self.free = starts, devices, version, free
        self.retained = 0

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return 0 if self.starts else 999

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.devices
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = self.version
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        return 0 if index < self.devices else 101

    def cuDevicePrimaryCtxRetain(self, context: Any, device: Any) -> int:  # noqa: N802
        self.retained += 1
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, device: Any) -> int:  # noqa: N802
        self.retained -= 1
        return 0

    def cuCtxPushCurrent_v2(self, context: Any) -> int:  # noqa: N802
        return 0

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        return 0

    def cuMemGetInfo_v2(self, free: Any, total: Any) -> int:  # noqa: N802
        free._obj.value = self.free
        return 0 if self.free else 2


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Describes a Linux machine: driver, libraries that cannot be loaded by name, whether the kernel has a GPU, wheels.

    What it returns fills with the libraries that were loaded: names and paths.
    """

    def describe(
        driver: FakeDriver | None,
        missing: tuple[str, ...] = (),
        *,
        gpu: bool = True,
        wheels: dict[str, Path] | None = None,
        platform: str = "linux",
    ) -> list[str]:
        loaded: list[str] = []

        def load(library: str) -> bool:
            loads = library not in missing
            if loads:
                loaded.append(library)
            return loads

        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr(providers, "_load_driver", lambda: driver)
        monkeypatch.setattr(providers, "_device_file_exists", lambda: gpu)
        monkeypatch.setattr(libraries, "_loads", load)
        specs = {name: SimpleNamespace(submodule_search_locations=[folder]) for name, folder in (wheels or {}).items()}
        find = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: specs.get(name) if name in ("nvidia", "torch") else find(name)
        )
        return loaded

    return describe


def test_everything_is_here(machine, capfd):
    machine(FakeDriver())
    fake = FakeOnnxRuntime()
    assert providers.find_cuda_fault(fake) is None
    assert fake.registered == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("driver", "missing", "offered", "reason", "remedy"),
    [
        (FakeDriver(), (), False, "without CUDA", "pip uninstall -y onnxruntime, then pip install"),
        (None, (), True, "no NVIDIA driver", "install the NVIDIA driver"),
        (FakeDriver(starts=False), (), True, "does not start", "install the NVIDIA driver"),
        (FakeDriver(version=12040), (), True, "is for CUDA 12.4, this ONNX Runtime for CUDA 13", "update the driver"),
        (FakeDriver(), ("libcudnn.so.9",), True, "libcudnn.so.9 cannot be loaded", "cuda-libs"),
        (FakeDriver(), ("libcufft.so.12", "libcudnn.so.9"), True, "libcufft.so.12, libcudnn.so.9", "cuda-libs"),
    ],
)
@pytest.mark.parametrize("gpu", [True, False])
def test_what_is_missing_is_named(machine, capfd, driver, missing, offered, reason, remedy, gpu):
    machine(driver, missing, gpu=gpu)
    fault = providers.find_cuda_fault(FakeOnnxRuntime(offered))
    assert fault is not None
    assert reason in fault.reason
    assert remedy in fault.remedy
    # Where the driver answers, it has seen the GPU itself.
    assert fault.device is (gpu or (offered and driver is not None and driver.starts))
    assert capfd.readouterr() == ("", "")


def test_a_driver_without_a_gpu_is_no_gpu(machine):
    machine(FakeDriver(devices=0))
    fault = providers.find_cuda_fault(FakeOnnxRuntime())
    assert fault is not None
    assert not fault.device


def make_files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_libraries_come_from_the_wheels_of_their_cuda(machine, tmp_path, capfd):
    nvidia = make_files(
        tmp_path / "nvidia", "cu13/lib/libcurand.so.10", "curand/lib/libcurand.so.10", "cudnn/lib/libcudnn.so.9"
    )
    loaded = machine(FakeDriver(), wheels={"nvidia": nvidia})
    assert providers.find_cuda_fault(FakeOnnxRuntime()) is None
    assert str(nvidia / "cu13/lib/libcurand.so.10") in loaded
    assert str(nvidia / "cudnn/lib/libcudnn.so.9") in loaded
    assert "libcudart.so.13" in loaded
    assert not {"libcurand.so.10", "libcudnn.so.9", str(nvidia / "curand/lib/libcurand.so.10")} & set(loaded)
    assert capfd.readouterr() == ("", "")


def test_libraries_of_torch_load_without_importing_it(machine, tmp_path, monkeypatch, capfd):
    torch = make_files(tmp_path / "torch", "lib/libcudnn.so.9")
    loaded = machine(FakeDriver(), ("libcudnn.so.9",), wheels={"torch": torch})
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert providers.find_cuda_fault(FakeOnnxRuntime()) is None
    assert str(torch / "lib/libcudnn.so.9") in loaded
    assert "torch" not in sys.modules
    assert capfd.readouterr() == ("", "")


def test_a_broken_wheel_gives_way_to_the_system(machine, tmp_path):
    nvidia = make_files(tmp_path / "nvidia", "cudnn/lib/libcudnn.so.9")
    loaded = machine(FakeDriver(), (str(nvidia / "cudnn/lib/libcudnn.so.9"),), wheels={"nvidia": nvidia})
    assert providers.find_cuda_fault(FakeOnnxRuntime()) is None
    assert "libcudnn.so.9" in loaded


def test_nvrtc_may_be_missing(machine):
    machine(FakeDriver(), ("libnvrtc.so.13",))
    assert providers.find_cuda_fault(FakeOnnxRuntime()) is None


def test_no_registration_without_libraries(machine):
    machine(FakeDriver(), ("libcudnn.so.9",))
    fake = FakeOnnxRuntime()
    assert providers.find_cuda_fault(fake) is not None
    assert fake.registered == 0


def test_windows_loads_what_the_wheels_have(machine, tmp_path, capfd):
    nvidia = make_files(tmp_path / "nvidia", "cu13/bin/x86_64/cublas64_13.dll", "cudnn/bin/cudnn64_9.dll")
    names = ("cublas64_13.dll", "cudnn64_9.dll", "cudart64_13.dll")
    loaded = machine(FakeDriver(), names, wheels={"nvidia": nvidia}, platform="win32")
    assert providers.find_cuda_fault(FakeOnnxRuntime()) is None
    assert str(nvidia / "cu13/bin/x86_64/cublas64_13.dll") in loaded
    assert str(nvidia / "cudnn/bin/cudnn64_9.dll") in loaded
    assert capfd.readouterr() == ("", "")


def test_cuda_12_has_its_own_libraries(machine):
    loaded = machine(FakeDriver(version=12080), ("libcufft.so.12",))
    fake = FakeOnnxRuntime()
    fake.cuda_version = "12.8"
    assert providers.find_cuda_fault(fake) is None
    assert "libcufft.so.11" in loaded


@pytest.mark.parametrize(
    ("driver", "free"),
    [
        (FakeDriver(), 5 << 30),
        (None, 0),
        (FakeDriver(starts=False), 0),
        (FakeDriver(devices=0), 0),
        (FakeDriver(free=0), 0),
    ],
)
def test_device_memory(monkeypatch, driver, free):
    monkeypatch.setattr(providers, "_load_driver", lambda: driver)
    assert providers.device_memory() == free
    assert driver is None or driver.retained == 0


def test_auto_falls_back_quietly_and_cuda_says_why(machine, capfd):
    machine(None, gpu=False)
    case = random_case(8, PROFILES[0], Picture(8, 8), 2)
    assert OrtSynthesizer(*case.network, provider="auto", threads=1).provider == "cpu"
    with pytest.raises(MissingExtraError, match=r"CUDA cannot be used: .*cuda-libs") as caught:
        OrtSynthesizer(*case.network, provider="cuda")
    assert caught.value.exit_code == 69
    assert capfd.readouterr() == ("", "")


def test_a_provider_that_does_not_load_is_an_error(machine, monkeypatch, capfd):
    # The probe is wrong here: this ONNX Runtime is built without CUDA, and refuses or ignores what it is asked for.
    monkeypatch.setattr("nvrc_decoder.synthesis.onnx.runtime.find_cuda_fault", lambda onnxruntime: None)
    case = random_case(8, PROFILES[0], Picture(8, 8), 2)
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"), pytest.raises(MissingExtraError, match="CUDA"):
        OrtSynthesizer(*case.network, provider="cuda", threads=1)
    assert capfd.readouterr() == ("", "")
