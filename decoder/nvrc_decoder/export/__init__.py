"""A video as one ONNX model, which any ONNX runtime plays: a frame's number in, its planes out.

Nothing here imports onnx.
"""

from __future__ import annotations

from nvrc_decoder.export.model_file import MODEL_BYTES_MAX
from nvrc_decoder.export.split import export_split
from nvrc_decoder.export.video import Exported, export_video

__all__ = ["MODEL_BYTES_MAX", "Exported", "export_split", "export_video"]
