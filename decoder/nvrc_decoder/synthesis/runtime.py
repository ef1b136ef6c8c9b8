"""Synthesis in ONNX Runtime: a stream's parameters over the placeholders of its profile's graph (spec 6.4, chapter 7).

The graph does all the arithmetic, interpolation included; here it is given node ranges of the grids and what motion
makes of them, and rows become planes. Nothing but parsed integers is shared with `reference`.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nvrc_decoder.frames import PictureFormat, Planes, plane_shapes
from nvrc_decoder.profiles import WARPED_TEMPORAL_STRIDE, Profile
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.synthesis.device_warping import DeviceWarper
from nvrc_decoder.synthesis.host_warping import HostWarper
from nvrc_decoder.synthesis.initializers import graph_initializers
from nvrc_decoder.synthesis.motion_graphs import MotionGraphs
from nvrc_decoder.synthesis.parallel import InOrder, cores
from nvrc_decoder.synthesis.providers import Provider, ProviderName, cuda_error, find_cuda_fault, import_onnxruntime
from nvrc_decoder.synthesis.session import GraphSession, Tensor, graph_bytes, output_bytes, output_names
from nvrc_decoder.synthesis.warping import Warped, Warper

__all__ = ["OrtSynthesizer"]

Grid = npt.NDArray[np.int16]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# Profiles whose stages are so wide that blocked convolutions win more than the reorders around Floor cost.
_BLOCKED = frozenset({"main"})
# Most bytes of grids on a device at one time: a whole GOP in all usual cases.
_PLACED_BYTES = 1 << 29


@dataclass(frozen=True)
class _Smallest:
    """The format of the smallest picture."""

    chroma_format: int
    bit_depth: int
    width: int = 1
    height: int = 1


class OrtSynthesizer:
    """Decodes any frames of any GOP under one NETWORK.

    Args:
        profile: the stream's profile.
        picture: size, chroma format and bit depth.
        stage_channels, stage_blocks: active channels and blocks of each stage.
        layers: proved layers by canonical name, exactly those of `profiles.synthesis_layers`.
        multipliers: per slot the multiplier of each active channel; empty where the slot is absent.
        base: channel 0 of the profile's base slot is a base channel.
        provider: ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where everything that it needs is found, otherwise CPU.
        threads: threads on the CPU; None: as many as ONNX Runtime thinks fit, and as many as there are cores for
            motion.
        optimization: whether ONNX Runtime may fold and fuse; the frames are the same.
        layout: whether it may also block tensors by channels for its convolutions, which every Floor then undoes; the
            frames are the same. None takes what measured faster: only for `main` on the CPU.
        batch: frames in one call; memory grows with it, the frames are the same.
        frame_threads: calls at a time on the CPU, which share the `threads`; memory grows with it, the frames are the
            same. Where motion is worked out in graphs it is one.
        motion_graphs: whether motion is worked out in graphs on the CPU, too, and not by OpenCV; the frames are the
            same.
        cuda_options: options of the CUDA provider that are to differ from `providers.CUDA_OPTIONS`.

    Attributes:
        provider: the provider in use, ``"cpu"`` or ``"cuda"``.
        batch: frames in one call.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, if ONNX Runtime, or the CUDA that was asked for, is not here.
    """

    def __init__(
        self,
        profile: Profile,
        picture: PictureFormat,
        stage_channels: Sequence[int],
        stage_blocks: Sequence[int],
        layers: Mapping[str, IntegerLayer],
        multipliers: Sequence[Sequence[int]],
        base: bool = False,
        *,
        provider: Provider = "cpu",
        threads: int | None = None,
        optimization: bool = True,
        layout: bool | None = None,
        batch: int = 1,
        frame_threads: int = 1,
        motion_graphs: bool = False,
        cuda_options: Mapping[str, str] | None = None,
    ) -> None:
        if provider not in ("auto", "cpu", "cuda"):
            raise ValueError(f"unknown provider {provider!r}")
        if batch < 1:
            raise ValueError(f"a call takes at least one frame, not {batch}")
        if frame_threads < 1:
            raise ValueError(f"there is at least one call at a time, not {frame_threads}")
        fault = None if provider == "cpu" else find_cuda_fault(import_onnxruntime())
        if provider == "cuda" and fault is not None:
            raise cuda_error(fault)
        self.provider: ProviderName = "cpu" if provider == "cpu" or fault is not None else "cuda"
        self.batch = batch
        self._frame_threads = frame_threads
        if frame_threads > 1:
            # Each call has a thread of its own, and they share the others.
            threads = max(1, (cores() if threads is None else threads) - frame_threads + 1)
        self._profile = profile
        self._picture = picture
        self._last_stride = max(slot.temporal_stride for slot in profile.slots)
        self._zeros: dict[tuple[int, ...], npt.NDArray[np.float32]] = {}
        layout = self.provider == "cpu" and profile.name in _BLOCKED if layout is None else layout
        make = functools.partial(
            GraphSession, provider=self.provider, threads=threads, optimization=optimization, cuda_options=cuda_options
        )
        self._session = make(
            graph_bytes(profile) + output_bytes(picture.chroma_format, picture.bit_depth),
            output_names(picture.chroma_format),
            graph_initializers(profile, picture, stage_channels, stage_blocks, layers, multipliers, base),
            layout=layout,
        )
        graphs = MotionGraphs.of(profile, layers, multipliers, base)
        self._warper: Warper | None = None
        if graphs is not None:
            make_motion = functools.partial(make, layout=False)
            in_graphs = motion_graphs or self.provider != "cpu"
            self._warper = (
                DeviceWarper(profile, graphs, make_motion)
                if in_graphs
                else HostWarper(profile, graphs, make_motion, threads)
            )

    def resized(self, picture: PictureFormat) -> Self:
        """The same synthesizer for pictures of another size; `picture` differs in nothing else."""
        twin = copy.copy(self)
        twin._picture = picture
        return twin

    def synthesise(
        self,
        grids: Sequence[Grid | None],
        frame_count: int,
        frames: range,
        warped: Mapping[int, Warped] | None = None,
    ) -> list[Planes]:
        """Frames `frames` of a GOP of `frame_count` frames.

        Args:
            grids: per slot int16 [nodes, channels, rows, columns] of the whole GOP, None where the slot is absent.
            frame_count: frames in the GOP.
            frames: the frames wanted, consecutive, within ``range(frame_count)``.
            warped: what `warped` gives for these frames, for a picture that is a part of the whole; None to have it
                worked out.

        Raises:
            InternalError: E_RUNTIME, ONNX Runtime failed.
        """
        return list(self.stream(grids, frame_count, frames, warped))

    def warped(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> dict[int, Warped]:
        """What motion makes of the grids that it warps, at `frames`; arguments as in `synthesise`.

        Returns:
            Per warped slot int16 [frames, channels, rows, columns], of all channels that the graph has; empty where
            motion is off.

        Raises:
            InternalError: E_RUNTIME, ONNX Runtime failed.
        """
        return {} if self._warper is None else self._warper.warp(grids, self._picture, frames, compact=True)

    def stream(
        self,
        grids: Sequence[Grid | None],
        frame_count: int,
        frames: range,
        warped: Mapping[int, Warped] | None = None,
    ) -> Iterator[Planes]:
        """As `synthesise`, as the calls end; the grids are placed on a device once for many calls.

        With one frame a call on the CPU this is an `InOrder`, which can begin before the first frame is asked for.
        """
        if frames.step != 1 or (len(frames) and (frames.start < 0 or frames.stop > frame_count)):
            raise ValueError(f"{frames} are not consecutive frames of a GOP of {frame_count}")
        if self.provider != "cpu" or isinstance(self._warper, DeviceWarper):
            return self._on_device(grids, frame_count, frames, warped)
        calls = self._on_host(grids, frame_count, frames, warped)
        work = self._call_and_take_back if warped is None else self._call
        if self.batch == 1:
            return InOrder(lambda feeds: work(feeds)[0], calls, self._frame_threads)
        return _each(InOrder(work, calls, self._frame_threads))

    def _on_host(
        self, grids: Sequence[Grid | None], frame_count: int, frames: range, warped: Mapping[int, Warped] | None
    ) -> Iterator[dict[str, Tensor]]:
        """The inputs of calls. Motion comes with them, in the caller's thread: it goes from node to node."""
        for start in range(frames.start, frames.stop, self.batch):
            call = range(start, min(start + self.batch, frames.stop))
            yield self._feeds(grids, frame_count, call, _cut(warped, start - frames.start, len(call)))

    def _call(self, feeds: dict[str, Tensor]) -> list[Planes]:
        return self._frames(self._session.run(self._session.place(feeds)))

    def _call_and_take_back(self, feeds: dict[str, Tensor]) -> list[Planes]:
        """As `_call`, where what is warped came from the warper."""
        frames = self._call(feeds)
        if self._warper is not None:
            for i in self._warper.slots:
                self._warper.take_back(i, feeds[f"warped{i}"])
        return frames

    def _on_device(
        self, grids: Sequence[Grid | None], frame_count: int, frames: range, warped: Mapping[int, Warped] | None
    ) -> Iterator[Planes]:
        """A call after another, all where the sessions run."""
        run = self._frames_placed(frames)
        for start in range(frames.start, frames.stop, run):
            some = range(start, min(start + run, frames.stop))
            yield from self._run(grids, frame_count, some, _cut(warped, start - frames.start, len(some)))

    def _frames_placed(self, frames: range) -> int:
        """For how many frames grids are placed at a time: whole calls, one on the CPU, where that is free."""
        if self.provider == "cpu":
            return self.batch
        samples = sum(
            slot.max_channels * -(-self._picture.height // slot.stride) * -(-self._picture.width // slot.stride)
            for slot in self._profile.slots
        )
        calls = _PLACED_BYTES // (samples * np.dtype(np.float32).itemsize * self.batch)
        return self.batch * max(1, min(calls, -(-len(frames) // self.batch)))

    def _run(
        self, grids: Sequence[Grid | None], frame_count: int, frames: range, warped: Mapping[int, Warped] | None
    ) -> Iterator[Planes]:
        """Frames whose grids fit the device at one time."""
        base, tensors = self._nodes(grids, frame_count, frames)
        placed: dict[str, Any] = self._session.place(tensors)
        del tensors
        for call in self._calls(frames):
            numbers = self._session.place(self._numbers(frame_count, call, base))
            if isinstance(self._warper, DeviceWarper) and warped is None:
                still = self._session.place(self._still(self._warper.slots))
                moved = {**still, **self._warper.warp_placed(grids, self._picture, call)}
            else:
                cut = _cut(warped, call.start - frames.start, len(call))
                moved = self._session.place(self._moved(grids, call, cut))
            yield from self._frames(self._session.run({**placed, **numbers, **moved}))

    def _calls(self, frames: range) -> Iterator[range]:
        """Frames in calls; with motion in graphs none reaches over a node, whose planes would have to be others."""
        period = WARPED_TEMPORAL_STRIDE if isinstance(self._warper, DeviceWarper) else 0
        start = frames.start
        while start < frames.stop:
            stop = min(start + self.batch, frames.stop)
            if period:
                stop = min(stop, start - start % period + period)
            yield range(start, stop)
            start = stop

    def _moved(
        self, grids: Sequence[Grid | None], frames: range, warped: Mapping[int, Warped] | None
    ) -> dict[str, Tensor]:
        """The graph's inputs for what is warped, where that is worked out in this machine's memory."""
        values: Mapping[int, Warped] = {}
        if self._warper is not None:
            values = self._warper.warp(grids, self._picture, frames) if warped is None else warped
        moved: dict[str, Tensor] = {f"warped{i}": np.ascontiguousarray(x, np.float32) for i, x in values.items()}
        return {**self._still(values), **moved}

    def _still(self, moving: Container[int]) -> dict[str, Tensor]:
        """The graph's inputs for the slots that could be warped, but for those `moving`: zeros that broadcast."""
        return {
            f"warped{i}": np.zeros((1, self._profile.slots[i].max_channels, 1, 1), np.float32)
            for i in self._profile.warped_slots
            if i not in moving
        }

    def release(self) -> None:
        """Give back the memory of the CPU that is kept for the next call; takes some milliseconds."""
        if self.provider == "cpu":
            tiny = copy.copy(self)
            tiny._picture = _Smallest(self._picture.chroma_format, self._picture.bit_depth)
            base, tensors = tiny._nodes([None] * len(self._profile.slots), 1, range(1))
            still = {i: np.zeros((1, *tensors[f"grid{i}"].shape[1:]), np.float32) for i in self._profile.warped_slots}
            inputs = {**tensors, **tiny._numbers(1, range(1), base), **tiny._moved([], range(1), still)}
            self._session.run(self._session.place(inputs), shrink=True)
            self._zeros.clear()
            if self._warper is not None:
                self._warper.release()

    def feeds(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> dict[str, Tensor]:
        """The graph's inputs for a run of frames: the nodes that they touch, and frame numbers relative to those."""
        return self._feeds(grids, frame_count, frames, None)

    def _feeds(
        self, grids: Sequence[Grid | None], frame_count: int, frames: range, warped: Mapping[int, Warped] | None
    ) -> dict[str, Tensor]:
        base, tensors = self._nodes(grids, frame_count, frames)
        return {**self._numbers(frame_count, frames, base), **tensors, **self._moved(grids, frames, warped)}

    def _numbers(self, frame_count: int, frames: range, base: int) -> dict[str, Tensor]:
        """The frames of a call, counted from the frame `base`."""
        numbers: dict[str, Tensor] = {"frames": np.arange(frames.start - base, frames.stop - base, dtype=np.int64)}
        if self._profile.temporal_stem:
            run = np.arange(frames.start - 1, frames.stop + 1, dtype=np.int64)
            numbers["stem_frames"] = np.clip(run, 0, frame_count - 1) - base
        return numbers

    def _nodes(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> tuple[int, dict[str, Tensor]]:
        """The nodes that a run of frames touches, and the frame of the GOP where their numbering begins."""
        halo = 1 if self._profile.temporal_stem else 0
        first, last = max(frames.start - halo, 0), min(frames.stop - 1 + halo, frame_count - 1)
        # A multiple of every temporal stride, so that one shift of the frame numbers is right for all slots.
        base = first - first % self._last_stride
        tensors: dict[str, Tensor] = {}
        moving = () if self._warper is None else self._warper.slots
        for i, (slot, grid) in enumerate(zip(self._profile.slots, grids, strict=True)):
            if slot.flow:
                continue
            if i in moving:
                # It comes warped, and what broadcasts is enough of zeros.
                tensors[f"grid{i}"] = np.zeros((1, slot.max_channels, 1, 1), dtype=np.float32)
                continue
            if grid is None:
                rows, columns = -(-self._picture.height // slot.stride), -(-self._picture.width // slot.stride)
                tensors[f"grid{i}"] = self._no_grid((1, slot.max_channels, rows, columns))
                continue
            stride = slot.temporal_stride
            node, end = base // stride, min(last // stride + (stride > 1), grid.shape[0] - 1)
            nodes = np.zeros((end - node + 1, slot.max_channels, *grid.shape[2:]), dtype=np.float32)
            # Nodes before the first one that a frame touches are there for the numbering only.
            touched = first // stride
            nodes[touched - node :, : grid.shape[1]] = grid[touched : end + 1]
            tensors[f"grid{i}"] = nodes
        return base, tensors

    def _no_grid(self, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Zeros, made once: to read new ones takes as long as to write them."""
        if shape not in self._zeros:
            self._zeros[shape] = np.zeros(shape, np.float32)
        return self._zeros[shape]

    def _frames(self, outputs: Sequence[Samples]) -> list[Planes]:
        """The frames of a call."""
        luma, *chroma = outputs
        return [self._planes(luma[t], chroma[0][t] if chroma else None) for t in range(len(luma))]

    def _planes(self, luma: Samples, chroma: Samples | None) -> Planes:
        """Planes of the session's even sizes to cropped planes (spec 8.1, 8.2)."""
        parts = [*luma, *(() if chroma is None else chroma)]
        shapes = plane_shapes(self._picture.width, self._picture.height, self._picture.chroma_format)
        return Planes(
            *(np.ascontiguousarray(part[:rows, :columns]) for part, (rows, columns) in zip(parts, shapes, strict=True))
        )


def _each(calls: InOrder[dict[str, Tensor], list[Planes]]) -> Iterator[Planes]:
    """The frames of calls of several."""
    with contextlib.closing(calls):
        for frames in calls:
            yield from frames


def _cut(warped: Mapping[int, Warped] | None, first: int, count: int) -> Mapping[int, Warped] | None:
    """Of what was warped `count` frames from the `first` on."""
    return None if warped is None else {i: values[first : first + count] for i, values in warped.items()}
