"""A profile's graph without rounding: the cost of a float network of the same shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nvrc_decoder.synthesis.cuda.providers import CPU_PROVIDER, import_onnxruntime
from nvrc_decoder.system.packages import load_package

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

__all__ = ["RowsSession", "without_floor"]


def without_floor(graph: bytes) -> bytes:
    """The graph without its Floor nodes, except those that make an output.

    Raises:
        MissingExtraError: E_MISSING_EXTRA, onnx is not installed.
    """
    model = load_package("onnx", "the float graph").load_from_string(graph)
    outputs = {output.name for output in model.graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in model.graph.node:
        if node.op_type == "Floor" and node.output[0] not in outputs:
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
            continue
        for i, name in enumerate(node.input):
            node.input[i] = renamed.get(name, name)
        kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    data: bytes = model.SerializeToString()
    return data


class RowsSession:
    """A CPU session of a graph with a stream's tensors in place of its placeholders.

    Args:
        graph: the ONNX model.
        tensors: initializer name -> value, from `graph_initializers`; names that the graph lacks are ignored.
        blocked: whether ONNX Runtime may block tensors by channels.
        threads: threads of one call; None leaves them to ONNX Runtime.
    """

    def __init__(
        self, graph: bytes, tensors: Mapping[str, npt.NDArray[np.float32]], *, blocked: bool, threads: int | None
    ) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = threads
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if blocked else levels.ORT_ENABLE_EXTENDED
        # Kept alive: the session may read them in place.
        names = [name for name in tensors if name.encode() in graph]
        self._values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensors[name]) for name in names]
        options.add_external_initializers(names, self._values)
        self._session = onnxruntime.InferenceSession(graph, options, [CPU_PROVIDER])
        self._inputs = [value.name for value in self._session.get_inputs()]

    def run(self, feeds: Any) -> list[Any]:
        """The graph's outputs for the feeds of `OrtSynthesizer.feeds`; feeds that the graph lacks are ignored."""
        outputs: list[Any] = self._session.run(None, {name: feeds[name] for name in self._inputs})
        return outputs
