"""Frames to the head's rows and back, and the weight of each sample in the distortion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthesis_cases import differing

from nvrc_decoder.picture.planes import Planes, plane_shapes
from nvrc_decoder.profiles import head_rows
from nvrc_encoder.training.source_rows import PLANE_WEIGHTS, make_source_rows, planes_from_rows

SIZES = [(1, 1), (1, 2), (2, 1), (3, 3), (8, 6), (7, 4), (4, 9)]


def random_frames(width: int, height: int, count: int, chroma_format: int, bit_depth: int) -> list[Planes]:
    rng = np.random.default_rng(width * 100 + height)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    shapes = plane_shapes(width, height, chroma_format)
    return [Planes(*(rng.integers(0, 1 << bit_depth, shape).astype(dtype) for shape in shapes)) for _ in range(count)]


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("chroma_format", [0, 1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_rows_and_planes_are_inverses(size: tuple[int, int], chroma_format: int, bit_depth: int) -> None:
    width, height = size
    frames = random_frames(width, height, 3, chroma_format, bit_depth)
    target = make_source_rows(frames, chroma_format)
    half = (-(-height // 2), -(-width // 2))
    assert target.rows.shape == (3, len(head_rows(chroma_format)), *half)
    assert target.weights.shape == target.rows.shape[1:]
    assert differing(planes_from_rows(target.rows, (height, width), chroma_format, bit_depth), frames) == []


@pytest.mark.parametrize("chroma_format", [0, 1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_weights_are_the_shares_of_the_planes(size: tuple[int, int], chroma_format: int) -> None:
    width, height = size
    frames = random_frames(width, height, 1, chroma_format, 8)
    target = make_source_rows(frames, chroma_format)
    assert float(target.weights.sum()) == pytest.approx(1, rel=1e-5)
    # An error of 1 in every sample of one plane, and of 1000 in the padding, which must not count.
    rows = torch.where(target.weights > 0, 0.0, 1000.0)
    at = 0
    shares = PLANE_WEIGHTS if chroma_format else (1.0,)
    for index, share in enumerate(shares):
        count = 1 if index and chroma_format == 1 else 4
        error = rows.clone()
        error[at : at + count] = torch.where(target.weights[at : at + count] > 0, 1.0, 1000.0)
        assert float((error**2 * target.weights).sum()) == pytest.approx(share, rel=1e-5)
        at += count
    assert at == len(target.weights)


def test_phase_order_is_that_of_the_head() -> None:
    luma = np.arange(16, dtype=np.uint8).reshape(4, 4)
    rows = make_source_rows([Planes(luma)], 0).rows[0]
    for phase in range(4):
        np.testing.assert_array_equal(rows[phase].numpy(), luma[phase >> 1 :: 2, phase & 1 :: 2])
