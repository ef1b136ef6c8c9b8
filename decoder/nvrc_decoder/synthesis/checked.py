"""GOPs on a GPU: the first of each input shape is held against its DIGEST, and the CPU stands by.

Every layer is exact in float32 whatever the order of its sums, so a GPU gives the same frames as a CPU, unless a
library picks an algorithm that rounds (docs/gpu.md). That is found out here, before a frame is given out.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InternalError, MissingExtraError
from nvrc_decoder.picture.planes import GopDigest, Planes
from nvrc_decoder.synthesis.cuda.providers import (
    Provider,
    ProviderName,
    cuda_error,
    find_cuda_fault,
    import_onnxruntime,
)

__all__ = ["CpuSynthesizer", "DeviceSynthesizer", "GopSynthesizer", "GpuState"]

Grid = npt.NDArray[np.int16]
Shape = tuple[object, ...]

# Frames of an unchecked GOP are kept until it has been checked, if they take no more than this; otherwise they are
# made a second time.
_KEPT_BYTES = 1 << 29

_log = logging.getLogger("nvrc_decoder")


@functools.cache
def _say_once(line: str) -> None:
    """One line a process and message."""
    _log.warning(line)


class CpuSynthesizer(Protocol):
    """A synthesizer on the CPU."""

    def release(self) -> None:
        """Give back the memory that is kept for the next frame."""

    def synthesise(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> list[Planes]:
        """Frames `frames` of a GOP of `frame_count` frames, from the grids of the whole GOP."""

    def stream(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Planes]:
        """As `synthesise`, as the frames are made."""


class DeviceSynthesizer(Protocol):
    """A synthesizer on a GPU; several frames in one call."""

    batch: int

    def stream(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Planes]:
        """Frames `frames` of a GOP of `frame_count` frames, from the grids of the whole GOP."""


@dataclass
class GpuState:
    """What one decoder knows about its GPU; it is kept from NETWORK to NETWORK.

    Attributes:
        wanted: what the caller asked for.
        provider: what is in use; None until that has been found out.
        checked: input shapes whose frames were right.
    """

    wanted: Provider = "auto"
    provider: ProviderName | None = None
    checked: set[Shape] = field(default_factory=set)

    def choose(self) -> ProviderName:
        """The provider to use, found out once; with ``auto``, one line if there is a GPU which cannot be used.

        Raises:
            MissingExtraError: E_MISSING_EXTRA, CUDA was asked for and cannot be used, or ONNX Runtime is missing.
        """
        if self.provider is None:
            fault = None if self.wanted == "cpu" else find_cuda_fault(import_onnxruntime())
            if fault is not None and self.wanted == "cuda":
                raise cuda_error(fault)
            if fault is not None and fault.device:
                _say_once(f"note: decoding on the CPU, not on the GPU: {fault.reason}; {fault.remedy}")
            self.provider = "cpu" if self.wanted == "cpu" or fault is not None else "cuda"
        return self.provider

    def give_up(self, reason: str) -> None:
        """Use the CPU from now on, and say so."""
        self.provider = "cpu"
        _log.warning("note: decoding goes on on the CPU: %s", reason)


class GopSynthesizer:
    """Decodes whole GOPs under one NETWORK, on a GPU while it is right, otherwise on the CPU.

    Args:
        cpu: makes the synthesizer for the CPU; called when it is first needed.
        device: makes the one for the GPU; None where there is to be none.
        state: of the decoder that this belongs to; one of its own where there is none.
    """

    def __init__(
        self,
        cpu: Callable[[], CpuSynthesizer],
        device: Callable[[], DeviceSynthesizer] | None = None,
        state: GpuState | None = None,
    ) -> None:
        self._make_cpu = cpu
        self._make_device = device
        self._made_cpu: CpuSynthesizer | None = None
        self._made_device: DeviceSynthesizer | None = None
        self._state = GpuState("cpu", "cpu") if state is None else state
        self._prepare()

    def _prepare(self) -> None:
        """Make what will be used first, so that errors come early."""
        if self._device() is None:
            self._cpu()

    def _cpu(self) -> CpuSynthesizer:
        if self._made_cpu is None:
            self._made_cpu = self._make_cpu()
        return self._made_cpu

    def _device(self) -> DeviceSynthesizer | None:
        """The GPU's synthesizer; None if the CPU is to be used."""
        if self._make_device is None or self._state.provider != "cuda":
            self._made_device = None
        elif self._made_device is None:
            try:
                self._made_device = self._make_device()
            except (MissingExtraError, InternalError) as error:
                if self._state.wanted == "cuda":
                    raise
                self._state.give_up(error.message)
        return self._made_device

    def synthesise(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> list[Planes]:
        """Frames `frames` of a GOP of `frame_count` frames; nothing is checked."""
        device = self._device()
        if device is None:
            return self._cpu().synthesise(grids, frame_count, frames)
        return list(device.stream(grids, frame_count, frames))

    def decode_gop(self, grids: Sequence[Grid | None], frame_count: int, first: int, digest: bytes) -> Iterator[Planes]:
        """The frames of a GOP from `first` on, one after another; on the CPU, what its synthesizer returns.

        Args:
            grids: per slot int16 [nodes, channels, rows, columns] of the whole GOP, None where the slot is absent.
            frame_count: frames in the GOP.
            first: 0 .. frame_count.
            digest: what the stream says about the frames of the whole GOP. Only a GPU is held against it, and only
                for the first GOP of a shape; holding the stream against it is up to the caller.

        Raises:
            InternalError: E_RUNTIME, ONNX Runtime failed on the CPU too.
        """
        device = self._device()
        if device is None:
            return self._cpu().stream(grids, frame_count, range(first, frame_count))
        return self._on_device(device, grids, frame_count, first, digest)

    def release(self) -> None:
        """Give back the memory of the CPU that is kept for the next frame, where it is much."""
        if self._made_cpu is not None:
            self._made_cpu.release()

    def _on_device(
        self, device: DeviceSynthesizer, grids: Sequence[Grid | None], frame_count: int, first: int, digest: bytes
    ) -> Iterator[Planes]:
        """The frames from the GPU, and from the CPU where it fails."""
        if _shape(device, grids, frame_count) in self._state.checked:
            first = yield from self._from_device(device, grids, frame_count, first)
        else:
            first = yield from self._first_of_shape(device, grids, frame_count, first, digest)
        if first < frame_count:
            yield from self._cpu().stream(grids, frame_count, range(first, frame_count))

    def _from_device(
        self, device: DeviceSynthesizer, grids: Sequence[Grid | None], frame_count: int, first: int
    ) -> Generator[Planes, None, int]:
        """Frames of a checked shape; returns where the CPU has to go on: frame_count, unless the GPU fails."""
        done = first
        try:
            for t, frame in enumerate(device.stream(grids, frame_count, _whole_calls(device, frame_count, first))):
                if t >= first % device.batch:
                    yield frame
                    done += 1
        except InternalError as error:
            self._state.give_up(error.message)
        return done

    def _first_of_shape(
        self,
        device: DeviceSynthesizer,
        grids: Sequence[Grid | None],
        frame_count: int,
        first: int,
        digest: bytes,
    ) -> Generator[Planes, None, int]:
        """Frames of a GOP that has to be checked; returns where the CPU has to go on."""
        while True:
            try:
                found, kept = _digest(device, grids, frame_count)
                break
            except InternalError as error:
                # As a rule there was no room for so many frames.
                if device.batch == 1:
                    self._state.give_up(error.message)
                    return first
                device.batch //= 2
        shape = _shape(device, grids, frame_count)
        if found != digest:
            yield from self._decode_again(shape, grids, frame_count, first, digest, found)
            return frame_count
        self._state.checked.add(shape)
        if kept is None:
            return (yield from self._from_device(device, grids, frame_count, first))
        yield from kept[first:]
        return frame_count

    def _decode_again(
        self,
        shape: Shape,
        grids: Sequence[Grid | None],
        frame_count: int,
        first: int,
        digest: bytes,
        found: bytes,
    ) -> Iterator[Planes]:
        """The GOP on the CPU, and whose fault it was: where both made the same frames, the GPU is not to blame."""
        again = GopDigest()
        for t, frame in enumerate(self._cpu().stream(grids, frame_count, range(frame_count))):
            again.update(frame)
            if t == frame_count - 1:
                # Before the last frame is given out: nobody has to come back for another one.
                self._judge(shape, digest, found, again.digest())
            if t >= first:
                yield frame

    def _judge(self, shape: Shape, digest: bytes, device: bytes, cpu: bytes) -> None:
        if device == cpu:
            self._state.checked.add(shape)
        elif cpu == digest:
            self._state.give_up("the GPU's frames did not match their DIGEST, the CPU's do")
        else:
            self._state.give_up("the GPU's frames are not the CPU's, and neither match their DIGEST")


def _shape(device: DeviceSynthesizer, grids: Sequence[Grid | None], frame_count: int) -> Shape:
    """What the shapes of all calls for a GOP follow from."""
    return (frame_count, device.batch, *(None if grid is None else grid.shape for grid in grids))


def _whole_calls(device: DeviceSynthesizer, frame_count: int, first: int) -> range:
    """Frames from `first` on, from the beginning of its call: only shapes that were checked are run."""
    return range(first - first % device.batch, frame_count)


def _digest(
    device: DeviceSynthesizer, grids: Sequence[Grid | None], frame_count: int
) -> tuple[bytes, list[Planes] | None]:
    """The digest of a GOP on the GPU, and its frames unless they are too many to keep."""
    digest = GopDigest()
    kept: list[Planes] | None = []
    size = 0
    for frame in device.stream(grids, frame_count, range(frame_count)):
        digest.update(frame)
        size += sum(plane.nbytes for plane in frame.planes())
        if size > _KEPT_BYTES:
            kept = None
        elif kept is not None:
            kept.append(frame)
    return digest.digest(), kept
