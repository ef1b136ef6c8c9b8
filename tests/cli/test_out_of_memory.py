"""Out of memory is E_MEMORY, exit code 77, with advice, whatever library runs out of it."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nvrc_decoder
from nvrc_decoder.errors import InternalError, LimitError
from nvrc_decoder.synthesis.onnx.session import GraphSession
from nvrc_decoder.system.out_of_memory import is_out_of_memory, memory_errors
from nvrc_ref.main import run

STREAM = Path(__file__).resolve().parents[2] / "conformance" / "streams" / "nano-two-gops.nvrc"
CLIP = b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420\n" + 2 * (b"FRAME\n" + bytes(range(128)) * 3)
ENCODE = ["encode", "clip.y4m", "-o", "out.nvrc", "--preset", "draft", "--iterations", "1", "--quiet"]
ENDLESS = 1 << 50


def from_torch() -> Any:
    return pytest.importorskip("torch").empty(ENDLESS)


def from_numpy() -> Any:
    return np.empty(ENDLESS)


def from_opencv() -> Any:
    cv2 = pytest.importorskip("cv2")
    return cv2.resize(np.zeros((4, 4), np.uint8), (1 << 23, 1 << 23))


def from_onnxruntime() -> Any:
    from nvrc_decoder.synthesis.cuda.providers import import_onnxruntime

    return import_onnxruntime().OrtValue.ortvalue_from_shape_and_type([1 << 45], np.float32)


REAL = [from_torch, from_numpy, from_opencv, from_onnxruntime]


@pytest.mark.parametrize("take", REAL)
def test_real_memory_errors_are_recognised(take: Callable[[], Any]) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each package has its own
        take()
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"),
        RuntimeError("bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 1234"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
    ids=str,
)
def test_memory_errors_are_recognised_by_text(error: Exception) -> None:
    assert is_out_of_memory(error)
    outer = InternalError("E_RUNTIME", "ONNX Runtime failed")
    outer.__cause__ = error
    assert is_out_of_memory(outer)
    with pytest.raises(LimitError, match="less of it") as caught, memory_errors("use less of it"):
        raise outer
    assert caught.value.code == "E_MEMORY"


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(5, "I/O error"), InternalError("E_X", "out of memory"), None]
)
def test_other_errors_are_not_memory_errors(error: Exception | None) -> None:
    assert not is_out_of_memory(error)


@pytest.mark.parametrize("take", REAL)
def test_decoding_without_memory_exits_with_77(
    take: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        try:
            take()
        except Exception as error:
            raise InternalError("E_RUNTIME", "ONNX Runtime failed") from error

    monkeypatch.setattr(GraphSession, "run", fail)
    with nvrc_decoder.open(STREAM) as video:
        with pytest.raises(LimitError, match="fewer threads"):
            next(video)
        with pytest.raises(LimitError, match="fewer threads"):
            video[0]
    for words in (["decode", str(STREAM), "-o", "-"], ["verify", str(STREAM)]):
        assert run(words) == 77
        said = capsys.readouterr().err
        assert said.startswith("error[E_MEMORY] not enough memory: use --threads 1")


@pytest.mark.parametrize("take", REAL)
def test_encoding_without_memory_exits_with_77(
    take: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from encoder_cases import gradient_source

    from nvrc_encoder import encode, encoding

    monkeypatch.setattr(encoding, "prepare", lambda *_, **__: take())
    monkeypatch.chdir(tmp_path)
    Path("clip.y4m").write_bytes(CLIP)
    assert run(ENCODE) == 77
    assert "fewer --jobs" in capsys.readouterr().err
    assert not Path("out.nvrc").exists()
    with pytest.raises(LimitError, match="fewer frames"):
        encode(gradient_source(), io.BytesIO())


def test_pictures_without_memory_exit_with_77(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    monkeypatch.setattr(cv2, "imencode", lambda *_: from_opencv())
    assert run(["decode", str(STREAM), "-o", str(tmp_path / "pictures")]) == 77
    monkeypatch.setattr(cv2, "merge", lambda *_: from_opencv())
    with nvrc_decoder.open(STREAM) as video, pytest.raises(LimitError):
        next(video).to_rgb()
