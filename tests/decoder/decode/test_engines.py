"""Engines that are right, wrong in one sample, broken or out of memory: whose frames come out, and what is said."""

from __future__ import annotations

import gc
import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from stream_builders import with_wrong_digest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.decode import engines as engines_module
from nvrc_decoder.decode import symbols
from nvrc_decoder.decode.engines import Engines
from nvrc_decoder.errors import InternalError, InvalidStreamError, MissingExtraError
from nvrc_decoder.export import export_video
from nvrc_decoder.picture.planes import Planes
from nvrc_decoder.profiles import PROFILES
from nvrc_decoder.synthesis.cuda.calls import plan_calls
from nvrc_decoder.synthesis.cuda.providers import CudaFault
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer
from nvrc_decoder.synthesis.synthesizer import Job

pytest.importorskip("onnxruntime")

STREAMS = load_manifest()
NAMES = ["nano-four-gops", "lite-420-10", "main-pair", "nano-444"]
FOUR = STREAMS.stream("nano-four-gops")


class Faulty(OrtSynthesizer):
    """The CPU provider in the place of every engine, with faults.

    Attributes:
        wrong: of the providers whose second frame of a GOP differs in one sample.
        fails: of the providers that fail at the second frame of a GOP.
        fails_after: passes over a GOP in which `fails` does not hold yet.
        room: most frames in a call of the GPU.
        made: the provider of each frame.
    """

    wrong: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    fails_after = 0
    passes = 0
    room = 1000
    made: list[str]

    def __init__(self, *arguments: Any, provider: str = "cpu", **options: Any) -> None:
        self.fake = provider
        super().__init__(*arguments, provider="cpu", motion_graphs=provider == "cuda", **options)

    def jobs(self, grids: Any, frame_count: int, frames: range) -> Iterator[Job]:
        type(self).passes += 1
        starts = range(frames.start, frames.stop, self.batch)
        for start, job in zip(starts, super().jobs(grids, frame_count, frames), strict=True):
            yield partial(self._faulty, start, job)

    def _faulty(self, start: int, job: Job) -> list[Planes]:
        made = job()
        second = start <= 1 < start + len(made)
        fails = second and self.fake in self.fails and self.passes > self.fails_after
        if fails or self.batch > self.room:
            raise InternalError("E_RUNTIME", "ONNX Runtime failed: no luck")
        if second and self.fake in self.wrong:
            made[1 - start].y[0, 0] ^= 1
        self.made += [self.fake] * len(made)
        return made


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    """A machine with a GPU."""
    monkeypatch.setattr("nvrc_decoder.synthesis.onnx.runtime.OrtSynthesizer", Faulty)
    monkeypatch.setattr(engines_module, "find_cuda_fault", lambda onnxruntime: None)
    monkeypatch.setattr(engines_module, "device_memory", lambda: 1 << 30)
    for name, value in (("wrong", ()), ("fails", ()), ("room", 1000), ("made", []), ("passes", 0)):
        monkeypatch.setattr(Faulty, name, value, raising=False)
    return Faulty


def decode(name: str, **options: Any) -> tuple[tuple[str, ...], str, str | None]:
    """MD5s of the frames, and the engine and provider at the end."""
    with nvrc_decoder.open(io.BytesIO(STREAMS.read(name)), threads=1, **options) as video:
        return tuple(frame.md5() for frame in video), video.engine, video.provider


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_right_gpu_makes_all_frames(
    name: str, verify: bool, faulty: type[Faulty], caplog: pytest.LogCaptureFixture
) -> None:
    md5s = STREAMS.stream(name).frame_md5
    assert decode(name, provider="cuda", verify=verify) == (md5s, "onnxruntime", "cuda")
    assert faulty.made == ["cuda"] * len(md5s)
    assert caplog.messages == []


@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_wrong_in_one_sample_is_replaced(
    name: str, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faulty, "wrong", ("cuda",))
    md5s = STREAMS.stream(name).frame_md5
    assert decode(name, provider="cuda") == (md5s, "onnxruntime", "cpu")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "continues on the CPU: ONNX Runtime" in record.message
    assert "on a GPU made wrong frames of GOP 0" in record.message


@pytest.mark.parametrize("name", NAMES)
def test_a_cpu_wrong_in_one_sample_is_replaced(
    name: str, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faulty, "wrong", ("cpu",))
    md5s = STREAMS.stream(name).frame_md5
    damages: list[nvrc_decoder.Damage] = []
    assert decode(name, provider="cpu", on_damage=damages.append) == (md5s, "reference", None)
    assert damages == []
    (message,) = caplog.messages
    assert "continues with the NumPy reference" in message
    assert "on the CPU made wrong frames of GOP 0" in message


def test_where_both_are_wrong_the_reference_continues(
    faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faulty, "wrong", ("cuda", "cpu"))
    assert decode(FOUR.id, provider="cuda") == (FOUR.frame_md5, "reference", None)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("provider", ["cuda", "cpu"])
def test_a_wrong_stream_blames_no_engine(provider: Any, faulty: type[Faulty], caplog: pytest.LogCaptureFixture) -> None:
    data = with_wrong_digest(STREAMS.read(FOUR.id), 1)
    with nvrc_decoder.open(io.BytesIO(data), provider=provider, threads=1) as video:
        with pytest.raises(InvalidStreamError) as caught:
            list(video)
        assert (caught.value.code, caught.value.unit) == ("E_DIGEST", "GOP 1")
        assert (video.engine, video.provider) == ("onnxruntime", provider)
    assert caplog.messages == []


def test_a_wrong_stream_on_a_wrong_engine(
    faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faulty, "wrong", ("cpu",))
    data = with_wrong_digest(STREAMS.read(FOUR.id), 0)
    with nvrc_decoder.open(io.BytesIO(data), provider="cpu", threads=1) as video:
        with pytest.raises(InvalidStreamError):
            list(video)
        assert video.engine == "reference"
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("kept", [True, False])
def test_frames_that_are_not_kept_are_checked_too(
    kept: bool, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faulty, "wrong", ("cpu",))
    make_plan = symbols.make_plan
    monkeypatch.setattr(symbols, "make_plan", lambda *a: replace(make_plan(*a), kept=kept))
    assert decode(FOUR.id, provider="cpu") == (FOUR.frame_md5, "reference", None)


@pytest.mark.parametrize("verify", [True, False])
def test_a_gpu_that_fails_is_replaced(
    verify: bool, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faulty, "fails", ("cuda",))
    assert decode(FOUR.id, provider="cuda", verify=verify) == (FOUR.frame_md5, "onnxruntime", "cpu")
    (message,) = caplog.messages
    assert message.endswith("continues on the CPU: ONNX Runtime failed: no luck")


def test_a_gpu_may_fail_in_the_second_pass(
    faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faulty, "fails", ("cuda",))
    monkeypatch.setattr(faulty, "fails_after", 1)
    make_plan = symbols.make_plan
    monkeypatch.setattr(symbols, "make_plan", lambda *a: replace(make_plan(*a), kept=False))
    assert decode(FOUR.id, provider="cuda") == (FOUR.frame_md5, "onnxruntime", "cpu")
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("fault", ["wrong", "fails"])
def test_an_export_replaces_an_engine_too(
    fault: str, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faulty, fault, ("cuda",))
    exported = export_video(io.BytesIO(STREAMS.read(FOUR.id)), io.BytesIO(), provider="cuda", threads=1)
    assert tuple(json.loads(exported.metadata["frame_md5"])) == FOUR.frame_md5
    assert len(caplog.messages) == 1


def test_a_second_opinion_keeps_one_set_of_frames(faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    run = ReferenceSynthesizer._frame

    def counted(self: ReferenceSynthesizer, *arguments: Any) -> Planes:
        nonlocal most
        most = max(most, sum(type(found) is Planes for found in gc.get_objects()))
        return run(self, *arguments)

    gc.collect()
    before = sum(type(found) is Planes for found in gc.get_objects())
    monkeypatch.setattr(ReferenceSynthesizer, "_frame", counted)
    data = with_wrong_digest(STREAMS.read("trained-nano"), 0)
    with nvrc_decoder.open(io.BytesIO(data), provider="cpu", threads=1) as video, pytest.raises(InvalidStreamError):
        list(video)
    assert 0 < most - before <= STREAMS.stream("trained-nano").frame_count


def test_a_cpu_that_fails_is_an_error(faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faulty, "fails", ("cpu",))
    with pytest.raises(InternalError, match="no luck"):
        decode(FOUR.id, provider="cpu")


@pytest.mark.parametrize("verify", [True, False])
def test_less_memory_means_fewer_frames_in_a_call(
    verify: bool, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(faulty, "room", 3)
    assert decode(FOUR.id, provider="cuda", verify=verify) == (FOUR.frame_md5, "onnxruntime", "cuda")
    assert set(faulty.made) == {"cuda"}
    assert caplog.messages == []


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_session_that_cannot_be_made(
    wanted: Any, faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> Any:
        raise MissingExtraError("E_MISSING_EXTRA", "CUDA cannot be used: no")

    monkeypatch.setattr(engines_module, "_on_gpu", refuse)
    if wanted == "cuda":
        with pytest.raises(MissingExtraError):
            decode(FOUR.id, provider=wanted)
    else:
        assert decode(FOUR.id, provider=wanted) == (FOUR.frame_md5, "onnxruntime", "cpu")
        assert len(caplog.messages) == 1


def test_a_picture_over_the_gpus_memory_has_tiles(
    faulty: type[Faulty], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream, free = STREAMS.stream("nano-frame"), 1 << 18
    assert plan_calls(PROFILES[0], stream.width, stream.height, free).tiled
    monkeypatch.setattr(engines_module, "device_memory", lambda: free)
    assert decode("nano-frame", provider="cuda")[0] == stream.frame_md5
    assert caplog.messages == []


def fault(device: bool) -> CudaFault:
    return CudaFault("libcudnn.so.9 cannot be loaded", 'pip install "x"', device)


@pytest.mark.parametrize("device", [True, False])
def test_auto_says_once_that_a_gpu_is_not_used(
    device: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engines_module._say_once.cache_clear()
    monkeypatch.setattr(engines_module, "find_cuda_fault", lambda onnxruntime: fault(device))
    for _ in range(3):
        assert decode("nano-frame")[2] == "cpu"
    assert len(caplog.messages) == int(device)
    assert all("not on the GPU: libcudnn.so.9 cannot be loaded; pip install" in line for line in caplog.messages)


def test_cuda_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines_module, "find_cuda_fault", lambda onnxruntime: fault(True))
    with pytest.raises(MissingExtraError, match=r"libcudnn\.so\.9 cannot be loaded; pip install"):
        Engines("onnxruntime", "cuda")
    monkeypatch.setattr(engines_module, "find_cuda_fault", lambda onnxruntime: 1 / 0)
    assert decode("nano-frame", provider="cpu")[2] == "cpu"


@pytest.mark.parametrize(("engine", "provider"), [("auto", "tpu"), ("reference", "cuda"), ("fast", "cpu")])
def test_wrong_choices(engine: Any, provider: Any) -> None:
    with pytest.raises(ValueError, match=r"no such (engine|provider)|does not run on CUDA"):
        nvrc_decoder.open(io.BytesIO(STREAMS.read("nano-frame")), engine=engine, provider=provider)


@pytest.mark.parametrize("much", [True, False])
def test_much_memory_is_released_and_little_kept(much: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines_module, "RETAINED_BYTES", 0 if much else 1 << 40)
    released: list[bool] = []
    monkeypatch.setattr(OrtSynthesizer, "release", lambda self: released.append(True))
    with nvrc_decoder.open(io.BytesIO(STREAMS.read("nano-frame")), engine="onnxruntime", threads=1) as video:
        next(video)
        assert released == []
        video.seek(0)  # abandons the GOP
        next(video)
    assert released == [True] * much
