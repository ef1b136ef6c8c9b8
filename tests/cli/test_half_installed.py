"""Missing and half installed packages: exit code 69, and a command that mends the installation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from nvrc_decoder.system import packages

ROOT = Path(__file__).resolve().parents[2]
STREAM = ROOT / "conformance" / "streams" / "trained-nano.nvrc"
CLIP = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n" + 2 * (b"FRAME\n" + bytes(range(128)) * 3)
DECODE = ["decode", STREAM, "-o", "out.y4m"]
ENCODE = ["encode", "clip.y4m", "-o", "out.nvrc", "--preset", "draft", "--iterations", "1"]

STATES: dict[str, dict[str, str]] = {
    "empty": {"left.txt": ""},
    "failing": {"__init__.py": "raise ImportError('libsomething.so.1: cannot open shared object file')\n"},
    "lacking": {"__init__.py": ""},
    "cut off": {"__init__.py": "def f(:\n"},
    "no library": {"__init__.py": "raise OSError('libsomething.so.1: cannot open shared object file')\n"},
}
# Package -> its wheel, the command that needs it, and the command that mends it.
CASES = {
    "onnxruntime": (DECODE, "pip uninstall -y onnxruntime", 'pip install "nvrc-ref[cpu]"'),
    "cv2": (["decode", STREAM, "-o", "pictures"], "pip uninstall -y opencv-python-headless", "pip install opencv-"),
    "numpy": (DECODE, "pip uninstall -y numpy", "pip install numpy"),
    "constriction": (DECODE, "pip uninstall -y constriction", "pip install constriction"),
    "av": (["encode", "clip.mp4", *ENCODE[2:]], "pip uninstall -y av", 'pip install "nvrc-ref[encoder]"'),
    "torch": (ENCODE, "pip uninstall -y torch", 'pip install "nvrc-ref[encoder]"'),
    "ray": ([*ENCODE, "--ray", "auto"], "pip uninstall -y ray", 'pip install "nvrc-ref[ray]"'),
}

Runner = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def without(tmp_path: Path) -> Runner:
    """Run nvrc-ref with all packages but one, of which only `files` and the records `records` remain."""

    def run(package: str, files: dict[str, str], words: list[object], records: tuple[str, ...] = ()) -> object:
        mirror = tmp_path / "packages"
        mirror.mkdir()
        hidden = {wheel.replace("-", "_") for wheel in packages._PACKAGES[package].wheels}
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            name = path.name.removesuffix(".py")
            is_record = name.endswith(".dist-info") and name.split("-")[0].lower() in hidden
            if name != package and not is_record and not name.startswith(f"{package}."):
                (mirror / path.name).symlink_to(path)
        for record in records:
            (mirror / f"{record.replace('-', '_')}-1.0.dist-info").mkdir()
            (mirror / f"{record.replace('-', '_')}-1.0.dist-info" / "METADATA").write_text(f"Name: {record}\n")
        if files:
            (mirror / package).mkdir()
        for name, text in files.items():
            (mirror / package / name).write_text(text)
        sources = [str(ROOT / part) for part in ("decoder", "encoder", "output", "bench", "cli", "conformance")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sources, str(mirror)])}
        (tmp_path / "clip.y4m").write_bytes(CLIP)
        (tmp_path / "clip.mp4").write_bytes(b"no video")
        command = [sys.executable, "-S", "-m", "nvrc_ref", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    return run  # type: ignore[return-value]


def check(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    (line,) = done.stderr.splitlines()
    assert line.startswith("error[E_MISSING_EXTRA]")
    assert done.returncode == 69
    for part in expected:
        assert part in line


@pytest.mark.parametrize(
    ("package", "state"),
    [
        *(("onnxruntime", state) for state in STATES),
        *(("numpy", state) for state in STATES),
        *(("cv2", state) for state in ("empty", "lacking")),
        *(("constriction", state) for state in ("empty", "no library")),
        *(("torch", state) for state in ("empty", "lacking", "no library")),
        *(("av", state) for state in ("empty", "failing")),
    ],
)
def test_a_half_installed_package_exits_with_69(package: str, state: str, without: Runner) -> None:
    if package in ("torch", "av"):
        pytest.importorskip(package)
    words, remove, install = CASES[package]
    wheel = remove.split()[-1]
    check(without(package, STATES[state], words, (wheel,)), "half installed", f"{remove}, then {install}")


@pytest.mark.parametrize("package", ["onnxruntime", "cv2", "numpy", "torch", "ray"])
def test_a_missing_package_exits_with_69(package: str, without: Runner) -> None:
    if package in ("torch", "ray"):
        pytest.importorskip("torch")
    words, _, install = CASES[package]
    more = ["--engine", "onnxruntime"] if package == "onnxruntime" else []
    done = without(package, {}, [*words, *more])
    check(done, install)
    assert "uninstall" not in done.stderr


def test_a_record_without_files_is_no_installation(without: Runner) -> None:
    done = without("onnxruntime", {}, [*DECODE, "--engine", "onnxruntime"], ("onnxruntime",))
    check(done, 'pip uninstall -y onnxruntime, then pip install "nvrc-ref[cpu]"')


def test_both_wheels_of_onnxruntime_are_removed_first(without: Runner) -> None:
    done = without("onnxruntime", STATES["empty"], DECODE, ("onnxruntime", "onnxruntime-gpu"))
    check(done, 'pip uninstall -y onnxruntime onnxruntime-gpu, then pip install "nvrc-ref[cuda,cuda-libs]"')


def test_remains_of_the_gpu_wheel_ask_for_it_again(without: Runner) -> None:
    done = without("onnxruntime", STATES["lacking"], DECODE, ("onnxruntime-gpu",))
    check(done, 'pip uninstall -y onnxruntime-gpu, then pip install "nvrc-ref[cuda,cuda-libs]"')


def test_the_reference_works_without_onnxruntime(without: Runner) -> None:
    done = without("onnxruntime", STATES["empty"], [*DECODE, "--engine", "reference"], ("onnxruntime",))
    assert done.returncode == 0, done.stderr


def test_encoder_advice_keeps_the_gpu_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_is_installed", lambda wheel: wheel == "onnxruntime-gpu")
    line = packages.install_line("encoder,bench")
    assert line.startswith("pip install torch ")
    assert not re.search(r"\bonnxruntime\b(?!-gpu)", line)


def test_our_own_errors_are_not_blamed_on_packages() -> None:
    import numpy as np

    with pytest.raises(AttributeError) as caught:
        np.no_such_function  # noqa: B018
    assert packages.package_fault(caught.value) is None
    assert packages.package_fault(ValueError("numpy")) is None
