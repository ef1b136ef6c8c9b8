"""The reference against values worked out by hand and formulas written another way."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from synthesis_cases import Picture, random_case

from nvrc_decoder.picture.planes import GopDigest, Planes, plane_shapes
from nvrc_decoder.profiles import PROFILES, LayerSpec
from nvrc_decoder.synthesis import reference
from nvrc_decoder.synthesis.arithmetic import IntegerLayer, make_layer

NANO = PROFILES[0]


def integer_layer(weight, shift=0, low=-2048, high=2047, bias=None) -> IntegerLayer:
    weight = np.array(weight, dtype=np.int64)
    bias = np.zeros(weight.shape[0], dtype=np.int64) if bias is None else np.array(bias, dtype=np.int64)
    return IntegerLayer(weight, bias, shift, low, high)


def test_dequantise_multiplies_and_clips():
    node = np.array([[[1, -3]], [[2047, -2047]]], dtype=np.int16)
    assert reference.dequantise(node, [2048, 2]).tolist() == [[[2047, -2048]], [[2047, -2048]]]
    assert reference.dequantise(node, [7, 1]).tolist() == [[[7, -21]], [[2047, -2047]]]


def test_upsample_by_hand():
    x = np.array([[[0, 16], [32, -16]]], dtype=np.int32)
    rows = [[0, 4, 12, 16], [8, 7, 5, 4], [24, 13, -9, -20 + 0], [32, 20, -4, -16]]
    # Row 1, column 1: (9 * 0 + 3 * 16 + 3 * 32 + 1 * -16 + 8) >> 4 = 8.
    rows[1] = [8, 8, 8, 8]
    rows[2] = [24, 16, 0, -8]
    assert reference.upsample(x, 4, 4, 1).tolist() == [rows]
    assert reference.upsample(x, 3, 3, 2).tolist() == [[row[:3] for row in rows[:3]], [[0] * 3] * 3]


def test_upsample_of_one_sample_drops_channels():
    x = np.array([[[-5]], [[7]]], dtype=np.int32)
    assert reference.upsample(x, 2, 1, 1).tolist() == [[[-5], [-5]]]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 5), (4, 3)])
def test_layers_are_correlations_with_zero_padding(rows, columns):
    rng = np.random.default_rng(3)
    x = rng.integers(-2048, 2048, (3, rows, columns)).astype(np.int32)
    weight = rng.integers(-9, 10, (2, 3, 3, 3))
    bias = rng.integers(-99, 99, 2)
    expected = np.zeros((2, rows, columns), dtype=np.int64)
    for o, r, c in np.ndindex(2, rows, columns):
        total = int(bias[o])
        for g, i, j in np.ndindex(3, 3, 3):
            if 0 <= r + i - 1 < rows and 0 <= c + j - 1 < columns:
                total += int(weight[o, g, i, j]) * int(x[g, r + i - 1, c + j - 1])
        expected[o, r, c] = min(max((total + 8) // 16, -2048), 2047)
    assert (reference.inject(x, integer_layer(weight, 4, bias=bias)) == expected).all()
    for o in range(2):
        one = np.zeros((3, 3, 3), dtype=np.int64)
        one[1] = weight[o, 1]
        only = np.where(np.arange(3)[:, None, None] == 1, x, 0).astype(np.int32)
        dense = reference.inject(only, integer_layer(weight[o : o + 1], 4))
        assert (reference.depthwise(x, integer_layer(one, 4))[1] == dense[0]).all()


def test_temporal_filter_by_hand():
    frames = [np.full((2, 1, 1), value, dtype=np.int32) for value in (100, 10, -7)]
    layer = integer_layer([[1, 2, 4], [0, 0, -1]], shift=1)
    # (100 + 20 - 28 + 1) >> 1 and (7 + 1) >> 1.
    assert reference.temporal(*frames, layer).ravel().tolist() == [46, 4]


def test_head_outputs_are_channel_major():
    x = np.array([[[3]], [[5]]], dtype=np.int32)
    first = np.zeros((2, 4, 3, 3), dtype=np.int64)
    first[:, :, 1, 1] = [[1, 2, 3, 4], [10, 20, 30, 40]]
    rows = reference.head_depthwise(x, IntegerLayer(first, np.zeros(8, dtype=np.int64), 0, -2048, 2047))
    assert rows.ravel().tolist() == [3, 6, 9, 12, 50, 100, 150, 200]


@pytest.mark.parametrize(("chroma_format", "count"), [(0, 4), (1, 6), (2, 12)])
def test_rows_become_planes(chroma_format, count):
    rows = np.arange(count * 2 * 3).reshape(count, 2, 3).astype(np.int32)
    planes = reference.planes_from_rows(rows, Picture(5, 3, chroma_format, 10))
    assert planes.y.dtype == np.uint16
    assert planes.y.tolist() == [[0, 6, 1, 7, 2], [12, 18, 13, 19, 14], [3, 9, 4, 10, 5]]
    if chroma_format == 0:
        assert planes.u is None
        assert planes.v is None
    elif chroma_format == 1:
        assert planes.u is not None
        assert planes.v is not None
        assert planes.u.tolist() == rows[4].tolist()
        assert planes.v.tolist() == rows[5].tolist()
    else:
        assert planes.v is not None
        assert planes.v[1].tolist() == [60, 66, 61, 67, 62]
    shapes = plane_shapes(5, 3, chroma_format)
    assert tuple(plane.shape for plane in planes.planes()) == shapes


def test_digest_and_md5_are_of_the_raw_planes():
    y8 = np.array([[1, 2], [3, 4]], dtype=np.uint8)
    y10 = np.array([[1, 1023]], dtype=np.uint16)
    grey, colour = Planes(y10), Planes(y8, y8[:1, :1], y8[1:, 1:])
    digest = GopDigest()
    digest.update(colour)
    digest.update(grey)
    assert digest.digest() == hashlib.sha256(bytes([1, 2, 3, 4, 1, 4, 1, 0, 255, 3])).digest()[:16]
    assert colour.md5() == hashlib.md5(bytes([1, 2, 3, 4, 1, 4])).hexdigest()
    assert Planes(y10.astype(">u2")).md5() == grey.md5()


def test_digest_does_not_depend_on_memory_layout():
    y = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert Planes(y.T).md5() == Planes(np.ascontiguousarray(y.T)).md5() != Planes(y).md5()


def test_no_grids_at_the_first_stage_start_from_zero():
    case = random_case(1, NANO, Picture(8, 8), 1)
    specs = LayerSpec("stage3.inject", "inject", (8, 1, 3, 3), 8, 2048, -2048, 2047)
    layers = random_case(2, NANO, Picture(8, 8), 1, full=True).layers
    silent = {name: layer for name, layer in layers.items() if not name.endswith("inject")}
    silent["stage3.inject"] = make_layer(specs, np.zeros(72), np.zeros(8), 4, 0, 0)
    slot = NANO.plane_slot
    grids: list[np.ndarray | None] = [None] * len(NANO.slots)
    multipliers: list[list[int]] = [[100] if i == slot else [] for i in range(len(NANO.slots))]
    network = NANO, case.picture, (8,) * 5, NANO.blocks, silent
    md5s = set()
    for value in (9, -9):
        grids[slot] = np.full((1, 1, 2, 2), value, dtype=np.int16)
        (frame,) = reference.synthesise(*network, grids, multipliers, 1, range(1))
        md5s.add(frame.md5())
    assert len(md5s) == 1


def test_random_networks_are_not_trivial():
    # The property tests compare frames of these networks: they must hold more than clipped or constant samples.
    for profile in PROFILES:
        case = random_case(5, profile, Picture(40, 40), 3, full=True)
        (frame,) = reference.ReferenceSynthesizer(*case.network).synthesise(case.grids, 3, range(1, 2))
        assert len(np.unique(frame.y)) > 20
        case = random_case(5, profile, Picture(40, 40), 3, style="bound", full=True)
        (frame,) = reference.ReferenceSynthesizer(*case.network).synthesise(case.grids, 3, range(1, 2))
        assert len(np.unique(frame.y)) > 5


def test_blocks_that_are_not_active_are_the_identity():
    case = random_case(7, PROFILES[1], Picture(24, 24), 2, full=True)
    fewer = (0, 0, 1, 1, 0)
    zeroed = dict(case.layers)
    for k, (most, active) in enumerate(zip(PROFILES[1].blocks, fewer, strict=True)):
        for j in range(active, most):
            for part in ("depthwise", "pointwise"):
                layer = zeroed[f"stage{k}.block{j}.{part}"]
                zeroed[f"stage{k}.block{j}.{part}"] = IntegerLayer(
                    np.zeros_like(layer.weight), np.zeros_like(layer.bias), 0, layer.low, layer.high
                )
    network = case.network
    whole = reference.ReferenceSynthesizer(*network[:4], zeroed, *network[5:])
    part = reference.ReferenceSynthesizer(*network[:3], fewer, case.layers, *network[5:])
    frames = [s.synthesise(case.grids, 2, range(2)) for s in (whole, part, reference.ReferenceSynthesizer(*network))]
    md5s = [[frame.md5() for frame in made] for made in frames]
    assert md5s[0] == md5s[1] != md5s[2]
