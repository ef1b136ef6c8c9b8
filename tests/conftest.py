"""For all tests: ONNX Runtime, which some import themselves, reports to nobody."""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
