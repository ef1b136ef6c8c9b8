"""A stream as plain ONNX: its graphs with their weights, and the inputs that they make the frames of.

For runtimes that are not this decoder: ONNX Runtime in C++, C# or JavaScript, TensorRT. Nothing here imports onnx.
"""

from __future__ import annotations

from nvrc_decoder.export.folder import Exported, export_video
from nvrc_decoder.export.onnx_file import fill_initializers

__all__ = ["Exported", "export_video", "fill_initializers"]
