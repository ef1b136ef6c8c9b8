"""The streams of extreme values notice what they are there for: the NumPy reference with a misreading fails on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nvrc_conformance.manifest import load_manifest
from nvrc_conformance.stages import DecodedGop, decode_stream, frames_of
from nvrc_decoder.bitstream.descriptors import ByteReader
from nvrc_decoder.decode import gop
from nvrc_decoder.errors import NvrcError
from nvrc_decoder.octree.network import ContextNetwork
from nvrc_decoder.profiles import BIAS_Q_MAX, CONTEXT_INPUTS
from nvrc_decoder.synthesis import motion, planes, reference
from nvrc_decoder.synthesis.arithmetic import BIAS_SHIFT_MAX, SHIFT_MAX, IntegerLayer, rounding_term
from nvrc_decoder.synthesis.reference import ReferenceSynthesizer

MANIFEST = load_manifest()
HALF_LIMIT = 1 << 23
Integers = npt.NDArray[np.int64]
Layer = Callable[[int, Integers, IntegerLayer], Integers]


@lru_cache(maxsize=1)
def decoded(name: str) -> list[DecodedGop]:
    return list(decode_stream(MANIFEST.read(name)))


def is_decoded(name: str) -> bool:
    """Whether each frame is as it should be; a misreading may also end in an error."""
    try:
        found = [frame.md5() for item in decode_stream(MANIFEST.read(name)) for frame in frames_of(item)]
    except NvrcError:
        return False
    return tuple(found) == MANIFEST.stream(name).frame_md5


def right(number: int, x: Integers, layer: IntegerLayer) -> Integers:
    sums = layer.weight @ x + layer.bias[:, None] + rounding_term(layer.shift)
    clipped: Integers = np.clip(sums >> layer.shift, layer.low, layer.high)
    return clipped


def with_clip(hidden: int, high: int) -> Layer:
    def compute(number: int, x: Integers, layer: IntegerLayer) -> Integers:
        return right(number, x, replace(layer, high=high) if number == hidden else layer)

    return compute


def with_saturation(chosen: int) -> Layer:
    def compute(number: int, x: Integers, layer: IntegerLayer) -> Integers:
        if number != chosen:
            return right(number, x, layer)
        sums = np.clip(layer.weight @ x + layer.bias[:, None], -HALF_LIMIT, HALF_LIMIT - 1)
        clipped: Integers = np.clip((sums + rounding_term(layer.shift)) >> layer.shift, layer.low, layer.high)
        return clipped

    return compute


def with_units(count: int) -> Layer:
    def compute(number: int, x: Integers, layer: IntegerLayer) -> Integers:
        if number > 0:
            x = np.where(np.arange(len(x))[:, None] < count, x, 0)
        return right(number, x, layer)

    return compute


def use_context(monkeypatch: pytest.MonkeyPatch, compute: Layer) -> None:
    """Computes the layers of the context network, numbered from 0, by `compute`."""

    def bind(network: ContextNetwork, inputs: Sequence[int], ones: Sequence[int], scratch: Any = None) -> Any:
        def predict(given: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int16]]:
            x = np.zeros((CONTEXT_INPUTS, given.shape[1]), np.int64)
            x[list(inputs)] = given[:-1]
            x[list(ones)] = 1
            for number, layer in enumerate(network.layers):
                x = compute(number, x, layer)
            mean, scale = x
            return (8 * np.clip(scale, 0, 39) + mean % 8).astype(np.uint16), (mean >> 3).astype(np.int16)

        return predict

    monkeypatch.setattr(ContextNetwork, "bind", bind)


@pytest.mark.parametrize("name", ["nano-context-clips", "lite-context-wide", "main-accumulators"])
def test_the_context_network_of_these_tests_is_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_context(monkeypatch, right)
    assert is_decoded(name)


@pytest.mark.parametrize("high", [1023, 2048, 4095, 1 << 24])
@pytest.mark.parametrize("hidden", [0, 1])
def test_another_clip_of_hidden_activations(hidden: int, high: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use_context(monkeypatch, with_clip(hidden, high))
    assert not is_decoded("nano-context-clips")


@pytest.mark.parametrize("count", [32, 63])
def test_fewer_units_of_the_context_network(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use_context(monkeypatch, with_units(count))
    assert not is_decoded("lite-context-wide")


@pytest.mark.parametrize("number", [1, 2])
def test_context_accumulators_of_24_bits(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    use_context(monkeypatch, with_saturation(number))
    assert not is_decoded("main-accumulators")


@pytest.mark.parametrize("name", list(decoded("main-accumulators")[0].network.layers))
def test_accumulators_of_24_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saturated at 2^23, in one layer of synthesis."""
    finish = reference.finish
    (item,) = decoded("main-accumulators")
    narrow = item.network.layers[name]

    def saturated(accumulator: reference.Feature, layer: IntegerLayer) -> reference.Feature:
        if layer is narrow:
            bias = layer.bias.astype(np.int32)[:, None, None]
            accumulator = np.clip(accumulator + bias, -HALF_LIMIT, HALF_LIMIT - 1) - bias
        return finish(accumulator, layer)

    monkeypatch.setattr(reference, "finish", saturated)
    assert tuple(frame.md5() for frame in frames_of(item)) != MANIFEST.stream("main-accumulators").frame_md5


def misread_layers(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any, IntegerLayer, int], IntegerLayer]) -> None:
    """Changes layers after their bound is proved: `change` has the layer's spec, the layer and its bias shift."""
    make = gop.make_layer

    def changed(spec: Any, weight: Any, bias: Any, multiplier: int, shift: int, bias_shift: int, prior: Any) -> Any:
        layer = make(spec, weight, bias, multiplier, shift, bias_shift, prior)
        return change(spec, layer, bias_shift)

    monkeypatch.setattr(gop, "make_layer", changed)


def test_shifts_and_biases_are_read_through_make_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    misread_layers(monkeypatch, lambda spec, layer, bias_shift: layer)
    assert is_decoded("lite-shifts")
    assert is_decoded("nano-biases")


@pytest.mark.full
@pytest.mark.parametrize("shift", range(SHIFT_MAX + 1))
@pytest.mark.parametrize("by", [-1, 1])
def test_each_shift_off_by_one(shift: int, by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the blocks of the synthesis network; a shift of 0 cannot be less."""
    by = by if shift > 0 else 1

    def change(spec: Any, layer: IntegerLayer, bias_shift: int) -> IntegerLayer:
        hit = ".block" in spec.name and layer.shift == shift
        return replace(layer, shift=shift + by) if hit else layer

    misread_layers(monkeypatch, change)
    assert not is_decoded("lite-shifts")


@pytest.mark.full
@pytest.mark.parametrize("bias_shift", range(BIAS_SHIFT_MAX + 1))
@pytest.mark.parametrize("by", [-1, 1])
def test_each_bias_shift_off_by_one(bias_shift: int, by: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(spec: Any, layer: IntegerLayer, found: int) -> IntegerLayer:
        hit = ".block" in spec.name and found == bias_shift
        return replace(layer, bias=layer.bias << 1 if by > 0 else layer.bias >> 1) if hit else layer

    misread_layers(monkeypatch, change)
    assert not is_decoded("lite-shifts")


@pytest.mark.parametrize("narrow", ["wrapped", "clipped"])
@pytest.mark.parametrize("name", list(MANIFEST.stream("nano-biases").stages.networks[0].parameters))
def test_biases_of_16_bits(name: str, narrow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(spec: Any, layer: IntegerLayer, bias_shift: int) -> IntegerLayer:
        if spec.name != name:
            return layer
        coded = layer.bias >> bias_shift
        assert set(np.abs(coded).tolist()) == {BIAS_Q_MAX}
        words = coded.astype(np.int16).astype(np.int64) if narrow == "wrapped" else np.clip(coded, -32768, 32767)
        return replace(layer, bias=words << bias_shift)

    misread_layers(monkeypatch, change)
    assert not is_decoded("nano-biases")


def frames_by(item: DecodedGop, grids: Sequence[Any], frames: range) -> tuple[str, ...]:
    synthesizer = ReferenceSynthesizer(*item.network.parts(item.sequence))
    return tuple(frame.md5() for frame in synthesizer.synthesise(grids, item.gop.frame_count, frames))


@pytest.mark.parametrize(
    ("name", "unit", "bits"),
    [
        ("nano-many-gops", "INDEX", 7),
        ("nano-many-gops", "END", 7),
        ("nano-nodes", "GOP 0", 8),
        ("nano-nodes", "END", 8),
        ("nano-large", "SEQUENCE", 8),
        ("nano-large", "GOP 0", 14),
        pytest.param("lite-large", "INDEX", 14, marks=pytest.mark.full),
    ],
)
def test_a_leb128_cut_to_fewer_bits(name: str, unit: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ByteReader.unsigned

    def cut(reader: ByteReader, descriptor: str) -> int:
        value = read(reader, descriptor)
        return value & (1 << bits) - 1 if descriptor == "leb128" and reader.unit == unit else value

    monkeypatch.setattr(ByteReader, "unsigned", cut)
    with pytest.raises(NvrcError):
        list(decode_stream(MANIFEST.read(name)))


@pytest.mark.parametrize("slot", [1, 4, 9, 10])
def test_node_numbers_of_8_bits(slot: int) -> None:
    """In one grid. The first nodes are not concerned; the key at frame 256 is a reference of the frames before it."""
    (item,) = decoded("nano-nodes")
    wanted = MANIFEST.stream("nano-nodes").frame_md5
    grids = list(item.grids)
    grid = grids[slot]
    assert grid is not None
    grids[slot] = grid[np.arange(len(grid)) & 255]
    last = item.gop.frame_count
    assert frames_by(item, item.grids, range(252, last)) == wanted[252:]
    found = frames_by(item, grids, range(252, last))
    assert found[0] == wanted[252]
    assert found != wanted[252:]


def test_positions_of_16_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """32 * x + dx, of the first sample of each cell, as a signed word."""
    (item,) = decoded("nano-large")
    displacement = motion.displacement

    def wrapped(*arguments: Any) -> motion.Feature:
        d = displacement(*arguments)
        start = 32 * 4 * np.arange(d.shape[2])
        d[1] = (start + d[1]).astype(np.int16) - start
        return d

    monkeypatch.setattr(motion, "displacement", wrapped)
    assert frames_by(item, item.grids, range(1, 2)) != MANIFEST.stream("nano-large").frame_md5[1:2]


@pytest.mark.parametrize(
    "name", ["nano-large", *(pytest.param(name, marks=pytest.mark.full) for name in ("lite-large", "main-large"))]
)
def test_sample_offsets_of_16_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the samples of a reference plane."""
    item, half_samples = decoded(name)[0], planes.half_samples

    def aliased(plane: planes.PlaneArray) -> planes.Feature:
        return half_samples(plane.reshape(-1)[np.arange(plane.size) & 0xFFFF].reshape(plane.shape))

    wanted = MANIFEST.stream(name).frame_md5[1:2]
    assert frames_by(item, item.grids, range(1, 2)) == wanted
    monkeypatch.setattr(planes, "half_samples", aliased)
    assert frames_by(item, item.grids, range(1, 2)) != wanted
