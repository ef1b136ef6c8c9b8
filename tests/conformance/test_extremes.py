"""The streams at the bound do reach it, and their activations do meet both clips of every layer."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from nvrc_conformance.manifest import load_manifest
from nvrc_conformance.stages import decode_stream, frames_of
from nvrc_decoder.profiles import synthesis_layers
from nvrc_decoder.synthesis import motion, planes, reference, wavelet
from nvrc_decoder.synthesis.arithmetic import ACCUMULATOR_LIMIT, WEIGHT_MAX, IntegerLayer, worst_case

MANIFEST = load_manifest()
BOUND = pytest.mark.parametrize("name", ["nano-bound", "lite-bound", "main-bound"])


@BOUND
def test_every_layer_comes_near_the_bound(name: str) -> None:
    for item in decode_stream(MANIFEST.read(name)):
        channels = item.network.header.grid_channels(item.network.profile)
        specs = synthesis_layers(
            item.network.profile,
            item.network.header.stage_channels,
            item.network.header.stage_blocks,
            channels,
            item.sequence.chroma_format,
            item.sequence.bit_depth,
        )
        for spec in specs:
            layer = item.network.layers[spec.name]
            worst = worst_case(layer.weight, layer.bias, layer.shift, spec.input_max)
            assert worst.min() > ACCUMULATOR_LIMIT * 63 // 64
            assert worst.max() < ACCUMULATOR_LIMIT
            if spec.kind in ("depthwise", "inject", "head_depthwise"):
                assert worst.max() == ACCUMULATOR_LIMIT - 1
            assert np.abs(layer.weight).max() == WEIGHT_MAX


@BOUND
def test_activations_meet_both_clips(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past either clip before clipping, in each layer of the larger stages."""
    met: dict[int, set[str]] = {}
    finish = reference.finish

    def watched(accumulator: reference.Feature, layer: IntegerLayer) -> reference.Feature:
        ends = met.setdefault(id(layer), set())
        free = IntegerLayer(layer.weight, layer.bias, layer.shift, -(1 << 24), 1 << 24)
        unclipped = finish(accumulator.copy(), free)
        ends |= {"low"} if (unclipped < layer.low).any() else set()
        ends |= {"high"} if (unclipped > layer.high).any() else set()
        return finish(accumulator, layer)

    monkeypatch.setattr(reference, "finish", watched)
    (item,) = decode_stream(MANIFEST.read(name))
    frames = frames_of(item)
    for layer_name, layer in item.network.layers.items():
        if layer_name.startswith(("stage2", "stage3", "stage4", "head")):
            assert met[id(layer)] == {"low", "high"}, layer_name
    samples = np.concatenate([frame.y.reshape(-1) for frame in frames])
    assert {int(samples.min()), int(samples.max())} == {0, 255}


@pytest.mark.parametrize(
    ("module", "name", "low", "high"),
    [
        (wavelet, "clip_lifted", -8192, 8188),
        (motion, "clip_activation", -2048, 2047),
        (planes, "clip_activation", -2048, 2047),
    ],
    ids=["wavelet", "half-samples", "nodes"],
)
def test_planes_meet_both_clips(
    module: ModuleType, name: str, low: int, high: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past either clip before clipping: lifting, samples between samples, predictions and residuals."""
    met: set[str] = set()
    clip = getattr(module, name)

    def watched(x: reference.Feature) -> reference.Feature:
        met.update({"low"} if (x < low).any() else (), {"high"} if (x > high).any() else ())
        clipped: reference.Feature = clip(x)
        return clipped

    monkeypatch.setattr(module, name, watched)
    (item,) = decode_stream(MANIFEST.read("main-motion-bound"))
    frames_of(item)
    assert met == {"low", "high"}
