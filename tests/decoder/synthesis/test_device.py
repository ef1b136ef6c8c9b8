"""GOPs on a GPU that is right, wrong, broken or full, with fakes: whose frames come out, and what is said."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

import nvrc_decoder
from nvrc_conformance.manifest import load_manifest
from nvrc_decoder.decode import engine as engine_module
from nvrc_decoder.errors import InternalError, InvalidStreamError, MissingExtraError
from nvrc_decoder.picture.planes import GopDigest, Planes
from nvrc_decoder.profiles import PROFILES
from nvrc_decoder.synthesis import checked as checked_module
from nvrc_decoder.synthesis.checked import GopSynthesizer, GpuState
from nvrc_decoder.synthesis.cuda.calls import plan_calls
from nvrc_decoder.synthesis.cuda.providers import CudaFault
from nvrc_decoder.synthesis.onnx.runtime import OrtSynthesizer

GRIDS = [np.zeros((6, 1, 2, 2), np.int16), None]
FRAMES = 6


def picture(t: int, error: int = 0) -> Planes:
    return Planes(np.full((2, 2), 10 * t + error, np.uint8))


def digest_of(frames: list[Planes]) -> bytes:
    digest = GopDigest()
    for frame in frames:
        digest.update(frame)
    return digest.digest()


RIGHT = digest_of([picture(t) for t in range(FRAMES)])


@dataclass
class Fake:
    """Either synthesizer. `error` is added to the samples of frame 3, `fails` is the frame that raises, `room` the most
    frames in one call."""

    error: int = 0
    fails: int | None = None
    room: int = 100
    batch: int = 4
    made: list[int] = field(default_factory=list)
    released: int = 0

    def release(self) -> None:
        self.released += 1

    def stream(self, grids: list[np.ndarray | None], frame_count: int, frames: range) -> Iterator[Planes]:
        assert grids is GRIDS
        for t in frames:
            if t == self.fails or self.batch > self.room:
                raise InternalError("E_RUNTIME", "ONNX Runtime failed: no luck")
            self.made.append(t)
            yield picture(t, self.error if t == 3 else 0)

    def synthesise(self, grids: list[np.ndarray | None], frame_count: int, frames: range) -> list[Planes]:
        return list(self.stream(grids, frame_count, frames))


def pair(gpu: Fake, cpu: Fake, state: GpuState | None = None) -> tuple[GopSynthesizer, GpuState]:
    state = state or GpuState("auto", "cuda")
    return GopSynthesizer(lambda: cpu, lambda: gpu, state), state


def samples(synthesizer: GopSynthesizer, first: int = 0, digest: bytes = RIGHT) -> list[int]:
    return [int(frame.y[0, 0]) for frame in synthesizer.decode_gop(GRIDS, FRAMES, first, digest)]


GOOD = [0, 10, 20, 30, 40, 50]


def test_a_gpu_that_is_right_is_checked_once_a_shape(caplog):
    gpu, cpu = Fake(), Fake()
    synthesizer, state = pair(gpu, cpu)
    assert samples(synthesizer) == GOOD
    assert state.provider == "cuda"
    assert len(state.checked) == 1
    # A wrong digest is none of its business any more.
    assert samples(synthesizer, digest=b"?" * 16) == GOOD
    assert gpu.made == [*range(FRAMES)] * 2
    # Another NETWORK of the same decoder: the shape stays checked.
    again, _ = pair(Fake(error=1), cpu, state)
    assert samples(again) == [0, 10, 20, 31, 40, 50]
    assert cpu.made == []
    assert caplog.messages == []


def test_a_wrong_gpu_is_found_out_before_a_frame_comes_out(caplog):
    gpu, cpu = Fake(error=1), Fake()
    synthesizer, state = pair(gpu, cpu)
    frames = synthesizer.decode_gop(GRIDS, FRAMES, 0, RIGHT)
    assert int(next(frames).y[0, 0]) == 0
    assert gpu.made == [*range(FRAMES)]
    assert [int(frame.y[0, 0]) for frame in frames] == GOOD[1:]
    assert state.provider == "cpu"
    (line,) = caplog.messages
    assert "did not match their DIGEST, the CPU's do" in line
    # The CPU goes on, and nothing more is said; also after the next NETWORK.
    gpu.made.clear()
    again, _ = pair(gpu, cpu, state)
    assert samples(synthesizer) == samples(again) == GOOD
    assert gpu.made == []
    assert len(caplog.messages) == 1


def test_where_both_make_the_same_frames_the_stream_is_wrong_and_the_gpu_stays(caplog):
    gpu, cpu = Fake(), Fake()
    synthesizer, state = pair(gpu, cpu)
    assert samples(synthesizer, digest=b"?" * 16) == GOOD
    assert cpu.made == [*range(FRAMES)]
    assert state.provider == "cuda"
    assert caplog.messages == []
    assert samples(synthesizer) == GOOD
    assert cpu.made == [*range(FRAMES)]


def test_where_both_are_wrong_in_their_own_way_the_cpu_goes_on(caplog):
    synthesizer, state = pair(Fake(error=1), Fake(error=2))
    assert samples(synthesizer) == [0, 10, 20, 32, 40, 50]
    assert state.provider == "cpu"
    (line,) = caplog.messages
    assert "neither match" in line


@pytest.mark.parametrize("first", range(FRAMES + 1))
@pytest.mark.parametrize("error", [0, 1])
def test_frames_from_the_middle(first, error):
    gpu, cpu = Fake(error=error), Fake()
    synthesizer, _ = pair(gpu, cpu)
    for _ in range(2):
        assert samples(synthesizer, first) == GOOD[first:]
    if not error and first < FRAMES:
        # The second time from the start of the call, so that only checked shapes are run.
        assert gpu.made == [*range(FRAMES), *range(first - first % 4, FRAMES)]


def test_frames_that_are_too_many_to_keep_are_made_twice(monkeypatch):
    monkeypatch.setattr(checked_module, "_KEPT_BYTES", 3 * 4)
    gpu, cpu = Fake(), Fake()
    synthesizer, _ = pair(gpu, cpu)
    assert samples(synthesizer, 2) == GOOD[2:]
    assert gpu.made == [*range(FRAMES)] * 2
    assert cpu.made == []


def test_an_abandoned_gop_leaves_the_question_open(caplog):
    synthesizer, state = pair(Fake(error=1), Fake())
    frames = synthesizer.decode_gop(GRIDS, FRAMES, 0, RIGHT)
    next(frames)
    frames.close()
    assert (state.provider, state.checked, caplog.messages) == ("cuda", set(), [])


@pytest.mark.parametrize("checked", [False, True])
def test_a_gpu_that_fails_hands_over_to_the_cpu(caplog, checked):
    gpu, cpu = Fake(batch=1), Fake()
    synthesizer, state = pair(gpu, cpu)
    if checked:
        assert samples(synthesizer) == GOOD
    gpu.fails = 4
    assert samples(synthesizer, 1) == GOOD[1:]
    assert cpu.made == ([4, 5] if checked else [1, 2, 3, 4, 5])
    assert state.provider == "cpu"
    (line,) = caplog.messages
    assert line.endswith("goes on on the CPU: ONNX Runtime failed: no luck")


def test_less_room_means_fewer_frames_in_a_call(caplog):
    gpu, cpu = Fake(batch=12, room=3), Fake()
    synthesizer, state = pair(gpu, cpu)
    assert samples(synthesizer) == GOOD
    assert (gpu.batch, cpu.made, state.provider, caplog.messages) == (3, [], "cuda", [])


def fault(device: bool) -> CudaFault:
    return CudaFault("libcudnn.so.9 cannot be loaded", 'pip install "x"', device)


@pytest.mark.parametrize("device", [True, False])
def test_auto_speaks_once_and_only_where_there_is_a_gpu(monkeypatch, caplog, device):
    checked_module._say_once.cache_clear()
    monkeypatch.setattr(checked_module, "find_cuda_fault", lambda onnxruntime: fault(device))
    assert [GpuState("auto").choose() for _ in range(3)] == ["cpu"] * 3
    assert len(caplog.messages) == int(device)
    assert all("not on the GPU: libcudnn.so.9 cannot be loaded; pip install" in line for line in caplog.messages)


def test_cuda_that_cannot_be_used_is_an_error_and_cpu_does_not_ask(monkeypatch):
    monkeypatch.setattr(checked_module, "find_cuda_fault", lambda onnxruntime: fault(True))
    with pytest.raises(MissingExtraError, match=r"libcudnn\.so\.9 cannot be loaded; pip install"):
        GpuState("cuda").choose()
    monkeypatch.setattr(checked_module, "find_cuda_fault", lambda onnxruntime: 1 / 0)
    assert GpuState("cpu").choose() == "cpu"


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_a_session_that_cannot_be_made(caplog, wanted):
    def refuse() -> Fake:
        raise MissingExtraError("E_MISSING_EXTRA", "CUDA cannot be used: no")

    state = GpuState(wanted, "cuda")
    if wanted == "cuda":
        with pytest.raises(MissingExtraError):
            GopSynthesizer(Fake, refuse, state)
    else:
        assert samples(GopSynthesizer(Fake, refuse, state)) == GOOD
        assert len(caplog.messages) == 1


STREAMS = load_manifest()


class CpuAsGpu(OrtSynthesizer):
    """What the engine takes for a GPU: the CPU provider, with one sample of one frame of each GOP changed if wanted."""

    wrong = False

    def __init__(self, *arguments: object, provider: str = "cpu", **options: object) -> None:
        self.is_gpu = provider == "cuda"
        super().__init__(*arguments, provider="cpu", motion_graphs=self.is_gpu, **options)

    def stream(self, *arguments: object) -> Iterator[Planes]:
        for t, frame in enumerate(super().stream(*arguments)):
            if self.is_gpu and self.wrong and t == 1:
                frame.y[0, 0] ^= 1
            yield frame


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", ["nano-four-gops", "lite-420-10", "main-pair", "nano-444"])
def test_streams_decode_through_a_gpu(monkeypatch, caplog, name, verify, wrong):
    monkeypatch.setattr("nvrc_decoder.synthesis.onnx.runtime.OrtSynthesizer", CpuAsGpu)
    monkeypatch.setattr(CpuAsGpu, "wrong", wrong)
    monkeypatch.setattr(checked_module, "find_cuda_fault", lambda onnxruntime: None)
    monkeypatch.setattr(engine_module, "device_memory", lambda: 1 << 30)
    with nvrc_decoder.open(io.BytesIO(STREAMS.read(name)), provider="cuda", threads=1, verify=verify) as video:
        md5s = [frame.md5() for frame in video]
        assert video.provider == ("cpu" if wrong else "cuda")
    assert tuple(md5s) == STREAMS.stream(name).frame_md5
    assert len(caplog.messages) == int(wrong)
    assert all(record.levelno == logging.WARNING for record in caplog.records)


def test_a_wrong_stream_is_a_wrong_stream_on_a_gpu(monkeypatch, caplog):
    """The GPU and the CPU agree, so that the DIGEST is at fault, and neither is blamed."""
    monkeypatch.setattr("nvrc_decoder.synthesis.onnx.runtime.OrtSynthesizer", CpuAsGpu)
    monkeypatch.setattr(checked_module, "find_cuda_fault", lambda onnxruntime: None)
    monkeypatch.setattr(engine_module, "device_memory", lambda: 0)
    data = with_wrong_digests(STREAMS.read("nano-four-gops"))
    with nvrc_decoder.open(io.BytesIO(data), provider="cuda", threads=1) as video:
        with pytest.raises(InvalidStreamError) as caught:
            list(video)
        assert caught.value.code == "E_DIGEST"
        assert video.provider == "cuda"
    assert caplog.messages == []


def with_wrong_digests(data: bytes) -> bytes:
    from stream_builders import assemble, split

    units = split(data)
    changed = [(kind, hashlib.md5(payload).digest() if kind == 0x04 else payload) for kind, payload in units]
    footer = data[-12:] if any(kind == 0x82 for kind, _ in units) else b""
    return assemble(changed, footer)


def test_pictures_over_the_gpus_memory_go_in_tiles(monkeypatch, caplog):
    monkeypatch.setattr("nvrc_decoder.synthesis.onnx.runtime.OrtSynthesizer", CpuAsGpu)
    monkeypatch.setattr(checked_module, "find_cuda_fault", lambda onnxruntime: None)
    name, free = "nano-frame", 1 << 18
    stream = STREAMS.stream(name)
    assert plan_calls(PROFILES[0], stream.width, stream.height, free).tiled
    monkeypatch.setattr(engine_module, "device_memory", lambda: free)
    with nvrc_decoder.open(io.BytesIO(STREAMS.read(name)), provider="cuda", threads=1) as video:
        assert tuple(frame.md5() for frame in video) == stream.frame_md5
    assert caplog.messages == []


@pytest.mark.parametrize(("engine", "provider"), [("auto", "tpu"), ("reference", "cuda")])
def test_wrong_choices(engine, provider):
    with pytest.raises(ValueError, match=r"no such provider|does not run on CUDA"):
        nvrc_decoder.open(io.BytesIO(STREAMS.read("nano-frame")), engine=engine, provider=provider)
