"""Ways to run the same graph: the decoder's own options, and others that a runtime or user might set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Variant", "decoder_variants", "swept_variants"]


@dataclass(frozen=True)
class Variant:
    """Options of `OrtSynthesizer`.

    Attributes:
        name: its name in the table.
        cuda: options that differ from `providers.CUDA_OPTIONS`.
        runtime: other keyword arguments.
        planes: whether it matters only where there are planes.
    """

    name: str
    cuda: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, Any] = field(default_factory=dict)
    planes: bool = False


def decoder_variants(provider: str, tf32: str) -> list[Variant]:
    """Variants that must be exact: the decoder's own options, on CUDA also with TF32 forced on.

    On the CPU NumPy and OpenCV make the planes, on a device graphs do; these graphs are tried on the CPU, too.
    """
    own = Variant("decoder")
    forced = Variant("decoder, TF32 on", {"use_tf32": "1"})
    if provider == "cpu":
        graphs = Variant("planes in graphs", runtime={"motion_graphs": True}, planes=True)
        return [own, Variant("3 workers", runtime={"workers": 3}), graphs]
    return {"off": [own], "on": [forced], "both": [own, forced]}[tf32]


def swept_variants(provider: str) -> list[Variant]:
    """One option changed at a time, then all of them."""
    rewriting = [
        Variant("no graph optimisation", runtime={"optimization": False}),
        Variant("all graph optimisation", runtime={"layout": True}),
    ]
    if provider == "cpu":
        return [*rewriting, Variant("1 thread", runtime={"threads": 1}), Variant("3 threads", runtime={"threads": 3})]
    switched = {"use_tf32": "1", "fuse_conv_bias": "1", "prefer_nhwc": "1", "cudnn_conv_algo_search": "EXHAUSTIVE"}
    return [
        *(Variant(f"{name}={value}", {name: value}) for name, value in switched.items()),
        Variant("cudnn_conv_algo_search=DEFAULT", {"cudnn_conv_algo_search": "DEFAULT"}),
        Variant("ONNX Runtime's defaults", {"use_tf32": "1", "cudnn_conv_algo_search": "EXHAUSTIVE"}),
        Variant("all of these", switched),
        *rewriting,
    ]
