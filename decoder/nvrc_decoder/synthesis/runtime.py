"""Synthesis in ONNX Runtime: a stream's parameters over the placeholders of its profile's graph (spec 6.4, chapter 7).

The graph does all the arithmetic, interpolation included; here parameters are laid out for it, node ranges of the
grids are cut, and rows become planes. Nothing but parsed integers is shared with `reference`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Self

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InternalError, MissingExtraError
from nvrc_decoder.frames import PictureFormat, Plane, Planes, plane_shapes
from nvrc_decoder.profiles import (
    CHROMA_444,
    LayerSpec,
    Profile,
    head_rows,
    synthesis_layers,
)
from nvrc_decoder.synthesis.arithmetic import IntegerLayer
from nvrc_decoder.synthesis.providers import (
    CPU_PROVIDER,
    CUDA_OPTIONS,
    CUDA_PROVIDER,
    cuda_is_usable,
    import_onnxruntime,
)

__all__ = ["OrtSynthesizer", "graph_bytes", "graph_initializers"]

Float = npt.NDArray[np.float32]
Grid = npt.NDArray[np.int16]

_HEAD_FILTERS = 4

# (1, 2, 1) x (1, 2, 1) / 16 on repeated samples is the half-pixel bilinear x2 of spec 7.9.
UPSAMPLING = np.outer((1, 2, 1), (1, 2, 1)).astype(np.float32) / np.float32(16)


def graph_bytes(profile: Profile) -> bytes:
    """The profile's ONNX graph with placeholder weights, as shipped with this package."""
    return resources.files("nvrc_decoder.synthesis").joinpath("graphs", f"{profile.name}.onnx").read_bytes()


def graph_initializers(
    profile: Profile,
    picture: PictureFormat,
    stage_channels: Sequence[int],
    layers: Mapping[str, IntegerLayer],
    multipliers: Sequence[Sequence[int]],
) -> dict[str, Float]:
    """What replaces the graph's placeholders, by initializer name; arguments as in `OrtSynthesizer`.

    Inactive channels and absent slots and layers are zeros. Weights carry their layer's 2^-shift.
    """
    tensors: dict[str, Float] = {}
    full_grids = [slot.max_channels for slot in profile.slots]
    for spec in synthesis_layers(profile, profile.max_channels, full_grids, CHROMA_444, picture.bit_depth):
        weight = np.zeros(spec.weight_shape, dtype=np.float32)
        bias = np.zeros(spec.outputs, dtype=np.float32)
        layer = layers.get(spec.name)
        if layer is not None:
            scale = np.float32(2.0**-layer.shift)
            rounding = (1 << layer.shift) // 2
            outputs = _active_outputs(spec, picture.chroma_format, layer.bias.shape[0])
            bias[outputs] = (layer.bias + rounding).astype(np.float32) * scale
            _place(weight, layer.weight.astype(np.float32) * scale, spec, outputs, profile, multipliers)
        tensors |= (
            _head_tensors(spec, weight, bias)
            if spec.name.startswith("head.")
            else {
                f"{spec.name}.weight": _graph_layout(spec, weight),
                f"{spec.name}.bias": bias,
            }
        )
    for k in range(1, len(stage_channels)):
        factors = np.zeros((profile.max_channels[k], 1, 3, 3), dtype=np.float32)
        factors[: min(stage_channels[k - 1], stage_channels[k])] = UPSAMPLING
        tensors[f"stage{k}.up.weight"] = factors
    for i, slot in enumerate(profile.slots):
        factors = np.zeros((1, slot.max_channels, 1, 1), dtype=np.float32)
        factors[0, : len(multipliers[i]), 0, 0] = multipliers[i]
        tensors[f"grid{i}.multiplier"] = factors
    tensors["head.limit"] = np.array((1 << picture.bit_depth) - 0.5, dtype=np.float32)
    return tensors


def _active_outputs(spec: LayerSpec, chroma_format: int, count: int) -> npt.NDArray[np.intp]:
    """Indices in the full layer of the `count` outputs that the stream carries."""
    if spec.kind == "head_pointwise":
        return np.array(head_rows(chroma_format), dtype=np.intp)
    return np.arange(count, dtype=np.intp)


def _place(
    full: Float,
    active: Float,
    spec: LayerSpec,
    outputs: npt.NDArray[np.intp],
    profile: Profile,
    multipliers: Sequence[Sequence[int]],
) -> None:
    """Copy a stream's weights to their places in the full, zeroed tensor of the same rank."""
    if spec.kind == "inject":
        stage = int(spec.name.removeprefix("stage").split(".")[0])
        source = target = 0
        for slot, present in zip(profile.slots, multipliers, strict=True):
            if slot.stage == stage:
                count = len(present)
                full[outputs, target : target + count] = active[:, source : source + count]
                source, target = source + count, target + slot.max_channels
    elif spec.kind in ("pointwise", "head_pointwise"):
        full[outputs, : active.shape[1]] = active
    else:
        full[: active.shape[0]] = active


def _graph_layout(spec: LayerSpec, weight: Float) -> Float:
    """The full tensor in the shape of the graph's convolution."""
    if spec.kind == "depthwise":
        return weight.reshape(spec.outputs, 1, 3, 3)
    if spec.kind == "temporal":
        # Frames t-1, t, t+1 stand side by side as channels.
        channels = np.arange(spec.outputs)
        spread = np.zeros((spec.outputs, 3, spec.outputs), dtype=np.float32)
        spread[channels, :, channels] = weight
        weight = spread
    return weight.reshape(spec.outputs, -1, 1, 1)


def _head_tensors(spec: LayerSpec, weight: Float, bias: Float) -> dict[str, Float]:
    """A layer of the head, whose graph takes the four filters of all channels one after another."""
    tensors: dict[str, Float] = {}
    for f in range(_HEAD_FILTERS):
        if spec.kind == "head_depthwise":
            tensors[f"{spec.name}{f}.weight"] = np.ascontiguousarray(weight[:, f, None])
            tensors[f"{spec.name}{f}.bias"] = np.ascontiguousarray(bias[f::_HEAD_FILTERS])
        else:
            tensors[f"{spec.name}{f}.weight"] = np.ascontiguousarray(weight[:, f::_HEAD_FILTERS, None, None])
    if spec.kind == "head_pointwise":
        # The parts are summed, so only the first has the bias.
        tensors[f"{spec.name}0.bias"] = bias
    return tensors


class OrtSynthesizer:
    """Decodes any frames of any GOP under one NETWORK.

    Args:
        profile: the stream's profile.
        picture: size, chroma format and bit depth.
        stage_channels: active channels of each stage.
        layers: proved layers by canonical name, exactly those of `profiles.synthesis_layers`.
        multipliers: per slot the multiplier of each active channel; empty where the slot is absent.
        provider: ``"cpu"``, ``"cuda"``, or ``"auto"``: CUDA where everything that it needs is found, otherwise CPU.
        threads: threads of one call on the CPU; None leaves it to ONNX Runtime.
        optimization: whether ONNX Runtime may fold and fuse; the frames are the same.
        layout: whether it may also block tensors by channels for its convolutions; the frames are the same. It is
            slower for most sizes, since every Floor needs the plain layout.
        batch: frames in one call; memory grows with it, the frames are the same.

    Attributes:
        provider: the provider in use, ``"cpu"`` or ``"cuda"``.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, if ONNX Runtime, or the CUDA that was asked for, is not here.
    """

    def __init__(
        self,
        profile: Profile,
        picture: PictureFormat,
        stage_channels: Sequence[int],
        layers: Mapping[str, IntegerLayer],
        multipliers: Sequence[Sequence[int]],
        *,
        provider: str = "cpu",
        threads: int | None = None,
        optimization: bool = True,
        layout: bool = False,
        batch: int = 1,
    ) -> None:
        if provider not in ("auto", "cpu", "cuda"):
            raise ValueError(f"unknown provider {provider!r}")
        if batch < 1:
            raise ValueError(f"a call takes at least one frame, not {batch}")
        onnxruntime = import_onnxruntime()
        usable = provider != "cpu" and cuda_is_usable(onnxruntime)
        if provider == "cuda" and not usable:
            raise MissingExtraError(
                "E_MISSING_EXTRA",
                "CUDA needs an NVIDIA GPU with its driver and: pip install "
                '"nvrc-ref[cuda,cuda-libs]" in an environment without the plain onnxruntime',
            )
        self.provider = "cuda" if usable else "cpu"
        self._profile = profile
        self._picture = picture
        self._batch = batch
        self._last_stride = max(slot.temporal_stride for slot in profile.slots)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.inter_op_num_threads = 1
        # A plan for all activations at once takes half as much memory again, and no less time.
        options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = threads
        levels = onnxruntime.GraphOptimizationLevel
        rewriting = levels.ORT_ENABLE_ALL if layout else levels.ORT_ENABLE_EXTENDED
        options.graph_optimization_level = rewriting if optimization else levels.ORT_DISABLE_ALL
        # The session may read these in place, so they live as long as it does. The placeholders are external tensors,
        # which are replaced before ONNX Runtime optimises; `add_initializer` comes after, when kernels have already
        # been given the placeholder's bounds and weights.
        self._initializers = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(tensor)
            for name, tensor in graph_initializers(profile, picture, stage_channels, layers, multipliers).items()
        }
        options.add_external_initializers(list(self._initializers), list(self._initializers.values()))
        providers: list[object] = [(CUDA_PROVIDER, CUDA_OPTIONS)] if usable else []
        self._session = onnxruntime.InferenceSession(graph_bytes(profile), options, [*providers, CPU_PROVIDER])

    def resized(self, picture: PictureFormat) -> Self:
        """The same synthesizer for pictures of another size; `picture` differs in nothing else."""
        twin = copy.copy(self)
        twin._picture = picture
        return twin

    def synthesise(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> list[Planes]:
        """Frames `frames` of a GOP of `frame_count` frames.

        Args:
            grids: per slot int16 [nodes, channels, rows, columns] of the whole GOP, None where the slot is absent.
            frame_count: frames in the GOP.
            frames: the frames wanted, consecutive, within ``range(frame_count)``.
        """
        if frames.step != 1 or (len(frames) and (frames.start < 0 or frames.stop > frame_count)):
            raise ValueError(f"{frames} are not consecutive frames of a GOP of {frame_count}")
        decoded: list[Planes] = []
        for start in range(frames.start, frames.stop, self._batch):
            decoded += self._call(grids, frame_count, range(start, min(start + self._batch, frames.stop)))
        return decoded

    def _call(self, grids: Sequence[Grid | None], frame_count: int, frames: range) -> list[Planes]:
        feeds = self.feeds(grids, frame_count, frames)
        try:
            (rows,) = self._session.run(["rows"], feeds)
        except Exception as error:  # ONNX Runtime has no public base class for its errors
            raise InternalError("E_RUNTIME", f"ONNX Runtime failed: {error}") from error
        return [self._planes(frame) for frame in rows]

    def feeds(
        self, grids: Sequence[Grid | None], frame_count: int, frames: range
    ) -> dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]:
        """The graph's inputs for a run of frames: the nodes that they touch, and frame numbers relative to those."""
        halo = 1 if self._profile.temporal_stem else 0
        first, last = max(frames.start - halo, 0), min(frames.stop - 1 + halo, frame_count - 1)
        # A multiple of every temporal stride, so that one shift of the frame numbers is right for all slots.
        base = first - first % self._last_stride
        wanted = np.arange(frames.start, frames.stop, dtype=np.int64)
        feeds: dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]] = {"frames": wanted - base}
        if halo:
            run = np.arange(frames.start - 1, frames.stop + 1, dtype=np.int64)
            feeds["stem_frames"] = np.clip(run, 0, frame_count - 1) - base
        for i, (slot, grid) in enumerate(zip(self._profile.slots, grids, strict=True)):
            if grid is None:
                rows, columns = -(-self._picture.height // slot.stride), -(-self._picture.width // slot.stride)
                feeds[f"grid{i}"] = np.zeros((1, slot.max_channels, rows, columns), dtype=np.float32)
                continue
            stride = slot.temporal_stride
            node, end = base // stride, min(last // stride + (stride > 1), grid.shape[0] - 1)
            nodes = np.zeros((end - node + 1, slot.max_channels, *grid.shape[2:]), dtype=np.float32)
            # Nodes before the first one that a frame touches are there for the numbering only.
            touched = first // stride
            nodes[touched - node :, : grid.shape[1]] = grid[touched : end + 1]
            feeds[f"grid{i}"] = nodes
        return feeds

    def _planes(self, rows: Float) -> Planes:
        """Rows [12, H, W] at half resolution to cropped planes (spec 8.1, 8.2)."""
        half_rows, half_columns = rows.shape[1:]
        samples = rows.astype(np.uint8 if self._picture.bit_depth == 8 else np.uint16)
        present = head_rows(self._picture.chroma_format)
        planes: list[Plane] = []
        for i, (height, width) in enumerate(
            plane_shapes(self._picture.width, self._picture.height, self._picture.chroma_format)
        ):
            phases = samples[4 * i : 4 * i + 4]
            if 4 * i + 1 in present:
                shuffled = phases.reshape(2, 2, half_rows, half_columns).transpose(2, 0, 3, 1)
                plane = shuffled.reshape(2 * half_rows, 2 * half_columns)
            else:
                plane = phases[0]
            planes.append(np.ascontiguousarray(plane[:height, :width]))
        return Planes(*planes)
