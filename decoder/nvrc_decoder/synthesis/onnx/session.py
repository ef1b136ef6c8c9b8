"""ONNX Runtime sessions, and tensors that stay on a session's device.

Inputs are placed on the device once and used in many calls; frames are copied back. On the CPU the same calls copy
nothing.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from nvrc_decoder.errors import InternalError
from nvrc_decoder.profiles import CHROMA_400, CHROMA_420, CHROMA_444, Profile
from nvrc_decoder.synthesis.cuda.providers import (
    CPU_PROVIDER,
    CUDA_OPTIONS,
    CUDA_PROVIDER,
    CudaFault,
    ProviderName,
    cuda_error,
    import_onnxruntime,
)
from nvrc_decoder.system.packages import reinstall_line

__all__ = ["BORDER", "GraphSession", "Tensor", "graph_bytes", "motion_graph_bytes", "output_bytes", "output_names"]

Tensor = npt.NDArray[np.float32] | npt.NDArray[np.int64] | npt.NDArray[np.int16]

BORDER = 8
"""Half samples by which the graphs ``refine-STEP`` repeat the edges of a node's planes: those of a cell of luma."""

_OUTPUTS = {CHROMA_400: ("y",), CHROMA_420: ("y", "uv"), CHROMA_444: ("yuv",)}
_CHROMA_NAMES = {CHROMA_400: "400", CHROMA_420: "420", CHROMA_444: "444"}


def _shipped(name: str) -> bytes:
    return resources.files("nvrc_decoder.synthesis.onnx").joinpath("graphs", f"{name}.onnx").read_bytes()


def graph_bytes(profile: Profile) -> bytes:
    """The profile's ONNX graph with placeholder weights, as shipped with this package."""
    return _shipped(profile.name)


def output_bytes(chroma_format: int, bit_depth: int) -> bytes:
    """Graph nodes that turn the head's rows into planes of samples; to be appended to the bytes of a profile's graph.

    Protocol buffers merge: the nodes and outputs of one message join those of the message before it. The outputs are
    ``y`` [B, 1, 2H, 2W] and ``uv`` [B, 2, H, W], or for 4:4:4 ``yuv`` [B, 3, 2H, 2W], uint8 or uint16.
    """
    return _shipped(f"planes-{_CHROMA_NAMES[chroma_format]}-{bit_depth}")


def output_names(chroma_format: int) -> tuple[str, ...]:
    """The outputs of `output_bytes`."""
    return _OUTPUTS[chroma_format]


def motion_graph_bytes(name: str) -> bytes:
    """A graph of spec 7.6: ``wavelet``, ``moves``, ``predict-STEP``, ``refine-STEP`` or ``join``.

    STEP is the planes' Step: 1 or 4 luma samples from one sample to the next.
    """
    return _shipped(name)


_sessions: weakref.WeakSet[GraphSession] = weakref.WeakSet()


def _keep_for_good() -> None:
    """In a forked child, keep all sessions: ending one would wait for ONNX Runtime's threads, which do not exist."""
    for session in list(_sessions):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session._session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_for_good)


class GraphSession:
    """A graph with its weights in one session, which owns threads and device memory until it is deleted.

    Args:
        model: the graph.
        outputs: names of the outputs wanted.
        initializers: tensors that replace the placeholders, by name.
        provider: ``"cpu"`` or ``"cuda"``.
        threads: threads of one call on the CPU; None leaves it to ONNX Runtime.
        optimization, layout: as in `OrtSynthesizer`.
        cuda_options: options that override `CUDA_OPTIONS`.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, ONNX Runtime is not installed, or its CUDA provider does not load.
    """

    def __init__(
        self,
        model: bytes,
        outputs: Sequence[str],
        initializers: Mapping[str, npt.NDArray[np.float32]],
        *,
        provider: ProviderName,
        threads: int | None,
        optimization: bool,
        layout: bool,
        cuda_options: Mapping[str, str] | None = None,
    ) -> None:
        self._onnxruntime = onnxruntime = import_onnxruntime()
        self._device = provider
        self._outputs = tuple(outputs)
        options = onnxruntime.SessionOptions()
        # Errors are raised, and reported in one line; ONNX Runtime would print them as well.
        options.log_severity_level = 4
        options.inter_op_num_threads = 1
        # Planning all activations together takes half as much memory again, and no less time.
        options.enable_mem_pattern = False
        # Idle threads sleep: spinning, they would occupy the core that decodes symbols.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        levels = onnxruntime.GraphOptimizationLevel
        rewriting = levels.ORT_ENABLE_ALL if layout else levels.ORT_ENABLE_EXTENDED
        options.graph_optimization_level = rewriting if optimization else levels.ORT_DISABLE_ALL
        # The session may read these in place, so they must live as long as it does. The placeholders are external
        # tensors, which are replaced before ONNX Runtime optimises; `add_initializer` would replace them after that,
        # when kernels already have the placeholders' bounds and weights.
        self._initializers = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for name, tensor in initializers.items()
        }
        options.add_external_initializers(list(self._initializers), list(self._initializers.values()))
        cuda: list[object] = [(CUDA_PROVIDER, {**CUDA_OPTIONS, **(cuda_options or {})})] if provider == "cuda" else []
        try:
            # enable_fallback=0: otherwise ONNX Runtime prints to the standard output, where frames may go.
            self._session = onnxruntime.InferenceSession(model, options, [*cuda, CPU_PROVIDER], enable_fallback=0)
            _sessions.add(self)
        except Exception as error:
            if not cuda:
                raise InternalError("E_RUNTIME", f"ONNX Runtime failed: {_line(error)}") from error
            raise cuda_error(CudaFault(f"ONNX Runtime failed: {_line(error)}", "update the driver", True)) from error
        if cuda and CUDA_PROVIDER not in self._session.get_providers():
            remedy = reinstall_line("onnxruntime", "cuda,cuda-libs")
            raise cuda_error(CudaFault("ONNX Runtime's CUDA provider does not load", remedy, True))

    def place(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """Copy inputs to the session's device, for any number of calls.

        Raises:
            InternalError: E_RUNTIME, for example where device memory runs out.
        """
        make = self._onnxruntime.OrtValue.ortvalue_from_numpy
        try:
            return {name: make(tensor, self._device, 0) for name, tensor in tensors.items()}
        except Exception as error:
            raise InternalError("E_RUNTIME", f"ONNX Runtime failed: {_line(error)}") from error

    def run(self, placed: Mapping[str, Any], *, shrink: bool = False) -> Sequence[npt.NDArray[Any]]:
        """The outputs of one call, in host memory.

        Args:
            placed: the inputs.
            shrink: release the host memory that ONNX Runtime keeps for further calls.

        Raises:
            InternalError: E_RUNTIME.
        """
        binding = self._bind(placed)
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        self._run(binding, shrink)
        outputs: Sequence[npt.NDArray[Any]] = binding.copy_outputs_to_cpu()
        return outputs

    def run_placed(self, placed: Mapping[str, Any]) -> Sequence[Any]:
        """The outputs of one call, left on the device as inputs for another session there.

        Raises:
            InternalError: E_RUNTIME.
        """
        binding = self._bind(placed)
        for name in self._outputs:
            binding.bind_output(name, self._device)
        self._run(binding, False)
        outputs: Sequence[Any] = binding.get_outputs()
        return outputs

    def _bind(self, placed: Mapping[str, Any]) -> Any:
        """A binding with the inputs of a call."""
        binding = self._session.io_binding()
        for name, value in placed.items():
            binding.bind_ortvalue_input(name, value)
        return binding

    def _run(self, binding: Any, shrink: bool) -> None:
        options = self._onnxruntime.RunOptions()
        if shrink:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        try:
            self._session.run_with_iobinding(binding, options)
        except Exception as error:  # ONNX Runtime has no public base class for its errors
            raise InternalError("E_RUNTIME", f"ONNX Runtime failed: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """The message of an error of ONNX Runtime on one line, cut to 300 characters."""
    return " ".join(str(error).split())[:300]
