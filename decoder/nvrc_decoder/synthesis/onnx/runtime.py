"""Synthesis in ONNX Runtime: a stream's parameters over the placeholders of its profile's graph (spec 6.4, chapter 7).

The graph does all the arithmetic; here it is given the grids of some frames and what is predicted for these frames, and
its output becomes planes. Nothing but parsed integers is shared with `reference`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nvrc_decoder.picture.planes import PictureFormat, Planes, plane_shapes
from nvrc_decoder.profiles import Profile
from nvrc_decoder.pyramid import DEFAULT_PYRAMID, Pyramid
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.synthesis.cpu.predictor import CpuPredictor
from nvrc_decoder.synthesis.cuda.providers import (
    Provider,
    ProviderName,
    cuda_error,
    find_cuda_fault,
    import_onnxruntime,
)
from nvrc_decoder.synthesis.onnx.initializers import PREDICTED, graph_initializers, graph_inputs
from nvrc_decoder.synthesis.onnx.predictor import GraphPredictor
from nvrc_decoder.synthesis.onnx.session import GraphSession, Tensor, graph_bytes, output_bytes, output_names
from nvrc_decoder.synthesis.predictor import PlaneArray, PlanePredictor
from nvrc_decoder.synthesis.synthesizer import Grid, Job, TileSynthesizer
from nvrc_decoder.system.threads import cores

__all__ = ["OrtSynthesizer"]

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# Profiles whose stages are so wide that blocked convolutions win more than the reorders around Floor cost.
_BLOCKED = frozenset({"main"})


@dataclass(frozen=True)
class _Smallest:
    """The format of the smallest picture."""

    chroma_format: int
    bit_depth: int
    width: int = 1
    height: int = 1


@dataclass(frozen=True)
class _Call:
    """Inputs of one call, and those arrays among them that the predictor may have back."""

    inputs: Mapping[str, Any]
    lent: Mapping[int, PlaneArray]


class OrtSynthesizer(TileSynthesizer):
    """Decodes any frames of any GOP under one NETWORK.

    Args:
        profile, picture, stage_channels, stage_blocks, layers, multipliers, pyramid: as in `NetworkParts`.
        provider: ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where everything that it needs is found, otherwise CPU.
        threads: threads on the CPU; None: as many as ONNX Runtime thinks fit, and as many as there are cores for
            motion.
        optimization: whether ONNX Runtime may fold and fuse; the frames are the same.
        layout: whether it may also block tensors by channels for its convolutions, which every Floor then undoes; the
            frames are the same. None takes what measured faster: only for `main` on the CPU.
        batch: frames in one call; memory grows with it, the frames are the same.
        workers: calls that run concurrently on the CPU and share the `threads`; memory grows with it, the frames are
            the same. Where planes are predicted in graphs it is one.
        motion_graphs: whether planes are predicted in graphs on the CPU, too, and not by OpenCV; the frames are the
            same.
        cuda_options: options of the CUDA provider that are to differ from `providers.CUDA_OPTIONS`.

    Attributes:
        provider: the provider in use, ``"cpu"`` or ``"cuda"``.
        batch: frames in one call.
        workers: calls that may run concurrently.

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
        pyramid: Pyramid = DEFAULT_PYRAMID,
        *,
        provider: Provider = "cpu",
        threads: int | None = None,
        optimization: bool = True,
        layout: bool | None = None,
        batch: int = 1,
        workers: int = 1,
        motion_graphs: bool = False,
        cuda_options: Mapping[str, str] | None = None,
    ) -> None:
        if provider not in ("auto", "cpu", "cuda"):
            raise ValueError(f"unknown provider {provider!r}")
        if batch < 1:
            raise ValueError(f"a call takes at least one frame, not {batch}")
        if workers < 1:
            raise ValueError(f"there is at least one worker, not {workers}")
        fault = None if provider == "cpu" else find_cuda_fault(import_onnxruntime())
        if provider == "cuda" and fault is not None:
            raise cuda_error(fault)
        self.provider: ProviderName = "cpu" if provider == "cpu" or fault is not None else "cuda"
        self.batch = batch
        if workers > 1:
            # Each call has a thread of its own, and they share the others.
            threads = max(1, (cores() if threads is None else threads) - workers + 1)
        self._inputs = graph_inputs(profile)
        self._picture = picture
        self._absent: dict[tuple[int, ...], Any] = {}
        layout = self.provider == "cpu" and profile.name in _BLOCKED if layout is None else layout
        make = functools.partial(
            GraphSession, provider=self.provider, threads=threads, optimization=optimization, cuda_options=cuda_options
        )
        self._session = make(
            graph_bytes(profile) + output_bytes(picture.chroma_format, picture.bit_depth),
            output_names(picture.chroma_format),
            graph_initializers(profile, picture, stage_channels, stage_blocks, layers, multipliers),
            layout=layout,
        )
        self._predictor: PlanePredictor[Any] | None = None
        if profile.has_planes([len(factors) for factors in multipliers]):
            make_motion = functools.partial(make, layout=False)
            self._predictor = (
                GraphPredictor(profile, pyramid, multipliers, make_motion)
                if motion_graphs or self.provider != "cpu"
                else CpuPredictor(profile, pyramid, multipliers, threads)
            )
        one_by_one = self.provider != "cpu" or isinstance(self._predictor, GraphPredictor)
        self.workers = 1 if one_by_one else workers

    def resized(self, picture: PictureFormat) -> Self:
        """The same synthesizer for pictures of another size; `picture` differs in nothing else."""
        twin = copy.copy(self)
        twin._picture = picture
        return twin

    def predicted(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> dict[int, PlaneArray]:
        """The planes at `frames`; arguments as in `jobs`.

        Returns:
            Per stage that they enter int16 [frames, channels, rows, columns], of all channels that the graph has; empty
            where no slot has nodes.

        Raises:
            InternalError: E_RUNTIME, ONNX Runtime failed.
        """
        return {} if self._predictor is None else self._predictor.entering(grids, self._picture, frames, compact=True)

    def jobs(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Job]:
        """Jobs of `batch` frames; arguments as in `Synthesizer.jobs`."""
        if frames.step != 1 or (len(frames) and (frames.start < 0 or frames.stop > frame_count)):
            raise ValueError(f"{frames} are not consecutive frames of a GOP of {frame_count}")
        return self._jobs(grids, frame_count, frames)

    def _jobs(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> Iterator[Job]:
        for start in range(frames.start, frames.stop, self.batch):
            some = range(start, min(start + self.batch, frames.stop))
            placed = self._session.place(self._features(grids, frame_count, some))
            lent: Mapping[int, PlaneArray] = {}
            if isinstance(self._predictor, GraphPredictor):
                placed |= self._predictor.entering_placed(grids, self._picture, some)
            elif self._predictor is not None:
                lent = self._predictor.entering(grids, self._picture, some)
                placed |= self._session.place(_by_name(lent))
            yield partial(self._run, _Call(self._completed(placed, len(some)), lent))

    def tile(
        self, grids: Sequence[Grid | None], frame_count: int, t: int, predicted: Mapping[int, PlaneArray]
    ) -> Planes:
        some = range(t, t + 1)
        placed = self._session.place({**self._features(grids, frame_count, some), **_by_name(predicted)})
        (planes,) = self._run(_Call(self._completed(placed, 1), {}))
        return planes

    def _run(self, call: _Call) -> list[Planes]:
        """The frames of a call."""
        frames = self._frames(self._session.run(call.inputs))
        if self._predictor is not None:
            for stage, values in call.lent.items():
                self._predictor.take_back(stage, values)
        return frames

    def release(self) -> None:
        """Give back the memory of the CPU that is kept for the next call; takes some milliseconds."""
        if self.provider == "cpu":
            tiny = copy.copy(self)
            tiny._picture = _Smallest(self._picture.chroma_format, self._picture.bit_depth)
            self._session.run(tiny._completed({}, 1), shrink=True)
            self._absent.clear()
            if self._predictor is not None:
                self._predictor.release()

    def feeds(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> dict[str, Tensor]:
        """The graph's inputs for consecutive frames, in this machine's memory."""
        predicted = {} if self._predictor is None else self._predictor.entering(grids, self._picture, frames)
        present = {**self._features(grids, frame_count, frames), **_by_name(predicted)}
        absent = {name: np.zeros(shape, np.float32) for name, shape in self._shapes(len(frames)).items()}
        return {**absent, **present}

    def _features(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> dict[str, Tensor]:
        """The inputs that are grids, of the slots that are present."""
        tensors: dict[str, Tensor] = {}
        for name, item in self._inputs.items():
            grid = None if item.slot is None else grids[item.slot]
            if grid is not None:
                wanted = np.clip(np.arange(frames.start - item.halo, frames.stop + item.halo), 0, frame_count - 1)
                values = np.zeros((len(wanted), item.channels, *grid.shape[2:]), np.float32)
                values[:, : grid.shape[1]] = grid[wanted]
                tensors[name] = values
        return tensors

    def _shapes(self, count: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the graph's inputs for a call of `count` frames."""
        size = self._picture.height, self._picture.width
        return {name: (count + 2 * x.halo, x.channels, *x.size(*size)) for name, x in self._inputs.items()}

    def _completed(self, placed: Mapping[str, Any], count: int) -> dict[str, Any]:
        """Inputs of a call of `count` frames with zeros for those that are missing, which are kept for other calls."""
        inputs = dict(placed)
        for name, shape in self._shapes(count).items():
            if name not in inputs:
                if shape not in self._absent:
                    self._absent[shape] = self._session.place({name: np.zeros(shape, np.float32)})[name]
                inputs[name] = self._absent[shape]
        return inputs

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


def _by_name(predicted: Mapping[int, PlaneArray]) -> dict[str, Tensor]:
    """What is predicted as inputs of the graph."""
    stages = PREDICTED.items()
    return {name: np.ascontiguousarray(predicted[stage], np.float32) for name, stage in stages if stage in predicted}
